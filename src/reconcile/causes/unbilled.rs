//! Attempts one side leaves out: only fixed predicates are tried, never a subset that happens to fit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::money::Amount;
use crate::reconcile::exact::Inexact;
use crate::reconcile::facts::{AttemptFact, Ending};
use crate::reconcile::finding::{Cause, Confidence};
use crate::reconcile::matching::Matched;
use crate::reconcile::stubs::Loose;
use crate::reconcile::worksheet::{CellIndex, CellKey, Worksheet};

/// What a predicate selects in one cell.
#[derive(Clone, Debug, Default)]
struct Share {
    quantity: i128,
    amount: Amount,
    attempts: BTreeSet<u32>,
}

/// Shares by predicate, then by cell.
type Shares = BTreeMap<Cause, BTreeMap<CellIndex, Share>>;

/// Removes attempts the provider did not bill, and adds those it billed after all.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn apply(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    let duplicates = duplicates(matched);
    let attempts = &matched.inputs.attempts;
    let sheet = &mut matched.sheet;
    for (group, cells) in sheet.groups() {
        let subject = sheet.group_words(group);
        for cells in sheet.by_slot(&cells).values() {
            if cells.iter().any(|cell| sheet.gap(*cell).is_some_and(|gap| gap < 0)) {
                let shares = shares(sheet, cells, attempts, &duplicates);
                remove(sheet, cells, &shares, &subject)?;
            }
        }
    }
    add_held_out(matched)
}

/// The predicate an attempt falls under.
fn predicate(attempt: &AttemptFact) -> Option<Cause> {
    Some(match attempt.ending {
        Ending::ProviderError => Cause::UnbilledProviderError,
        Ending::RequestRefused => Cause::UnbilledRequestRefused,
        Ending::TimedOut => Cause::UnbilledTimeout,
        Ending::ClientGoneEarly => Cause::UnbilledClientGone,
        Ending::CutShort => Cause::UnbilledCutShort,
        Ending::HedgeLost => Cause::UnbilledHedgeLost,
        Ending::ContentFiltered => Cause::UnbilledContentFilter,
        Ending::CacheHit => Cause::UnbilledCacheHit,
        Ending::Completed | Ending::Orphaned => return None,
    })
}

/// Attempts that bear the provider's request id, key and second of an earlier one.
fn duplicates(matched: &Matched<'_>) -> BTreeSet<u32> {
    let short = |cell| matched.sheet.gap(cell).is_some_and(|gap| gap < 0);
    if !(0..matched.sheet.cells.len()).any(short) {
        return BTreeSet::new();
    }
    let mut first: HashMap<_, u32> = HashMap::new();
    let mut found = BTreeSet::new();
    let attempts = &matched.inputs.attempts;
    for (index, attempt) in (0_u32..).zip(attempts) {
        let Some(id) = &attempt.provider_request_id else { continue };
        let second = attempt.started_at.micros().div_euclid(crate::period::SECOND_US);
        match first.entry((id, &attempt.credential, second)) {
            std::collections::hash_map::Entry::Vacant(free) => drop(free.insert(index)),
            std::collections::hash_map::Entry::Occupied(mut taken) => {
                let other = *taken.get();
                let later = attempt.attempt > attempts[other as usize].attempt;
                found.insert(if later { index } else { taken.insert(index) });
            }
        }
    }
    found
}

fn shares(
    sheet: &Worksheet,
    cells: &[CellIndex],
    attempts: &[AttemptFact],
    duplicates: &BTreeSet<u32>,
) -> Shares {
    let mut shares = Shares::new();
    for cell in cells {
        for stub in &sheet.cells[*cell].stubs {
            let stub = sheet.stubs[*stub as usize];
            let twice = duplicates.contains(&stub.attempt).then_some(Cause::DuplicateAttempt);
            let named = predicate(&attempts[stub.attempt as usize]);
            for cause in [named, twice].into_iter().flatten() {
                let share = shares.entry(cause).or_default().entry(*cell).or_default();
                share.quantity += i128::from(stub.quantity);
                share.amount = [share.amount, stub.amount].into_iter().sum();
                share.attempts.insert(stub.attempt);
            }
        }
    }
    shares.retain(|_, cells| cells.values().any(|share| share.quantity > 0));
    shares
}

