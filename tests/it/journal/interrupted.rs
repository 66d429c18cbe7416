//! Waits that are given up and databases that are held: who stops waiting takes nothing along.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use counterfoil::bookkeeping::verify::verify;
use counterfoil::journal::book::{Journal, JournalOptions};
use counterfoil::journal::error::JournalError;
use counterfoil::journal::reader::JournalReader;
use counterfoil::store::rollups;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::journal::house::{House, options};
use crate::journal::samples::{clock, intent, sent, settled, settlement};

/// Holds a database as another process would.
async fn hold(file: &std::path::Path) -> SqliteConnection {
    let mut holder = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    holder
}

async fn let_go(mut holder: SqliteConnection) {
    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    holder.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wait_for_a_commit_that_is_given_up_at_any_moment_loses_and_doubles_nothing() {
    let house = House::build().await;
    let mut told = HashSet::new();
    for round in 0..40_u128 {
        let commits: Vec<_> = (0..25)
            .map(|lane| {
                let journal = house.journal.clone();
                let number = round * 25 + lane + 1;
                tokio::spawn(async move {
                    journal.commit(&sent(intent(number))).await.unwrap();
                    journal.commit(&settled(settlement(number, 1, 1))).await.unwrap();
                    number
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_micros(u64::try_from(round).unwrap() * 60)).await;
        for commit in commits {
            commit.abort();
            told.extend(commit.await.ok());
        }
    }
    // A settlement was told only after its intent, and what was told is there.
    house.journal.commit(&sent(intent(9_999))).await.unwrap();
    let folder = house.close().await;
    let mut reader = JournalReader::open(folder.path()).await.unwrap();
    let records = reader.after(0, i64::MAX, 100_000).await.unwrap();
    reader.close().await.unwrap();
    assert!(records.iter().zip(1..).all(|(record, n)| record.n == n));
    let of = |kind: &str| -> Vec<String> {
        let those = records.iter().filter(|it| it.kind == kind);
        those.filter_map(|it| it.attempt.clone()).collect()
    };
    let (intents, settlements) = (of("intent"), of("settlement"));
    for list in [&intents, &settlements] {
        assert_eq!(list.iter().collect::<HashSet<_>>().len(), list.len(), "written twice");
    }
    assert!(settlements.iter().all(|attempt| intents.contains(attempt)));
    for number in &told {
        assert!(settlements.contains(&crate::journal::samples::attempt(*number).to_string()));
    }
    // Some were given up in time, some were not, or this tried nothing.
    assert!(!told.is_empty() && told.len() < 1_000, "{}", told.len());
    let found = verify(folder.path()).await.unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_posting_given_up_in_its_middle_posts_all_the_next_time_and_nothing_twice() {
    let mut house = House::build().await;
    let (mut given_up, mut number) = (0, 0);
    for round in 0..60_u64 {
        for _ in 0..20 {
            number += 1;
            house.write([sent(intent(number)), settled(settlement(number, 2, 1))]).await;
        }
        let patience = Duration::from_micros(100 + round * 150);
        given_up +=
            usize::from(tokio::time::timeout(patience, house.poster.post_once()).await.is_err());
    }
    assert!(given_up > 5, "only {given_up} were given up");
    house.poster.post_once().await.unwrap();
    assert_eq!(house.number("SELECT COUNT(*) FROM intents").await, 1_200);
    assert_eq!(house.number("SELECT COUNT(*) FROM settlements").await, 1_200);
    assert_eq!(house.number("SELECT SUM(attempts) FROM attempt_rollups").await, 1_200);
    let input = "SELECT SUM(quantity) FROM usage_rollups WHERE meter = 'input'";
    assert_eq!(house.number(input).await, 2_400);
    assert!(rollups::equal_the_records(&house.books).await.unwrap());
}

/// Longer than SQLite waits for somebody else (5 s).
fn long() -> Duration {
    let thorough = std::env::var_os("COUNTERFOIL_TEST_THOROUGH").is_some();
    Duration::from_secs(if thorough { 30 } else { 7 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_journal_held_for_longer_than_sqlite_waits_refuses_intents_and_keeps_settlements() {
    let folder = tempfile::tempdir().unwrap();
    let bounded = JournalOptions { queue: 64, lifeboat_bytes: 1 << 20, ..options() };
    let (journal, _) = Journal::open(folder.path(), clock(), bounded).await.unwrap();
    for number in 1..=40 {
        journal.commit(&sent(intent(number))).await.unwrap();
    }
    let holder = hold(&folder.path().join("journal.db")).await;
    let held = Instant::now();
    let settling: Vec<_> = (1..=40)
        .map(|number| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.commit(&settled(settlement(number, 1, 1))).await })
        })
        .collect();
    let (mut refused, mut fullest) = (0, 0);
    while held.elapsed() < long() {
        match journal.commit(&sent(intent(1_000 + refused))).await {
            Err(JournalError::Busy | JournalError::Unavailable(_)) => refused += 1,
            other => panic!("{other:?}"),
        }
        fullest = fullest.max(journal.health().queued);
    }
    assert!(refused > 0 && fullest <= 64, "{refused} refused, {fullest} queued");
    let_go(holder).await;
    let mut deferred = 0;
    for settled in settling {
        match settled.await.unwrap() {
            Ok(_) => {}
            Err(JournalError::Deferred(_)) => deferred += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(deferred > 0, "nothing had to wait");
    let back = Instant::now();
    while journal.commit(&sent(intent(5_000))).await.is_err() {
        assert!(back.elapsed() < Duration::from_secs(10), "the journal did not come back");
    }
    assert_eq!(journal.health().waiting_for_room, 0);
    journal.close().await.unwrap();
    let mut reader = JournalReader::open(folder.path()).await.unwrap();
    let records = reader.after(0, i64::MAX, 1_000).await.unwrap();
    reader.close().await.unwrap();
    let of = |kind: &str| records.iter().filter(|it| it.kind == kind).count();
    assert_eq!((of("intent"), of("settlement")), (41, 40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn books_that_are_away_for_long_cost_nothing_but_freshness() {
    let House { journal, books, poster, folder, .. } = House::build().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let posting = tokio::spawn(poster.run(async { drop(stopped.await) }));
    let holder = hold(books.path()).await;
    let held = Instant::now();
    let (mut number, mut longest) = (0, Duration::ZERO);
    while held.elapsed() < long() {
        number += 1;
        let begun = Instant::now();
        journal.commit(&sent(intent(number))).await.unwrap();
        let last = journal.commit(&settled(settlement(number, 1, 1))).await.unwrap();
        journal.synced(last.n).await.unwrap();
        longest = longest.max(begun.elapsed());
    }
    let count = "SELECT COUNT(*) FROM settlements";
    let seen: i64 = sqlx::query_scalar(count).fetch_one(books.pool()).await.unwrap();
    assert_eq!(seen, 0, "the books were not away");
    assert!(number > 200, "only {number} calls while the books were away");
    assert!(longest < Duration::from_secs(3), "a call waited {longest:?} for the books");
    let_go(holder).await;
    stop.send(()).unwrap();
    posting.await.unwrap();
    let seen: i64 = sqlx::query_scalar(count).fetch_one(books.pool()).await.unwrap();
    assert_eq!(u128::try_from(seen).unwrap(), number);
    journal.close().await.unwrap();
    books.close().await;
    let found = verify(folder.path()).await.unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
}
