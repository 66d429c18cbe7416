//! What the gateway costs over a bare pass-through proxy, measured in the same run.
//!
//! `cargo bench --bench proxy` starts, as processes of their own on 127.0.0.1: a mock provider, a
//! bare axum + hyper proxy (the floor), and `counterfoil serve` with record, pricing, posting and
//! counting on. The same load goes to each in turns; ratios are the result, absolute times depend
//! on the machine. Each figure is the best of its rounds: `-- --rounds 3`, and `--only` one of
//! `latency`, `processor`, `durable`, `memory`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::float_arithmetic,
    reason = "a bench prints, divides times, and stops at the first surprise"
)]

mod load;
mod process;
mod servers;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil::journal::reader::JournalReader;
use counterfoil::store::books::Books;
use counterfoil::store::posting;

use crate::load::{
    CONNECTIONS, Target, at_rate, in_turns, json_body, percentile, saturate, slow_streams,
    stream_body,
};
use crate::process::{Processor, Running, free, memory};
use crate::servers::{DRIP, STREAM_CHUNKS, THINK};

/// How long a saturated run lasts.
const SPAN: Duration = Duration::from_secs(2);

/// With the counting threads off, whose tokenizer tables are a figure of their own.
const UNCOUNTED: &str = "[limits]\ncounting_queue_mib = 0";

/// The best of the rounds, by row and target.
#[derive(Default)]
struct Best(BTreeMap<(&'static str, &'static str), f64>);

impl Best {
    fn keep(&mut self, row: &'static str, target: &'static str, value: f64) {
        let least = self.0.entry((row, target)).or_insert(f64::MAX);
        *least = least.min(value);
    }

    fn of(&self, row: &'static str, target: &'static str) -> f64 {
        self.0.get(&(row, target)).copied().unwrap_or(f64::NAN)
    }
}

const ONE: &str = "one connection, mock thinks 20 ms, p50 (ms)";
const FIRST: &str = "first chunk, mock thinks 20 ms, p50 (ms)";
const RATE_50: &str = "200 requests/s, mock thinks 20 ms, p50 (ms)";
const RATE_99: &str = "200 requests/s, mock thinks 20 ms, p99 (ms)";
const CALL: &str = "processor a call, 64 connections (us)";
const CHUNK: &str = "processor a streamed chunk, 64 connections (us)";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let listen = || option("--listen").unwrap().parse().unwrap();
    match option("--role").as_deref() {
        Some("mock") => run(servers::mock(listen())),
        Some("floor") => run(servers::floor(listen(), option("--upstream").unwrap())),
        _ => {
            let rounds = option("--rounds").map_or(3, |rounds| rounds.parse().unwrap());
            run(compare(rounds, &option("--only").unwrap_or_default()));
        }
    }
}

fn run(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work);
}

async fn compare(rounds: usize, only: &str) {
    println!("load average before: {}", load_average());
    let (mock_at, floor_at, gateway_at) = (free(), free(), free());
    let mock = Running::role("mock", mock_at, mock_at);
    let floor = Running::role("floor", floor_at, mock_at);
    let folder = tempfile::tempdir().unwrap();
    let gateway = Running::gateway(folder.path(), gateway_at, mock_at, "");
    let targets = [
        Target { name: "direct", address: mock_at, pid: mock.pid() },
        Target { name: "floor", address: floor_at, pid: floor.pid() },
        Target { name: "counterfoil", address: gateway_at, pid: gateway.pid() },
    ];
    let wanted = |part: &str| only.is_empty() || only == part;
    let mut best = Best::default();
    let mut posted = Vec::new();
    for round in 0..rounds {
        if wanted("latency") {
            latency(&targets, &mut best).await;
        }
        if wanted("processor") {
            let mut order = targets[1..].to_vec();
            if round % 2 == 1 {
                order.reverse();
            }
            processor(&order, &mut best).await;
        }
        if wanted("durable") {
            posted.push(durable(targets[2], &folder.path().join("data")).await);
        }
    }
    print(&best);
    for line in posted {
        println!("{line}");
    }
    drop(gateway);
    if wanted("memory") {
        with_memory(mock_at, targets[1]).await;
    }
    println!("load average after: {}", load_average());
}

