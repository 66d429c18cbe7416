//! A process killed while it writes: what it was told is committed is there afterwards.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use counterfoil::bookkeeping::post::Poster;
use counterfoil::bookkeeping::verify::verify;
use counterfoil::store::books::Books;

use crate::journal::house::open;
use crate::journal::samples::{intent, sent, settled, settlement};

/// Tells the child process its folder.
const FOLDER: &str = "COUNTERFOIL_TEST_CRASH_FOLDER";

/// What the process that gets killed is called among the tests.
const CHILD: &str = "journal::crash::child_writes_until_killed";

/// The process that gets killed; without the variable that names its folder it is nothing to run.
#[test]
fn child_writes_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (journal, opened) = open(&folder).await;
        let books = Books::open(&folder).await.unwrap();
        let poster = Poster::new(journal.clone(), books).await.unwrap();
        tokio::spawn(poster.run(std::future::pending()));
        let base = u128::try_from(opened.boot).unwrap() * 1_000_000_000;
        let writers = (0..16_u128).map(|lane| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for step in 0_u128.. {
                    let number = base + lane * 10_000_000 + step;
                    let sent = journal.commit(&sent(intent(number))).await.unwrap();
                    report(&format!("sent {number}"));
                    journal.synced(sent.n).await.unwrap();
                    journal.commit(&settled(settlement(number, 10, 1))).await.unwrap();
                    report(&format!("settled {number}"));
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

fn report(line: &str) {
    writeln!(std::io::stdout().lock(), "{line}").unwrap();
}

/// Starts the child, kills it a while after its first record, and returns what it was told is
/// committed.
fn run_and_kill(folder: &std::path::Path, after: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (tell, told) = mpsc::channel();
    let reading = std::thread::spawn(move || {
        let said = lines.map_while(Result::ok).filter(|it| it.contains(' '));
        said.for_each(|line| tell.send(line).unwrap());
    });
    let mut said = Vec::new();
    for line in &told {
        said.push(line);
        if said.last().is_some_and(|line| line.starts_with("sent ")) {
            break;
        }
    }
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap();
    said.extend(told);
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_committed_before_a_kill_is_there_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sent_ids, mut settled_ids) = (0, 0);
    for milliseconds in [300, 450, 700, 520] {
        let told = run_and_kill(folder.path(), Duration::from_millis(milliseconds));
        let (journal, opened) = open(folder.path()).await;
        assert!(opened.unclean);
        let books = Books::open(folder.path()).await.unwrap();
        let mut poster = Poster::new(journal.clone(), books.clone()).await.unwrap();
        poster.post_once().await.unwrap();
        for line in told.iter().filter(|it| it.starts_with("sent ") || it.starts_with("settled ")) {
            let (what, number) = line.split_once(' ').unwrap();
            let Ok(number) = number.parse::<u128>() else { continue };
            let attempt = crate::journal::samples::attempt(number).to_string();
            let (sql, count) = if what == "sent" {
                ("SELECT COUNT(*) FROM intents WHERE attempt = $1", &mut sent_ids)
            } else {
                let sql = "SELECT COUNT(*) FROM settlements WHERE attempt = $1 \
                           AND outcome = 'completed'";
                (sql, &mut settled_ids)
            };
            let found: i64 =
                sqlx::query_scalar(sql).bind(&attempt).fetch_one(books.pool()).await.unwrap();
            assert_eq!(found, 1, "{line}");
            *count += 1;
        }
        journal.close().await.unwrap();
        books.close().await;
        let found = verify(folder.path()).await.unwrap();
        assert!(found.is_sound(), "{:?}", found.problems);
        let books = Books::open(folder.path()).await.unwrap();
        let intents: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM intents")
            .fetch_one(books.pool())
            .await
            .unwrap();
        books.close().await;
        assert_eq!(found.settled + found.orphans, u64::try_from(intents).unwrap());
    }
    assert!(sent_ids > 100 && settled_ids > 100, "{sent_ids} {settled_ids}");
}
