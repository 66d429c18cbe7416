//! What is left at face value: printed rounding, fees, tax, credits, unmapped money, currency.

use rust_decimal::Decimal;

use crate::invoice::line::ChargeCategory;
use crate::money::canonical_text;
use crate::reconcile::bill::is_mapped;
use crate::reconcile::exact::{Inexact, at_price, multiply, subtract};
use crate::reconcile::finding::{Cause, Confidence};
use crate::reconcile::matching::Matched;
use crate::reconcile::worksheet::{CellIndex, FaceLine, Worksheet};

/// Differences below the last printed digit.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn rounding(sheet: &mut Worksheet) -> Result<(), Inexact> {
    for cell in 0..sheet.cells.len() {
        let here = &sheet.cells[cell];
        if here.billed.other_currency {
            continue;
        }
        let amount = subtract(here.billed.at_list(), here.cost)?;
        if amount.is_zero() {
            continue;
        }
        let ours = !here.billed.admits(here.cost);
        let rival = if ours { None } else { rival_price(sheet, cell)? };
        let confidence = if rival.is_some() { Confidence::Consistent } else { Confidence::Proven };
        let subject = if ours { "our charges, at 12 decimals" } else { "the last printed digit" };
        let note = sheet.note(Cause::Rounding, subject, confidence);
        sheet.notes[note].evidence(match ours {
            true => "a price that has no end in decimals is rounded once per charge",
            false => "each amount is within half a unit of its last printed digit",
        });
        if let Some(rival) = rival {
            sheet.notes[note].alternative(rival);
        }
        sheet.book(note, cell, 0, amount)?;
    }
    Ok(())
}

/// Another price of the table that the printed digits admit as well.
fn rival_price(sheet: &Worksheet, cell: CellIndex) -> Result<Option<String>, Inexact> {
    let here = &sheet.cells[cell];
    let (Some(meter), Some(current)) = (here.key.meter, sheet.price(cell)) else {
        return Ok(None);
    };
    for (_, rate) in sheet.rates.series(sheet.model(here.key.model), meter) {
        let Some(price) = rate.unit_price.filter(|price| *price != current) else { continue };
        if here.billed.admits(at_price(price, here.quantity)?) {
            return Ok(Some("another price of the table, on lines too small to tell".to_owned()));
        }
    }
    Ok(None)
}

/// Fees, tax, credits, adjustments and money that maps to no meter, line by line.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn face_value(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    let start = matched.inputs.period.span().start;
    for index in 0..matched.lines.len() {
        let line = matched.lines[index].line;
        if is_mapped(line, &matched.sheet) {
            continue;
        }
        let cause = match line.category {
            ChargeCategory::Usage => Cause::UnmappedMoney,
            ChargeCategory::Purchase => Cause::Fee,
            ChargeCategory::Tax => Cause::Tax,
            ChargeCategory::Credit => Cause::Credit,
            ChargeCategory::Adjustment if line.period.start < start => Cause::Correction,
            ChargeCategory::Adjustment => Cause::Adjustment,
        };
        let unmapped = cause == Cause::UnmappedMoney;
        let confidence = if unmapped { Confidence::Consistent } else { Confidence::Proven };
        let note = matched.sheet.note(cause, &line.description, confidence);
        matched.sheet.notes[note].evidence(match unmapped {
            true => "the line names a product that maps to no meter of ours".to_owned(),
            false => format!("the line itself says so, dated {}", line.period.start.day()),
        });
        matched.sheet.notes[note].about([], "none: the line stands by itself");
        let amount = match &matched.inputs.exchange {
            Some(exchange) if exchange.from == line.currency => {
                multiply(line.billed_cost, exchange.rate)?
            }
            _ => line.billed_cost,
        };
        let line = u32::try_from(index).unwrap_or(u32::MAX);
        matched.sheet.face_lines.push(FaceLine { note, line, amount });
    }
    Ok(())
}

/// Brings the cells of a bill in another currency to that bill, in the books' currency.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn exchange(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    let Some(exchange) = &matched.inputs.exchange else { return Ok(()) };
    let sheet = &mut matched.sheet;
    let foreign = |cell: &CellIndex| sheet.cells[*cell].billed.other_currency;
    let cells: Vec<CellIndex> = (0..sheet.cells.len()).filter(foreign).collect();
    let implied = implied_rate(sheet, &cells);
    for cell in &cells {
        let here = &sheet.cells[*cell];
        let target = multiply(here.billed.amount, exchange.rate)?;
        let amount = subtract(target, here.cost)?;
        let (cause, confidence) = match (implied, cells.len()) {
            (Some(_), 1) => (Cause::Exchange, Confidence::Consistent),
            (Some(_), _) => (Cause::Exchange, Confidence::Proven),
            (None, _) => (Cause::PriceUnexplained, Confidence::Unexplained),
        };
        let subject = format!("{} to {}", exchange.from, matched.inputs.currency);
        let note = sheet.note(cause, &subject, confidence);
        sheet.notes[note].evidence(exchange.words());
        if let Some(implied) = implied {
            let implied = canonical_text(implied.round_dp(6));
            sheet.notes[note].evidence(format!(
                "every line is billed at one rate: {} {implied} for {} 1 of ours",
                exchange.from, exchange.into
            ));
        }
        sheet.book(note, *cell, 0, amount)?;
    }
    Ok(())
}

/// The rate every line implies, where there is one.
fn implied_rate(sheet: &Worksheet, cells: &[CellIndex]) -> Option<Decimal> {
    let (mut low, mut high) = (Decimal::MIN, Decimal::MAX);
    for cell in cells {
        let here = &sheet.cells[*cell];
        if here.cost.is_zero() {
            return None;
        }
        low = low.max(here.billed.interval.0.checked_div(here.cost)?);
        high = high.min(here.billed.interval.1.checked_div(here.cost)?);
    }
    (low <= high && !cells.is_empty()).then_some(low)
}
