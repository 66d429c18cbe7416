//! What the gateway costs over a bare pass-through proxy, measured in the same run.
//!
//! `cargo bench --bench proxy` starts, as processes of their own on 127.0.0.1: a mock provider, a
//! bare axum + hyper proxy (the floor), and `counterfoil serve` with record, pricing, posting and
//! counting on. The same load goes to each in turns; ratios are the result, absolute times depend
//! on the machine. Rounds: `COUNTERFOIL_BENCH_ROUNDS` (default 3).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    reason = "a bench prints, divides times, and stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Milliseconds the mock thinks in the latency rows.
const THINK_MS: u64 = 20;
const CONNECTIONS: usize = 64;
const STREAM_CHUNKS: usize = 50;

type Web = Client<HttpConnector, Full<Bytes>>;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    match option("--role").as_deref() {
        Some("mock") => run(mock(option("--listen").unwrap().parse().unwrap())),
        Some("floor") => {
            run(floor(option("--listen").unwrap().parse().unwrap(), option("--upstream").unwrap()))
        }
        _ => run(compare()),
    }
}

fn run(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work);
}

// ------------------------------------------------------------------ the mock provider

async fn mock(listen: SocketAddr) {
    let answer = |request: axum::extract::Request| async move {
        let think = request.headers().get("x-think").and_then(|value| value.to_str().ok());
        let think: u64 = think.and_then(|value| value.parse().ok()).unwrap_or(0);
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let think = if memchr::memmem::find(&body, b"think-now").is_some() { 0 } else { think };
        let slow = memchr::memmem::find(&body, b"think-a-while").is_some();
        if slow || think > 0 {
            tokio::time::sleep(Duration::from_millis(THINK_MS.max(think))).await;
        }
        let stream = memchr::memmem::find(&body, b"\"stream\":true").is_some();
        if stream { stream_answer() } else { json_answer() }
    };
    let router = axum::Router::new().fallback(answer);
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    axum::serve(listener.tap_io(|io| io.set_nodelay(true).unwrap()), router).await.unwrap();
}

fn json_answer() -> Response {
    let text = "the market report ".repeat(30);
    let body = format!(
        r#"{{"id":"chatcmpl-mock","object":"chat.completion","created":1790000000,"model":"gpt-4o-mini-2024-07-18","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":80,"completion_tokens":90,"total_tokens":170,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}},"service_tier":"default","system_fingerprint":null}}"#
    );
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    response
}

