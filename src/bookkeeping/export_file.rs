//! A file to be imported: where its bytes are, what a person said of it, why it may be refused.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;
use chrono::NaiveDate;

use crate::invoice::refusal::{Problem, Refusal};
use crate::store::error::StoreError;

/// A file to be imported.
#[derive(Clone, Debug)]
pub struct ExportFile {
    /// Its name, for people and for what the name promises.
    pub name: String,
    /// Where its bytes are.
    pub bytes: ExportBytes,
}

/// Where a file's bytes are.
#[derive(Clone, Debug)]
pub enum ExportBytes {
    /// On disk; read in constant memory.
    Path(PathBuf),
    /// Uploaded.
    Memory(Bytes),
}

/// What the person said besides the files.
#[derive(Clone, Debug, Default)]
pub struct ImportChoice {
    /// The account a file belongs to that names none.
    pub account: Option<String>,
    /// Key under which personal columns are hashed before storage.
    pub personal_key: Vec<u8>,
}

/// Why a file was not imported. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is no export of ours, or is damaged.
    #[error("{file}: {refusal}")]
    Refused {
        /// The file.
        file: String,
        /// Why.
        refusal: Refusal,
    },
    /// Some of its rows could not be placed.
    #[error(
        "{file}: {count} {} could not be placed, so nothing was imported; {first}",
        if *count == 1 { "row" } else { "rows" }
    )]
    Problems {
        /// The file.
        file: String,
        /// How many.
        count: u64,
        /// The first one in words.
        first: String,
        /// The first hundred.
        problems: Vec<Problem>,
    },
    /// It names no account and several are known.
    #[error(
        "{file}: the export names no account and the books know several ({known}); say which it \
         is with --account NAME"
    )]
    AccountNeeded {
        /// The file.
        file: String,
        /// The accounts known of this provider.
        known: String,
    },
    /// It speaks of several accounts at once.
    #[error("{file}: the export speaks of several accounts ({named}); export each by itself")]
    SeveralAccounts {
        /// The file.
        file: String,
        /// The accounts it names.
        named: String,
    },
    /// Two files of an archive would speak for the same days.
    #[error(
        "{file}: {first} and {second} in it are both {what} of {account} and both name {day}; only \
         one export can speak for a day, so import the right one alone"
    )]
    SameDays {
        /// The archive.
        file: String,
        /// One of its parts.
        first: String,
        /// The other.
        second: String,
        /// The export both are.
        what: String,
        /// The account both are of.
        account: String,
        /// The first such day.
        day: NaiveDate,
    },
    /// The books did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Reading stopped unexpectedly.
    #[error("{file}: reading it stopped: {reason}")]
    Stopped {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
}

/// A file's bytes, from wherever they are.
pub(crate) enum Source {
    File(std::fs::File),
    Memory(Cursor<Bytes>),
}

impl ExportFile {
    /// Opens the bytes.
    pub(crate) fn open(&self) -> io::Result<Source> {
        match &self.bytes {
            ExportBytes::Path(path) => std::fs::File::open(path).map(Source::File),
            ExportBytes::Memory(bytes) => Ok(Source::Memory(Cursor::new(bytes.clone()))),
        }
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(into),
            Self::Memory(bytes) => bytes.read(into),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Memory(bytes) => bytes.seek(to),
        }
    }
}
