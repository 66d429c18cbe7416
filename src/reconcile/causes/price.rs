//! Another price than the book's: an older or newer one, one of other conditions, or none at all.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::money::{Currency, canonical_text, exact_mul};
use crate::period::DAY_US;
use crate::reconcile::causes::discount::{self, Ratio};
use crate::reconcile::causes::series::{Series, all_admit, all_series, is_our_rounding};
use crate::reconcile::causes::stale_discount;
use crate::reconcile::exact::{Inexact, add, at_price, subtract};
use crate::reconcile::finding::{Cause, Confidence};
use crate::reconcile::matching::Matched;
use crate::reconcile::rates::{Rate, RateIndex};
use crate::reconcile::worksheet::{CellIndex, Worksheet};

/// A price that fits every line that ours does not.
#[derive(Clone, Debug)]
struct Fit {
    rate: RateIndex,
    price: Decimal,
    same_conditions: bool,
}

/// Books every difference of price, and sets our side to the bill, save for its printed rounding.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn apply(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    unpriced(&mut matched.sheet)?;
    let series = all_series(&matched.sheet)?;
    let off: Vec<&Series> = series.iter().filter(|one| !one.off.is_empty()).collect();
    if !off.is_empty() {
        let ratio = discount::of_all(&matched.sheet, &series);
        let fits: Vec<Vec<Fit>> =
            off.iter().map(|one| fits(&matched.sheet, one)).collect::<Result<_, _>>()?;
        let unfitted = off.iter().zip(&fits).filter(|(_, fits)| fits.is_empty());
        let unfitted: Vec<&Series> = unfitted.map(|(one, _)| *one).collect();
        let sheet = &mut matched.sheet;
        match ratio.as_ref().filter(|ratio| ratio.is_round() && !unfitted.is_empty()) {
            Some(ratio) => discount::book(sheet, &off, ratio, "all lines", ratio.is_proof())?,
            None if !unfitted.is_empty() && stale_discount::apply(sheet, &series)? => {}
            None => {
                for (one, fits) in off.iter().zip(&fits) {
                    book_fit(matched, one, fits, ratio.as_ref())?;
                }
                let still = change_dates(matched, &unfitted)?;
                discount::of_models(matched, &still)?;
            }
        }
    }
    leave_rest_open(matched)
}

/// Quantities that agree and for which our table has no price.
fn unpriced(sheet: &mut Worksheet) -> Result<(), Inexact> {
    for cell in 0..sheet.cells.len() {
        let here = &sheet.cells[cell];
        if here.unpriced == 0 || here.billed.other_currency || !here.billed.is_there() {
            continue;
        }
        let amount = match sheet.price(cell) {
            Some(price) => at_price(price, i128::from(here.unpriced))?,
            None => subtract(here.billed.at_list(), here.cost)?,
        };
        let subject = sheet.group_words((here.key.owner, here.key.model));
        let note = sheet.note(Cause::Unpriced, &subject, Confidence::Proven);
        sheet.notes[note].evidence("our price table has no price for these units");
        sheet.book(note, cell, 0, amount)?;
    }
    Ok(())
}

/// The other prices of the table that every line off ours admits, versions first.
fn fits(sheet: &Worksheet, series: &Series) -> Result<Vec<Fit>, Inexact> {
    let Some(first) = series.off.first() else { return Ok(Vec::new()) };
    let current = sheet.rate_of(*first).and_then(|rate| sheet.rates.get(rate));
    // Our own price is not left out: where calls of several tiers share a line, it may be that of
    // all of them on the bill.
    let mut seen: BTreeSet<Decimal> = BTreeSet::new();
    let mut found: Vec<Fit> = Vec::new();
    for (index, rate) in sheet.rates.series(&series.model, series.meter) {
        let Some(price) = rate.unit_price.filter(|price| !seen.contains(price)) else { continue };
        if all_admit(sheet, &series.off, price)? {
            seen.insert(price);
            let same_conditions = current.is_none_or(|current| current.sku == rate.sku);
            found.push(Fit { rate: index, price, same_conditions });
        }
    }
    found.sort_by_key(|fit| !fit.same_conditions);
    Ok(found)
}

fn quantities_known(sheet: &Worksheet, cells: &[CellIndex]) -> bool {
    cells.iter().all(|cell| sheet.cells[*cell].billed.quantity.is_some())
}

