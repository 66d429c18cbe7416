//! What posting promises: exactly once, in order, and sums that are what the records say.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail loudly")]

mod samples;

use std::path::Path;

use counterfoil::bookkeeping::post::Poster;
use counterfoil::journal::book::{Journal, JournalOptions};
use counterfoil::ledger::entry::Entry;
use counterfoil::store::books::Books;
use counterfoil::store::rollups;
use samples::{clock, corrected, intent, sent, settled, settlement};

struct House {
    folder: tempfile::TempDir,
    journal: Journal,
    books: Books,
    poster: Poster,
}

impl House {
    async fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = JournalOptions { ballast_bytes: 0, ..JournalOptions::default() };
        let (journal, _) = Journal::open(folder.path(), clock(), options).await.unwrap();
        let books = Books::open(folder.path()).await.unwrap();
        let poster = Poster::new(journal.clone(), books.clone()).await.unwrap();
        Self { folder, journal, books, poster }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn write(&self, entries: impl IntoIterator<Item = Entry>) -> i64 {
        let mut last = 0;
        for entry in entries {
            last = self.journal.commit(&entry).await.unwrap().n;
        }
        self.journal.synced(last).await.unwrap();
        last
    }

    async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.books.pool()).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_settled_stands_in_the_books_once() {
    let mut house = House::build().await;
    house.write([sent(intent(1)), settled(settlement(1, 100, 20)), sent(intent(2))]).await;
    assert_eq!(house.poster.post_once().await.unwrap().records, 3);
    assert_eq!(house.poster.post_once().await.unwrap().records, 0);
    assert_eq!(house.number("SELECT COUNT(*) FROM intents").await, 2);
    assert_eq!(house.number("SELECT COUNT(*) FROM settlements").await, 1);
    assert_eq!(house.number("SELECT SUM(attempts) FROM attempt_rollups").await, 1);
    let spent = "SELECT amount FROM usage_rollups WHERE meter = 'input'";
    assert_eq!(house.number(spent).await, 125_000_000);
    let unpriced = "SELECT quantity FROM usage_rollups WHERE meter = 'output' AND rate_id = ''";
    assert_eq!(house.number(unpriced).await, 20);
    assert!(rollups::equal_the_records(&house.books).await.unwrap());
    assert!(house.path().join("books.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_twice_the_same_is_nothing_and_differently_is_a_conflict() {
    let mut house = House::build().await;
    house.write([sent(intent(1)), settled(settlement(1, 100, 20))]).await;
    house.write([settled(settlement(1, 100, 20))]).await;
    assert_eq!(house.poster.post_once().await.unwrap().conflicts, 0);
    house.write([settled(settlement(1, 999, 20))]).await;
    assert_eq!(house.poster.post_once().await.unwrap().conflicts, 1);
    assert_eq!(house.number("SELECT COUNT(*) FROM settlements").await, 1);
    assert_eq!(house.number("SELECT COUNT(*) FROM settlement_conflicts").await, 1);
    assert_eq!(house.number("SELECT SUM(attempts) FROM attempt_rollups").await, 1);
    assert!(rollups::equal_the_records(&house.books).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_moves_the_sums_by_the_difference_and_keeps_the_old_row() {
    let mut house = House::build().await;
    house.write([sent(intent(1)), settled(settlement(1, 100, 20))]).await;
    house.poster.post_once().await.unwrap();
    house.write([corrected(settlement(1, 300, 20)), corrected(settlement(1, 200, 0))]).await;
    house.poster.post_once().await.unwrap();
    assert_eq!(house.number("SELECT COUNT(*) FROM settlements").await, 3);
    let spent = "SELECT amount FROM usage_rollups WHERE meter = 'input'";
    assert_eq!(house.number(spent).await, 250_000_000);
    assert_eq!(house.number("SELECT COUNT(*) FROM usage_rollups").await, 1);
    assert!(rollups::equal_the_records(&house.books).await.unwrap());
}
