//! One row as it stands in the file: cells by name and position, raw and in order.

use std::ops::Range;

use csv::StringRecord;
use rust_decimal::Decimal;

use crate::invoice::encoding::Glance;
use crate::invoice::header::Header;
use crate::invoice::line::{
    AmountPrecision, BilledDimensions, BilledLine, ChargeCategory, UsageRow,
};
use crate::invoice::numbers::trimmed;
use crate::meter::Quantities;
use crate::money::Currency;
use crate::period::{ChargePeriod, Timestamp};

/// What stands between two cells in JSON.
const BETWEEN: &str = "\",\"";
/// Bytes copied at a time.
const PIECE: usize = 32;

/// The raw cells of a row beside the header of its file. Personal cells are already hashed.
#[derive(Clone, Copy, Debug)]
pub struct RawCells<'r> {
    header: &'r Header,
    record: &'r StringRecord,
    seen: Glance,
}

impl<'r> RawCells<'r> {
    /// A row, the header above it, and what is known of its letters.
    pub(crate) const fn new(header: &'r Header, record: &'r StringRecord, seen: Glance) -> Self {
        Self { header, record, seen }
    }

    /// The cells in the order of the file.
    pub fn values(&self) -> impl Iterator<Item = &'r str> + use<'r> {
        self.record.iter()
    }

    /// The cell of a column, untouched; empty where the file has no such column.
    pub(crate) fn raw(&self, column: Option<usize>) -> &'r str {
        column.and_then(|at| self.record.get(at)).unwrap_or_default()
    }

    /// The cells of neighboring columns as one text.
    pub(crate) fn side_by_side(&self, columns: &Range<usize>) -> Option<&'r str> {
        let first = self.record.range(columns.start)?;
        let last = self.record.range(columns.end.checked_sub(1)?)?;
        self.record.as_slice().get(first.start..last.end)
    }

    /// The cell of a column without blanks around it; `None` where it is blank or not there.
    pub(crate) fn text(&self, column: Option<usize>) -> Option<&'r str> {
        let cell = trimmed(self.raw(column));
        if cell.is_empty() { None } else { Some(cell) }
    }

    /// Writes the cell of a column where another row's stood.
    pub(crate) fn assign(&self, slot: &mut Option<String>, column: Option<usize>) {
        assign(slot, self.text(column));
    }

    /// The name of a column as the file spells it.
    pub(crate) fn name(&self, column: Option<usize>) -> &'r str {
        column.and_then(|at| self.header.spelled.get(at)).map_or("", String::as_str)
    }

    /// The header.
    pub(crate) const fn header(&self) -> &'r Header {
        self.header
    }

    /// Appends the cells as a JSON list of texts in the order of the header, from which the source
    /// row is rebuilt.
    pub fn write_json(&self, into: &mut String) {
        if !self.seen.is_plain || self.record.is_empty() {
            // Texts are always JSON.
            let cells: Vec<&str> = self.record.iter().collect();
            into.push_str(&serde_json::to_string(&cells).unwrap_or_default());
            return;
        }
        let all = self.record.as_slice();
        into.reserve(all.len() + BETWEEN.len() * (self.record.len() + 1) + PIECE);
        into.push_str("[\"");
        for column in 0..self.record.len() {
            let cell = self.record.range(column).unwrap_or_default();
            // A piece of fixed length is copied several times faster than one that must be
            // measured; what it holds of the next cells is cut off again.
            match all.get(cell.start..cell.start + PIECE) {
                Some(piece) if cell.len() <= PIECE => {
                    let end = into.len() + cell.len();
                    into.push_str(piece);
                    into.truncate(end);
                }
                _ => into.push_str(all.get(cell).unwrap_or_default()),
            }
            into.push_str(BETWEEN);
        }
        into.truncate(into.len() - BETWEEN.len());
        into.push_str("\"]");
    }

    /// Whether every cell is blank.
    pub(crate) fn is_blank(&self) -> bool {
        self.record.iter().all(|cell| trimmed(cell).is_empty())
    }
}

/// What a row of an export turned out to be; the lines themselves stand in the [`Draft`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A money row.
    Line,
    /// A row of quantities.
    Usage,
    /// A bucket in which nothing was charged or used, or a row of blanks.
    Empty(Option<ChargePeriod>),
}

/// The line or usage row being filled, over and over, so that a row costs no allocation.
#[derive(Debug)]
pub(crate) struct Draft {
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
pub(crate) fn assign(slot: &mut Option<String>, text: Option<&str>) {
    match (slot.as_mut(), text) {
        (Some(known), Some(text)) => {
            known.clear();
            known.push_str(text);
        }
        (None, Some(text)) => *slot = Some(text.to_owned()),
        (_, None) => *slot = None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(columns: usize) -> Header {
        Header {
            spelled: vec!["column".to_owned(); columns],
            names: vec!["column".to_owned(); columns],
            fingerprint: String::new(),
            delimiter: b',',
            preamble_lines: 0,
            had_invisible: false,
        }
    }

    proptest! {
        #[test]
        fn cells_read_back_as_they_stood(
            cells in prop::collection::vec("[a-z0-9., \"\\\\\n\u{0}\u{7f}é≤🦀]{0,40}|[a-z0-9:. é≤]{0,40}", 0..9),
        ) {
            let (header, record) = (header(cells.len()), StringRecord::from(cells.clone()));
            let mut text = String::new();
            let seen = Glance::at(record.as_slice().as_bytes());
            RawCells::new(&header, &record, seen).write_json(&mut text);
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), cells);
        }
    }
}
