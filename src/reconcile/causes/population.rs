//! Traffic on the bill that our books never saw: before they began, elsewhere, or while down.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use crate::meter::Meter;
use crate::period::ChargePeriod;
use crate::reconcile::exact::{Inexact, at_price, subtract};
use crate::reconcile::facts::GapFact;
use crate::reconcile::finding::{Cause, Confidence, Mover};
use crate::reconcile::matching::Matched;
use crate::reconcile::owners::Owner;
use crate::reconcile::worksheet::{CellIndex, Group, Worksheet};

/// What the names of models hold that bill a search for each call.
const SEARCH_MODELS: [&str; 2] = ["-search-preview", "-search-api"];

/// Books whole cells that cannot be ours. That nobody here sent something is proven only by books
/// that can lack nothing of the month.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn apply(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    before_books(matched)?;
    foreign_owners(matched)?;
    untied_keys(matched)?;
    unseen_models(matched)?;
    unseen_fees(matched)
}

/// Charge periods that ended before the books' first instant.
fn before_books(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    let Some(began) = matched.inputs.books_began else { return Ok(()) };
    let sheet = &mut matched.sheet;
    for cell in 0..sheet.cells.len() {
        if sheet.slots.span(sheet.cells[cell].key.slot).end > began {
            continue;
        }
        if !sheet.cells[cell].billed.is_there() || sheet.cells[cell].quantity != 0 {
            continue;
        }
        if let Some((quantity, amount)) = lacking(sheet, cell)? {
            let subject = format!("before {began}");
            let note = sheet.note(Cause::BeforeBooks, &subject, Confidence::Proven);
            sheet.notes[note].evidence(format!("our books begin at {began}"));
            sheet.book(note, cell, quantity, amount)?;
        }
    }
    Ok(())
}

/// What keeps the month's books from proving that something did not pass here: a sentence on the
/// first gap in it that may hide traffic.
fn doubt(matched: &Matched<'_>) -> Option<String> {
    let slots = &matched.sheet.slots;
    let spans: Vec<ChargePeriod> =
        (0_u32..).take(slots.len()).map(|slot| slots.span(slot)).collect();
    let month = matched.inputs.period.span();
    let is_within = |gap: &&GapFact| {
        gap.period.overlaps(&month) || spans.iter().any(|span| gap.period.overlaps(span))
    };
    let hiding = matched.inputs.gaps.iter().filter(|gap| gap.may_hide_traffic());
    let first = hiding.filter(is_within).min()?;
    Some(format!("{}, and this may be among them", first.sentence()))
}

/// A finding of traffic that is not ours, as sure as the month's books allow.
fn unlogged(
    sheet: &mut Worksheet,
    subject: &str,
    confidence: Confidence,
    doubt: Option<&str>,
) -> usize {
    let doubt = doubt.filter(|_| confidence == Confidence::Proven);
    let confidence = if doubt.is_some() { Confidence::Consistent } else { confidence };
    let note = sheet.note(Cause::Unlogged, subject, confidence);
    if confidence == Confidence::Assumed {
        // A person said what it is: nothing is left to do about it.
        sheet.notes[note].mover = Some(Mover::Nobody);
    }
    if let Some(doubt) = doubt {
        sheet.notes[note].evidence(doubt).alternative("traffic that passed here without a record");
    }
    note
}

/// Keys, projects, workspaces and surfaces that send nothing through here.
fn foreign_owners(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    let doubt = doubt(matched);
    let sheet = &mut matched.sheet;
    for cell in 0..sheet.cells.len() {
        let Owner::Foreign(foreign) = sheet.owner(sheet.cells[cell].key.owner).clone() else {
            continue;
        };
        if !still_missing(sheet, cell) {
            continue;
        }
        if let Some((quantity, amount)) = lacking(sheet, cell)? {
            let note = unlogged(sheet, &foreign.label, foreign.confidence, doubt.as_deref());
            sheet.notes[note].evidence(foreign.reason.clone());
            sheet.book(note, cell, quantity, amount)?;
        }
    }
    Ok(())
}

