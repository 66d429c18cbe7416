//! One row as it stands in the file: cells by name and position, raw and in order.

use csv::StringRecord;
use rust_decimal::Decimal;
use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::invoice::header::Header;
use crate::invoice::line::{
    AmountPrecision, BilledDimensions, BilledLine, ChargeCategory, UsageRow,
};
use crate::invoice::numbers::trimmed;
use crate::meter::Quantities;
use crate::money::Currency;
use crate::period::{ChargePeriod, Timestamp};

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

    /// Writes the cell of a column where another row's stood.
    pub fn assign(&self, slot: &mut Option<String>, column: Option<usize>) {
        assign(slot, self.text(column));
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

/// What a row of an export turned out to be; the lines themselves stand in the [`Draft`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A money row.
    Line,
    /// A row of quantities.
    Usage,
    /// A bucket in which nothing was charged or used, or a row of blanks.
    Empty(Option<ChargePeriod>),
}

/// The line or usage row being filled, over and over, so that a row costs no allocation.
#[derive(Debug)]
pub struct Draft {
    /// Valid after [`Reading::Line`].
    pub line: BilledLine,
    /// Valid after [`Reading::Usage`].
    pub usage: UsageRow,
}

impl Default for Draft {
    fn default() -> Self {
        let never = Timestamp::from_micros(0);
        let period = ChargePeriod { start: never, end: never };
        Self {
            line: BilledLine {
                row: 0,
                period,
                category: ChargeCategory::Usage,
                description: String::new(),
                billed_cost: Decimal::ZERO,
                list_cost: None,
                currency: Currency::USD,
                precision: AmountPrecision::Unknown,
                shown_decimals: 0,
                quantity: None,
                model: None,
                meter: None,
                dimensions: BilledDimensions::default(),
            },
            usage: UsageRow {
                row: 0,
                period,
                model: None,
                quantities: Quantities::new(),
                requests: None,
                dimensions: BilledDimensions::default(),
            },
        }
    }
}

/// Writes a text where one stood, in the same memory.
pub fn assign(slot: &mut Option<String>, text: Option<&str>) {
    match (slot.as_mut(), text) {
        (Some(known), Some(text)) => {
            known.clear();
            known.push_str(text);
        }
        (None, Some(text)) => *slot = Some(text.to_owned()),
        (_, None) => *slot = None,
    }
}
