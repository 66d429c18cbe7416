//! Why a file is not imported, and which row and column is to blame: named, with what to do.

use std::io;

use serde::Serialize;

/// What is wrong with one row. A file with one such row is refused whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Data row in the file, from 1, the header not counted.
    pub row: u64,
    /// Line of the file on which the row begins, from 1, where lines can be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column as the header spells it, where one column is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What is wrong, in a sentence a person can act on.
    pub reason: String,
}

/// What a row reader says of a row it cannot place: the column and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowFault {
    /// The column as the header spells it, where one column is to blame.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
}

/// Why a dropped file, or one file of an archive, is not read (any further).
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No bytes at all, or blanks only.
    #[error("the file is empty; export it again")]
    Empty,
    /// A kind of file that holds no CSV.
    #[error("this is {what}, not a CSV export; {advice}")]
    NotCsv {
        /// What was recognized.
        what: String,
        /// What to do.
        advice: String,
    },
    /// An export this version does not import, recognized by name.
    #[error(
        "this is {what}; only OpenAI and Anthropic CSV exports (cost, and usage or tokens) are \
         imported so far{advice}"
    )]
    Foreign {
        /// Provider and kind of export.
        what: String,
        /// A better export of the same provider, where there is one; begins with a blank.
        advice: String,
    },
    /// A header nobody knows.
    #[error(
        "no known header in the first lines of the file (it begins {begins:?}); OpenAI and \
         Anthropic CSV exports are recognized by their column names: export again and do not edit \
         the header"
    )]
    UnknownHeader {
        /// The beginning of the first line.
        begins: String,
    },
    /// Two columns of one name: nobody can say which holds the money.
    #[error("the header names {name:?} twice (columns {first} and {second}); export again")]
    DuplicateColumn {
        /// The name.
        name: String,
        /// Position of the first, from 1.
        first: usize,
        /// Position of the second, from 1.
        second: usize,
    },
    /// A column that looks like money and that this version does not know.
    #[error(
        "column {name:?} looks like money and is not known to this version; importing the file \
         without it could miss a charge or a discount, so it is refused"
    )]
    UnknownMoneyColumn {
        /// The name.
        name: String,
    },
    /// A column the export needs is not there.
    #[error("this looks like {what}, but column {name:?} is missing; export again, unedited")]
    MissingColumn {
        /// The export it was taken for.
        what: String,
        /// The name.
        name: String,
    },
    /// Compressed input beyond the limit.
    #[error("the compressed file has {bytes} bytes; more than {limit} are not opened")]
    CompressedTooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Unpacked input beyond the limit.
    #[error("unpacking stopped at {limit} bytes; export a shorter period, or drop it uncompressed")]
    UnpackedTooLarge {
        /// The limit.
        limit: u64,
    },
    /// A compression ratio no export has.
    #[error("unpacking stopped: {unpacked} bytes from {packed}, more than {limit} to 1")]
    RatioTooHigh {
        /// Bytes out so far.
        unpacked: u64,
        /// Bytes in.
        packed: u64,
        /// The limit.
        limit: u64,
    },
    /// The archive ends early or its checksum is wrong.
    #[error(
        "the {archive} is damaged or cut off ({reason}) after {position} bytes were unpacked; \
             download it again"
    )]
    Damaged {
        /// `gzip` or `zip`.
        archive: &'static str,
        /// Bytes unpacked before that.
        position: u64,
        /// What the unpacker said.
        reason: String,
    },
    /// A zip with no CSV in it.
    #[error("the zip holds no CSV file (it holds {names})")]
    NoCsvInZip {
        /// What is in it, some of it.
        names: String,
    },
    /// A zip with too many entries.
    #[error("the zip holds {count} entries; more than {limit} are not opened")]
    TooManyEntries {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Bytes that are no text in the encoding of the rest.
    #[error("at byte {position}: {reason}")]
    Encoding {
        /// Byte position in the unpacked file.
        position: u64,
        /// What was found.
        reason: String,
    },
    /// A record longer than any export has.
    #[error(
        "row {row} is longer than {limit} bytes; probably a quote was opened there and never closed"
    )]
    RecordTooLong {
        /// Data row, from 1.
        row: u64,
        /// The limit.
        limit: u64,
    },
    /// There is no part of this number in the dropped file.
    #[error("the dropped file has no part {index}")]
    NoSuchPart {
        /// The number asked for.
        index: usize,
    },
    /// The source could not be read.
    #[error("the file could not be read: {0}")]
    Io(#[from] io::Error),
}

impl RowFault {
    /// A fault of one column.
    pub(crate) fn of(column: &str, reason: impl Into<String>) -> Self {
        Self { column: Some(column.to_owned()), reason: reason.into() }
    }

    /// A fault of the row as a whole.
    pub(crate) fn row(reason: impl Into<String>) -> Self {
        Self { column: None, reason: reason.into() }
    }
}

/// A refusal on its way through `io::Read`: what a reader met inside the stream, kept whole.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InStream(pub Refusal);

impl Refusal {
    /// Wraps this so that it can pass through a reader.
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::other(InStream(self))
    }

    /// Takes the refusal out again that a reader of ours raised, or keeps the reader's error.
    pub(crate) fn from_io(error: io::Error) -> Self {
        match error.downcast::<InStream>() {
            Ok(InStream(refusal)) => refusal,
            Err(error) => Self::Io(error),
        }
    }
}

/// The first characters of a text that came from a file, for a message. What could be an e-mail
/// address in the wrong column is not repeated.
pub(crate) fn excerpt(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.contains('@') {
        return "(a text with an @, not shown)".to_owned();
    }
    let mut shown: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