fn stream_answer() -> Response {
    let chunk = |choices: &str, usage: &str| {
        Bytes::from(format!(
            "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{choices}],\"usage\":{usage}}}\n\n"
        ))
    };
    let mut chunks = vec![];
    for _ in 0..STREAM_CHUNKS {
        let choice =
            r#"{"index":0,"delta":{"content":" market"},"logprobs":null,"finish_reason":null}"#;
        chunks.push(chunk(choice, "null"));
    }
    chunks.push(chunk("", r#"{"prompt_tokens":80,"completion_tokens":50,"total_tokens":130}"#));
    chunks.push(Bytes::from_static(b"data: [DONE]\n\n"));
    let chunks = futures_util::stream::unfold(chunks.into_iter(), |mut rest| async move {
        let chunk = rest.next()?;
        // One frame a poll, so that each travels on its own.
        tokio::task::yield_now().await;
        Some((Ok::<_, Infallible>(chunk), rest))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_TYPE, "text/event-stream".parse().unwrap());
    response
}

// ------------------------------------------------------------------ the floor

#[derive(Clone)]
struct Floor {
    client: Client<HttpConnector, Body>,
    upstream: String,
}

async fn floor(listen: SocketAddr, upstream: String) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1_024).build(connector);
    let pass = |State(floor): State<Floor>, request: axum::extract::Request| async move {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let path = path.strip_prefix("/openai").unwrap_or(path);
        parts.uri = Uri::try_from(format!("{}{path}", floor.upstream)).unwrap();
        parts.headers.remove(header::HOST);
        let answer = floor.client.request(Request::from_parts(parts, body)).await.unwrap();
        answer.map(Body::new)
    };
    let router = axum::Router::new().fallback(pass).with_state(Floor { client, upstream });
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    axum::serve(listener.tap_io(|io| io.set_nodelay(true).unwrap()), router).await.unwrap();
}

// ------------------------------------------------------------------ the comparison

struct Target {
    name: &'static str,
    address: SocketAddr,
    pid: Option<u32>,
}

/// Stops its process when it goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn compare() {
    let folder = tempfile::tempdir().unwrap();
    let (mock_at, floor_at, gateway_at, dashboard_at) = (free(), free(), free(), free());
    let me = std::env::current_exe().unwrap();
    let role = |role: &str, listen: SocketAddr| {
        let mut command = Command::new(&me);
        command.args(["--role", role, "--listen", &listen.to_string()]);
        command.args(["--upstream", &format!("http://{mock_at}")]);
        Running(command.spawn().unwrap())
    };
    let _mock = role("mock", mock_at);
    let floor = role("floor", floor_at);
    let config = folder.path().join("counterfoil.toml");
    let text = format!(
        "listen = \"{gateway_at}\"\ndashboard_listen = \"{dashboard_at}\"\n[providers.openai]\nbase_url = \"http://{mock_at}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let gateway = Running(
        Command::new(env!("CARGO_BIN_EXE_counterfoil"))
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .arg("--data")
            .arg(folder.path().join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    for address in [mock_at, floor_at, gateway_at] {
        wait_for(address);
    }
    let targets = [
        Target { name: "direct", address: mock_at, pid: None },
        Target { name: "floor", address: floor_at, pid: Some(floor.0.id()) },
        Target { name: "counterfoil", address: gateway_at, pid: Some(gateway.0.id()) },
    ];
    let rounds: usize =
        std::env::var("COUNTERFOIL_BENCH_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    println!("idle memory: counterfoil {} MiB, floor {} MiB", rss(&targets[2]), rss(&targets[1]));
    let mut best: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let mut keep = |row: &'static str, target: &'static str, value: f64| {
        let least = best.entry((row, target)).or_insert(f64::MAX);
        *least = least.min(value);
    };
    for round in 0..rounds {
        let order: Vec<&Target> =
            if round % 2 == 0 { targets.iter().collect() } else { targets.iter().rev().collect() };
        for target in order {
            let times = sequential(target, &json_body("think-a-while"), 120).await;
            keep(
                "p50 of one connection, mock thinks 20 ms (ms)",
                target.name,
                percentile(&times, 50),
            );
            let first = sequential(target, &stream_body("think-a-while"), 60).await;
            keep("p50 to first chunk, mock thinks 20 ms (ms)", target.name, percentile(&first, 50));
            let load = saturate(target, &json_body("think-now"), Duration::from_secs(3)).await;
            keep("CPU a call, 64 connections (ms)", target.name, load.cpu_ms_per_call);
            keep("1000 / throughput (s)", target.name, 1_000.0 / load.per_second);
            let load = saturate(target, &stream_body("think-now"), Duration::from_secs(3)).await;
            let per_chunk = load.cpu_ms_per_call * 1_000.0 / (STREAM_CHUNKS as f64 + 2.0);
            keep("CPU a streamed chunk, 64 connections (us)", target.name, per_chunk);
        }
    }
    println!(
        "memory after load: counterfoil {} MiB, floor {} MiB",
        rss(&targets[2]),
        rss(&targets[1])
    );
    println!(
        "{:<48} {:>9} {:>9} {:>12} {:>9}",
        "best of rounds", "direct", "floor", "counterfoil", "x floor"
    );
    let rows: Vec<&str> = {
        let mut rows: Vec<&str> = best.keys().map(|(row, _)| *row).collect();
        rows.dedup();
        rows
    };
    for row in rows {
        let value = |target| best.get(&(row, target)).copied().unwrap_or(0.0);
        let (direct, floor, ours) = (value("direct"), value("floor"), value("counterfoil"));
        println!("{row:<48} {direct:>9.4} {floor:>9.4} {ours:>12.4} {:>9.2}", ours / floor);
        if row.starts_with("p50") {
            println!(
                "{:<48} {:>9} {:>9.4} {:>12.4}",
                "   added over direct",
                "",
                floor - direct,
                ours - direct
            );
        }
    }
}

fn json_body(word: &str) -> Bytes {
    let text = "the price of the market order ".repeat(12);
    Bytes::from(format!(
        r#"{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"{word} {text}"}}]}}"#
    ))
}

fn stream_body(word: &str) -> Bytes {
    let text = "the price of the market order ".repeat(12);
    Bytes::from(format!(
        r#"{{"model":"gpt-4o-mini","stream":true,"stream_options":{{"include_usage":true}},"messages":[{{"role":"user","content":"{word} {text}"}}]}}"#
    ))
}

fn client() -> Web {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1_024).build(connector)
}

fn request(target: &Target, body: &Bytes) -> Request<Full<Bytes>> {
    let prefix = if target.name == "direct" { "" } else { "/openai" };
    Request::builder()
        .method(Method::POST)
        .uri(format!("http://{}{prefix}/v1/chat/completions", target.address))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, "Bearer sk-bench-0000000000000000")
        .body(Full::new(body.clone()))
        .unwrap()
}

/// Milliseconds to the first frame of each of `calls` calls, one after the other.
async fn sequential(target: &Target, body: &Bytes, calls: usize) -> Vec<f64> {
    let client = client();
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let begun = Instant::now();
        let answer = client.request(request(target, body)).await.unwrap();
        assert!(answer.status().is_success());
        let mut body = answer.into_body();
        drop(body.frame().await);
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
        while let Some(frame) = body.frame().await {
            frame.unwrap();
        }
    }
    times
}

struct Load {
    cpu_ms_per_call: f64,
    per_second: f64,
}

async fn saturate(target: &Target, body: &Bytes, span: Duration) -> Load {
    let client = client();
    let cpu = target.pid.map(cpu_seconds);
    let begun = Instant::now();
    let callers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (client, body) = (client.clone(), body.clone());
            let (name, address, pid) = (target.name, target.address, target.pid);
            tokio::spawn(async move {
                let target = Target { name, address, pid };
                let mut calls = 0_u64;
                while begun.elapsed() < span {
                    let answer = client.request(request(&target, &body)).await.unwrap();
                    assert!(answer.status().is_success(), "{}", answer.status());
                    let mut answer = answer.into_body();
                    while let Some(frame) = answer.frame().await {
                        frame.unwrap();
                    }
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await.unwrap();
    }
    let used = target.pid.zip(cpu).map_or(0.0, |(pid, before)| cpu_seconds(pid) - before);
    Load {
        cpu_ms_per_call: used * 1_000.0 / calls as f64,
        per_second: calls as f64 / begun.elapsed().as_secs_f64(),
    }
}

/// CPU of a process without its counting and posting threads, which are measured on their own.
fn cpu_seconds(pid: u32) -> f64 {
    let mut ticks = 0_u64;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        let Some((head, tail)) = stat.rsplit_once(')') else { continue };
        if head.contains("counting") || head.contains("posting") {
            continue;
        }
        let fields: Vec<&str> = tail.split_whitespace().collect();
        ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    }
    ticks as f64 / 100.0
}

fn rss(target: &Target) -> u64 {
    let Some(pid) = target.pid else { return 0 };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

fn percentile(times: &[f64], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * percent / 100]
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn wait_for(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
