//! Reading a journal beside its writer, or when nobody writes it.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row};

use crate::journal::chain::Link;
use crate::journal::connect::{self, damaged};
use crate::journal::error::JournalError;
use crate::journal::files;
pub(crate) use crate::journal::files::JOURNAL_FILE;
use crate::ledger::entry::{Entry, EntryKind};
use crate::owner_only;
use crate::period::Timestamp;

/// A record as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number on the node, gapless.
    pub n: i64,
    /// The boot it was written in.
    pub boot: i64,
    /// The word of an [`EntryKind`], or of one of a later version.
    pub kind: String,
    /// The attempt it is about.
    pub attempt: Option<String>,
    /// When it was appended.
    pub at: Timestamp,
    /// The entry as JSON.
    pub body: String,
    /// The hash of the record before.
    pub prev_hash: String,
    /// Its own hash, as stored.
    pub hash: String,
}

/// Where a journal stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalHead {
    /// The journal's own id; `None` before the first boot.
    pub node: Option<String>,
    /// The newest record; 0 for none.
    pub last_n: i64,
    /// The oldest record still kept; 0 for none.
    pub first_n: i64,
    /// Everything up to here was posted and may go once old enough.
    pub verified_n: i64,
    /// The first number of the boot that is running or ran last.
    pub boot_first_n: i64,
    /// Whether that boot ended in order.
    pub ended_clean: bool,
}

/// A connection that only reads.
#[derive(Debug)]
pub struct JournalReader {
    connection: SqliteConnection,
    path: PathBuf,
}

impl Record {
    /// The hash this record must bear, from what it says.
    pub(crate) fn computed_hash(&self) -> String {
        let Self { n, boot, at, .. } = self;
        let (kind, attempt) = (self.kind.as_str(), self.attempt.as_deref());
        Link { n: *n, boot: *boot, kind, attempt, at: at.micros(), body: &self.body }
            .hash(&self.prev_hash)
    }

    /// The entry.
    ///
    /// # Errors
    /// [`JournalError::Unreadable`] if this version cannot read it.
    pub fn entry(&self) -> Result<Entry, JournalError> {
        // By the kind in its column: reading it out of the body first would buffer the whole body.
        let body = self.body.as_str();
        let entry = match EntryKind::named(&self.kind) {
            Some(EntryKind::Intent) => serde_json::from_str(body).map(Entry::Intent),
            Some(EntryKind::Settlement) => serde_json::from_str(body).map(Entry::Settlement),
            Some(EntryKind::Count) => serde_json::from_str(body).map(Entry::Count),
            Some(EntryKind::Correction) => serde_json::from_str(body).map(Entry::Correction),
            Some(EntryKind::Gap) => serde_json::from_str(body).map(Entry::Gap),
            None => serde_json::from_str(body),
        };
        entry.map_err(|error| JournalError::Unreadable(format!("record {}: {error}", self.n)))
    }
}

impl JournalReader {
    /// Opens the journal of a data folder.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if there is none or it does not open.
    pub async fn open(folder: &Path) -> Result<Self, JournalError> {
        Self::open_file(&folder.join(JOURNAL_FILE)).await
    }

