//! A data folder with journal, books and poster, as a running process has it.

use std::path::Path;

use counterfoil::bookkeeping::post::Poster;
use counterfoil::journal::book::{Journal, JournalOptions, Opened};
use counterfoil::ledger::entry::Entry;
use counterfoil::names::Clock;
use counterfoil::store::books::Books;

use crate::journal::samples::clock;

pub(super) struct House {
    pub(super) folder: tempfile::TempDir,
    pub(super) journal: Journal,
    pub(super) opened: Opened,
    pub(super) books: Books,
    pub(super) poster: Poster,
}

/// Options without ballast and lifeboat, which most tests need not wait for.
pub(super) fn options() -> JournalOptions {
    JournalOptions { ballast_bytes: 0, lifeboat_bytes: 0, ..JournalOptions::default() }
}

/// Opens a journal with the standing clock.
pub(super) async fn open(folder: &Path) -> (Journal, Opened) {
    Journal::open(folder, clock(), options()).await.unwrap()
}

/// Stops without closing, as a kill would: the boot is not marked clean.
pub(super) async fn drop_uncleanly(journal: Journal) {
    drop(journal);
    // The writer ends once nobody holds it; the lock goes with it.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
}

impl House {
    pub(super) async fn build() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), clock()).await
    }

    pub(super) async fn in_folder(folder: tempfile::TempDir, clock: Clock) -> Self {
        let (journal, opened) = Journal::open(folder.path(), clock, options()).await.unwrap();
        let books = Books::open(folder.path()).await.unwrap();
        let poster = Poster::new(journal.clone(), books.clone()).await.unwrap();
        Self { folder, journal, opened, books, poster }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Commits entries and waits for their sync; the number of the last.
    pub(super) async fn write(&self, entries: impl IntoIterator<Item = Entry>) -> i64 {
        let mut last = 0;
        for entry in entries {
            last = self.journal.commit(&entry).await.unwrap().n;
        }
        self.journal.synced(last).await.unwrap();
        last
    }

    /// Commits and posts.
    pub(super) async fn post(&mut self, entries: impl IntoIterator<Item = Entry>) {
        self.write(entries).await;
        self.poster.post_once().await.unwrap();
    }

    /// One number out of the books.
    pub(super) async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.books.pool()).await.unwrap()
    }

    /// Ends in order and gives the folder back.
    pub(super) async fn close(mut self) -> tempfile::TempDir {
        self.poster.post_once().await.unwrap();
        self.journal.close().await.unwrap();
        self.books.close().await;
        self.folder
    }
}
