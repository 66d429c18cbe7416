//! Other quantities than recorded: estimates, unknown usage, gaps of our books, or no reason found.

use std::collections::{BTreeMap, BTreeSet};

use crate::meter::Meter;
use crate::reconcile::exact::{Inexact, at_price, subtract};
use crate::reconcile::facts::AttemptFact;
use crate::reconcile::finding::{Cause, Confidence};
use crate::reconcile::matching::Matched;
use crate::reconcile::worksheet::{CellIndex, Group, Worksheet};
use crate::usage::UsageSource;

/// Sets every quantity to the billed one.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn apply(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    let mut unknown: BTreeMap<(Group, u32), Vec<u32>> = BTreeMap::new();
    for one in &matched.unknown {
        if let Some(slot) = matched.sheet.slots.at(one.started_at) {
            unknown.entry(((one.owner, one.model), slot)).or_default().push(one.attempt);
        }
    }
    for (group, cells) in matched.sheet.groups() {
        for (slot, cells) in matched.sheet.by_slot(&cells) {
            let open: Vec<CellIndex> = cells
                .iter()
                .copied()
                .filter(|cell| matched.sheet.gap(*cell).is_some_and(|gap| gap != 0))
                .collect();
            if open.is_empty() {
                continue;
            }
            let open = estimates(matched, group, open)?;
            let open = unknown_usage(matched, &unknown, (group, slot), open)?;
            for cell in open {
                in_a_gap_or_unexplained(matched, group, cell)?;
            }
        }
    }
    nothing_billed(&mut matched.sheet)
}

/// The estimated attempts of a cell, and how far the truth may lie below and above them.
pub(crate) struct Estimated {
    /// The attempts.
    pub attempts: BTreeSet<u32>,
    /// What they were estimated at: the most that can be too much.
    pub held: i128,
    /// The most that can be too little.
    pub above: i128,
}

impl Estimated {
    /// Whether estimates alone can be off by this.
    pub(crate) fn admits(&self, gap: i128) -> bool {
        !self.attempts.is_empty() && -self.held <= gap && gap <= self.above
    }
}

/// What was estimated in a cell.
pub(crate) fn estimated(sheet: &Worksheet, attempts: &[AttemptFact], cell: CellIndex) -> Estimated {
    let is_output = sheet.cells[cell].key.meter.is_some_and(Meter::is_output);
    let mut found = Estimated { attempts: BTreeSet::new(), held: 0, above: 0 };
    for stub in &sheet.cells[cell].stubs {
        let stub = sheet.stubs[*stub as usize];
        let source = attempts[stub.attempt as usize].usage_source;
        if matches!(source, UsageSource::Counted | UsageSource::Partial) {
            found.held += i128::from(stub.quantity);
            found.attempts.insert(stub.attempt);
        }
    }
    let ceiling = |one: &u32| {
        let attempt = &attempts[*one as usize];
        let most = if is_output { attempt.max_output } else { attempt.max_input };
        most.map(i128::from)
    };
    let most: Option<i128> = found.attempts.iter().map(ceiling).sum();
    found.above = most.map_or(found.held, |most| (most - found.held).max(0));
    found
}

/// Cells whose gap lies within what our estimates there can be off by.
fn estimates(
    matched: &mut Matched<'_>,
    group: (u32, u32),
    open: Vec<CellIndex>,
) -> Result<Vec<CellIndex>, Inexact> {
    let attempts = &matched.inputs.attempts;
    let sheet = &mut matched.sheet;
    let (mut left, mut explained) = (Vec::new(), Vec::new());
    for cell in open {
        let gap = sheet.gap(cell).unwrap_or(0);
        let found = estimated(sheet, attempts, cell);
        if found.admits(gap) {
            explained.push((cell, gap, found));
        } else {
            left.push(cell);
        }
    }
    for (cell, gap, found) in explained {
        let subject = sheet.group_words(group);
        let one = found.attempts.len() == 1 && left.is_empty();
        let confidence = if one { Confidence::Proven } else { Confidence::Consistent };
        let note = sheet.note(Cause::EstimateTrueUp, &subject, confidence);
        sheet.notes[note].evidence(format!(
            "{} attempts were estimated; at most {} units more are possible",
            found.attempts.len(),
            found.above
        ));
        sheet.notes[note].about(found.attempts, "attempts whose usage is our estimate");
        if !one {
            sheet.notes[note].alternative("traffic on the same key that did not pass through here");
        }
        book_gap(sheet, note, cell, gap)?;
    }
    Ok(left)
}

