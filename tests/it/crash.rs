//! The real binary, killed: what the provider saw is settled or a listed orphan.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use counterfoil::gateway::failpoint::Failpoint;
use counterfoil::ledger::settlement::Outcome;
use tempfile::TempDir;

use crate::client::Client;
use crate::house::{Book, CHAT_HEADERS, MESSAGE_HEADERS};
use crate::upstream::{Act, Upstream, chunk, json_reply, last_chunk, stream_head};

const ANSWER: &str = r#"{"id":"c1","model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
const ASK: &str = r#"{"model":"gpt-4o-mini","messages":[]}"#;
const STREAM: &str = r#"{"model":"claude-sonnet-4-20250514","stream":true,"messages":[]}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\
    \"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n";

/// `counterfoil serve` as a process of its own.
struct Process {
    child: Child,
    addr: SocketAddr,
}

impl Process {
    fn start(folder: &Path, upstream: &str, failpoint: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--dashboard-listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(folder)
            .env("COUNTERFOIL_PROVIDERS__OPENAI__BASE_URL", upstream)
            .env("COUNTERFOIL_PROVIDERS__ANTHROPIC__BASE_URL", upstream)
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped());
        if let Some(failpoint) = failpoint {
            command.env("COUNTERFOIL_FAILPOINT", failpoint);
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let addr = loop {
            let Some(Ok(line)) = lines.next() else { panic!("it did not start: {said:#?}") };
            if let Some((_, rest)) = line.split_once("OPENAI_BASE_URL=http://") {
                break rest.split('/').next().unwrap().parse().unwrap();
            }
            said.push(line);
        };
        // Read on, so that the process never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, addr }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn terminate(mut self) -> bool {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }
}

/// What a recovery makes of a folder: the journal after the next start and its end.
async fn recovered(folder: &TempDir, upstream: &str) -> Book {
    let process = Process::start(folder.path(), upstream, None);
    assert!(process.terminate());
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_failpoint_nothing_the_provider_saw_is_lost() {
    for point in Failpoint::ALL {
        for nth in [1, 3] {
            let upstream = Upstream::start(|seen| {
                if seen.line.contains("messages") {
                    let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
                    let first = [stream_head(""), chunk(START.as_bytes())].concat();
                    let rest = [chunk(stop.as_bytes()), last_chunk()].concat();
                    let pause = Act::Sleep(Duration::from_millis(5));
                    return vec![Act::Write(first), pause, Act::Write(rest)];
                }
                vec![Act::Write(json_reply(200, ANSWER))]
            })
            .await;
            let folder = tempfile::tempdir().unwrap();
            let armed = format!("{}:{nth}", point.name());
            let mut process = Process::start(folder.path(), &upstream.url(), Some(&armed));
            let mut completed = 0;
            for turn in 0..8 {
                let Some(mut client) = Client::try_connect(process.addr).await else { break };
                if turn % 2 == 0 {
                    let line = "POST /openai/v1/chat/completions";
                    client.send(line, CHAT_HEADERS, ASK.as_bytes()).await;
                } else {
                    client
                        .send("POST /anthropic/v1/messages", MESSAGE_HEADERS, STREAM.as_bytes())
                        .await;
                }
                let answer = client.answer().await;
                completed += usize::from(answer.status == 200 && answer.complete);
            }
            assert!(!process.child.wait().unwrap().success(), "{armed} did not fire");
            let seen = upstream.seen().len();
            let book = recovered(&folder, &upstream.url()).await;
            check(&book, seen, &armed);
            let orphans =
                book.settlements.iter().filter(|it| it.outcome == Outcome::Orphaned).count();
            // An answer that completed was settled before its last byte.
            assert!(book.settlements.len() - orphans >= completed, "{armed}");
            assert!(orphans <= 1, "{armed}");
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
    assert!(book.gaps >= 1, "an unclean stop leaves a gap");
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
    let ended = std::thread::spawn(move || process.terminate());
    tokio::time::sleep(Duration::from_millis(200)).await;
    upstream.open_gate();
    for client in &mut clients {
        assert!(client.answer().await.complete);
    }
    assert!(ended.join().unwrap());
    let book = Book::read(folder.path()).await;
    check(&book, 100, "told to end");
    assert!(book.settlements.iter().all(|it| it.outcome == Outcome::Completed));
    assert_eq!(book.gaps, 0);
}
