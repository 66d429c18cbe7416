//! What can go wrong between an entry and the journal, told so that the caller knows what holds.

use std::path::PathBuf;

/// Why the journal did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// Another process owns the data folder.
    #[error(
        "{0} is in use by another counterfoil process (it holds the file `lock`); stop that one, or \
         give this one another --data"
    )]
    InUse(PathBuf),
    /// A file of the data folder could not be made, read or synced.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The schema is of a later version than this program.
    #[error(
        "{path} was written by a newer counterfoil (its schema has step {step}, which this version \
         does not know); run that version, or restore a backup made before the upgrade"
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// The step this program does not know.
        step: i64,
    },
    /// The SQLite this program was linked with has a known bug in the WAL.
    #[error("SQLite {0} is linked, 3.51.3 or later is needed: earlier versions can lose a WAL")]
    OldSqlite(String),
    /// The database is damaged or is not a journal.
    #[error(
        "{path}: {reason}; keep the folder as it is, restore the last backup beside it and compare \
         with `counterfoil verify`"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// More entries are waiting than the queue holds, and none left in two seconds.
    #[error("the journal's queue is full: the disk does not keep up")]
    Busy,
    /// The disk is full, or the database is held by someone else. An intent that gets this is not
    /// written.
    #[error("the journal cannot write now: {0}")]
    Unavailable(String),
    /// As [`Self::Unavailable`], but the entry is kept, in the lifeboat or in memory only, and written
    /// as soon as it can be.
    #[error("kept aside until the journal can write again: {0}")]
    Deferred(String),
    /// The journal stopped: a sync or a write failed in a way that must not be retried. The process
    /// has to end; the next start recovers what the disk holds.
    #[error("the journal stopped and this process must end: {0}")]
    Failed(String),
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// An entry did not go into JSON, or a record did not come out of it.
    #[error("record does not read as an entry: {0}")]
    Unreadable(String),
}
