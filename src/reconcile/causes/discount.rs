//! One ratio on all lines: a contract, printed by the export itself or found in its amounts.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::{Decimal, RoundingStrategy};

use crate::invoice::line::BilledLine;
use crate::money::{canonical_text, exact_add, exact_mul, exact_sub};
use crate::reconcile::bill::slack;
use crate::reconcile::causes::series::Series;
use crate::reconcile::exact::{Inexact, multiply, subtract};
use crate::reconcile::finding::{Cause, Confidence, Mover};
use crate::reconcile::matching::Matched;
use crate::reconcile::worksheet::{CellIndex, Worksheet};

/// A ratio every line admits.
#[derive(Clone, Debug)]
pub(crate) struct Ratio {
    /// With at most four decimals where one fits; else an approximation, for words only.
    value: Decimal,
    round: bool,
    narrow: bool,
    lines: usize,
}

impl Ratio {
    /// Whether a ratio of at most four decimals fits.
    pub(crate) fn is_round(&self) -> bool {
        self.round
    }

    /// Whether five lines or more leave it no room.
    pub(crate) fn is_proof(&self) -> bool {
        self.round && self.narrow && self.lines >= 5
    }

    /// As an alternative names it.
    pub(crate) fn words(&self) -> String {
        let value = self.value.round_dp_with_strategy(6, RoundingStrategy::MidpointAwayFromZero);
        format!("one ratio of {} on all {} lines", canonical_text(value), self.lines)
    }
}

/// The ratio that explains every line of the bill, if one does.
pub(crate) fn of_all(sheet: &Worksheet, series: &[Series]) -> Option<Ratio> {
    let cells: Vec<CellIndex> = series.iter().flat_map(|one| &one.cells).copied().collect();
    ratio(sheet, &cells)
}

/// The ratio of one set of lines; of a single line every ratio could be said, so none is.
/// Quotients only propose; products decide.
fn ratio(sheet: &Worksheet, cells: &[CellIndex]) -> Option<Ratio> {
    let mut low: Option<Decimal> = None;
    let mut high: Option<Decimal> = None;
    let mut widest: Option<(Decimal, Decimal)> = None;
    let priced: Vec<CellIndex> =
        cells.iter().copied().filter(|cell| sheet.cells[*cell].cost > Decimal::ZERO).collect();
    for cell in &priced {
        let here = &sheet.cells[*cell];
        let (from, to) = here.billed.interval;
        let from = from.checked_div(here.cost)?;
        let to = to.checked_div(here.cost)?;
        low = Some(low.map_or(from, |low| low.max(from)));
        high = Some(high.map_or(to, |high| high.min(to)));
        if widest.is_none_or(|(cost, _)| here.cost > cost) {
            widest = Some((here.cost, here.billed.at_list()));
        }
    }
    let (low, high, (cost, billed)) = (low?, high?, widest?);
    if low > high {
        return None;
    }
    let guess = billed.checked_div(cost)?;
    let narrow = exact_sub(high, low).is_some_and(|width| width < Decimal::new(1, 4));
    let lines: usize = priced.iter().map(|cell| sheet.cells[*cell].billed.lines.len()).sum();
    if lines < 2 {
        return None;
    }
    let admits = |value: Decimal| {
        priced.iter().all(|cell| {
            let here = &sheet.cells[*cell];
            exact_mul(here.cost, value).is_some_and(|amount| here.billed.admits(amount))
        })
    };
    for decimals in 1..=4 {
        let value = guess.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero);
        if value != Decimal::ONE && value > Decimal::ZERO && admits(value) {
            return Some(Ratio { value, round: true, narrow, lines });
        }
    }
    Some(Ratio { value: guess, round: false, narrow, lines })
}

/// Books a ratio on the lines that are off.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn book(
    sheet: &mut Worksheet,
    off: &[&Series],
    ratio: &Ratio,
    subject: &str,
    sure: bool,
) -> Result<(), Inexact> {
    let models: BTreeSet<&str> = off.iter().map(|one| one.model.as_str()).collect();
    let sure = sure && models.len() > 1;
    let counted = off
        .iter()
        .flat_map(|one| &one.off)
        .all(|cell| sheet.cells[*cell].billed.quantity.is_some());
    let confidence = if sure && counted { Confidence::Proven } else { Confidence::Consistent };
    let note = sheet.note(Cause::Discount, subject, confidence);
    sheet.notes[note].evidence(format!(
        "{} lines are each {} times our price, within their last printed digit",
        ratio.lines,
        canonical_text(ratio.value)
    ));
    if ratio.value > Decimal::ONE {
        sheet.notes[note].mover = Some(Mover::AskProvider);
    }
    if confidence == Confidence::Consistent {
        sheet.notes[note].alternative("a price our table does not hold");
    }
    for cell in off.iter().flat_map(|one| &one.off) {
        let cost = sheet.cells[*cell].cost;
        let amount = subtract(multiply(cost, ratio.value)?, cost)?;
        sheet.book(note, *cell, 0, amount)?;
    }
    Ok(())
}

