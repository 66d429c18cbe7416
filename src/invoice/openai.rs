//! OpenAI's cost export: one row a UTC day and group, exact dollars, a bucket without charges blank.

use std::ops::Range;

use crate::invoice::dates::{BucketWidth, epoch_seconds, iso_instant, width_of};
use crate::invoice::header::Header;
use crate::invoice::line::{AmountPrecision, BilledLine, ChargeCategory};
use crate::invoice::line_item::LineItem;
use crate::invoice::numbers::{self, DecimalMark, whole_units};
use crate::invoice::record::{RawCells, Reading, assign};
use crate::invoice::refusal::{RowFault, excerpt};
use crate::invoice::summary::Noticed;
use crate::meter::{Meter, MeterUnit};
use crate::money::Currency;
use crate::period::ChargePeriod;

/// Line items remembered, each in the place its bytes point to, so that few are parsed twice.
const REMEMBERED: usize = 512;

/// The four time columns both kinds of OpenAI export begin with.
#[derive(Debug)]
pub(crate) struct Bucket {
    columns: [Option<usize>; 4],
    last: Option<(SameCells, ChargePeriod, BucketWidth)>,
}

/// Reads the rows of a cost export.
#[derive(Debug)]
pub(crate) struct CostRows {
    bucket: Bucket,
    amount: Option<usize>,
    currency: Option<usize>,
    quantity: Option<usize>,
    unit: Option<usize>,
    line_item: Option<usize>,
    key_id: Option<usize>,
    project_id: Option<usize>,
    project_name: Option<usize>,
    organization_id: Option<usize>,
    mark: DecimalMark,
    items: Vec<(String, LineItem)>,
}

/// Cells of neighboring columns, to tell whether the next row has the same: in one comparison.
#[derive(Debug)]
struct SameCells {
    columns: Range<usize>,
    text: String,
    lengths: Vec<usize>,
}

impl SameCells {
    /// The cells of these columns in a row; `None` where the columns do not stand side by side.
    fn of(cells: RawCells<'_>, columns: [Option<usize>; 4]) -> Option<Self> {
        let present: Vec<usize> = columns.into_iter().flatten().collect();
        let (first, last) = (*present.iter().min()?, *present.iter().max()?);
        let columns = first..last + 1;
        let text = cells.side_by_side(&columns).filter(|_| columns.len() == present.len())?;
        let lengths = columns.clone().map(|column| cells.raw(Some(column)).len()).collect();
        Some(Self { text: text.to_owned(), lengths, columns })
    }

    fn stand_in(&self, cells: RawCells<'_>) -> bool {
        let same_length =
            |(column, length): (usize, &usize)| cells.raw(Some(column)).len() == *length;
        self.columns.clone().zip(&self.lengths).all(same_length)
            && cells.side_by_side(&self.columns) == Some(&self.text)
    }
}

impl Bucket {
    /// Finds the columns.
    pub(crate) fn new(header: &Header) -> Self {
        let names = ["start_time", "end_time", "start_time_iso", "end_time_iso"];
        Self { columns: names.map(|name| header.column(name)), last: None }
    }

    /// The span of a row. Epoch columns lead; ISO columns must say the same, whatever their offset
    /// (charged rows print none and mean UTC).
    ///
    /// # Errors
    /// A fault that names the column.
    pub(crate) fn read(
        &mut self,
        cells: RawCells<'_>,
    ) -> Result<(ChargePeriod, BucketWidth), RowFault> {
        if let Some((known, period, width)) = &self.last
            && known.stand_in(cells)
        {
            return Ok((*period, *width));
        }
        let [start, end, start_iso, end_iso] = self.columns;
        let start = instant(cells, start, start_iso)?;
        let end = instant(cells, end, end_iso)?;
        if end <= start {
            return Err(RowFault::row("the bucket ends before it begins"));
        }
        let period = ChargePeriod { start, end };
        let width = width_of(period);
        self.last = SameCells::of(cells, self.columns).map(|known| (known, period, width));
        Ok((period, width))
    }
}

