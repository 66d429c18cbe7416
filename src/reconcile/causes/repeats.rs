//! Rows the bill holds more than once: what they add fits many a difference, and proves no other.
//!
//! Real exports have equal rows that are both owed, so that a repetition is never booked; it is
//! named beside a difference that it would explain.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::invoice::line::BilledLine;
use crate::reconcile::exact::{Inexact, add, subtract};
use crate::reconcile::finding::{Cause, Confidence};
use crate::reconcile::matching::Matched;
use crate::reconcile::worksheet::CellIndex;

/// What the rows of a cell beyond the first of each equal set come to.
#[derive(Default)]
struct Repeated {
    quantity: i128,
    amount: Decimal,
    /// The first row that is repeated, and its repetition.
    rows: Option<(u64, u64)>,
}

/// Units and money a note books in a cell.
#[derive(Clone, Copy, Default)]
struct Booked {
    quantity: i128,
    amount: Decimal,
}

/// Names repeated rows beside every difference that is no more than they add.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn apply(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    let mut booked: BTreeMap<usize, BTreeMap<CellIndex, Booked>> = BTreeMap::new();
    for effect in &matched.sheet.effects {
        if may_be_repeats(matched.sheet.notes[effect.note].cause) {
            let sum = booked.entry(effect.note).or_default().entry(effect.cell).or_default();
            sum.quantity += effect.quantity;
            sum.amount = add(sum.amount, effect.amount)?;
        }
    }
    for (note, cells) in booked {
        let Some((first, second)) = repeated_in_all(matched, &cells)? else { continue };
        let sheet = &mut matched.sheet;
        sheet.notes[note].alternative("rows that the bill holds twice").evidence(format!(
            "the difference is what rows add that stand on the bill more than once, such as rows \
             {first} and {second}"
        ));
        if sheet.notes[note].confidence == Confidence::Proven {
            sheet.doubt(note);
        }
    }
    Ok(())
}

const fn may_be_repeats(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::BeforeBooks
            | Cause::WhileDown
            | Cause::AbortedBilled
            | Cause::QuantityUnexplained
            | Cause::PriceVersion
            | Cause::PriceChangeDate
            | Cause::PriceConditions
            | Cause::PriceUnexplained
            | Cause::Discount
            | Cause::NotResolvable
    )
}

/// Two equal rows, if repetitions account for what is booked in each of these cells.
fn repeated_in_all(
    matched: &Matched<'_>,
    cells: &BTreeMap<CellIndex, Booked>,
) -> Result<Option<(u64, u64)>, Inexact> {
    let mut rows = None;
    for (cell, booked) in cells {
        let repeated = repeated(matched, *cell)?;
        let (low, high) = matched.sheet.cells[*cell].billed.interval;
        let apart = subtract(booked.amount, repeated.amount)?.abs();
        let fits = match booked.quantity {
            0 => add(apart, apart)? <= subtract(high, low)?,
            units => units == repeated.quantity,
        };
        if repeated.rows.is_none() || !fits {
            return Ok(None);
        }
        rows = rows.or(repeated.rows);
    }
    Ok(rows)
}

fn repeated(matched: &Matched<'_>, cell: CellIndex) -> Result<Repeated, Inexact> {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut found = Repeated::default();
    let lines = &matched.sheet.cells[cell].billed.lines;
    for index in lines.iter().filter(|_| lines.len() > 1) {
        let line = matched.lines[*index as usize].line;
        let told = format!("{:?}", BilledLine { row: 0, ..line.clone() });
        match seen.get(&told) {
            None => drop(seen.insert(told, line.row)),
            Some(first) => {
                found.rows = found.rows.or(Some((*first, line.row)));
                found.quantity += line.quantity.map_or(0, i128::from);
                found.amount = add(found.amount, line.list_cost.unwrap_or(line.billed_cost))?;
            }
        }
    }
    Ok(found)
}