/// Series no price of the table explains: one ratio for all of them, else one per model.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn of_models(matched: &mut Matched<'_>, open: &[&Series]) -> Result<(), Inexact> {
    let sheet = &mut matched.sheet;
    let cells: Vec<CellIndex> = open.iter().flat_map(|one| &one.cells).copied().collect();
    if let Some(ratio) = ratio(sheet, &cells).filter(Ratio::is_round) {
        let subject = open.iter().map(|one| one.model.as_str()).collect::<BTreeSet<_>>();
        let subject = subject.into_iter().collect::<Vec<_>>().join(", ");
        return book(sheet, open, &ratio, &subject, false);
    }
    let mut by_model: BTreeMap<&str, Vec<&Series>> = BTreeMap::new();
    for one in open {
        by_model.entry(&one.model).or_default().push(one);
    }
    for (model, series) in by_model {
        let cells: Vec<CellIndex> = series.iter().flat_map(|one| &one.cells).copied().collect();
        if let Some(ratio) = ratio(sheet, &cells).filter(Ratio::is_round) {
            book(sheet, &series, &ratio, model, false)?;
        }
    }
    Ok(())
}

/// Where the export prints list price and charged price, their difference is the discount.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn printed(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    let of_all = printed_ratio(matched, None);
    let mut by_model: BTreeMap<Option<u32>, Vec<CellIndex>> = BTreeMap::new();
    for (index, cell) in matched.sheet.cells.iter().enumerate() {
        let differs = cell.billed.list.is_some_and(|list| list != cell.billed.amount);
        if differs && !cell.billed.other_currency {
            let model = of_all.is_none().then_some(cell.key.model);
            by_model.entry(model).or_default().push(index);
        }
    }
    for (model, cells) in by_model {
        let ratio = printed_ratio(matched, model);
        let sheet = &mut matched.sheet;
        let confidence = if ratio.is_some() { Confidence::Proven } else { Confidence::Consistent };
        let subject = match model.map(|model| sheet.model(model)) {
            None | Some("") => "all lines".to_owned(),
            Some(model) => model.to_owned(),
        };
        let note = sheet.note(Cause::Discount, &subject, confidence);
        sheet.notes[note].evidence(match ratio {
            Some(ratio) => format!(
                "the export prints list price and charged price; every line is charged at {} of list, \
                 within its last printed digit",
                canonical_text(ratio)
            ),
            None => "the export prints list price and charged price; no one ratio fits them".into(),
        });
        for cell in cells {
            let billed = &sheet.cells[cell].billed;
            let amount = subtract(billed.amount, billed.at_list())?;
            sheet.book(note, cell, 0, amount)?;
        }
    }
    Ok(())
}

/// The ratio of at most four decimals between both printed columns, on every line of a model, or
/// of the bill.
fn printed_ratio(matched: &Matched<'_>, model: Option<u32>) -> Option<Decimal> {
    let cells = matched.sheet.cells.iter();
    let cells = cells.filter(|cell| model.is_none_or(|model| cell.key.model == model));
    let lines: Vec<_> = cells
        .flat_map(|cell| &cell.billed.lines)
        .map(|line| matched.lines[*line as usize].line)
        .collect();
    let largest = lines.iter().max_by_key(|line| line.list_cost)?;
    let guess = largest.billed_cost.checked_div(largest.list_cost?)?;
    let fits = |ratio: Decimal| lines.iter().all(|line| line_fits(line, ratio).unwrap_or(false));
    let rounded = (1..=4)
        .map(|digits| guess.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero));
    let mut rounded = rounded;
    rounded.find(|ratio| fits(*ratio))
}

/// Whether a line's two printed amounts can be this ratio apart, each within its last digit.
fn line_fits(line: &BilledLine, ratio: Decimal) -> Option<bool> {
    let (below, above) = slack(line.precision, line.shown_decimals);
    let (low, high) = (exact_sub(line.billed_cost, below)?, exact_add(line.billed_cost, above)?);
    let list = line.list_cost?;
    let from = exact_mul(exact_sub(list, below)?, ratio)?;
    let to = exact_mul(exact_add(list, above)?, ratio)?;
    Some(from <= high && low <= to)
}