fn instant(
    cells: RawCells<'_>,
    epoch: Option<usize>,
    iso: Option<usize>,
) -> Result<crate::period::Timestamp, RowFault> {
    let in_column =
        |column: Option<usize>| move |why: String| RowFault::of(cells.name(column), why);
    let from_epoch = match cells.text(epoch) {
        Some(cell) => Some(epoch_seconds(cell).map_err(in_column(epoch))?),
        None => None,
    };
    let from_iso = match cells.text(iso) {
        Some(cell) => Some(iso_instant(cell).map_err(in_column(iso))?),
        None => None,
    };
    match (from_epoch, from_iso) {
        (Some(epoch), Some(iso_time)) if epoch != iso_time => Err(RowFault::of(
            cells.name(iso),
            format!("{iso_time} is not the instant of the seconds column, {epoch}"),
        )),
        (Some(found), _) | (None, Some(found)) => Ok(found),
        (None, None) => Err(RowFault::of(cells.name(epoch.or(iso)), "the bucket has no time")),
    }
}

impl CostRows {
    /// Finds the columns.
    pub(crate) fn new(header: &Header) -> Self {
        let column = |name: &str| header.column(name);
        Self {
            bucket: Bucket::new(header),
            amount: column("amount_value"),
            currency: column("amount_currency"),
            quantity: column("quantity"),
            unit: column("quantity_unit"),
            line_item: column("line_item"),
            key_id: column("api_key_id"),
            project_id: column("project_id"),
            project_name: column("project_name"),
            organization_id: column("organization_id"),
            mark: header.decimal_mark(),
            items: vec![Default::default(); REMEMBERED],
        }
    }

    /// Reads one row.
    ///
    /// # Errors
    /// A fault that names the column.
    pub(crate) fn read(
        &mut self,
        row: u64,
        cells: RawCells<'_>,
        noticed: &mut Noticed,
        line: &mut BilledLine,
    ) -> Result<Reading, RowFault> {
        let (period, width) = self.bucket.read(cells)?;
        if width != BucketWidth::Day {
            return Err(RowFault::row(format!(
                "{} to {} is not one UTC day, as the rows of a cost export are",
                period.start, period.end
            )));
        }
        if cells.text(self.amount).is_none() {
            let charged = [self.line_item, self.quantity, self.currency];
            return match charged.into_iter().find(|column| cells.text(*column).is_some()) {
                None => Ok(Reading::Empty(Some(period))),
                Some(column) => Err(RowFault::of(
                    cells.name(self.amount),
                    format!("the amount is blank although {} is not", cells.name(column)),
                )),
            };
        }
        let fault = |column, why| RowFault::of(cells.name(column), why);
        let currency = cells
            .text(self.currency)
            .ok_or_else(|| fault(self.currency, "the amount has no currency".to_owned()))?;
        let currency: Currency = currency
            .parse()
            .map_err(|_| fault(self.currency, format!("{:?} is no currency", excerpt(currency))))?;
        let printed = numbers::amount(cells.raw(self.amount), self.mark, Some(currency))
            .map_err(|why| fault(self.amount, why))?;
        let description = cells.text(self.line_item).unwrap_or_default();
        let place = remember(&mut self.items, description);
        let no_item = LineItem::default();
        let item = self.items.get(place).map_or(&no_item, |(_, item)| item);
        let (meter, quantity) = self.quantity(row, cells, item, noticed)?;
        if meter.is_none() && !description.is_empty() {
            noticed.once("a line item that names no meter: its money stays unmapped", row);
        }
        line.row = row;
        line.period = period;
        line.category = item.category.unwrap_or(if printed.value.is_sign_negative() {
            ChargeCategory::Adjustment
        } else {
            ChargeCategory::Usage
        });
        description.clone_into(&mut line.description);
        line.billed_cost = printed.value;
        line.list_cost = None;
        line.currency = currency;
        line.precision = AmountPrecision::Exact;
        line.shown_decimals = printed.decimals;
        line.quantity = quantity;
        assign(&mut line.model, item.model.as_deref());
        line.meter = meter;
        let told = &mut line.dimensions;
        cells.assign(&mut told.organization_id, self.organization_id);
        cells.assign(&mut told.project_id, self.project_id);
        cells.assign(&mut told.project_name, self.project_name);
        cells.assign(&mut told.key_id, self.key_id);
        told.batch = item.service_tier.as_deref().map(|tier| tier == "batch");
        assign(&mut told.service_tier, item.service_tier.as_deref());
        told.long_context = item.long_context;
        assign(&mut told.surface, item.surface.as_deref());
        Ok(Reading::Line)
    }

