//! The bill's side of the worksheet: money rows and quantity rows placed in cells.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use crate::invoice::line::{
    AmountPrecision, BilledDimensions, BilledLine, ChargeCategory, UsageRow,
};
use crate::meter::Meter;
use crate::money::Currency;
use crate::reconcile::aliases::NameMap;
use crate::reconcile::exact::{Inexact, add, subtract};
use crate::reconcile::facts::{ExchangeRate, ImportFact, Inputs};
use crate::reconcile::owners::Owners;
use crate::reconcile::worksheet::{Billed, CellIndex, CellKey, Worksheet};

/// A money row with the import it came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineRef<'a> {
    /// The import.
    pub import: &'a ImportFact,
    /// The row.
    pub line: &'a BilledLine,
}

/// Why the bill cannot be laid beside the books.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// Currencies never add.
    #[error("the bill has lines in {0} and in {1}; reconcile one currency at a time")]
    TwoCurrencies(Currency, Currency),
    /// No rate into the books' currency was given.
    #[error(
        "the bill is in {bill} and the books are in {books}; say what one {bill} is in {books} to \
         compare them: --exchange-rate {bill}=RATE, or on the month's page"
    )]
    NoExchangeRate {
        /// The bill's currency.
        bill: Currency,
        /// The books' currency.
        books: Currency,
    },
    /// A row number or count outgrew its index.
    #[error("the bill has more than four billion lines")]
    TooManyLines,
    /// Figures cannot be kept exactly.
    #[error(transparent)]
    Inexact(#[from] Inexact),
}

/// Every money row of every import, by batch and row, so that their order changes nothing.
///
/// Rows of other months in the same file are left out; an adjustment dated before the period stays,
/// unless its file covers that month too.
pub(crate) fn sorted_lines(inputs: &Inputs) -> Vec<LineRef<'_>> {
    let span = inputs.period.span();
    let first_day = inputs.period.first_day();
    let belongs = |entry: &LineRef<'_>| {
        let period = entry.line.period;
        let touches = period.start < span.end && span.start < period.end;
        let corrects = entry.line.category == ChargeCategory::Adjustment
            && period.start < span.start
            && entry.import.covered_days.iter().all(|day| *day >= first_day);
        touches || corrects
    };
    let imports = inputs.imports.iter();
    let mut lines: Vec<LineRef<'_>> = imports
        .flat_map(|import| import.lines.iter().map(move |line| LineRef { import, line }))
        .filter(belongs)
        .collect();
    lines.sort_by(|a, b| (&a.import.batch, a.line.row).cmp(&(&b.import.batch, b.line.row)));
    lines
}

