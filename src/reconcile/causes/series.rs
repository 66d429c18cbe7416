//! The lines of one model and meter side by side, and whether one price admits them all.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::meter::Meter;
use crate::reconcile::exact::{Inexact, at_price, subtract};
use crate::reconcile::worksheet::{CellIndex, Worksheet};

/// The lines of one model, meter and selectors.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// What it is called in a finding.
    pub model: String,
    /// The meter.
    pub meter: Meter,
    /// Its cells that the bill shows, in order of time.
    pub cells: Vec<CellIndex>,
    /// Those whose printed amount does not admit ours.
    pub off: Vec<CellIndex>,
}

/// Lines with a meter and an amount of ours behind them, in the books' currency.
pub(crate) fn all_series(sheet: &Worksheet) -> Result<Vec<Series>, Inexact> {
    let mut found: BTreeMap<(u32, u32, Meter), Series> = BTreeMap::new();
    let mut order: Vec<CellIndex> = (0..sheet.cells.len()).collect();
    let key = |cell: &CellIndex| &sheet.cells[*cell].key;
    order.sort_by(|a, b| (key(a).slot, key(a)).cmp(&(key(b).slot, key(b))));
    for cell in order {
        let here = &sheet.cells[cell];
        let Some(meter) = here.key.meter else { continue };
        if !here.billed.is_there() || here.billed.other_currency || here.quantity == 0 {
            continue;
        }
        let entry = found.entry((here.key.model, here.key.sku, meter));
        let series = entry.or_insert_with(|| Series {
            model: sheet.model(here.key.model).to_owned(),
            meter,
            cells: Vec::new(),
            off: Vec::new(),
        });
        series.cells.push(cell);
        if !here.billed.admits(here.cost) && !is_our_rounding(sheet, cell)? {
            series.off.push(cell);
        }
    }
    Ok(found.into_values().collect())
}

/// Whether the difference is within what our own charges were rounded by.
pub(crate) fn is_our_rounding(sheet: &Worksheet, cell: CellIndex) -> Result<bool, Inexact> {
    let here = &sheet.cells[cell];
    let bound = at_price(Decimal::new(5, 13), i128::from(here.rounded_charges))?;
    Ok(subtract(here.billed.at_list(), here.cost)?.abs() <= bound)
}

/// Whether each cell could have been printed as it was at this price.
pub(crate) fn all_admit(
    sheet: &Worksheet,
    cells: &[CellIndex],
    price: Decimal,
) -> Result<bool, Inexact> {
    for cell in cells {
        let here = &sheet.cells[*cell];
        if !here.billed.admits(at_price(price, here.quantity)?) {
            return Ok(false);
        }
    }
    Ok(true)
}
