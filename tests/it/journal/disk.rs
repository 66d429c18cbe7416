//! A disk that is full, slow or damaged: what is refused, what waits, what comes back.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil::bookkeeping::verify::verify;
use counterfoil::journal::book::{Journal, JournalOptions};
use counterfoil::journal::error::JournalError;
use counterfoil::journal::reader::JournalReader;
use proptest::prelude::*;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::journal::house::{drop_uncleanly, open, options};
use crate::journal::samples::{clock, intent, sent, settled, settlement};
use crate::small_disk::SmallDisk;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_database_refuses_intents_and_keeps_settlements_in_memory_up_to_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let small = JournalOptions { max_pages: Some(40), spill_bytes: 4_000, ..options() };
    let (journal, _) = Journal::open(folder.path(), clock(), small).await.unwrap();
    let mut number = 0;
    let refused = loop {
        number += 1;
        match journal.commit(&sent(intent(number))).await {
            Ok(_) => {}
            Err(error) => break error,
        }
        assert!(number < 10_000);
    };
    assert!(matches!(refused, JournalError::Unavailable(_)), "{refused}");
    let (mut deferred, mut unavailable) = (0, 0);
    for settled_number in 1..10 {
        match journal.commit(&settled(settlement(settled_number, 1, 1))).await {
            Err(JournalError::Deferred(_)) => deferred += 1,
            Err(JournalError::Unavailable(_)) => unavailable += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(deferred >= 1 && unavailable >= 1, "{deferred} {unavailable}");
    assert_eq!(journal.health().waiting_for_room, deferred);
    assert!(journal.health().failed.is_none());
    assert!(matches!(journal.close().await, Err(JournalError::Unavailable(_))));
    drop(journal);

    let (journal, opened) = open(folder.path()).await;
    assert!(opened.unclean);
    assert_eq!(opened.orphans.len() as u128, number - 1);
    // The nine settlements that were lost, one record of an attempt each.
    assert_eq!(opened.gap.unwrap().at_most, Some(9));
    journal.close().await.unwrap();
    drop(journal);
    let (journal, opened) = open(folder.path()).await;
    assert!(!opened.unclean && opened.gap.is_none(), "said once");
    journal.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_journal_is_full_the_next_start_does_not_say_how_much_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let small = JournalOptions { max_pages: Some(40), ..options() };
    let (journal, _) = Journal::open(folder.path(), clock(), small).await.unwrap();
    for number in 1.. {
        if journal.commit(&sent(intent(number))).await.is_err() {
            break;
        }
    }
    let late = journal.commit(&settled(settlement(1, 1, 1))).await;
    assert!(matches!(late, Err(JournalError::Deferred(_))), "{late:?}");
    // As a kill would find it.
    let killed = tempfile::tempdir().unwrap();
    for file in ["journal.db", "journal.db-wal", "node.json"] {
        fs::copy(folder.path().join(file), killed.path().join(file)).unwrap();
    }
    drop(journal.close().await);
    let (journal, opened) = open(killed.path()).await;
    let gap = opened.gap.unwrap();
    assert!(opened.unclean && gap.at_most.is_none(), "{gap:?}");
    journal.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_full_disk_asks_for_room_wherever_it_runs_out_and_speaks_of_no_damage() {
    let Some(disk) = SmallDisk::mount(1_024) else {
        eprintln!("no right to mount a small disk here: the full-disk test did not run");
        return;
    };
    let filler = disk.path().join("filler");
    let mut opened = 0;
    for left in (0..1_024).step_by(8) {
        let folder = disk.path().join("data");
        drop(fs::remove_dir_all(&folder));
        drop(fs::write(&filler, vec![1_u8; (1_024 - left) << 10]));
        match Journal::open(&folder, clock(), options()).await {
            Ok((journal, _)) => {
                opened += 1;
                drop(journal.close().await);
            }
            Err(refused) => {
                let said = refused.to_string();
                let asks = said.contains("make room") || said.contains("No space left");
                assert!(asks, "{left} KiB left: {said}");
                assert!(!said.contains("restore the last backup"), "{left} KiB left: {said}");
            }
        }
        fs::remove_file(&filler).unwrap();
    }
    assert!(0 < opened && opened < 128, "{opened} of 128 starts had room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_gives_its_ballast_to_settlements_and_loses_none() {
    let Some(disk) = SmallDisk::mount(4_096) else {
        eprintln!("no right to mount a small disk here: the full-disk test did not run");
        return;
    };
    let folder = disk.path().join("data");
    let options = JournalOptions { ballast_bytes: 256 << 10, ..options() };
    let (journal, _) = Journal::open(&folder, clock(), options).await.unwrap();
    for number in 1..=200 {
        journal.commit(&sent(intent(number))).await.unwrap();
    }
    let filler = disk.path().join("filler");
    drop(fs::write(&filler, vec![1_u8; 8 << 20]));
    let mut refused = false;
    for number in 1_001..1_400 {
        refused |= journal.commit(&sent(intent(number))).await.is_err();
    }
    assert!(refused, "the disk did not fill up");
    let (mut written, mut deferred) = (0, 0);
    for number in 1..=200 {
        match journal.commit(&settled(settlement(number, 1, 1))).await {
            Ok(_) => written += 1,
            Err(JournalError::Deferred(_)) => deferred += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(written > 0, "the ballast was not given back");
    assert_eq!(written + deferred, 200);
    let intent_meanwhile = journal.commit(&sent(intent(5_000))).await;
    assert!(matches!(intent_meanwhile, Err(JournalError::Unavailable(_))));
    fs::remove_file(&filler).unwrap();
    let started = Instant::now();
    while journal.commit(&sent(intent(5_001))).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "the journal did not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(journal.health().waiting_for_room, 0);
    journal.close().await.unwrap();
    drop(journal);
    let mut reader = JournalReader::open(&folder).await.unwrap();
    let records = reader.after(0, i64::MAX, 100_000).await.unwrap();
    assert_eq!(records.iter().filter(|it| it.kind == "settlement").count(), 200);
    reader.close().await.unwrap();
    let found = verify(&folder).await.unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_held_by_someone_fills_the_queue_to_its_bound_and_then_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let small = JournalOptions { queue: 64, ..options() };
    let (journal, _) = Journal::open(folder.path(), clock(), small).await.unwrap();
    let file = SqliteConnectOptions::new().filename(folder.path().join("journal.db"));
    let mut holder = file.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    let commits: Vec<_> = (1..=300_u128)
        .map(|number| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.commit(&sent(intent(number))).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(journal.health().queued <= 64);
    assert!(matches!(journal.append_later(&sent(intent(999))), Err(JournalError::Busy)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    holder.close().await.unwrap();
    let (mut written, mut busy) = (0, 0);
    for commit in commits {
        match commit.await.unwrap() {
            Ok(_) => written += 1,
            Err(JournalError::Busy) => busy += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(written >= 64 && busy > 0, "{written} {busy}");
    assert_eq!(written + busy, 300);
    journal.commit(&sent(intent(1_000))).await.unwrap();
    journal.close().await.unwrap();
    let mut reader = JournalReader::open(folder.path()).await.unwrap();
    assert_eq!(reader.head().await.unwrap().last_n, written + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wal_does_not_grow_without_bound() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path()).await;
    let mut large = intent(1);
    large.path = "/".repeat(200_000);
    let mut longest = 0;
    for _ in 0..600 {
        journal.commit(&sent(large.clone())).await.unwrap();
        let wal = folder.path().join("journal.db-wal").metadata().unwrap().len();
        longest = longest.max(wal);
    }
    assert!(longest < 100 << 20, "{longest}");
    journal.close().await.unwrap();
    let left = folder.path().join("journal.db-wal");
    assert!(!left.exists() || left.metadata().unwrap().len() == 0);
}

/// A folder whose records are in the WAL only, as a kill leaves them.
async fn killed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path()).await;
    for number in 1..=40 {
        journal.commit(&sent(intent(number))).await.unwrap();
        journal.commit(&settled(settlement(number, 1, 1))).await.unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    for file in ["journal.db", "journal.db-wal", "node.json"] {
        fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
    }
    drop_uncleanly(journal).await;
    copy
}

fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in ["journal.db", "journal.db-wal", "node.json"] {
        fs::copy(folder.join(file), copy.path().join(file)).unwrap();
    }
    copy
}

#[test]
fn a_torn_or_flipped_wal_leaves_a_gap_free_prefix_and_a_sound_journal() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let original = runtime.block_on(killed());
    let length = original.path().join("journal.db-wal").metadata().unwrap().len();
    let config = ProptestConfig { cases: 60, ..ProptestConfig::default() };
    proptest!(config, |(cut in any::<bool>(), at in 0..length, bit in 0_u8..8)| {
        let folder = copy_of(original.path());
        let wal = folder.path().join("journal.db-wal");
        let mut bytes = fs::read(&wal).unwrap();
        let position = usize::try_from(at).unwrap();
        if cut {
            bytes.truncate(position);
        } else {
            bytes[position] ^= 1 << bit;
        }
        fs::write(&wal, bytes).unwrap();
        runtime.block_on(async {
            // With nothing left of it this is a new journal in a folder that had one.
            let (journal, _) = open(folder.path()).await;
            journal.commit(&sent(intent(999))).await.unwrap();
            journal.close().await.unwrap();
            let found = verify(folder.path()).await.unwrap();
            prop_assert!(found.is_sound(), "{:?}", found.problems);
            prop_assert_eq!(found.gaps, 1);
            let mut reader = JournalReader::open(folder.path()).await.unwrap();
            let records = reader.after(0, i64::MAX, 1_000).await.unwrap();
            prop_assert!(records.iter().zip(1..).all(|(record, n)| record.n == n));
            reader.close().await.unwrap();
            Ok(())
        })?;
    });
}