    /// The meter and its atoms, from the words of the line item and the unit of the row. Where the
    /// two contradict each other the quantity is left unknown; the raw cells keep it.
    fn quantity(
        &self,
        row: u64,
        cells: RawCells<'_>,
        item: &LineItem,
        noticed: &mut Noticed,
    ) -> Result<(Option<Meter>, Option<u64>), RowFault> {
        let unit = cells.text(self.unit).unwrap_or_default();
        let meter = meter_by_unit(item, unit);
        let Some(cell) = cells.text(self.quantity) else { return Ok((meter, None)) };
        if cell.starts_with(['-', '(', '\u{2212}']) {
            noticed.once("a negative quantity, as of a refund: left unknown", row);
            return Ok((meter, None));
        }
        if let Some(meter) = meter
            && atoms_per(unit, meter) == Some(1)
        {
            let fault = |why| RowFault::of(cells.name(self.quantity), why);
            return Ok((Some(meter), Some(numbers::count(cell, self.mark).map_err(fault)?)));
        }
        let printed = numbers::amount(cell, self.mark, None).map_err(|why| {
            RowFault::of(cells.name(self.quantity), why.replace("an amount", "a quantity"))
        })?;
        let Some(meter) = meter else { return Ok((None, None)) };
        let Some(per_unit) = atoms_per(unit, meter) else {
            noticed.once("a quantity in a unit that does not fit its line item: left unknown", row);
            return Ok((Some(meter), None));
        };
        let atoms = whole_units(printed.value, per_unit);
        if atoms.is_none() {
            match meter.unit() {
                MeterUnit::Second => {
                    noticed.once("a duration finer than a millisecond: left unknown", row);
                }
                MeterUnit::Token | MeterUnit::Character | MeterUnit::Count => {
                    return Err(RowFault::of(
                        cells.name(self.quantity),
                        format!("{:?} is not a whole, non-negative count", excerpt(cell)),
                    ));
                }
            }
        }
        Ok((Some(meter), atoms))
    }
}

/// The place of a line item, parsed unless it stands there already.
fn remember(items: &mut [(String, LineItem)], text: &str) -> usize {
    let place = place_of(text.as_bytes());
    if let Some((known, item)) = items.get_mut(place)
        && known != text
    {
        *item = LineItem::parse(text);
        text.clone_into(known);
    }
    place
}

/// Where a line item is remembered: by its length and its letters, eight at a time.
fn place_of(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [0; 8];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    let mut hash = text.len() as u64;
    for word in words.iter().chain([&last]) {
        hash =
            (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    usize::try_from(hash >> 55).unwrap_or(0) % REMEMBERED
}

/// The unit decides for models that are billed by time or by piece, and overrules image tokens.
fn meter_by_unit(item: &LineItem, unit: &str) -> Option<Meter> {
    let timed = unit.starts_with("duration_");
    match (item.meter, unit) {
        (None, _) if timed && item.model.is_some() => Some(Meter::AudioSeconds),
        (None, "characters") if item.model.is_some() => Some(Meter::Characters),
        (None, "images") if item.model.is_some() => Some(Meter::Images),
        (Some(Meter::OutputImage | Meter::Output), "images") => Some(Meter::Images),
        (Some(meter), _) if timed && meter.is_input() => Some(Meter::AudioSeconds),
        (Some(Meter::Input), "characters") => Some(Meter::Characters),
        (meter, _) => meter,
    }
}

/// Atoms of the meter in one printed unit, or `None` where the unit is of another kind.
fn atoms_per(unit: &str, meter: Meter) -> Option<u64> {
    match (meter.unit(), unit) {
        (MeterUnit::Token, "tokens" | "")
        | (MeterUnit::Character, "characters" | "")
        | (MeterUnit::Count, "" | "images" | "calls" | "requests" | "sessions" | "count") => {
            Some(1)
        }
        (MeterUnit::Token, "1000_tokens") => Some(1_000),
        (MeterUnit::Second, "duration_seconds") => Some(1_000),
        (MeterUnit::Second, "duration_minutes") => Some(60_000),
        (MeterUnit::Second, "duration_hours") => Some(3_600_000),
        _ => None,
    }
}