/// Attempts of unknown usage that can have used what the bill has more.
fn unknown_usage(
    matched: &mut Matched<'_>,
    unknown: &BTreeMap<(Group, u32), Vec<u32>>,
    (group, slot): (Group, u32),
    open: Vec<CellIndex>,
) -> Result<Vec<CellIndex>, Inexact> {
    let attempts = &matched.inputs.attempts;
    let Some(here) = unknown.get(&(group, slot)).cloned() else { return Ok(open) };
    let most = |bound: fn(&AttemptFact) -> Option<u64>| -> Option<i128> {
        here.iter().map(|one| bound(&attempts[*one as usize]).map(i128::from)).sum()
    };
    let (most_input, most_output) = (most(|one| one.max_input), most(|one| one.max_output));
    let sheet = &mut matched.sheet;
    let fits = |cell: &CellIndex| {
        let is_output = sheet.cells[*cell].key.meter.is_some_and(Meter::is_output);
        let bound = if is_output { most_output } else { most_input };
        let gap = sheet.gap(*cell).unwrap_or(0);
        gap > 0 && bound.is_none_or(|bound| gap <= bound)
    };
    if !open.iter().all(fits) {
        return Ok(open);
    }
    let bounded = most_input.is_some() && most_output.is_some();
    let one = here.len() == 1 && bounded;
    let confidence = if one { Confidence::Proven } else { Confidence::Consistent };
    let subject = sheet.group_words(group);
    let note = sheet.note(Cause::AbortedBilled, &subject, confidence);
    sheet.notes[note].evidence(format!(
        "{} attempts ended without usage; what the bill has more is within what they can hold",
        here.len()
    ));
    if !one {
        sheet.notes[note].alternative("traffic on the same key that did not pass through here");
    }
    sheet.notes[note].about(here, "attempts that ended without usage");
    for cell in open {
        let gap = sheet.gap(cell).unwrap_or(0);
        book_gap(sheet, note, cell, gap)?;
    }
    Ok(Vec::new())
}

/// What no test explains, less what a gap in our books may hide.
fn in_a_gap_or_unexplained(
    matched: &mut Matched<'_>,
    group: (u32, u32),
    cell: CellIndex,
) -> Result<(), Inexact> {
    let sheet = &mut matched.sheet;
    let gap = sheet.gap(cell).unwrap_or(0);
    let span = sheet.slots.span(sheet.cells[cell].key.slot);
    let mut gaps = matched.inputs.gaps.iter();
    let down = gaps.find(|one| one.may_hide_traffic() && one.period.overlaps(&span));
    let began = matched.inputs.books_began.filter(|began| span.contains(*began));
    let subject = sheet.group_words(group);
    let note = match (gap > 0, down, began) {
        (true, Some(down), _) => {
            let note = sheet.note(Cause::WhileDown, &subject, Confidence::Consistent);
            sheet.notes[note].evidence(down.sentence());
            note
        }
        (true, None, Some(began)) => {
            let subject = format!("before {began}");
            let note = sheet.note(Cause::BeforeBooks, &subject, Confidence::Consistent);
            sheet.notes[note].evidence(format!("our books begin at {began}, inside this period"));
            note
        }
        (true, None, None) => {
            let note = sheet.note(Cause::QuantityUnexplained, &subject, Confidence::Unexplained);
            sheet.notes[note]
                .evidence("the bill has more units than our books")
                .alternative("traffic on the same key that did not pass through here");
            note
        }
        (false, ..) => {
            let note = sheet.note(Cause::QuantityUnexplained, &subject, Confidence::Unexplained);
            sheet.notes[note]
                .evidence("the bill has fewer units than our books")
                .alternative("attempts the provider did not bill or has not billed yet");
            note
        }
    };
    if sheet.cells[cell].rate.is_some() && spans_versions(sheet, cell) {
        sheet.notes[note].evidence("the period spans two prices; the last of them was used");
    }
    book_gap(sheet, note, cell, gap)
}

fn spans_versions(sheet: &Worksheet, cell: CellIndex) -> bool {
    let price = |stub: &u32| {
        let rate = sheet.stubs[*stub as usize].rate;
        rate.and_then(|rate| sheet.rates.get(rate)).and_then(|rate| rate.unit_price)
    };
    let mut prices = sheet.cells[cell].stubs.iter().filter_map(price);
    let first = prices.next();
    first.is_some_and(|first| prices.any(|price| price != first))
}

/// Cells our books have and the bill does not, on a bill that prints no quantities, or none at all.
fn nothing_billed(sheet: &mut Worksheet) -> Result<(), Inexact> {
    let is_empty = sheet.cells.iter().all(|cell| !cell.billed.is_there());
    if !sheet.grain.meter && !is_empty {
        return Ok(());
    }
    for cell in 0..sheet.cells.len() {
        let here = &sheet.cells[cell];
        if here.billed.is_there() || here.billed.quantity.is_some() || here.cost.is_zero() {
            continue;
        }
        let (quantity, cost) = (here.quantity, here.cost);
        let subject = sheet.group_words((here.key.owner, here.key.model));
        let note = sheet.note(Cause::QuantityUnexplained, &subject, Confidence::Unexplained);
        sheet.notes[note].evidence(match is_empty {
            true => "the export has no charge at all in these days",
            false => "our books have charges where the bill has no line",
        });
        sheet.book(note, cell, -quantity, -cost)?;
    }
    Ok(())
}

/// Sets a cell's quantity to the billed one, at the book price; where no price is known, at what
/// the bill says.
fn book_gap(sheet: &mut Worksheet, note: usize, cell: CellIndex, gap: i128) -> Result<(), Inexact> {
    let here = &sheet.cells[cell];
    let amount = match sheet.price(cell) {
        Some(price) => at_price(price, gap)?,
        None if here.unpriced == 0 && !here.billed.other_currency => {
            subtract(here.billed.at_list(), here.cost)?
        }
        None => rust_decimal::Decimal::ZERO,
    };
    sheet.book(note, cell, gap, amount)
}
