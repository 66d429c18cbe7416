//! What a start makes of what the run before left behind.

use counterfoil::journal::book::{Journal, JournalOptions};
use counterfoil::journal::error::JournalError;
use counterfoil::journal::reader::JournalReader;
use counterfoil::ledger::entry::Entry;
use counterfoil::ledger::gap::GapReason;
use counterfoil::ledger::settlement::{BillingClass, Outcome};
use counterfoil::store::request;

use crate::journal::house::{House, drop_uncleanly, open, options};
use crate::journal::samples::{START, attempt, clock, intent, sent, settled, settlement};

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_without_a_settlement_is_an_orphan_of_the_next_boot_once() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, opened) = open(folder.path()).await;
    assert_eq!((opened.boot, opened.unclean), (1, false));
    let first = journal.commit(&sent(intent(1))).await.unwrap();
    let second = journal.commit(&sent(intent(2))).await.unwrap();
    assert_eq!((first.n, second.n), (1, 2));
    journal.synced(second.n).await.unwrap();
    journal.commit(&settled(settlement(1, 10, 1))).await.unwrap();
    journal.close().await.unwrap();
    assert!(matches!(journal.commit(&sent(intent(3))).await, Err(JournalError::Closed)));

    let (journal, opened) = open(folder.path()).await;
    assert_eq!((opened.boot, opened.unclean), (2, false));
    assert_eq!(opened.orphans, [intent(2)]);
    assert_eq!(opened.gap, None);
    journal.close().await.unwrap();
    let (journal, opened) = open(folder.path()).await;
    assert_eq!(opened.orphans, []);
    journal.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_is_uncertain_and_bounded_and_costs_nothing_known() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path()).await;
    journal.commit(&sent(intent(7))).await.unwrap();
    drop_uncleanly(journal).await;
    let (journal, opened) = open(folder.path()).await;
    assert!(opened.unclean);
    journal.close().await.unwrap();

    let mut reader = JournalReader::open(folder.path()).await.unwrap();
    let records = reader.after(0, 10, 10).await.unwrap();
    let Entry::Settlement(orphan) = records[1].entry().unwrap() else { panic!("{records:?}") };
    assert_eq!(
        (orphan.outcome, orphan.billing_class),
        (Outcome::Orphaned, BillingClass::Uncertain)
    );
    assert_eq!(orphan.valuation.total, None);
    let bound = counterfoil::ledger::orphan::bound(&intent(7));
    assert_eq!((bound.input_at_most, bound.output_at_most), (321, Some(100)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclean_end_on_the_same_machine_lost_nothing_and_says_so_in_one_gap() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path()).await;
    journal.commit(&sent(intent(1))).await.unwrap();
    drop_uncleanly(journal).await;
    let (journal, opened) = open(folder.path()).await;
    let gap = opened.gap.unwrap();
    assert_eq!(gap.reason, GapReason::UncleanStop);
    // Where the system names its boots, a dead process alone cannot take back a commit.
    let same_machine = std::path::Path::new("/proc/sys/kernel/random/boot_id").exists();
    assert_eq!(gap.at_most, Some(if same_machine { 0 } else { 2_048 }));
    assert_eq!(gap.period.start, START);
    journal.close().await.unwrap();
    let (journal, opened) = open(folder.path()).await;
    assert_eq!((opened.unclean, opened.gap), (false, None));
    journal.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_not_counted_before_an_unclean_end_is_known_to_be_one() {
    let house = House::build().await;
    house.write([sent(intent(1)), settled(settlement(1, 10, 1))]).await;
    let folder = house.close().await;
    let house = House::in_folder(folder, clock()).await;
    house.write([sent(intent(2)), settled(settlement(2, 10, 1))]).await;
    let House { folder, journal, books, poster, .. } = house;
    drop((books, poster));
    drop_uncleanly(journal).await;
    let mut house = House::in_folder(folder, clock()).await;
    house.post([sent(intent(3)), settled(settlement(3, 10, 1))]).await;
    for (number, interrupted) in [(1, false), (2, true), (3, false)] {
        let found = request::find(&house.books, &attempt(number).to_string()).await.unwrap();
        assert_eq!(found[0].interrupted, interrupted, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_dies_half_way_is_finished_by_the_next_and_nothing_is_told_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path()).await;
    let count: u128 = 2_500;
    let commits = (1..=count).map(|number| {
        let journal = journal.clone();
        tokio::spawn(async move { journal.commit(&sent(intent(number))).await.unwrap() })
    });
    for commit in commits.collect::<Vec<_>>() {
        commit.await.unwrap();
    }
    drop_uncleanly(journal).await;
    // The disk fills up at different points of the recovery: before, amid, after the orphans.
    let pages = pages_of(folder.path()).await;
    let mut died = 0;
    for more in (1..2_000).step_by(70) {
        let limited = JournalOptions { max_pages: Some(pages + more), ..options() };
        match Journal::open(folder.path(), clock(), limited).await {
            Err(JournalError::Unavailable(_) | JournalError::File { .. }) => died += 1,
            Err(other) => panic!("{other}"),
            Ok((journal, _)) => {
                drop_uncleanly(journal).await;
                break;
            }
        }
    }
    assert!(died >= 3, "only {died} recoveries died");
    let (journal, opened) = open(folder.path()).await;
    assert!(opened.unclean);
    journal.close().await.unwrap();

    let mut reader = JournalReader::open(folder.path()).await.unwrap();
    let records = reader.after(0, 100_000, 100_000).await.unwrap();
    let of_kind = |kind: &str| records.iter().filter(|it| it.kind == kind).count();
    // The second gap is of the boot that recovered and was then dropped.
    assert_eq!((of_kind("intent"), of_kind("settlement"), of_kind("gap")), (2_500, 2_500, 2));
    let settled: std::collections::HashSet<_> =
        records.iter().filter(|it| it.kind == "settlement").map(|it| &it.attempt).collect();
    assert_eq!(settled.len(), 2_500);
    assert!(records.iter().zip(1..).all(|(record, n)| record.n == n));
}

async fn pages_of(folder: &std::path::Path) -> u32 {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.join("journal.db"));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let pages: i64 =
        sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    u32::try_from(pages).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_gone_is_a_gap_without_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, before) = open(folder.path()).await;
    journal.close().await.unwrap();
    for file in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        drop(std::fs::remove_file(folder.path().join(file)));
    }
    let (journal, opened) = open(folder.path()).await;
    assert_ne!(opened.node, before.node);
    let gap = opened.gap.unwrap();
    assert_eq!((gap.reason, gap.at_most), (GapReason::JournalMissing, None));
    journal.close().await.unwrap();
    let (journal, opened) = open(folder.path()).await;
    assert_eq!(opened.gap, None);
    journal.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn books_that_know_more_than_the_folder_are_a_gap_too() {
    let folder = tempfile::tempdir().unwrap();
    let known = START.plus_micros(-5_000_000);
    let options = JournalOptions { books_know_until: Some(known), ..options() };
    let (journal, opened) = Journal::open(folder.path(), clock(), options).await.unwrap();
    let gap = opened.gap.unwrap();
    assert_eq!((gap.reason, gap.period.start), (GapReason::JournalMissing, known));
    journal.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_and_a_newer_schema_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path()).await;
    let second = Journal::open(folder.path(), clock(), options()).await;
    assert!(matches!(second, Err(JournalError::InUse(_))));
    journal.close().await.unwrap();

    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("journal.db"));
    let mut connection = sqlx::ConnectOptions::connect(&file).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (20991231000000, 'later', 1, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let newer = Journal::open(folder.path(), clock(), options()).await.unwrap_err();
    assert!(matches!(newer, JournalError::NewerSchema { step: 20_991_231_000_000, .. }), "{newer}");
    assert!(newer.to_string().contains("newer counterfoil"));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_reads_the_record() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (journal, _) = open(&data).await;
    let books = counterfoil::store::books::Books::open(&data).await.unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    books.close().await;
    journal.close().await.unwrap();
}
