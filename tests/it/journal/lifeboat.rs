//! A journal that stays full: what happened is in the lifeboat, and the next start has it.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use counterfoil::bookkeeping::verify::verify;
use counterfoil::journal::book::{Journal, JournalOptions, Opened};
use counterfoil::journal::error::JournalError;
use counterfoil::journal::reader::JournalReader;
use counterfoil::ledger::entry::Entry;
use counterfoil::ledger::settlement::Outcome;

use crate::journal::house::{drop_uncleanly, open, options};
use crate::journal::samples::{clock, intent, sent, settled, settlement};
use crate::small_disk::SmallDisk;

/// Settlements that are told to a journal with no room for them.
const LATE: u128 = 60;

/// A small journal, filled up with intents; how many it took.
async fn full(folder: &Path) -> (Journal, u128) {
    let small = JournalOptions { max_pages: Some(80), lifeboat_bytes: 256 << 10, ..options() };
    let (journal, _) = Journal::open(folder, clock(), small).await.unwrap();
    let mut taken = 0;
    while journal.commit(&sent(intent(taken + 1))).await.is_ok() {
        taken += 1;
        assert!(taken < 10_000);
    }
    assert!(taken > LATE, "{taken}");
    (journal, taken)
}

/// Tells it settlements of the first attempts; how many wait for room.
async fn settle_late(journal: &Journal) -> usize {
    for number in 1..=LATE {
        let told = journal.commit(&settled(settlement(number, 10, 1))).await;
        assert!(matches!(told, Err(JournalError::Deferred(_))), "{told:?}");
    }
    let waiting = usize::try_from(journal.health().waiting_for_room).unwrap();
    // A page half full may have taken one after all.
    assert!((50..=60).contains(&waiting), "{waiting}");
    waiting
}

fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in ["journal.db", "journal.db-wal", "node.json", "lifeboat"] {
        if folder.join(file).exists() {
            fs::copy(folder.join(file), copy.path().join(file)).unwrap();
        }
    }
    copy
}

