//! The same tokens under another model's name.

use crate::reconcile::exact::{Inexact, at_price, subtract};
use crate::reconcile::finding::{Cause, Confidence};
use crate::reconcile::worksheet::{CellIndex, CellKey, Group, Worksheet};

/// Input and output units by charge period.
type Totals = Vec<(u32, i128, i128)>;

/// A model that is only on our side, and one that is only on the bill, of the same owner, with
/// equal input and output totals in every period: moved and priced as billed.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn apply(sheet: &mut Worksheet) -> Result<(), Inexact> {
    let groups = sheet.groups();
    let is_ours = |cells: &[CellIndex]| cells.iter().any(|one| sheet.cells[*one].quantity > 0);
    let is_billed =
        |cells: &[CellIndex]| cells.iter().any(|one| sheet.cells[*one].billed.is_there());
    let one_sided = |ours: bool| -> Vec<(Group, Vec<CellIndex>)> {
        let wanted =
            groups.iter().filter(|(_, cells)| is_ours(cells) == ours && is_billed(cells) != ours);
        wanted.map(|(group, cells)| (*group, cells.clone())).collect()
    };
    let (only_ours, only_billed) = (one_sided(true), one_sided(false));
    let mut pairs = Vec::new();
    for (from, cells) in &only_ours {
        let totals = our_totals(sheet, cells);
        let fits = |(to, billed): &&(Group, Vec<CellIndex>)| {
            to.0 == from.0 && billed_totals(sheet, billed).is_some_and(|theirs| theirs == totals)
        };
        let fitting: Vec<Group> = only_billed.iter().filter(fits).map(|(to, _)| *to).collect();
        if let Some(to) = fitting.first().filter(|_| !totals.is_empty()) {
            pairs.push((*from, *to, cells.clone(), fitting.len()));
        }
    }
    for (from, to, cells, count) in &pairs {
        let rivals = pairs.iter().filter(|(_, other, _, _)| other == to).count();
        if rivals == 1 || pairs.iter().find(|pair| pair.1 == *to).is_some_and(|p| p.0 == *from) {
            let alone = *count == 1 && rivals == 1;
            rename(sheet, *from, *to, cells, alone)?;
        }
    }
    Ok(())
}

fn our_totals(sheet: &Worksheet, cells: &[CellIndex]) -> Totals {
    totals(sheet, cells, |cell| Some(sheet.cells[cell].quantity)).unwrap_or_default()
}

fn billed_totals(sheet: &Worksheet, cells: &[CellIndex]) -> Option<Totals> {
    totals(sheet, cells, |cell| sheet.cells[cell].billed.quantity.map(i128::from))
}

fn totals(
    sheet: &Worksheet,
    cells: &[CellIndex],
    quantity: impl Fn(CellIndex) -> Option<i128>,
) -> Option<Totals> {
    let mut totals = Totals::new();
    for (slot, cells) in sheet.by_slot(cells) {
        let (mut input, mut output) = (0, 0);
        for cell in cells {
            match sheet.cells[cell].key.meter {
                Some(meter) if meter.is_output() => output += quantity(cell)?,
                _ => input += quantity(cell)?,
            }
        }
        if (input, output) != (0, 0) {
            totals.push((slot, input, output));
        }
    }
    Some(totals)
}

/// Moves our cells under the billed name; the effect is the change of price.
fn rename(
    sheet: &mut Worksheet,
    from: Group,
    to: Group,
    cells: &[CellIndex],
    alone: bool,
) -> Result<(), Inexact> {
    let confidence = if alone { Confidence::Proven } else { Confidence::Consistent };
    let subject = format!("{} billed as {}", sheet.model(from.1), sheet.model(to.1));
    let note = sheet.note(Cause::Alias, &subject, confidence);
    sheet.notes[note].evidence(
        "one name is only in our books, the other only on the bill, and their input and output \
         totals are equal in every period",
    );
    let attempts: Vec<u32> = cells
        .iter()
        .flat_map(|cell| &sheet.cells[*cell].stubs)
        .map(|stub| sheet.stubs[*stub as usize].attempt)
        .collect();
    sheet.notes[note].about(attempts, "attempts recorded under our name");
    for cell in cells {
        let (quantity, cost) = (sheet.cells[*cell].quantity, sheet.cells[*cell].cost);
        let key = CellKey { model: to.1, ..sheet.cells[*cell].key.clone() };
        let target = sheet.cell_at(&key);
        let price = sheet.table_rate(&key).and_then(|rate| sheet.rates.get(rate)?.unit_price);
        let as_billed = match price {
            Some(price) => at_price(price, quantity)?,
            None => cost,
        };
        sheet.book(note, *cell, -quantity, subtract(rust_decimal::Decimal::ZERO, cost)?)?;
        sheet.book(note, target, quantity, as_billed)?;
        let stubs = std::mem::take(&mut sheet.cells[*cell].stubs);
        for stub in &stubs {
            sheet.stubs[*stub as usize].cell = target;
        }
        let (rate, unpriced) = (sheet.cells[*cell].rate, sheet.cells[*cell].unpriced);
        let billed = &mut sheet.cells[target];
        billed.stubs.extend(stubs);
        if price.is_none() {
            billed.rate = billed.rate.or(rate);
            billed.unpriced += unpriced;
        }
    }
    Ok(())
}