/// The one currency of the bill.
///
/// # Errors
/// [`BillError`] for two currencies, or one the books cannot be compared with.
pub(crate) fn currency(lines: &[LineRef<'_>], inputs: &Inputs) -> Result<Currency, BillError> {
    let found: BTreeSet<Currency> = lines.iter().map(|line| line.line.currency).collect();
    let mut found = found.into_iter();
    let bill = found.next().unwrap_or(inputs.currency);
    if let Some(other) = found.next() {
        return Err(BillError::TwoCurrencies(bill, other));
    }
    let fits = |rate: &ExchangeRate| rate.from == bill && rate.into == inputs.currency;
    let rate_given = inputs.exchange.as_ref().is_some_and(fits);
    if bill != inputs.currency && !rate_given {
        return Err(BillError::NoExchangeRate { bill, books: inputs.currency });
    }
    Ok(bill)
}

/// Whether a line is usage that maps to a cell; other usage money is shown as unmapped.
pub(crate) fn is_mapped(line: &BilledLine, sheet: &Worksheet) -> bool {
    let grain = &sheet.grain;
    line.category == ChargeCategory::Usage
        && (line.meter.is_some() || !grain.meter)
        && (line.model.is_some() || line.meter.is_some() || !grain.model)
}

/// Places every usage row of the bill in its cell.
///
/// # Errors
/// [`BillError`] where sums cannot be kept exactly.
pub(crate) fn place(
    sheet: &mut Worksheet,
    lines: &[LineRef<'_>],
    inputs: &Inputs,
    names: &NameMap,
    owners: &Owners,
) -> Result<(), BillError> {
    let lookup = Lookup::new(sheet);
    let mut quantities_missing: BTreeSet<CellIndex> = BTreeSet::new();
    let mut lists_missing: BTreeSet<CellIndex> = BTreeSet::new();
    for (index, entry) in lines.iter().enumerate() {
        let line = entry.line;
        if !is_mapped(line, sheet) {
            continue;
        }
        let model = line.model.as_deref();
        let meter = line.meter;
        let Some(slot) = sheet.slots.at(line.period.start) else { continue };
        let key = lookup.key(sheet, (names, owners), &line.dimensions, model, meter, slot);
        let cell = sheet.cell_at(&key);
        let index = u32::try_from(index).map_err(|_| BillError::TooManyLines)?;
        let billed = &mut sheet.cells[cell].billed;
        billed.lines.push(index);
        billed.other_currency = line.currency != inputs.currency;
        billed.amount = add(billed.amount, line.billed_cost)?;
        match line.list_cost {
            Some(list) => billed.list = Some(add(billed.list.unwrap_or_default(), list)?),
            None => drop(lists_missing.insert(cell)),
        }
        let (below, above) = slack(line.precision, line.shown_decimals);
        let shown = line.list_cost.unwrap_or(line.billed_cost);
        billed.interval.0 = add(billed.interval.0, subtract(shown, below)?)?;
        billed.interval.1 = add(billed.interval.1, add(shown, above)?)?;
        match line.quantity {
            Some(quantity) => {
                billed.quantity = Some(billed.quantity.unwrap_or(0).saturating_add(quantity));
            }
            None => drop(quantities_missing.insert(cell)),
        }
    }
    for cell in quantities_missing {
        sheet.cells[cell].billed.quantity = None;
    }
    for cell in lists_missing {
        give_up_list(sheet, cell, lines)?;
    }
    if sheet.grain.quantities_apart {
        complete_with_usage(sheet, lines, inputs, (names, owners))?;
    }
    Ok(())
}

/// A cell some of whose lines print no list price is compared at billed amounts.
fn give_up_list(
    sheet: &mut Worksheet,
    cell: CellIndex,
    lines: &[LineRef<'_>],
) -> Result<(), BillError> {
    let billed = &mut sheet.cells[cell].billed;
    if billed.list.take().is_none() {
        return Ok(());
    }
    billed.interval = (Decimal::ZERO, Decimal::ZERO);
    for index in &billed.lines {
        let line = lines[*index as usize].line;
        let (below, above) = slack(line.precision, line.shown_decimals);
        billed.interval.0 = add(billed.interval.0, subtract(line.billed_cost, below)?)?;
        billed.interval.1 = add(billed.interval.1, add(line.billed_cost, above)?)?;
    }
    Ok(())
}

/// Gives the cells the quantities of the usage export.
fn complete_with_usage(
    sheet: &mut Worksheet,
    lines: &[LineRef<'_>],
    inputs: &Inputs,
    (names, owners): (&NameMap, &Owners),
) -> Result<(), BillError> {
    let lookup = Lookup::new(sheet);
    let rows: Vec<&UsageRow> = inputs.imports.iter().flat_map(|import| &import.usage).collect();
    let mut quantities: BTreeMap<CellKey, u64> = BTreeMap::new();
    let mut counted_models = BTreeSet::new();
    let mut counted_slots = BTreeSet::new();
    for row in rows {
        let Some(slot) = sheet.slots.at(row.period.start) else { continue };
        counted_slots.insert(slot);
        for (meter, quantity) in row.quantities.iter() {
            let model = row.model.as_deref();
            let folded = sheet.grain.meter_of(meter);
            let model = model.filter(|_| !sheet.grain.without_model.contains(&meter));
            let key = lookup.key(sheet, (names, owners), &row.dimensions, model, folded, slot);
            counted_models.insert(key.model);
            let sum = quantities.entry(key).or_insert(0);
            *sum = sum.saturating_add(quantity);
        }
    }
    let coarsest = lines.iter().map(|entry| slack(entry.line.precision, entry.line.shown_decimals));
    let default_slack = coarsest.max().unwrap_or_default();
    for (key, quantity) in &quantities {
        if *quantity > 0 && sheet.find(key).is_none() {
            let cell = sheet.cell_at(key);
            let billed = &mut sheet.cells[cell].billed;
            billed.interval = (-default_slack.0, default_slack.1);
        }
    }
    for cell in &mut sheet.cells {
        let counted =
            counted_models.contains(&cell.key.model) && counted_slots.contains(&cell.key.slot);
        if counted {
            cell.billed.quantity = Some(quantities.get(&cell.key).copied().unwrap_or(0));
        }
    }
    Ok(())
}

/// How far the true amount may lie below and above the printed one.
pub(crate) fn slack(precision: AmountPrecision, shown_decimals: u32) -> (Decimal, Decimal) {
    let half = || Decimal::try_from_i128_with_scale(5, shown_decimals + 1).unwrap_or_default();
    match precision {
        AmountPrecision::Exact => (Decimal::ZERO, Decimal::ZERO),
        AmountPrecision::HalfUp | AmountPrecision::Unknown => (half(), half()),
        AmountPrecision::Truncated => (Decimal::ZERO, half() + half()),
    }
}

/// Names to indexes, for the bill's side.
pub(crate) struct Lookup {
    owners: BTreeMap<crate::reconcile::owners::Owner, u32>,
    models: BTreeMap<String, u32>,
    skus: BTreeMap<crate::reconcile::grain::Sku, u32>,
}

impl Lookup {
    /// From the worksheet's sorted lists.
    pub(crate) fn new(sheet: &Worksheet) -> Self {
        Self {
            owners: (0..).zip(&sheet.owners).map(|(index, one)| (one.clone(), index)).collect(),
            models: (0..).zip(&sheet.models).map(|(index, one)| (one.clone(), index)).collect(),
            skus: (0..).zip(&sheet.skus).map(|(index, one)| (one.clone(), index)).collect(),
        }
    }

    /// The key of a row.
    pub(crate) fn key(
        &self,
        sheet: &Worksheet,
        (names, owners): (&NameMap, &Owners),
        dimensions: &BilledDimensions,
        model: Option<&str>,
        meter: Option<Meter>,
        slot: u32,
    ) -> CellKey {
        let index = |found: Option<&u32>| found.copied().unwrap_or(0);
        let model = model.filter(|_| sheet.grain.model).map_or("", |name| names.common(name));
        CellKey {
            owner: index(self.owners.get(&owners.of_row(dimensions))),
            model: index(self.models.get(model)),
            slot,
            sku: index(self.skus.get(&sheet.grain.billed_sku(dimensions))),
            meter: meter.filter(|_| sheet.grain.meter),
        }
    }
}

impl Billed {
    /// Whether the bill has anything here.
    pub(crate) fn is_there(&self) -> bool {
        !self.lines.is_empty() || self.quantity.is_some_and(|quantity| quantity > 0)
    }
}
