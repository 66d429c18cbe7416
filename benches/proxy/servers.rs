//! The two servers beside ours: the mock provider, and the bare proxy that is the floor.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use http::{Uri, header};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use memchr::memmem;

/// What the mock waits before an answer, where the prompt asks it to.
const THINKS: Duration = Duration::from_millis(20);
/// What it waits between two chunks of a slow stream.
const CHUNK_EVERY: Duration = Duration::from_millis(20);
/// Chunks with text in a stream; two more end it.
pub(crate) const STREAM_CHUNKS: usize = 50;

/// In a prompt: think before you answer.
pub(crate) const THINK: &str = "think-a-while";
/// In a prompt: answer a stream slowly.
pub(crate) const DRIP: &str = "drip-slowly";

static JSON_ANSWER: LazyLock<Bytes> = LazyLock::new(|| {
    let text = "the market report ".repeat(30);
    Bytes::from(format!(
        r#"{{"id":"chatcmpl-mock","object":"chat.completion","created":1790000000,"model":"gpt-4o-mini-2024-07-18","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":80,"completion_tokens":90,"total_tokens":170,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}},"service_tier":"default","system_fingerprint":null}}"#
    ))
});

static STREAM_ANSWER: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let chunk = |choices: &str, usage: &str| {
        Bytes::from(format!(
            "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{choices}],\"usage\":{usage}}}\n\n"
        ))
    };
    let choice =
        r#"{"index":0,"delta":{"content":" market"},"logprobs":null,"finish_reason":null}"#;
    let mut chunks = vec![chunk(choice, "null"); STREAM_CHUNKS];
    chunks.push(chunk("", r#"{"prompt_tokens":80,"completion_tokens":50,"total_tokens":130}"#));
    chunks.push(Bytes::from_static(b"data: [DONE]\n\n"));
    chunks
});

/// Answers every request as its prompt asks.
pub(crate) async fn mock(listen: SocketAddr) {
    let answer = |request: Request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        if memmem::find(&body, THINK.as_bytes()).is_some() {
            tokio::time::sleep(THINKS).await;
        }
        if memmem::find(&body, b"\"stream\":true").is_none() {
            return reply("application/json", Body::from(JSON_ANSWER.clone()));
        }
        let drips = memmem::find(&body, DRIP.as_bytes()).is_some();
        let chunks =
            futures_util::stream::unfold(STREAM_ANSWER.iter(), move |mut rest| async move {
                let chunk = rest.next()?.clone();
                // One frame a poll, so that each travels on its own.
                if drips {
                    tokio::time::sleep(CHUNK_EVERY).await;
                } else {
                    tokio::task::yield_now().await;
                }
                Some((Ok::<_, Infallible>(chunk), rest))
            });
        reply("text/event-stream", Body::from_stream(chunks))
    };
    serve(listen, axum::Router::new().fallback(answer)).await;
}

fn reply(media: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media));
    response
}

#[derive(Clone)]
struct Floor {
    client: Client<HttpConnector, Body>,
    upstream: String,
}

/// Passes everything on, and does nothing else.
pub(crate) async fn floor(listen: SocketAddr, upstream: String) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1_024).build(connector);
    let pass = |State(floor): State<Floor>, request: Request| async move {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let path = path.strip_prefix("/openai").unwrap_or(path);
        parts.uri = Uri::try_from(format!("{}{path}", floor.upstream)).unwrap();
        parts.headers.remove(header::HOST);
        let answer = floor.client.request(Request::from_parts(parts, body)).await.unwrap();
        answer.map(Body::new)
    };
    let router = axum::Router::new().fallback(pass).with_state(Floor { client, upstream });
    serve(listen, router).await;
}

async fn serve(listen: SocketAddr, router: axum::Router) {
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    let listener = listener.tap_io(|io| io.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}