/// Which predicates, alone or all together, are exactly what the bill lacks in a period.
fn remove(
    sheet: &mut Worksheet,
    cells: &[CellIndex],
    shares: &Shares,
    subject: &str,
) -> Result<(), Inexact> {
    let alone: Vec<Cause> =
        shares.keys().copied().filter(|cause| fits(sheet, cells, &[&shares[cause]])).collect();
    let chosen: Vec<Cause> = match alone.as_slice() {
        [] if shares.len() > 1 => {
            let all: Vec<_> = shares.values().collect();
            if fits(sheet, cells, &all) { shares.keys().copied().collect() } else { Vec::new() }
        }
        [] => Vec::new(),
        [first, ..] => vec![*first],
    };
    let unique = alone.len() == 1 || (alone.is_empty() && chosen.len() > 1);
    let whole = chosen.iter().all(|cause| {
        cells.iter().all(|cell| {
            let share = shares[cause].get(cell).map_or(0, |share| share.quantity);
            chosen.len() > 1 || sheet.gap(*cell) == Some(-share)
        })
    });
    for cause in &chosen {
        let sure = unique && whole;
        let confidence = if sure { Confidence::Proven } else { Confidence::Consistent };
        let note = sheet.note(*cause, subject, confidence);
        sheet.notes[note].charges_sign = Some(-1);
        sheet.notes[note].evidence(
            "what these attempts hold is exactly what the bill lacks in each of their periods",
        );
        for other in alone.iter().filter(|other| *other != cause) {
            sheet.notes[note].alternative(other.title());
        }
        for (cell, share) in &shares[cause] {
            take_out(sheet, note, *cell, share, cause.title())?;
        }
    }
    Ok(())
}

/// Whether the bill lacks exactly these shares: cell by cell, or, where another fault moved units
/// between classes, in the input and output totals.
fn fits(sheet: &Worksheet, cells: &[CellIndex], shares: &[&BTreeMap<CellIndex, Share>]) -> bool {
    let (mut input, mut output) = (0_i128, 0_i128);
    let mut every_cell = true;
    for cell in cells {
        let Some(gap) = sheet.gap(*cell) else { return false };
        let share: i128 = shares.iter().filter_map(|one| one.get(cell)).map(|s| s.quantity).sum();
        every_cell &= gap == -share;
        match sheet.cells[*cell].key.meter {
            Some(meter) if meter.is_output() => output += gap + share,
            _ => input += gap + share,
        }
    }
    let has_both = shares.iter().any(|one| {
        let output = |cell: &CellIndex| {
            sheet.cells[*cell].key.meter.is_some_and(crate::meter::Meter::is_output)
        };
        one.keys().any(output)
    });
    every_cell || (has_both && input == 0 && output == 0)
}

fn take_out(
    sheet: &mut Worksheet,
    note: usize,
    cell: CellIndex,
    share: &Share,
    which: &str,
) -> Result<(), Inexact> {
    sheet.notes[note].about(share.attempts.iter().copied(), which);
    sheet.book(note, cell, -share.quantity, share.amount.negated().to_decimal()?)?;
    let stubs = std::mem::take(&mut sheet.cells[cell].stubs);
    let stays = |stub: &u32| !share.attempts.contains(&sheet.stubs[*stub as usize].attempt);
    let kept = stubs.into_iter().filter(stays).collect();
    sheet.cells[cell].stubs = kept;
    Ok(())
}

/// Attempts our books hold as not billed whose quantities are exactly what the bill has more.
fn add_held_out(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    let attempts = &matched.inputs.attempts;
    let sheet = &mut matched.sheet;
    let mut shares: BTreeMap<(u32, u32, u32), BTreeMap<CellIndex, Share>> = BTreeMap::new();
    for stub in &matched.held_out {
        let attempt = &attempts[stub.attempt as usize];
        let Some(slot) = sheet.slots.at(attempt.started_at) else { continue };
        let Some(cell) = sheet.find(&key(stub, slot)) else { continue };
        let cells = shares.entry((stub.owner, stub.model, slot)).or_default();
        let share = cells.entry(cell).or_default();
        share.quantity += i128::from(stub.quantity);
        share.amount = [share.amount, stub.amount].into_iter().sum();
        share.attempts.insert(stub.attempt);
    }
    for ((owner, model, _), cells) in shares {
        let exact = cells.iter().all(|(cell, share)| sheet.gap(*cell) == Some(share.quantity));
        if !exact || cells.values().all(|share| share.quantity == 0) {
            continue;
        }
        let subject = sheet.group_words((owner, model));
        let note = sheet.note(Cause::BilledAfterAll, &subject, Confidence::Proven);
        sheet.notes[note].charges_sign = Some(1);
        sheet.notes[note].evidence(
            "what these attempts hold is exactly what the bill has more in each of their periods",
        );
        for (cell, share) in cells {
            let which = Cause::BilledAfterAll.title();
            sheet.notes[note].about(share.attempts.iter().copied(), which);
            sheet.book(note, cell, share.quantity, share.amount.to_decimal()?)?;
        }
    }
    Ok(())
}

fn key(stub: &Loose, slot: u32) -> CellKey {
    CellKey { owner: stub.owner, model: stub.model, slot, sku: stub.sku, meter: stub.meter }
}
