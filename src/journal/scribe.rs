//! The scribe: the one connection that writes records, a batch in one transaction.
//!
//! It calls SQLite on the thread it is called on. An asynchronous connection would be one more
//! thread to cross, twice for every commit, and a call commits twice.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, params};

use crate::journal::chain::Link;
use crate::journal::connect;
use crate::journal::error::JournalError;
use crate::ledger::entry::{Entry, EntryKind};
use crate::names::Clock;
use crate::period::Timestamp;

/// Records let go in one statement.
const RETIRED_AT_ONCE: i64 = 1_000;

const INSERT: &str = "INSERT INTO records (n, boot, kind, attempt, at, body, prev_hash, hash) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// An entry ready to be written, put into words by whoever appends it, before anybody waits for it.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) kind: EntryKind,
    pub(crate) attempt: Option<String>,
    pub(crate) body: String,
}

/// Why a batch was not written. Nothing of it was.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The disk is full; giving room back may help.
    Full(String),
    /// Someone else holds the database for longer than the busy timeout.
    Held(String),
    /// Anything else: the journal must stop.
    Fatal(String),
}

/// Numbers, chains and writes records. Whoever holds it is the only one who does.
pub(crate) struct Scribe {
    pub(crate) connection: Connection,
    pub(crate) boot: i64,
    pub(crate) next_n: i64,
    pub(crate) prev_hash: String,
    pub(crate) clock: Clock,
}

impl Draft {
    /// Puts an entry into words.
    pub(crate) fn of(entry: &Entry) -> Result<Self, JournalError> {
        let body = serde_json::to_string(entry)
            .map_err(|error| JournalError::Unreadable(error.to_string()))?;
        let attempt = entry.attempt().map(|attempt| attempt.to_string());
        Ok(Self { kind: entry.kind(), attempt, body })
    }
}

impl Scribe {
    /// Writes all drafts or none; returns the number of the first. When this returns, a kill of the
    /// process cannot take them back.
    pub(crate) fn write(&mut self, drafts: &[&Draft]) -> Result<i64, WriteError> {
        let first = self.next_n;
        let written = self.insert(drafts).map_err(|error| classify(&error))?;
        if let Some(last) = written {
            self.prev_hash = last;
        }
        self.next_n += i64::try_from(drafts.len()).unwrap_or(0);
        Ok(first)
    }

    /// Writes one draft, or nothing where somebody else holds the database at this moment.
    pub(crate) fn write_at_once(&mut self, draft: &Draft) -> Result<i64, WriteError> {
        self.wait_at_most(Duration::ZERO)?;
        let written = self.write(&[draft]);
        // It only sets a number; a failure must not make a record that was written seem unwritten.
        drop(self.wait_at_most(connect::BUSY));
        written
    }

    fn wait_at_most(&self, time: Duration) -> Result<(), WriteError> {
        self.connection.busy_timeout(time).map_err(|error| classify(&error))
    }

    /// Inserts the drafts as one transaction; returns the hash of the last.
    fn insert(&self, drafts: &[&Draft]) -> rusqlite::Result<Option<String>> {
        if drafts.len() < 2 {
            // One statement is a transaction of its own.
            return self.insert_each(drafts);
        }
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
        let inserted = self.insert_each(drafts).and_then(|last| {
            self.connection.prepare_cached("COMMIT")?.execute(())?;
            Ok(last)
        });
        if inserted.is_err() && !self.connection.is_autocommit() {
            // A rollback that fails leaves the transaction open, and the next one fails by that.
            drop(self.connection.execute_batch("ROLLBACK"));
        }
        inserted
    }

    fn insert_each(&self, drafts: &[&Draft]) -> rusqlite::Result<Option<String>> {
        let (boot, at) = (self.boot, self.clock.now().micros());
        let mut statement = self.connection.prepare_cached(INSERT)?;
        let mut last: Option<String> = None;
        for (n, draft) in (self.next_n..).zip(drafts) {
            let (kind, body) = (draft.kind.as_str(), draft.body.as_str());
            let attempt = draft.attempt.as_deref();
            let before = last.as_deref().unwrap_or(&self.prev_hash);
            let hash = Link { n, boot, kind, attempt, at, body }.hash(before);
            statement.execute(params![n, boot, kind, attempt, at, body, before, hash])?;
            last = Some(hash);
        }
        Ok(last)
    }

    /// Lets go of some records that are in the books up to `verified_n` and began before an
    /// instant; returns how many went. Call again until none do: writing must not wait long.
    pub(crate) fn retire(
        &mut self,
        verified_n: i64,
        before: Timestamp,
    ) -> Result<u64, JournalError> {
        let retired = || -> rusqlite::Result<usize> {
            self.connection.execute(
                "UPDATE posting SET posted_n = MAX(posted_n, ?1), \
                 verified_n = MAX(verified_n, ?1), retained_from = MAX(retained_from, ?2)",
                params![verified_n, before.micros()],
            )?;
            // From the front only, so that what is kept stays one chain.
            self.connection.execute(
                "DELETE FROM records WHERE n IN (SELECT n FROM records \
                 WHERE n < (SELECT n FROM records \
                            WHERE at >= ?2 OR n > ?1 OR n = (SELECT MAX(n) FROM records) \
                            ORDER BY n LIMIT 1) \
                 ORDER BY n LIMIT ?3)",
                params![verified_n, before.micros(), RETIRED_AT_ONCE],
            )
        };
        let gone = retired().map_err(|error| JournalError::Unavailable(error.to_string()))?;
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    /// Marks the boot as ended in order, folds the WAL into the database and closes.
    pub(crate) fn end_boot(self, left_open: i64) -> Result<(), JournalError> {
        let ended = || -> rusqlite::Result<()> {
            self.connection.execute(
                "UPDATE boots SET ended_clean = 1, left_open = ?1 WHERE boot = ?2",
                params![left_open, self.boot],
            )?;
            // Syncs the WAL first and the database after; a reader beside us only makes it partial.
            self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        };
        ended().map_err(|error| JournalError::Failed(error.to_string()))?;
        self.close()
    }

    /// Closes the connection.
    pub(crate) fn close(self) -> Result<(), JournalError> {
        let closed = self.connection.close();
        closed.map_err(|(_, error)| JournalError::Failed(error.to_string()))
    }
}

/// Tells what may pass from what must not be retried.
fn classify(error: &rusqlite::Error) -> WriteError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => WriteError::Full(text),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => WriteError::Held(text),
        _ => WriteError::Fatal(text),
    }
}

/// Limits the database to so many pages, as a small disk would.
pub(crate) fn limit_pages(
    connection: &Connection,
    pages: u32,
    path: &Path,
) -> Result<(), JournalError> {
    let limited = connection.execute_batch(&format!("PRAGMA max_page_count = {pages}"));
    limited.map_err(|error| connect::damaged(path, &error))
}
