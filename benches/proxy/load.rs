//! The load: one call after another, as many as go at once, so many a second, and slow streams.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::process::{Processor, memory};

/// Clients of a saturated run.
pub(crate) const CONNECTIONS: usize = 64;

type Web = Client<HttpConnector, Full<Bytes>>;

/// What is called.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
}

/// What a saturated run came to.
pub(crate) struct Load {
    pub(crate) calls: u64,
    pub(crate) took: Duration,
    pub(crate) processor: Processor,
}

impl Target {
    fn request(&self, body: &Bytes) -> Request<Full<Bytes>> {
        let prefix = if self.name == "direct" { "" } else { "/openai" };
        Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}{prefix}/v1/chat/completions", self.address))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, "Bearer sk-bench-0000000000000000")
            .body(Full::new(body.clone()))
            .unwrap()
    }
}

/// A prompt of about 400 bytes for a JSON answer.
pub(crate) fn json_body(word: &str) -> Bytes {
    let text = "the price of the market order ".repeat(12);
    Bytes::from(format!(
        r#"{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"{word} {text}"}}]}}"#
    ))
}

/// The same for a stream.
pub(crate) fn stream_body(word: &str) -> Bytes {
    let text = "the price of the market order ".repeat(12);
    Bytes::from(format!(
        r#"{{"model":"gpt-4o-mini","stream":true,"stream_options":{{"include_usage":true}},"messages":[{{"role":"user","content":"{word} {text}"}}]}}"#
    ))
}

/// Milliseconds to the first piece of each answer over one connection a target. The targets take
/// turns call by call, so that a noisy moment is noisy for all.
pub(crate) async fn in_turns(targets: &[Target], body: &Bytes, calls: usize) -> Vec<Vec<f64>> {
    let clients: Vec<Web> = targets.iter().map(|_| client()).collect();
    let mut times = vec![Vec::with_capacity(calls); targets.len()];
    // The first calls open the connections.
    for call in 0..calls + 5 {
        for (at, (target, client)) in targets.iter().zip(&clients).enumerate() {
            let taken = one(client, target, body).await;
            if call >= 5 {
                times[at].push(taken);
            }
        }
    }
    times
}

/// As many calls as 64 clients can place in a span.
pub(crate) async fn saturate(target: Target, body: &Bytes, span: Duration) -> Load {
    let client = client();
    let before = Processor::of(target.pid);
    let begun = Instant::now();
    let callers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (client, body) = (client.clone(), body.clone());
            tokio::spawn(async move {
                let mut calls = 0_u64;
                while begun.elapsed() < span {
                    one(&client, &target, &body).await;
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
    let took = begun.elapsed();
    Load { calls, took, processor: Processor::of(target.pid).since(before) }
}

/// Milliseconds from the instant a call was due, at a fixed rate, whatever the answers do.
pub(crate) async fn at_rate(target: Target, body: &Bytes, rate: u32, span: Duration) -> Vec<f64> {
    let client = client();
    let mut due = tokio::time::interval(Duration::from_secs(1) / rate);
    let ends = Instant::now() + span;
    let mut calls = Vec::new();
    while Instant::now() < ends {
        let was_due = due.tick().await;
        let (client, body) = (client.clone(), body.clone());
        calls.push(tokio::spawn(async move {
            one(&client, &target, &body).await;
            was_due.elapsed().as_secs_f64() * 1_000.0
        }));
    }
    let mut times = Vec::with_capacity(calls.len());
    for call in calls {
        times.push(call.await.unwrap());
    }
    times
}

/// The most memory a target holds while so many slow streams pass through it, in MiB.
pub(crate) async fn slow_streams(target: Target, body: &Bytes, streams: usize) -> f64 {
    let client = client();
    let running: Vec<_> = (0..streams)
        .map(|_| {
            let (client, body) = (client.clone(), body.clone());
            tokio::spawn(async move { one(&client, &target, &body).await })
        })
        .collect();
    let mut most: f64 = 0.0;
    while !running.iter().all(tokio::task::JoinHandle::is_finished) {
        most = most.max(memory(target.pid, "VmRSS:"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for stream in running {
        stream.await.unwrap();
    }
    most
}

/// The value below which so many percent lie.
pub(crate) fn percentile(times: &[f64], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * percent / 100]
}

fn client() -> Web {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1_024).build(connector)
}

/// Places a call, reads its answer to the end, and says when its first piece came.
async fn one(client: &Web, target: &Target, body: &Bytes) -> f64 {
    let begun = Instant::now();
    let answer = client.request(target.request(body)).await.unwrap();
    assert!(answer.status().is_success(), "{} answers {}", target.name, answer.status());
    let mut answer = answer.into_body();
    answer.frame().await.unwrap().unwrap();
    let first = begun.elapsed().as_secs_f64() * 1_000.0;
    while let Some(frame) = answer.frame().await {
        frame.unwrap();
    }
    first
}