/// Books the first price that fits, with the others as alternatives.
fn book_fit(
    matched: &mut Matched<'_>,
    series: &Series,
    fits: &[Fit],
    ratio: Option<&Ratio>,
) -> Result<(), Inexact> {
    let Some((fit, others)) = fits.split_first() else { return Ok(()) };
    let sheet = &mut matched.sheet;
    let rate = sheet.rates.get(fit.rate).cloned();
    let undecided: Vec<CellIndex> =
        series.cells.iter().copied().filter(|cell| !series.off.contains(cell)).collect();
    let everywhere = all_admit(sheet, &undecided, fit.price)?;
    let from = (!everywhere).then(|| switch_day(sheet, series)).flatten();
    let ran = conditions_of(sheet, &series.off);
    let cause = match (fit.same_conditions && ran.len() < 2, everywhere, from) {
        (false, ..) => Cause::PriceConditions,
        (true, false, Some(_)) => Cause::PriceChangeDate,
        _ => Cause::PriceVersion,
    };
    let alone = others.is_empty() && ratio.is_none();
    let sure = alone && quantities_known(sheet, &series.off) && (everywhere || from.is_some());
    let confidence = if sure { Confidence::Proven } else { Confidence::Consistent };
    let note = sheet.note(cause, &series.model, confidence);
    for other in others {
        let words = sheet
            .rates
            .get(other.rate)
            .map(|rate| price_words(rate, sheet.currency))
            .unwrap_or_default();
        sheet.notes[note].alternative(words);
    }
    if let Some(ratio) = ratio {
        sheet.notes[note].alternative(ratio.words());
    }
    let words = rate.as_ref().map(|rate| price_words(rate, sheet.currency)).unwrap_or_default();
    sheet.notes[note].evidence(format!("every line that is off fits {words}"));
    if let Some(day) = from {
        sheet.notes[note].evidence(format!("{}: from or until {day}", series.meter));
    }
    if ran.len() > 1 {
        let ran = ran.into_iter().collect::<Vec<_>>().join(" and ");
        sheet.notes[note].evidence(format!(
            "the bill does not tell tiers apart here; of the calls on these lines some ran {ran}"
        ));
    }
    for cell in &series.off {
        let here = &sheet.cells[*cell];
        let amount = subtract(at_price(fit.price, here.quantity)?, here.cost)?;
        sheet.book(note, *cell, 0, amount)?;
    }
    Ok(())
}

/// The conditions that the calls behind cells ran under, in words; one where all ran alike.
fn conditions_of(sheet: &Worksheet, cells: &[CellIndex]) -> BTreeSet<String> {
    let stubs = cells.iter().flat_map(|cell| &sheet.cells[*cell].stubs);
    let rates = stubs.filter_map(|stub| sheet.rates.get(sheet.stubs[*stub as usize].rate?));
    let words = rates.map(|rate| match rate.sku.words() {
        plain if plain.is_empty() => "as standard".to_owned(),
        words => format!("as {words}"),
    });
    words.collect()
}

/// A price as a sentence names it.
pub(crate) fn price_words(rate: &Rate, currency: Currency) -> String {
    let per_million = rate.unit_price.and_then(|price| exact_mul(price, Decimal::from(1_000_000)));
    let price = per_million.map(canonical_text).unwrap_or_default();
    let mut words = format!("the price {currency} {price} per million of {}", rate.meter);
    let sku = rate.sku.words();
    if !sku.is_empty() {
        words.push_str(&format!(" ({sku})"));
    }
    match (rate.from, rate.until) {
        (Some(from), Some(until)) => words.push_str(&format!(", {from} to {until}")),
        (Some(from), None) => words.push_str(&format!(", from {from}")),
        _ => {}
    }
    if !rate.source.is_empty() {
        words.push_str(&format!(" ({})", rate.source));
    }
    words
}

/// The day at which lines that are off begin or end, where they are one run to an edge.
fn switch_day(sheet: &Worksheet, series: &Series) -> Option<NaiveDate> {
    let slot = |cell: &CellIndex| sheet.cells[*cell].key.slot;
    let off: BTreeSet<u32> = series.off.iter().map(slot).collect();
    let fine = series.cells.iter().filter(|cell| !series.off.contains(cell));
    let fine: BTreeSet<u32> = fine.map(slot).collect();
    let (first, last) = (*off.first()?, *off.last()?);
    if fine.iter().all(|slot| *slot < first) {
        Some(sheet.slots.label(first))
    } else if fine.iter().all(|slot| *slot > last) {
        Some(sheet.slots.last_label(last))
    } else {
        None
    }
}

/// In periods longer than a day: the one day at which two prices of the table, before and after,
/// give the billed amount. Returns the series that are still open.
fn change_dates<'s>(
    matched: &mut Matched<'_>,
    series: &[&'s Series],
) -> Result<Vec<&'s Series>, Inexact> {
    let mut open = Vec::new();
    let mut found: BTreeMap<&str, Vec<Changed<'_>>> = BTreeMap::new();
    for one in series {
        let splits: Vec<(CellIndex, Vec<Split>)> = one
            .off
            .iter()
            .map(|cell| Ok((*cell, splits(matched, one, *cell)?)))
            .collect::<Result<_, Inexact>>()?;
        if splits.iter().any(|(_, splits)| splits.is_empty()) {
            open.push(*one);
            continue;
        }
        let of_model = found.entry(&one.model).or_default();
        of_model.extend(splits.into_iter().map(|(cell, splits)| (*one, cell, splits)));
    }
    for cells in found.into_values() {
        let days: BTreeSet<NaiveDate> =
            cells.iter().flat_map(|(.., splits)| splits.iter().map(|split| split.day)).collect();
        for (series, cell, splits) in cells {
            book_change(&mut matched.sheet, series, cell, &splits, days.len() == 1)?;
        }
    }
    Ok(open)
}

