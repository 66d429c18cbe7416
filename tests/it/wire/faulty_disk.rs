//! The real binary on a disk that fails or loses its power: nothing a client saw is missing.
#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use counterfoil::bookkeeping::verify::verify;
use counterfoil::ledger::settlement::Outcome;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::wire::client::Client;
use crate::wire::house::{Book, CHAT_HEADERS};
use crate::wire::process::Process;
use crate::wire::upstream::Upstream;

const ANSWER: &str = r#"{"id":"c1","model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
const ASK: &str = r#"{"model":"gpt-4o-mini","messages":[]}"#;
const LOG: &str = "warn,counterfoil=info";

/// What stands between the binary and its disk, built once with the linker every build needs.
fn between() -> &'static OsStr {
    static BUILT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_folder, library) = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("faulty_disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/wire/faulty_disk.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
        assert!(cc.status().unwrap().success());
        (folder, library)
    });
    library.as_os_str()
}

/// Calls until nobody answers any more; the ids of the requests of which a byte came back.
async fn call_on(addr: SocketAddr) -> HashSet<String> {
    let callers = (0..8).map(|_| {
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Some(mut client) = Client::try_connect(addr).await {
                client.send("POST /openai/v1/chat/completions", CHAT_HEADERS, ASK.as_bytes()).await;
                let answer = client.answer().await;
                match answer.header("x-counterfoil-request-id") {
                    Some(id) if answer.status == 200 => seen.push(id.to_owned()),
                    _ => break,
                }
            }
            seen
        })
    });
    let mut seen = HashSet::new();
    for caller in callers.collect::<Vec<_>>() {
        seen.extend(caller.await.unwrap());
    }
    seen
}

/// The journal after a start on a disk that is well again, and its end.
async fn recovered(folder: &Path, upstream: &Upstream) -> Book {
    let (succeeded, said) = Process::start(folder, &upstream.url(), None).terminate();
    assert!(succeeded, "{said:#?}");
    let found = verify(folder).await.unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
    Book::read(folder).await
}

/// The kernel's boot id of the last run becomes another one, as after a power cut.
async fn started_anew(folder: &Path) {
    let options = SqliteConnectOptions::new().filename(folder.join("journal.db"));
    let mut connection = options.connect().await.unwrap();
    for sql in ["DROP TRIGGER boots_only_end", "UPDATE boots SET machine_boot = 'before the cut'"] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_power_cut_every_attempt_whose_client_saw_a_byte_is_on_record() {
    let mut taken = 0;
    for cut_after in [300, 450, 625] {
        let upstream = Upstream::json(ANSWER).await;
        let (folder, synced) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let variables = [
            ("LD_PRELOAD", between()),
            ("COUNTERFOIL_TEST_SYNCED", synced.path().as_os_str()),
            ("COUNTERFOIL_TEST_SYNC_MS", OsStr::new("40")),
        ];
        let process =
            Process::try_start_among(folder.path(), &upstream.url(), &variables, LOG).unwrap();
        let calling = tokio::spawn(call_on(process.addr));
        tokio::time::sleep(Duration::from_millis(cut_after)).await;
        process.kill();
        let seen_by_clients = calling.await.unwrap();
        let sent = upstream.seen().len();
        // What the process left in memory of the kernel is gone: only what was synced is there.
        std::fs::copy(folder.path().join("node.json"), synced.path().join("node.json")).unwrap();
        started_anew(synced.path()).await;
        let book = recovered(synced.path(), &upstream).await;
        let kept: HashSet<String> = book.intents.iter().map(|it| it.request.to_string()).collect();
        let missing: Vec<_> = seen_by_clients.difference(&kept).collect();
        assert!(seen_by_clients.len() > 10, "{}", seen_by_clients.len());
        assert!(missing.is_empty(), "a client saw {missing:?}");
        assert_eq!(book.intents.len(), book.settlements.len());
        // Those sent within the last sync may be gone, and the gap says how many at most.
        let lost = sent.saturating_sub(book.intents.len());
        let at_most = book.gaps.iter().filter_map(|gap| gap.at_most).sum::<u64>();
        assert!(lost as u64 <= at_most, "{lost} lost, at most {at_most}");
        println!("{} seen by clients, {sent} sent, {lost} lost", seen_by_clients.len());
        taken += lost;
    }
    assert!(taken > 0, "the power cuts took nothing: they were none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sync_or_write_that_fails_ends_the_process_and_loses_nothing() {
    let thorough = std::env::var_os("COUNTERFOIL_TEST_THOROUGH").is_some();
    let most = if thorough { 60 } else { 8 };
    let mut fired = 0;
    for (kind, file) in [("sync", "journal.db-wal"), ("write", "journal.db-wal")] {
        for step in 0..most {
            // Every one of the first, then farther and farther in.
            let nth: u32 = if step < 4 { step + 1 } else { step * step };
            fired += usize::from(fails_at(kind, file, nth).await);
        }
    }
    assert!(fired >= 12, "only {fired} faults happened");
}

/// Whether the fault happened before enough calls had passed.
async fn fails_at(kind: &str, file: &str, nth: u32) -> bool {
    let what = format!("{kind} {file} {nth}");
    let upstream = Upstream::json(ANSWER).await;
    let folder = tempfile::tempdir().unwrap();
    let variables = [("LD_PRELOAD", between()), ("COUNTERFOIL_TEST_DISK_FAULT", OsStr::new(&what))];
    let started = Process::try_start_among(folder.path(), &upstream.url(), &variables, LOG);
    let mut seen_by_clients = HashSet::new();
    let happened = match started {
        // At the start already: it says so and nothing was taken.
        Err(said) => {
            assert!(!said.is_empty(), "{what}");
            true
        }
        Ok(process) => {
            let calls = tokio::time::timeout(Duration::from_secs(3), call_on(process.addr)).await;
            match calls {
                Ok(seen) => {
                    seen_by_clients = seen;
                    let status = process.died().await;
                    assert!(status.is_some_and(|it| !it.success()), "{what}: it went on");
                    true
                }
                Err(_) => {
                    process.kill();
                    false
                }
            }
        }
    };
    let book = recovered(folder.path(), &upstream).await;
    assert!(book.intents.len() >= upstream.seen().len(), "{what}");
    assert_eq!(book.intents.len(), book.settlements.len(), "{what}");
    let completed = book.settlements.iter().filter(|it| it.outcome == Outcome::Completed).count();
    assert!(completed >= seen_by_clients.len(), "{what}: a whole answer has no settlement");
    happened
}
