//! Coverage: what share of the billed usage passed through here, and why the rest did not.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::money::exact_mul;
use crate::reconcile::exact::{Inexact, add, subtract};
use crate::reconcile::finding::Cause;
use crate::reconcile::invariants::in_books_currency;
use crate::reconcile::matching::Matched;

/// Billed usage money by what we saw of it. The parts add up to `billed_usage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Usage on the bill, in the books' currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub billed_usage: Decimal,
    /// Usage whose requests we hold.
    #[serde(with = "rust_decimal::serde::str")]
    pub seen: Decimal,
    /// Usage from before our books began.
    #[serde(with = "rust_decimal::serde::str")]
    pub before_books: Decimal,
    /// Usage in spans in which our books have a gap.
    #[serde(with = "rust_decimal::serde::str")]
    pub while_down: Decimal,
    /// Usage of keys, projects, workspaces or products that do not pass here.
    #[serde(with = "rust_decimal::serde::str")]
    pub elsewhere: Decimal,
    /// Usage of which it is not known whether it passed here.
    #[serde(with = "rust_decimal::serde::str")]
    pub unknown: Decimal,
    /// `seen` as a percentage with one decimal; `None` where no usage was billed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_percent: Option<String>,
}

/// Sorts the billed usage by what was found about it.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn of(matched: &Matched<'_>) -> Result<Coverage, Inexact> {
    let sheet = &matched.sheet;
    let mut total = Decimal::ZERO;
    for cell in &sheet.cells {
        let billed = in_books_currency(matched, cell.billed.amount, cell.billed.other_currency)?;
        total = add(total, billed)?;
    }
    let mut parts = [Decimal::ZERO; 4];
    for effect in &sheet.effects {
        let cause = sheet.notes[effect.note].cause;
        let place = match cause {
            Cause::BeforeBooks => 0,
            Cause::WhileDown => 1,
            Cause::Unlogged => 2,
            Cause::QuantityUnexplained | Cause::NotResolvable if effect.amount > Decimal::ZERO => 3,
            _ => continue,
        };
        let cell = &sheet.cells[effect.cell];
        let whole = cell.shown.is_zero() && cell.stubs.is_empty();
        let amount = match whole {
            true => in_books_currency(matched, cell.billed.amount, cell.billed.other_currency)?,
            false => effect.amount,
        };
        parts[place] = add(parts[place], amount)?;
    }
    for face in &sheet.face_lines {
        if sheet.notes[face.note].cause == Cause::UnmappedMoney {
            total = add(total, face.amount)?;
            parts[2] = add(parts[2], face.amount)?;
        }
    }
    let mut seen = total;
    for part in parts {
        seen = subtract(seen, part)?;
    }
    let hundredfold = exact_mul(seen, Decimal::ONE_HUNDRED);
    let percent = hundredfold.and_then(|seen| seen.checked_div(total)).map(|share| {
        share.round_dp_with_strategy(1, RoundingStrategy::ToZero).normalize().to_string()
    });
    let [before_books, while_down, elsewhere, unknown] = parts;
    Ok(Coverage {
        billed_usage: total,
        seen,
        before_books,
        while_down,
        elsewhere,
        unknown,
        seen_percent: percent,
    })
}