/// A cell with the splits that fit it.
type Changed<'s> = (&'s Series, CellIndex, Vec<Split>);

/// A split of a cell's units at a day, and the prices before and after it.
struct Split {
    day: NaiveDate,
    amount: Decimal,
    words: String,
}

fn splits(matched: &Matched<'_>, series: &Series, cell: CellIndex) -> Result<Vec<Split>, Inexact> {
    let sheet = &matched.sheet;
    let mut splits: Vec<Split> = Vec::new();
    let span = sheet.slots.span(sheet.cells[cell].key.slot);
    if span.end.micros().saturating_sub(span.start.micros()) <= DAY_US {
        return Ok(splits);
    }
    let mut by_day: BTreeMap<NaiveDate, i128> = BTreeMap::new();
    for stub in &sheet.cells[cell].stubs {
        let stub = sheet.stubs[*stub as usize];
        let day = matched.inputs.attempts[stub.attempt as usize].started_at.day();
        *by_day.entry(day).or_insert(0) += i128::from(stub.quantity);
    }
    let total: i128 = by_day.values().sum();
    let Some(current) = sheet.price(cell).filter(|_| total == sheet.cells[cell].quantity) else {
        return Ok(splits);
    };
    for (_, rate) in sheet.rates.series(&series.model, series.meter) {
        let Some(price) = rate.unit_price.filter(|price| *price != current) else { continue };
        for (before, after) in [(current, price), (price, current)] {
            let mut earlier = 0;
            for (day, quantity) in &by_day {
                let amount = add(at_price(before, earlier)?, at_price(after, total - earlier)?)?;
                if earlier > 0 && sheet.cells[cell].billed.admits(amount) {
                    splits.push(Split {
                        day: *day,
                        amount,
                        words: price_words(rate, sheet.currency),
                    });
                }
                earlier += quantity;
            }
        }
    }
    Ok(splits)
}

/// Books the first split; proven where the model's lines leave one day only.
fn book_change(
    sheet: &mut Worksheet,
    series: &Series,
    cell: CellIndex,
    splits: &[Split],
    one_day: bool,
) -> Result<(), Inexact> {
    let Some((split, others)) = splits.split_first() else { return Ok(()) };
    let known = sheet.cells[cell].billed.quantity.is_some();
    let sure = one_day && others.is_empty() && known;
    let confidence = if sure { Confidence::Proven } else { Confidence::Consistent };
    let amount = subtract(split.amount, sheet.cells[cell].cost)?;
    let note = sheet.note(Cause::PriceChangeDate, &series.model, confidence);
    sheet.notes[note].evidence(format!(
        "{}: the billed amount is met if the price changed on {}: {}",
        series.meter, split.day, split.words
    ));
    for other in others {
        sheet.notes[note].alternative(format!("a change on {}", other.day));
    }
    sheet.book(note, cell, 0, amount)
}

/// What no price explains, and what the bill is too coarse to tell. Printed rounding is left for
/// its own step; so is a bill in another currency.
fn leave_rest_open(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    let sheet = &mut matched.sheet;
    let missing = sheet.grain.missing();
    for cell in 0..sheet.cells.len() {
        let here = &sheet.cells[cell];
        if here.billed.other_currency
            || here.billed.admits(here.cost)
            || is_our_rounding(sheet, cell)?
        {
            continue;
        }
        let amount = subtract(here.billed.at_list(), here.cost)?;
        let subject = sheet.group_words((here.key.owner, here.key.model));
        let counted = here.billed.quantity.is_some();
        let note = match (missing, counted) {
            (Some(missing), _) => {
                let note = sheet.note(Cause::NotResolvable, &subject, Confidence::Unexplained);
                sheet.notes[note].evidence(format!("to tell more, the bill would need {missing}"));
                note
            }
            (None, false) => {
                let note = sheet.note(Cause::NotResolvable, &subject, Confidence::Unexplained);
                sheet.notes[note].evidence(
                    "to tell price from quantity, the bill would need quantities (import the \
                     token or usage export of the same days)",
                );
                note
            }
            (None, true) => {
                let (charged, units) = (!here.billed.lines.is_empty(), here.billed.quantity);
                let note = sheet.note(Cause::PriceUnexplained, &subject, Confidence::Unexplained);
                sheet.notes[note].evidence(match (charged, units) {
                    (false, _) => {
                        "the provider's usage export counts these units, and its cost export has \
                         no line for them"
                    }
                    (true, Some(0)) => {
                        "the provider's cost export charges for these, and its usage export counts \
                         no units of them"
                    }
                    (true, _) => "no price of the table gives the billed amount",
                });
                note
            }
        };
        sheet.book(note, cell, 0, amount)?;
    }
    Ok(())
}