/// Keys tied to nothing, beside attempts tied to nothing: a key is booked as not passing here if
/// what it was billed is exactly what is missing in each of its cells.
fn untied_keys(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    if !matched.sheet.grain.key || matched.sheet.grain.quantities_apart {
        return Ok(());
    }
    let mut by_key: BTreeMap<String, BTreeMap<CellIndex, i128>> = BTreeMap::new();
    let sheet = &mut matched.sheet;
    for (index, cell) in sheet.cells.iter().enumerate() {
        if *sheet.owner(cell.key.owner) != Owner::Shared {
            continue;
        }
        for line in &cell.billed.lines {
            let line = matched.lines[*line as usize].line;
            if let (Some(key), Some(quantity)) =
                (matched.owners.key_names.of(&line.dimensions), line.quantity)
            {
                let cells = by_key.entry(key.to_owned()).or_default();
                *cells.entry(index).or_insert(0) += i128::from(quantity);
            }
        }
    }
    for (key, cells) in by_key {
        let missing = cells.iter().all(|(cell, sum)| sheet.gap(*cell) == Some(*sum));
        if !missing || cells.values().all(|sum| *sum == 0) {
            continue;
        }
        let note = sheet.note(Cause::Unlogged, &key, Confidence::Consistent);
        let sentence = format!("on {key}, tied to no caller yet; tie it or mark it known");
        sheet.notes[note].evidence(sentence).evidence(
            "what this key was billed is exactly what our books lack, in every period and meter",
        );
        for (cell, sum) in cells {
            book_quantity(sheet, note, cell, sum)?;
        }
    }
    Ok(())
}

/// Models on the bill that our books never used at all, of an owner that does pass here.
fn unseen_models(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    if !matched.sheet.grain.model || matched.in_cells == 0 {
        return Ok(());
    }
    let doubt = doubt(matched);
    let groups = matched.sheet.groups();
    let unbilled_models = owners_of_unbilled_models(&matched.sheet, &groups);
    let seen = |sheet: &Worksheet, cell: &CellIndex| {
        let cell = &sheet.cells[*cell];
        cell.quantity != 0 || !cell.shown.is_zero() || !cell.stubs.is_empty()
    };
    let is_used = |((_, model), cells): (&Group, &Vec<CellIndex>)| {
        cells.iter().any(|cell| seen(&matched.sheet, cell)).then_some(*model)
    };
    let used: BTreeSet<u32> = groups.iter().filter_map(is_used).collect();
    for ((owner, model), cells) in groups {
        let sheet = &mut matched.sheet;
        if cells.iter().any(|cell| seen(sheet, cell)) || sheet.model(model).is_empty() {
            continue;
        }
        let (evidence, alternative) = match used.contains(&model) {
            true => (
                "our own calls of this model are billed to other keys or projects",
                "calls of ours that the bill prints without their key or project",
            ),
            false => (
                "no attempt of ours was billed for this model",
                "a name of a model we recorded under another one",
            ),
        };
        let confirmed =
            matched.owners.is_confirmed(sheet.owner(owner)) && !unbilled_models.contains(&owner);
        let confidence = if confirmed { Confidence::Proven } else { Confidence::Consistent };
        let subject = sheet.group_words((owner, model));
        for cell in cells {
            if !still_missing(sheet, cell) {
                continue;
            }
            let Some((quantity, amount)) = lacking(sheet, cell)? else { continue };
            let note = unlogged(sheet, &subject, confidence, doubt.as_deref());
            sheet.notes[note].evidence(evidence);
            if !confirmed {
                sheet.notes[note].alternative(alternative);
            }
            sheet.book(note, cell, quantity, amount)?;
        }
    }
    Ok(())
}

