//! The real binary, killed: what the provider saw is settled or a listed orphan.

use std::ops::RangeInclusive;
use std::time::Duration;

use counterfoil::bookkeeping::verify::verify;
use counterfoil::failpoint::Failpoint;
use counterfoil::ledger::settlement::Outcome;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::wire::client::Client;
use crate::wire::house::{Book, CHAT_HEADERS, MESSAGE_HEADERS};
use crate::wire::process::Process;
use crate::wire::upstream::{Act, Upstream, chunk, json_reply, last_chunk, stream_head};

const ANSWER: &str = r#"{"id":"c1","model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
const ASK: &str = r#"{"model":"gpt-4o-mini","messages":[]}"#;
const STREAM: &str = r#"{"model":"claude-sonnet-4-20250514","stream":true,"messages":[]}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\
    \"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n";

/// What a recovery makes of a folder: the journal after the next start and its end.
async fn recovered(folder: &TempDir, upstream: &str) -> Book {
    let process = Process::start(folder.path(), upstream, None);
    let (succeeded, said) = process.terminate();
    assert!(succeeded, "{said:#?}");
    Book::read(folder.path()).await
}

fn check(book: &Book, seen: usize, what: &str) {
    let orphans = book.settlements.iter().filter(|it| it.outcome == Outcome::Orphaned).count();
    // Every intent has exactly one settlement, and everything the provider saw has an intent.
    assert_eq!(book.intents.len(), book.settlements.len(), "{what}");
    assert!(book.intents.len() >= seen, "{what}: {} intents, {seen} seen", book.intents.len());
    let mut attempts: Vec<_> = book.settlements.iter().map(|it| it.attempt).collect();
    attempts.sort();
    attempts.dedup();
    assert_eq!(attempts.len(), book.settlements.len(), "{what}: settled twice");
    println!("{what}: {seen} seen, {} settled, {orphans} orphans", book.settlements.len());
}

/// How many histories are tried at each place.
fn seeds() -> RangeInclusive<u64> {
    1..=if std::env::var_os("COUNTERFOIL_TEST_THOROUGH").is_some() { 50 } else { 5 }
}

/// A small generator: a seed that failed is a history that can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A provider that answers whole, or in a stream of so many pieces so many milliseconds apart.
async fn provider(pieces: u64, apart: u64) -> Upstream {
    Upstream::start(move |seen| {
        if !seen.line.contains("messages") {
            return vec![Act::Write(json_reply(200, ANSWER))];
        }
        let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
        let stop = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\
            \"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\nevent: message_stop\ndata: \
            {\"type\":\"message_stop\"}\n\n";
        let mut acts = vec![Act::Write([stream_head(""), chunk(START.as_bytes())].concat())];
        for _ in 0..pieces {
            acts.push(Act::Sleep(Duration::from_millis(apart)));
            acts.push(Act::Write(chunk(ping.as_bytes())));
        }
        acts.push(Act::Write([chunk(stop.as_bytes()), last_chunk()].concat()));
        acts
    })
    .await
}

/// Calls one after another until the process dies; how many answers came whole.
async fn call_until_it_dies(process: Process, dice: &mut Dice, what: &str) -> usize {
    let mut completed = 0;
    for turn in 0..10 {
        let Some(mut client) = Client::try_connect(process.addr).await else { break };
        if turn % 4 == 1 || dice.roll(2) == 0 {
            let line = "POST /anthropic/v1/messages";
            client.send(line, MESSAGE_HEADERS, STREAM.as_bytes()).await;
        } else {
            let line = "POST /openai/v1/chat/completions";
            client.send(line, CHAT_HEADERS, ASK.as_bytes()).await;
        }
        let answer = client.answer().await;
        completed += usize::from(answer.status == 200 && answer.complete);
    }
    let status = process.died().await;
    assert!(status.is_some_and(|status| !status.success()), "{what} did not fire");
    completed
}

/// Intents whose call never reached the provider: a call may be killed on its way, and where
/// posting dies, which runs beside the calls, at any moment.
const fn unsent(point: Failpoint) -> RangeInclusive<usize> {
    match point {
        Failpoint::AfterIntent => 1..=1,
        Failpoint::AfterSend | Failpoint::DuringPosting => 0..=1,
        _ => 0..=0,
    }
}

