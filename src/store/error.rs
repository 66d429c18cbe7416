//! What can go wrong between the house and its books.

use std::path::PathBuf;

/// Why the books did not take or give what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database's file could not be made.
    #[error("{path} cannot be made: {source}; is the data folder a folder, and may it be written?")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The books do not open.
    #[error("the books at {path} do not open: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The database's words.
        source: sqlx::Error,
    },
    /// The schema is of a later version than this program.
    #[error(
        "the books at {path} were written by a newer counterfoil (schema step {step} is not known \
         here); run that version, or restore a backup made before the upgrade"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The step this program does not know.
        step: i64,
    },
    /// The schema could not be brought up to this version.
    #[error("the schema of the books at {path}: {reason}")]
    Schema {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The database did not do it; nothing of it was done.
    #[error("the books, {what}: {source}")]
    Database {
        /// What was being done.
        what: &'static str,
        /// The database's words.
        source: sqlx::Error,
    },
    /// The journal and the books do not fit together.
    #[error(
        "journal of node {node}: the books hold it up to record {posted}, and record {offered} does \
         not continue that; was a folder restored in part? Restore journal and books of one backup"
    )]
    DoesNotContinue {
        /// The journal's node.
        node: String,
        /// The last record in the books.
        posted: i64,
        /// The record offered.
        offered: i64,
    },
    /// A stored value is not what this version writes.
    #[error("the books hold {value:?} as {what}, which this version cannot read")]
    Value {
        /// The column.
        what: &'static str,
        /// What stands there, shortened.
        value: String,
    },
}

impl StoreError {
    /// Names what was being done.
    pub(crate) const fn database(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { what, source }
    }
}