    /// Opens a journal by its file.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if there is none or it does not open.
    pub(crate) async fn open_file(path: &Path) -> Result<Self, JournalError> {
        let connection = connect::reader(path).await?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// From now on reads the journal as it is at this instant, whatever is written meanwhile.
    ///
    /// # Errors
    /// [`JournalError::Damaged`].
    pub(crate) async fn hold_still(&mut self) -> Result<(), JournalError> {
        let begun = sqlx::query("BEGIN").execute(&mut self.connection).await;
        begun.map(drop).map_err(|error| damaged(&self.path, &error))
    }

    /// Where the journal stands.
    ///
    /// # Errors
    /// [`JournalError::Damaged`].
    pub async fn head(&mut self) -> Result<JournalHead, JournalError> {
        let read = async {
            let row = sqlx::query(
                "SELECT (SELECT COALESCE(MAX(n), 0) FROM records), \
                        (SELECT COALESCE(MIN(n), 0) FROM records), \
                        (SELECT MIN(posted_n, verified_n) FROM posting)",
            )
            .fetch_one(&mut self.connection)
            .await?;
            let boot = sqlx::query(
                "SELECT node, first_n, ended_clean FROM boots ORDER BY boot DESC LIMIT 1",
            )
            .fetch_optional(&mut self.connection)
            .await?;
            let (node, boot_first_n, ended_clean) = match boot {
                Some(boot) => {
                    (Some(boot.try_get(0)?), boot.try_get(1)?, boot.try_get::<i64, _>(2)? == 1)
                }
                None => (None, 1, true),
            };
            let (last_n, first_n) = (row.try_get(0)?, row.try_get(1)?);
            let verified_n = row.try_get(2)?;
            Ok(JournalHead { node, last_n, first_n, verified_n, boot_first_n, ended_clean })
        };
        read.await.map_err(|error: sqlx::Error| damaged(&self.path, &error))
    }

    /// Records after `n` up to and with `last`, at most `limit`, in order.
    ///
    /// # Errors
    /// [`JournalError::Damaged`].
    pub async fn after(
        &mut self,
        n: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<Record>, JournalError> {
        let rows = sqlx::query(
            "SELECT n, boot, kind, attempt, at, body, prev_hash, hash FROM records \
             WHERE n > $1 AND n <= $2 ORDER BY n LIMIT $3",
        )
        .bind(n)
        .bind(last)
        .bind(limit)
        .fetch_all(&mut self.connection)
        .await;
        let records = rows.and_then(|rows| rows.iter().map(read).collect());
        records.map_err(|error| damaged(&self.path, &error))
    }

    /// What SQLite itself says of the file: nothing if it is sound.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if it does not even answer.
    pub(crate) async fn integrity(&mut self) -> Result<Vec<String>, JournalError> {
        let rows = sqlx::query("PRAGMA integrity_check").fetch_all(&mut self.connection).await;
        let words: Result<Vec<String>, _> =
            rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect());
        let mut words = words.map_err(|error| damaged(&self.path, &error))?;
        words.retain(|word| word != "ok");
        Ok(words)
    }

    /// Closes the connection.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] with SQLite's words.
    pub async fn close(self) -> Result<(), JournalError> {
        let path = self.path;
        self.connection.close().await.map_err(|error| damaged(&path, &error))
    }
}

/// Writes a copy of a folder's journal, consistent at one instant, into another folder that holds
/// none. The writer, if there is one, is not disturbed.
///
/// # Errors
/// [`JournalError::Damaged`] with SQLite's words, [`JournalError::File`].
pub(crate) async fn copy(folder: &Path, target: &Path) -> Result<(), JournalError> {
    let path = folder.join(JOURNAL_FILE);
    let copy = target.join(JOURNAL_FILE);
    let mut connection = connect::beside(&path).await?;
    owner_only::make_file(&copy).map_err(|error| files::file_error(&copy, &error))?;
    let done = sqlx::query("VACUUM INTO $1")
        .bind(copy.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await;
    done.map_err(|error| damaged(&path, &error))?;
    connection.close().await.map_err(|error| damaged(&path, &error))?;
    files::copy_marker(folder, target)?;
    files::sync_file(&copy)?;
    files::sync_folder(target)
}

/// Whether a process has the journal of a folder open.
///
/// # Errors
/// [`JournalError::File`] if the folder cannot be looked into.
pub(crate) fn is_open(folder: &Path) -> Result<bool, JournalError> {
    match files::lock(folder) {
        Ok(_) => Ok(false),
        Err(JournalError::InUse(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

fn read(row: &SqliteRow) -> Result<Record, sqlx::Error> {
    Ok(Record {
        n: row.try_get(0)?,
        boot: row.try_get(1)?,
        kind: row.try_get(2)?,
        attempt: row.try_get(3)?,
        at: Timestamp::from_micros(row.try_get(4)?),
        body: row.try_get(5)?,
        prev_hash: row.try_get(6)?,
        hash: row.try_get(7)?,
    })
}
