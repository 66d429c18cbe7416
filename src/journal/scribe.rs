//! The scribe: the one connection that writes records, a batch in one statement.

use std::path::Path;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::journal::chain::Link;
use crate::journal::connect::{SQLITE_FULL, code_of};
use crate::journal::error::JournalError;
use crate::ledger::entry::Entry;
use crate::names::Clock;
use crate::period::Timestamp;

/// SQLite's result codes for a database somebody else holds.
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;

/// Records let go in one statement.
const RETIRED_AT_ONCE: i64 = 1_000;

// The bodies come end to end as one blob, so that none is escaped into JSON and out of it again.
const INSERT: &str = "INSERT INTO records (n, boot, kind, attempt, at, body, prev_hash, hash) \
     SELECT value ->> 0, $3, value ->> 1, value ->> 2, $4, \
            CAST(substr($2, value ->> 3, value ->> 4) AS TEXT), value ->> 5, value ->> 6 \
     FROM jsonb_each($1)";

const INSERT_ONE: &str = "INSERT INTO records (n, boot, kind, attempt, at, body, prev_hash, hash) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// An entry ready to be written, put into words by the task that made it.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) kind: &'static str,
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

/// Numbers, chains and writes records.
pub(crate) struct Scribe {
    pub(crate) connection: SqliteConnection,
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
    pub(crate) async fn write(&mut self, drafts: &[&Draft]) -> Result<i64, WriteError> {
        let first = self.next_n;
        let at = self.clock.now().micros();
        let mut hashes: Vec<String> = Vec::with_capacity(drafts.len());
        let mut n = first;
        for draft in drafts {
            let (kind, body) = (draft.kind, draft.body.as_str());
            let attempt = draft.attempt.as_deref();
            let link = Link { n, boot: self.boot, kind, attempt, at, body };
            hashes.push(link.hash(hashes.last().unwrap_or(&self.prev_hash)));
            n += 1;
        }
        if let [draft] = drafts {
            let query = sqlx::query(INSERT_ONE)
                .bind(first)
                .bind(self.boot)
                .bind(draft.kind)
                .bind(draft.attempt.as_deref())
                .bind(at)
                .bind(draft.body.as_str())
                .bind(self.prev_hash.as_str())
                .bind(hashes[0].as_str());
            query.execute(&mut self.connection).await.map_err(|error| classify(&error))?;
        } else {
            let (rows, bodies) = self.rows(drafts, &hashes)?;
            let query = sqlx::query(INSERT).bind(rows).bind(bodies).bind(self.boot).bind(at);
            query.execute(&mut self.connection).await.map_err(|error| classify(&error))?;
        }
        if let Some(last) = hashes.pop() {
            self.prev_hash = last;
        }
        self.next_n = n;
        Ok(first)
    }

    /// Lets go of some records that are in the books up to `verified_n` and began before an
    /// instant; returns how many went. Call again until none do: writing must not wait long.
    pub(crate) async fn retire(
        &mut self,
        verified_n: i64,
        before: Timestamp,
    ) -> Result<u64, JournalError> {
        let failed = |error: sqlx::Error| JournalError::Unavailable(error.to_string());
        sqlx::query(
            "UPDATE posting SET posted_n = MAX(posted_n, $1), verified_n = MAX(verified_n, $1), \
             retained_from = MAX(retained_from, $2)",
        )
        .bind(verified_n)
        .bind(before.micros())
        .execute(&mut self.connection)
        .await
        .map_err(failed)?;
        // From the front only, so that what is kept stays one chain.
        let gone = sqlx::query(
            "DELETE FROM records WHERE n IN (SELECT n FROM records \
             WHERE n < (SELECT n FROM records \
                        WHERE at >= $2 OR n > $1 OR n = (SELECT MAX(n) FROM records) \
                        ORDER BY n LIMIT 1) \
             ORDER BY n LIMIT $3)",
        )
        .bind(verified_n)
        .bind(before.micros())
        .bind(RETIRED_AT_ONCE)
        .execute(&mut self.connection)
        .await
        .map_err(failed)?;
        Ok(gone.rows_affected())
    }

    /// Marks the boot as ended in order, folds the WAL into the database and closes.
    pub(crate) async fn end_boot(mut self, left_open: i64) -> Result<(), JournalError> {
        let failed = |error: sqlx::Error| JournalError::Failed(error.to_string());
        sqlx::query("UPDATE boots SET ended_clean = 1, left_open = $1 WHERE boot = $2")
            .bind(left_open)
            .bind(self.boot)
            .execute(&mut self.connection)
            .await
            .map_err(failed)?;
        // Syncs the WAL first and the database after; a reader beside us only makes it partial.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut self.connection)
            .await
            .map_err(failed)?;
        self.close().await
    }

    /// Closes the connection.
    pub(crate) async fn close(self) -> Result<(), JournalError> {
        let closed = self.connection.close().await;
        closed.map_err(|error| JournalError::Failed(error.to_string()))
    }

    /// The batch as one JSON array of rows, columns in the order of the statement, and its bodies.
    fn rows(&self, drafts: &[&Draft], hashes: &[String]) -> Result<(String, Vec<u8>), WriteError> {
        let before = std::iter::once(self.prev_hash.as_str());
        let links = before.chain(hashes.iter().map(String::as_str)).zip(hashes);
        let mut bodies = Vec::with_capacity(drafts.iter().map(|draft| draft.body.len()).sum());
        let mut rows = Vec::with_capacity(drafts.len());
        for ((n, draft), (prev, hash)) in (self.next_n..).zip(drafts).zip(links) {
            // SQL counts from one.
            let begins = bodies.len() + 1;
            bodies.extend_from_slice(draft.body.as_bytes());
            rows.push((n, draft.kind, &draft.attempt, begins, draft.body.len(), prev, hash));
        }
        let rows = serde_json::to_string(&rows);
        Ok((rows.map_err(|error| WriteError::Fatal(error.to_string()))?, bodies))
    }
}

/// Tells what may pass from what must not be retried.
fn classify(error: &sqlx::Error) -> WriteError {
    let text = error.to_string();
    match code_of(error) {
        Some(SQLITE_FULL) => WriteError::Full(text),
        Some(SQLITE_BUSY | SQLITE_LOCKED) => WriteError::Held(text),
        _ => WriteError::Fatal(text),
    }
}

/// Limits the database to so many pages, as a small disk would.
pub(crate) async fn limit_pages(
    connection: &mut SqliteConnection,
    pages: u32,
    path: &Path,
) -> Result<(), JournalError> {
    let statement = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    let done = sqlx::query(statement).execute(connection).await;
    done.map(drop).map_err(|error| crate::journal::connect::damaged(path, &error))
}