/// What is added to one call at a time, and at 200 a second.
async fn latency(targets: &[Target], best: &mut Best) {
    let body = json_body(THINK);
    let rows = [(ONE, in_turns(targets, &body, 80).await)];
    let first = [(FIRST, in_turns(targets, &stream_body(THINK), 60).await)];
    for (row, all) in rows.into_iter().chain(first) {
        for (target, times) in targets.iter().zip(all) {
            best.keep(row, target.name, percentile(&times, 50));
        }
    }
    for target in targets {
        let times = at_rate(*target, &body, 200, SPAN).await;
        best.keep(RATE_50, target.name, percentile(&times, 50));
        best.keep(RATE_99, target.name, percentile(&times, 99));
    }
}

/// What a call and a chunk cost while 64 clients call as fast as they can.
async fn processor(targets: &[Target], best: &mut Best) {
    for target in targets {
        let load = saturate(*target, &json_body(""), SPAN).await;
        best.keep(CALL, target.name, load.processor.calls * 1e6 / load.calls as f64);
    }
    for target in targets {
        let load = saturate(*target, &stream_body(""), SPAN).await;
        let chunks = load.calls as f64 * (STREAM_CHUNKS as f64 + 2.0);
        best.keep(CHUNK, target.name, load.processor.calls * 1e6 / chunks);
    }
}

/// Calls as fast as 64 clients can place them, until the last of them stands in the books.
async fn durable(target: Target, data: &Path) -> String {
    caught_up(data).await;
    let before = Processor::of(target.pid);
    let load = saturate(target, &json_body(""), SPAN * 2).await;
    let begun = Instant::now();
    caught_up(data).await;
    let behind = begun.elapsed();
    let used = Processor::of(target.pid).since(before);
    let calls = load.calls as f64;
    format!(
        "durable: {} calls in {:.2?} ({:.0} a second), in the books {behind:.2?} later ({:.0} a \
         second); a call costs {:.0} us on the request path and journal, {:.0} us posting, {:.0} us \
         counting",
        load.calls,
        load.took,
        calls / load.took.as_secs_f64(),
        calls / (load.took + behind).as_secs_f64(),
        used.calls * 1e6 / calls,
        used.posting * 1e6 / calls,
        used.counting * 1e6 / calls,
    )
}

/// Waits until the books have what the journal has now.
async fn caught_up(data: &Path) {
    let mut journal = JournalReader::open(data).await.unwrap();
    let books = Books::open_to_read(data).await.unwrap();
    let head = journal.head().await.unwrap();
    let Some(node) = head.node else { return };
    loop {
        let cursor = posting::cursor(&books, &node).await.unwrap();
        if cursor.map_or(0, |cursor| cursor.posted_n) >= head.last_n {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    journal.close().await.unwrap();
    books.close().await;
}

/// Memory of a fresh gateway whose counting threads are off, and of one whose are on.
async fn with_memory(mock_at: std::net::SocketAddr, floor: Target) {
    for (name, more) in [("counting off", UNCOUNTED), ("counting on", "")] {
        let (folder, address) = (tempfile::tempdir().unwrap(), free());
        let gateway = Running::gateway(folder.path(), address, mock_at, more);
        let target = Target { name: "counterfoil", address, pid: gateway.pid() };
        tokio::time::sleep(Duration::from_secs(1)).await;
        let idle = memory(target.pid, "VmRSS:");
        saturate(target, &json_body(""), SPAN).await;
        let loaded = memory(target.pid, "VmHWM:");
        let streams = slow_streams(target, &stream_body(DRIP), 500).await;
        println!(
            "memory, {name}: {idle:.1} MiB idle, {loaded:.1} MiB with {CONNECTIONS} connections, \
             {streams:.1} MiB with 500 slow streams"
        );
    }
    let streams = slow_streams(floor, &stream_body(DRIP), 500).await;
    println!("memory, floor: {streams:.1} MiB with 500 slow streams");
}

/// The rows that were measured, a target or a quotient that was not as a dash.
fn print(best: &Best) {
    let head = ["direct", "floor", "counterfoil", "x floor", "added"];
    println!("{:<48}{}", "best of rounds", head.map(|name| format!("{name:>12}")).concat());
    for row in [ONE, FIRST, RATE_50, RATE_99, CALL, CHUNK] {
        let [direct, floor, ours] =
            ["direct", "floor", "counterfoil"].map(|name| best.of(row, name));
        if ours.is_nan() {
            continue;
        }
        let figures = [(direct, 3), (floor, 3), (ours, 3), (ours / floor, 2), (ours - direct, 3)];
        let cells = figures.map(|(figure, decimals)| {
            let text = format!("{figure:.decimals$}").replace("NaN", "-");
            format!("{text:>12}")
        });
        println!("{row:<48}{}", cells.concat());
    }
}

fn load_average() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}