/// Opens with room, ends, and checks that each attempt is settled once; how many as it happened.
async fn recovered(folder: &Path, attempts: u128) -> (Opened, usize) {
    let (journal, opened) = open(folder).await;
    journal.close().await.unwrap();
    let mut reader = JournalReader::open(folder).await.unwrap();
    let records = reader.after(0, i64::MAX, 100_000).await.unwrap();
    reader.close().await.unwrap();
    let settlements: Vec<_> = records.iter().filter(|it| it.kind == "settlement").collect();
    let distinct: HashSet<_> = settlements.iter().map(|it| &it.attempt).collect();
    assert_eq!(settlements.len() as u128, attempts, "each attempt is settled once");
    assert_eq!(distinct.len(), settlements.len());
    let completed = settlements.iter().filter(|it| match it.entry().unwrap() {
        Entry::Settlement(settlement) => settlement.outcome == Outcome::Completed,
        _ => false,
    });
    let completed = completed.count();
    let found = verify(folder).await.unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
    (opened, completed)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_journal_could_not_take_at_its_end_is_in_it_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, attempts) = full(folder.path()).await;
    let waiting = settle_late(&journal).await;
    journal.close().await.unwrap();
    drop(journal);
    let before_rescue = copy_of(folder.path());

    let (opened, completed) = recovered(folder.path(), attempts).await;
    assert_eq!((opened.rescued, completed as u128), (waiting, LATE));
    assert_eq!(opened.orphans.len() as u128, attempts - LATE);
    assert!(!opened.unclean && opened.gap.is_none(), "nothing is lost: {opened:?}");

    // Killed once more after they were appended and before the boat was emptied: none twice.
    let boat = before_rescue.path().join("lifeboat");
    fs::copy(boat, folder.path().join("lifeboat")).unwrap();
    let (opened, _) = recovered(folder.path(), attempts).await;
    assert_eq!((opened.rescued, opened.orphans.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_journal_is_full_nothing_that_was_put_aside_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, attempts) = full(folder.path()).await;
    let waiting = settle_late(&journal).await;
    // As a kill would find it, then as a kill in the middle of a write would.
    let killed = copy_of(folder.path());
    drop_uncleanly(journal).await;
    let (opened, completed) = recovered(killed.path(), attempts).await;
    assert_eq!((opened.rescued, completed as u128), (waiting, LATE));
    assert!(opened.unclean);
    let same_machine = Path::new("/proc/sys/kernel/random/boot_id").exists();
    let gap = opened.gap.unwrap();
    assert_eq!(gap.at_most, Some(if same_machine { 0 } else { 2_048 }), "none is missing");

    let boat = fs::read(folder.path().join("lifeboat")).unwrap();
    let used = boat.iter().rposition(|byte| *byte != 0).unwrap();
    let mut seen = HashSet::new();
    for cut in (0..used).step_by(used / 23) {
        let torn = copy_of(folder.path());
        fs::write(torn.path().join("lifeboat"), &boat[..cut]).unwrap();
        let (opened, completed) = recovered(torn.path(), attempts).await;
        let written = usize::try_from(LATE).unwrap() - waiting;
        assert_eq!(opened.rescued + written, completed, "a whole prefix, once");
        assert_eq!(opened.orphans.len() + completed, usize::try_from(attempts).unwrap());
        seen.insert(completed);
    }
    assert!(seen.len() > 15, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifeboat_too_small_for_all_leaves_the_rest_as_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let small = JournalOptions { max_pages: Some(80), lifeboat_bytes: 8 << 10, ..options() };
    let (journal, _) = Journal::open(folder.path(), clock(), small).await.unwrap();
    let mut attempts = 0;
    while journal.commit(&sent(intent(attempts + 1))).await.is_ok() {
        attempts += 1;
    }
    let waiting = settle_late(&journal).await;
    assert!(matches!(journal.close().await, Err(JournalError::Unavailable(_))));
    drop(journal);
    let (opened, completed) = recovered(folder.path(), attempts).await;
    assert!((2..20).contains(&completed), "{completed}");
    assert_eq!(opened.gap.unwrap().at_most, Some((waiting - opened.rescued) as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_disk_without_a_byte_left_the_lifeboat_still_takes_records() {
    let Some(disk) = SmallDisk::mount(4_096) else {
        eprintln!("no right to mount a small disk here: the lifeboat was not tried on a full one");
        return;
    };
    let folder = disk.path().join("data");
    let options =
        JournalOptions { ballast_bytes: 64 << 10, lifeboat_bytes: 512 << 10, ..options() };
    let (journal, _) = Journal::open(&folder, clock(), options.clone()).await.unwrap();
    for number in 1..=200 {
        journal.commit(&sent(intent(number))).await.unwrap();
    }
    let filler = disk.path().join("filler");
    drop(fs::write(&filler, vec![1_u8; 8 << 20]));
    let (mut written, mut deferred) = (0, 0);
    for number in 1..=200 {
        match journal.commit(&settled(settlement(number, 1, 1))).await {
            Ok(_) => written += 1,
            Err(JournalError::Deferred(_)) => deferred += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(written > 0 && deferred > 0, "{written} {deferred}");
    // Killed, or ended in order: the disk is full to the last block.
    let killed = copy_of(&folder);
    journal.close().await.unwrap();
    drop(journal);
    let (opened, completed) = recovered(killed.path(), 200).await;
    assert_eq!((opened.rescued, completed), (deferred, 200));

    // With the disk still full nothing starts, and nothing is thrown away.
    let refused = Journal::open(&folder, clock(), options.clone()).await;
    let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(said.contains("make room and start again"), "{said:?}");
    fs::remove_file(&filler).unwrap();
    let (opened, completed) = recovered(&folder, 200).await;
    assert_eq!((opened.rescued, completed), (deferred, 200));
}