async fn killed_at(point: Failpoint, seed: u64) {
    let mut dice = Dice(seed);
    let upstream = provider(1 + dice.roll(3), dice.roll(8)).await;
    let folder = tempfile::tempdir().unwrap();
    // The first posting may take every call at once.
    let nth = if point == Failpoint::DuringPosting { 1 } else { 1 + dice.roll(3) };
    let first = if point == Failpoint::DuringRecovery { Failpoint::AfterHeaders } else { point };
    let what = format!("{} seed {seed} nth {nth}", point.name());
    let armed = format!("{}:{nth}", first.name());
    let process = Process::start(folder.path(), &upstream.url(), Some(&armed));
    let completed = call_until_it_dies(process, &mut dice, &what).await;
    if point == Failpoint::DuringRecovery {
        let again = Process::try_start(folder.path(), &upstream.url(), Some(point.name()), "warn");
        assert!(again.is_err(), "{what} did not fire");
    }
    let seen = upstream.seen().len();
    let book = recovered(&folder, &upstream.url()).await;
    check(&book, seen, &what);
    let unsent = unsent(point);
    assert!(unsent.contains(&(book.settlements.len() - seen)), "{what}: {seen} seen");
    let orphans = book.settlements.iter().filter(|it| it.outcome == Outcome::Orphaned).count();
    // An answer that completed was settled before its last byte.
    assert!(book.settlements.len() - orphans >= completed, "{what}");
    assert!(orphans <= 1, "{what}");
    let found = verify(folder.path()).await.unwrap();
    assert!(found.is_sound(), "{what}: {:?}", found.problems);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_every_failpoint_nothing_the_provider_saw_is_lost() {
    for point in Failpoint::ALL {
        let mut running = JoinSet::new();
        for seed in seeds() {
            running.spawn(killed_at(*point, seed));
            if running.len() == 5 {
                running.join_next().await.unwrap().unwrap();
            }
        }
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_two_hundred_streams_every_one_is_an_orphan_and_recovery_repeats_nothing() {
    let upstream = Upstream::start(|_| {
        vec![Act::Write([stream_head(""), chunk(START.as_bytes())].concat()), Act::Gate]
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), &upstream.url(), None);
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = Client::connect(process.addr).await;
        client.send("POST /anthropic/v1/messages", MESSAGE_HEADERS, STREAM.as_bytes()).await;
        clients.push(client);
    }
    for client in &mut clients {
        client.read_some(START.len()).await;
    }
    process.kill();
    // Killed again in the middle of recovering.
    let again = Process::start(folder.path(), &upstream.url(), None);
    again.kill();
    let book = recovered(&folder, &upstream.url()).await;
    check(&book, 200, "killed under load");
    assert_eq!(book.settlements.len(), 200);
    assert!(book.settlements.iter().all(|it| it.outcome == Outcome::Orphaned));
    assert!(!book.gaps.is_empty(), "an unclean stop leaves a gap");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_end_with_a_hundred_streams_open_it_loses_none() {
    let upstream = Upstream::start(|_| {
        let stop = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\
            \"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\nevent: message_stop\ndata: {\"type\":\
            \"message_stop\"}\n\n";
        vec![
            Act::Write([stream_head(""), chunk(START.as_bytes())].concat()),
            Act::Gate,
            Act::Write([chunk(stop.as_bytes()), last_chunk()].concat()),
        ]
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), &upstream.url(), None);
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = Client::connect(process.addr).await;
        client.send("POST /anthropic/v1/messages", MESSAGE_HEADERS, STREAM.as_bytes()).await;
        client.read_some(START.len()).await;
        clients.push(client);
    }
    let ended = std::thread::spawn(move || process.terminate().0);
    tokio::time::sleep(Duration::from_millis(200)).await;
    upstream.open_gate();
    for client in &mut clients {
        assert!(client.answer().await.complete);
    }
    assert!(ended.join().unwrap());
    let book = Book::read(folder.path()).await;
    check(&book, 100, "told to end");
    assert!(book.settlements.iter().all(|it| it.outcome == Outcome::Completed));
    assert!(book.gaps.is_empty());
}
