//! What must hold before a report may exist: R1 to R4 of the published rules, without tolerance.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use crate::money::Amount;
use crate::reconcile::exact::{Inexact, add, at_price, multiply};
use crate::reconcile::finding::Cause;
use crate::reconcile::matching::Matched;
use crate::reconcile::quick_hash::QuickMap;
use crate::reconcile::rates::RateIndex;
use crate::reconcile::worksheet::Group;

/// A report that would not add up is not produced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule} does not hold, so there is no report: {detail}")]
pub struct BrokenInvariant {
    /// `R1` to `R4`.
    pub rule: &'static str,
    /// What was found.
    pub detail: String,
}

fn broken(rule: &'static str, detail: impl Into<String>) -> BrokenInvariant {
    BrokenInvariant { rule, detail: detail.into() }
}

impl From<Inexact> for BrokenInvariant {
    fn from(error: Inexact) -> Self {
        broken("exactness", error.to_string())
    }
}

/// R1, R2 and R3.
///
/// # Errors
/// The first [`BrokenInvariant`].
pub(crate) fn hold(matched: &Matched<'_>) -> Result<(), BrokenInvariant> {
    everything_is_placed_once(matched)?;
    every_cell_arrives_at_the_bill(matched)?;
    charges_are_quantity_times_price(matched)
}

/// R1: every attempt is in cells of one period or left out for a reason; every line is in one
/// cell or stands at face value.
fn everything_is_placed_once(matched: &Matched<'_>) -> Result<(), BrokenInvariant> {
    let left_out: u64 = matched.out_of_scope.values().sum();
    let unknown = u64::try_from(matched.unknown.len()).unwrap_or(u64::MAX);
    let given = u64::try_from(matched.inputs.attempts.len()).unwrap_or(u64::MAX);
    if matched.in_cells + left_out + unknown != given {
        return Err(broken(
            "R1",
            format!(
                "{given} attempts were given; {} are in cells, {left_out} left out, {unknown} of \
                 unknown usage",
                matched.in_cells
            ),
        ));
    }
    let mut lines = BTreeSet::new();
    let placed = matched.sheet.cells.iter().flat_map(|cell| &cell.billed.lines);
    let placed = placed.chain(matched.sheet.face_lines.iter().map(|face| &face.line));
    for line in placed {
        if !lines.insert(*line) {
            return Err(broken("R1", format!("row {line} of the bill is in two places")));
        }
    }
    if lines.len() == matched.lines.len() {
        return Ok(());
    }
    let (given, placed) = (matched.lines.len(), lines.len());
    Err(broken("R1", format!("{placed} of {given} rows of the bill are placed")))
}

/// R2: in each cell, what we show plus all effects is what is billed, exactly.
fn every_cell_arrives_at_the_bill(matched: &Matched<'_>) -> Result<(), BrokenInvariant> {
    let sheet = &matched.sheet;
    let mut balances: Vec<Decimal> = sheet.cells.iter().map(|cell| cell.shown).collect();
    for effect in &sheet.effects {
        balances[effect.cell] = add(balances[effect.cell], effect.amount)?;
    }
    for (cell, balance) in sheet.cells.iter().zip(balances) {
        let billed = in_books_currency(matched, cell.billed.amount, cell.billed.other_currency)?;
        if balance != billed {
            let place = sheet.group_words((cell.key.owner, cell.key.model));
            let day = sheet.slots.label(cell.key.slot);
            return Err(broken(
                "R2",
                format!("{place}, {day}: the steps arrive at {balance}, the bill says {billed}"),
            ));
        }
    }
    Ok(())
}

/// A billed amount in the books' currency.
///
/// # Errors
/// [`Inexact`] where it cannot be kept exactly.
pub(crate) fn in_books_currency(
    matched: &Matched<'_>,
    amount: Decimal,
    other_currency: bool,
) -> Result<Decimal, Inexact> {
    match &matched.inputs.exchange {
        Some(exchange) if other_currency => multiply(amount, exchange.rate),
        _ => Ok(amount),
    }
}

/// R3: by price, stored charges are quantity times price wherever none was rounded.
fn charges_are_quantity_times_price(matched: &Matched<'_>) -> Result<(), BrokenInvariant> {
    let mut sums: BTreeMap<RateIndex, (i128, Amount)> = BTreeMap::new();
    for stub in matched.sheet.stubs.iter().filter(|stub| !stub.rounded) {
        let Some(rate) = stub.rate else { continue };
        let sum = sums.entry(rate).or_default();
        sum.0 += i128::from(stub.quantity);
        sum.1 = [sum.1, stub.amount].into_iter().sum();
    }
    for (rate, (quantity, stored)) in sums {
        let Some(rate) = matched.sheet.rates.get(rate) else { continue };
        let Some(price) = rate.unit_price else { continue };
        let product = at_price(price, quantity)?;
        let stored = stored.to_decimal().map_err(Inexact::from)?;
        if product != stored {
            return Err(broken(
                "R3",
                format!(
                    "{} {}: {quantity} units at {price} are {product}, the stored charges are \
                     {stored}",
                    rate.model, rate.meter
                ),
            ));
        }
    }
    Ok(())
}

/// R4: a finding made of attempts is the sum of their stored charges.
///
/// # Errors
/// The first [`BrokenInvariant`].
pub(crate) fn charges_reproduce(matched: &Matched<'_>) -> Result<(), BrokenInvariant> {
    let sheet = &matched.sheet;
    let mut claims: QuickMap<u32, Vec<usize>> = QuickMap::default();
    for (index, note) in sheet.notes.iter().enumerate() {
        let attempts = note.attempts.iter().filter(|_| note.charges_sign.is_some()).flatten();
        for attempt in attempts {
            claims.entry(*attempt).or_default().push(index);
        }
    }
    if claims.is_empty() {
        return Ok(());
    }
    let mut booked = vec![Decimal::ZERO; sheet.notes.len()];
    let mut groups: BTreeSet<(usize, Group)> = BTreeSet::new();
    for effect in &sheet.effects {
        booked[effect.note] = add(booked[effect.note], effect.amount)?;
        let key = &sheet.cells[effect.cell].key;
        groups.insert((effect.note, (key.owner, key.model)));
    }
    let mut charged = vec![Amount::ZERO; sheet.notes.len()];
    let is_held_out = |note: usize| sheet.notes[note].cause == Cause::BilledAfterAll;
    let mut claim = |attempt: u32, group: Group, amount: Amount, held_out: bool| {
        for note in claims.get(&attempt).into_iter().flatten().copied() {
            if is_held_out(note) == held_out && groups.contains(&(note, group)) {
                charged[note] = [charged[note], amount].into_iter().sum();
            }
        }
    };
    for stub in &sheet.stubs {
        let key = &sheet.cells[stub.cell].key;
        claim(stub.attempt, (key.owner, key.model), stub.amount, false);
    }
    for stub in &matched.held_out {
        claim(stub.attempt, (stub.owner, stub.model), stub.amount, true);
    }
    for (index, note) in sheet.notes.iter().enumerate() {
        let Some(sign) = note.charges_sign else { continue };
        let charges = charged[index].to_decimal().map_err(Inexact::from)?;
        let signed = if sign < 0 { -charges } else { charges };
        if signed != booked[index] {
            return Err(broken(
                "R4",
                format!(
                    "{} ({}) was booked with {}, its requests come to {signed}",
                    note.cause, note.subject, booked[index]
                ),
            ));
        }
    }
    Ok(())
}
