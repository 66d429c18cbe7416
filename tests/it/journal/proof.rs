//! Verification finds what was changed; backup and retention keep what it proves.

use counterfoil::bookkeeping::backup::{BackupError, backup};
use counterfoil::bookkeeping::retention::retire;
use counterfoil::bookkeeping::verify::verify;
use counterfoil::period::DAY_US;
use counterfoil::store::books::Books;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::journal::house::{House, open};
use crate::journal::samples::{START, corrected, intent, sent, settled, settlement};

async fn written() -> House {
    let mut house = House::build().await;
    for number in 1..=20 {
        house.write([sent(intent(number)), settled(settlement(number, 100, 20))]).await;
    }
    house.post([corrected(settlement(3, 50, 10)), settled(settlement(4, 1, 1))]).await;
    house
}

async fn edit(database: &std::path::Path, statement: &str) {
    let options = SqliteConnectOptions::new().filename(database);
    let mut connection = options.connect().await.unwrap();
    let triggers: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    for trigger in triggers {
        let drop = AssertSqlSafe(format!("DROP TRIGGER {trigger}"));
        sqlx::query(drop).execute(&mut connection).await.unwrap();
    }
    let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await;
    assert!(done.unwrap().rows_affected() > 0, "{statement}");
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untouched_record_is_sound_running_and_stopped() {
    let house = written().await;
    house.write([sent(intent(99))]).await;
    let found = verify(house.path()).await.unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
    assert!(found.running);
    assert_eq!((found.settled, found.orphans, found.in_flight), (20, 0, 1));
    assert_eq!((found.conflicts, found.gaps, found.records), (1, 0, 43));
    let folder = house.close().await;
    let found = verify(folder.path()).await.unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
    assert_eq!((found.settled, found.orphans, found.in_flight), (20, 1, 0));
    let json = serde_json::to_value(&found).unwrap();
    for name in ["settled", "orphans", "gaps", "rollups_equal", "problems"] {
        assert!(json.get(name).is_some(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_edited_row_is_found_and_named() {
    for (file, statement, expected) in [
        (
            "journal.db",
            "UPDATE records SET body = replace(body, 'search', 'ads') WHERE n = 5",
            "record 5 is not what its hash was made from",
        ),
        ("journal.db", "DELETE FROM records WHERE n = 7", "records 7 to 7 are missing"),
        ("journal.db", "DELETE FROM records WHERE n < 9", "records before 9 are missing"),
        ("books.db", "UPDATE intents SET team = 'ads' WHERE n = 5", "intents: the row of"),
        ("books.db", "UPDATE settlements SET duration_us = 1 WHERE n = 6", "settlements: the row"),
        ("books.db", "UPDATE charges SET amount = 1 WHERE revision = 1", "charges: the row of"),
        ("books.db", "UPDATE valuations SET total = NULL WHERE revision = 1", "valuations: the"),
        ("books.db", "DELETE FROM settlement_conflicts", "settlement_conflicts: the row of"),
        ("books.db", "UPDATE usage_rollups SET amount = amount + 1", "sums by hour or day differ"),
        ("books.db", "DELETE FROM attempt_rollups", "sums by hour or day differ"),
        ("books.db", "UPDATE usage_days SET amount = amount + 1", "sums by hour or day differ"),
        ("books.db", "DELETE FROM attempt_days", "sums by hour or day differ"),
        ("books.db", "DELETE FROM intents WHERE n = 5", "1 settlements have no intent"),
        ("books.db", "UPDATE posting_cursors SET hash = 'x'", "posted from another record"),
    ] {
        let folder = written().await.close().await;
        edit(&folder.path().join(file), statement).await;
        let found = verify(folder.path()).await.unwrap();
        assert!(!found.is_sound(), "{statement}");
        let told = found.problems.iter().any(|problem| problem.contains(expected));
        assert!(told, "{statement}: {:?}", found.problems);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn books_without_a_journal_are_sound_only_if_they_never_had_one() {
    let folder = tempfile::tempdir().unwrap();
    Books::open(folder.path()).await.unwrap().close().await;
    let found = verify(folder.path()).await.unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
    let folder = written().await.close().await;
    std::fs::remove_file(folder.path().join("journal.db")).unwrap();
    let found = verify(folder.path()).await.unwrap();
    assert_eq!(found.problems, ["the journal is gone, the books are there"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_a_record_is_an_error_and_stays_empty() {
    let folder = tempfile::tempdir().unwrap();
    assert!(verify(folder.path()).await.is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_house_restores_to_the_same_root() {
    let house = written().await;
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("copy");
    let copied = backup(house.path(), &to).await.unwrap();
    assert!(copied.is_sound(), "{:?}", copied.problems);
    let original = verify(house.path()).await.unwrap();
    assert_eq!(copied.root_hash, original.root_hash);
    assert_eq!((copied.settled, copied.conflicts), (original.settled, original.conflicts));
    assert!(matches!(backup(house.path(), &to).await, Err(BackupError::NotEmpty(_))));

    let (journal, opened) = open(&to).await;
    assert_eq!((opened.node.as_str(), opened.boot), (house.journal.node(), 2));
    assert_eq!(opened.orphans, []);
    journal.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_goes_only_when_posted_verified_and_older_than_the_retention() {
    let house = written().await;
    house.write([sent(intent(98)), sent(intent(99)), settled(settlement(99, 1, 1))]).await;
    let (journal, books) = (&house.journal, &house.books);
    let young = retire(journal, books, START.plus_micros(7 * DAY_US), 7).await.unwrap();
    assert_eq!(young.gone, 0);
    let later = START.plus_micros(8 * DAY_US);
    let old = retire(journal, books, later, 7).await.unwrap();
    // Record 43 is an open intent, and 43 to 45 are not posted.
    assert_eq!((old.gone, old.verified_n), (42, 42));
    let mut house = house;
    house.post([]).await;
    let rest = retire(&house.journal, &house.books, later, 7).await.unwrap();
    assert_eq!(rest.gone, 0, "an open intent holds back what follows it");
    house.post([settled(settlement(98, 1, 1))]).await;
    let rest = retire(&house.journal, &house.books, later, 7).await.unwrap();
    assert_eq!(rest.gone, 3, "all but the last, from which the chain goes on");
    let found = verify(house.path()).await.unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
    let folder = house.close().await;
    let (journal, opened) = open(folder.path()).await;
    assert_eq!((opened.boot, opened.unclean), (2, false));
    assert_eq!(journal.commit(&sent(intent(100))).await.unwrap().n, 47);
    journal.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_the_books_hold_otherwise_keeps_its_record_in_the_journal() {
    let house = written().await;
    edit(house.books.path(), "UPDATE settlements SET outcome = 'refused' WHERE n = 10").await;
    let later = START.plus_micros(30 * DAY_US);
    let kept = retire(&house.journal, &house.books, later, 7).await.unwrap();
    assert_eq!((kept.gone, kept.differing.len()), (0, 1));
}
