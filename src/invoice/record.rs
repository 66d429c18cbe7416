//! One row as it stands in the file: cells by name and position, raw and in order.

use csv::StringRecord;
use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::invoice::header::Header;
use crate::invoice::line::{BilledLine, UsageRow};
use crate::invoice::numbers::trimmed;
use crate::period::ChargePeriod;

/// The raw cells of a row beside the header of its file. Personal cells are already hashed.
///
/// Serializes as a list of texts in the order of the header, from which the source row is rebuilt.
#[derive(Clone, Copy, Debug)]
pub struct RawCells<'r> {
    header: &'r Header,
    record: &'r StringRecord,
}

impl<'r> RawCells<'r> {
    /// A row and the header above it.
    pub const fn new(header: &'r Header, record: &'r StringRecord) -> Self {
        Self { header, record }
    }

    /// Names as the file spells them, each with its cell, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&'r str, &'r str)> + use<'r> {
        self.header.spelled.iter().map(String::as_str).zip(self.record.iter())
    }

    /// The cells in the order of the file.
    pub fn values(&self) -> impl Iterator<Item = &'r str> + use<'r> {
        self.record.iter()
    }

    /// The cell of a column, untouched; empty where the file has no such column.
    pub fn raw(&self, column: Option<usize>) -> &'r str {
        column.and_then(|at| self.record.get(at)).unwrap_or_default()
    }

    /// The cell of a column without blanks around it; `None` where it is blank or not there.
    pub fn text(&self, column: Option<usize>) -> Option<&'r str> {
        let cell = trimmed(self.raw(column));
        if cell.is_empty() { None } else { Some(cell) }
    }

    /// The same, owned.
    pub fn owned(&self, column: Option<usize>) -> Option<String> {
        self.text(column).map(str::to_owned)
    }

    /// The name of a column as the file spells it.
    pub fn name(&self, column: Option<usize>) -> &'r str {
        column.and_then(|at| self.header.spelled.get(at)).map_or("", String::as_str)
    }

    /// The header.
    pub const fn header(&self) -> &'r Header {
        self.header
    }

    /// Whether every cell is blank.
    pub fn is_blank(&self) -> bool {
        self.record.iter().all(|cell| trimmed(cell).is_empty())
    }
}

impl Serialize for RawCells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut cells = serializer.serialize_seq(Some(self.record.len()))?;
        for cell in self.record {
            cells.serialize_element(cell)?;
        }
        cells.end()
    }
}

/// What a row of an export turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A money row.
    Line(BilledLine),
    /// A row of quantities.
    Usage(UsageRow),
    /// A bucket in which nothing was charged or used, or a row of blanks.
    Empty(Option<ChargePeriod>),
}
