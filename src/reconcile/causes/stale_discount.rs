//! An old price and a contract at once: one ratio on all lines, some of them at another price.

use std::collections::BTreeSet;

use rust_decimal::{Decimal, RoundingStrategy};

use crate::money::canonical_text;
use crate::reconcile::causes::series::{Series, all_admit};
use crate::reconcile::exact::{Inexact, at_price, multiply, subtract};
use crate::reconcile::finding::{Cause, Confidence};
use crate::reconcile::worksheet::Worksheet;

/// Fewer lines than this let a ratio and a choice of prices say anything.
const LINES_MIN: usize = 5;

/// A ratio, and for each series the price it applies to.
struct Combination {
    ratio: Decimal,
    prices: Vec<Decimal>,
}

/// Books the versions and the ratio that together explain every line; says whether there were any.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn apply(sheet: &mut Worksheet, series: &[Series]) -> Result<bool, Inexact> {
    let Some(found) = find(sheet, series)? else { return Ok(false) };
    let words = canonical_text(found.ratio);
    for (one, price) in series.iter().zip(&found.prices) {
        for cell in &one.cells {
            let stale =
                subtract(at_price(*price, sheet.cells[*cell].quantity)?, sheet.cells[*cell].cost)?;
            if !stale.is_zero() {
                let note = sheet.note(Cause::PriceVersion, &one.model, Confidence::Consistent);
                sheet.notes[note].evidence(format!(
                    "{}: every line is {words} times another price of the table",
                    one.meter
                ));
                sheet.notes[note].alternative("a ratio of its own for this model");
                sheet.book(note, *cell, 0, stale)?;
            }
            let cost = sheet.cells[*cell].cost;
            let note = sheet.note(Cause::Discount, "all lines", Confidence::Consistent);
            sheet.notes[note]
                .evidence(format!("one ratio of {words}, some models at another price"));
            sheet.notes[note].alternative("prices our table does not hold");
            let amount = subtract(multiply(cost, found.ratio)?, cost)?;
            sheet.book(note, *cell, 0, amount)?;
        }
    }
    Ok(true)
}

fn find(sheet: &Worksheet, series: &[Series]) -> Result<Option<Combination>, Inexact> {
    let lines: usize = series
        .iter()
        .flat_map(|one| &one.cells)
        .map(|cell| sheet.cells[*cell].billed.lines.len())
        .sum();
    if lines < LINES_MIN || series.len() < 2 {
        return Ok(None);
    }
    let options: Vec<Vec<Decimal>> = series.iter().map(|one| options(sheet, one)).collect();
    for ratio in proposals(sheet, series, &options) {
        let mut prices = Vec::new();
        for (one, options) in series.iter().zip(&options) {
            let fits = |price: &&Decimal| -> Result<bool, Inexact> {
                all_admit(sheet, &one.cells, multiply(**price, ratio)?)
            };
            let fitting = options.iter().find(|price| fits(price).unwrap_or(false));
            prices.extend(fitting);
        }
        if prices.len() == series.len() {
            return Ok(Some(Combination { ratio, prices }));
        }
    }
    Ok(None)
}

/// The book price of a series, then its other versions.
fn options(sheet: &Worksheet, series: &Series) -> Vec<Decimal> {
    let rate = series.cells.first().and_then(|cell| sheet.rate_of(*cell));
    let current = rate.and_then(|rate| sheet.rates.get(rate));
    let mut prices: Vec<Decimal> = current.and_then(|rate| rate.unit_price).into_iter().collect();
    for (_, rate) in sheet.rates.series(&series.model, series.meter) {
        let same = current.is_none_or(|current| current.sku == rate.sku);
        if let Some(price) = rate.unit_price.filter(|price| same && !prices.contains(price)) {
            prices.push(price);
        }
    }
    prices
}

/// Ratios of at most four decimals that the largest line of each series suggests, plain ones first.
fn proposals(
    sheet: &Worksheet,
    series: &[Series],
    options: &[Vec<Decimal>],
) -> impl Iterator<Item = Decimal> + use<> {
    let mut found: BTreeSet<(u32, Decimal)> = BTreeSet::new();
    for (one, options) in series.iter().zip(options) {
        let largest = one.cells.iter().max_by_key(|cell| sheet.cells[**cell].quantity);
        let Some(here) = largest.map(|cell| &sheet.cells[*cell]) else { continue };
        for price in options {
            let full = at_price(*price, here.quantity).ok();
            let guess = full.and_then(|full| here.billed.at_list().checked_div(full));
            let Some(guess) = guess.filter(|guess| *guess > Decimal::ZERO) else { continue };
            for decimals in 1..=4 {
                let strategy = RoundingStrategy::MidpointAwayFromZero;
                let ratio = guess.round_dp_with_strategy(decimals, strategy).normalize();
                if !ratio.is_zero() && ratio != Decimal::ONE {
                    found.insert((ratio.scale(), ratio));
                }
            }
        }
    }
    found.into_iter().map(|(_, ratio)| ratio)
}