/// Fees for a call's tools that stand in no answer's usage: search models bill each call so. The
/// gateway cannot see them, and says so instead of calling them unexplained.
fn unseen_fees(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    let fees = [Meter::WebSearch, Meter::FileSearch, Meter::CodeSession];
    let sheet = &mut matched.sheet;
    let mut searches: BTreeMap<u32, u64> = BTreeMap::new();
    let models = matched.inputs.attempts.iter().filter(|attempt| {
        let model = attempt.model_requested.as_ref().map_or("", |model| model.as_str());
        SEARCH_MODELS.iter().any(|part| model.contains(part))
    });
    for attempt in models {
        if let Some(slot) = sheet.slots.at(attempt.started_at) {
            *searches.entry(slot).or_insert(0) += 1;
        }
    }
    for cell in 0..sheet.cells.len() {
        let key = &sheet.cells[cell].key;
        let Some(meter) = key.meter.filter(|meter| fees.contains(meter)) else { continue };
        if !still_missing(sheet, cell) {
            continue;
        }
        let calls = searches.get(&key.slot).copied().filter(|_| meter == Meter::WebSearch);
        let Some((quantity, amount)) = lacking(sheet, cell)? else { continue };
        let note = sheet.note(Cause::UnseenFee, meter.as_str(), Confidence::Consistent);
        sheet.notes[note]
            .evidence("this fee stands in no answer's usage, so that the gateway cannot see it")
            .alternative("traffic that did not pass through here");
        if calls.is_some() {
            sheet.notes[note].evidence(
                "calls to search models, which bill a search for each, passed here at that time",
            );
        }
        sheet.book(note, cell, quantity, amount)?;
    }
    Ok(())
}

/// Owners with a model that is only in our books: it may be what the bill calls otherwise.
fn owners_of_unbilled_models(
    sheet: &Worksheet,
    groups: &BTreeMap<Group, Vec<CellIndex>>,
) -> BTreeSet<u32> {
    let only_ours = |cells: &Vec<CellIndex>| {
        cells.iter().any(|cell| sheet.cells[*cell].quantity > 0)
            && !cells.iter().any(|cell| sheet.cells[*cell].billed.is_there())
    };
    let found = groups.iter().filter(|(_, cells)| only_ours(cells));
    found.map(|((owner, _), _)| *owner).collect()
}

fn still_missing(sheet: &Worksheet, cell: CellIndex) -> bool {
    let cell = &sheet.cells[cell];
    cell.billed.is_there() && cell.quantity == 0 && cell.cost.is_zero()
}

/// What a cell lacks of its bill: the quantity at the table's price, the billed amount where either
/// is unknown. A line of nothing for nothing lacks nothing, and is no finding.
fn lacking(sheet: &Worksheet, cell: CellIndex) -> Result<Option<(i128, Decimal)>, Inexact> {
    if sheet.cells[cell].billed.other_currency && sheet.price(cell).is_none() {
        return Ok(None);
    }
    let gap = sheet.gap(cell);
    if let (Some(gap), Some(price)) = (gap.filter(|gap| *gap != 0), sheet.price(cell)) {
        return Ok(Some((gap, at_price(price, gap)?)));
    }
    let quantity = gap.unwrap_or(0);
    let amount = subtract(sheet.cells[cell].billed.at_list(), sheet.cells[cell].cost)?;
    Ok((quantity != 0 || amount != Decimal::ZERO).then_some((quantity, amount)))
}

fn book_quantity(
    sheet: &mut Worksheet,
    note: usize,
    cell: CellIndex,
    quantity: i128,
) -> Result<(), Inexact> {
    let amount = match sheet.price(cell) {
        Some(price) => at_price(price, quantity)?,
        None if sheet.cells[cell].billed.other_currency => Decimal::ZERO,
        None => subtract(sheet.cells[cell].billed.at_list(), sheet.cells[cell].cost)?,
    };
    sheet.book(note, cell, quantity, amount)
}
