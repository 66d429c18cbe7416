//! The bridge: our total brought to the bill's in the published order, each step booked on its own.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::reconcile::causes::{
    alias, class, discount, lines, population, price, quantity, repeats, unbilled,
};
use crate::reconcile::exact::{Inexact, add};
use crate::reconcile::finding::Step;
use crate::reconcile::invariants::{self, BrokenInvariant};
use crate::reconcile::matching::Matched;
use crate::reconcile::worksheet::Worksheet;

/// One row of the bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeRow {
    /// The step.
    pub step: Step,
    /// Its heading.
    pub title: Cow<'static, str>,
    /// What it adds, in the books' currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub amount: Decimal,
    /// Our total after it.
    #[serde(with = "rust_decimal::serde::str")]
    pub balance: Decimal,
}

/// Why a bridge cannot stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BridgeError {
    /// Figures cannot be kept exactly.
    #[error(transparent)]
    Inexact(#[from] Inexact),
    /// The parts do not add up.
    #[error(transparent)]
    Invariant(#[from] BrokenInvariant),
}

/// Runs every test in order. Timing was booked by the match.
///
/// # Errors
/// [`BridgeError`] where a figure cannot be kept exactly.
pub(crate) fn build(matched: &mut Matched<'_>) -> Result<(), BridgeError> {
    invariants::charges_reproduce(matched)?;
    let timing_notes = matched.sheet.notes.len();
    alias::apply(&mut matched.sheet)?;
    population::apply(matched)?;
    unbilled::apply(matched)?;
    class::apply(matched)?;
    quantity::apply(matched)?;
    price::apply(matched)?;
    lines::rounding(&mut matched.sheet)?;
    discount::printed(matched)?;
    lines::face_value(matched)?;
    lines::exchange(matched)?;
    repeats::apply(matched)?;
    for note in &mut matched.sheet.notes[..timing_notes] {
        note.charges_sign = None;
    }
    invariants::charges_reproduce(matched)?;
    Ok(())
}

/// What each step comes to, and the balance after it.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn rows(sheet: &Worksheet, recorded: Decimal) -> Result<Vec<BridgeRow>, Inexact> {
    let mut balance = recorded;
    let mut rows = Vec::new();
    for step in Step::ALL {
        let mut amount = Decimal::ZERO;
        let of_step = |note: usize| sheet.notes[note].cause.step() == *step;
        for effect in sheet.effects.iter().filter(|effect| of_step(effect.note)) {
            amount = add(amount, effect.amount)?;
        }
        for line in sheet.face_lines.iter().filter(|line| of_step(line.note)) {
            amount = add(amount, line.amount)?;
        }
        balance = add(balance, amount)?;
        rows.push(BridgeRow { step: *step, title: step.title().into(), amount, balance });
    }
    Ok(rows)
}
