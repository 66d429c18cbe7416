//! Cut-off: does the provider count by another instant, or by days of another zone?

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::meter::Meter;
use crate::money::Amount;
use crate::period::{HOUR_US, Timestamp};
use crate::reconcile::exact::Inexact;
use crate::reconcile::facts::AttemptFact;
use crate::reconcile::finding::{Cause, Confidence};
use crate::reconcile::quick_hash::QuickMap;
use crate::reconcile::slots::Slots;
use crate::reconcile::stubs::Loose;
use crate::reconcile::words::money;
use crate::reconcile::worksheet::{CellIndex, Group, Worksheet};

/// Which instant of an attempt decides its charge period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Basis {
    /// Its start, as our own pages count.
    Started,
    /// Its end.
    Ended,
    /// Its start, in days that begin so many hours after (or, negative, before) UTC midnight.
    Shifted(i8),
}

/// A basis with what was found for it.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// The basis.
    pub basis: Basis,
    /// How sure.
    pub confidence: Confidence,
    /// What shows it.
    pub evidence: String,
    /// Other bases that fit.
    pub alternatives: Vec<Basis>,
}

/// The basis of every group that is not counted by start.
#[derive(Debug, Default)]
pub(crate) struct Bases(HashMap<Group, Choice>);

/// One attempt's weight in the test: output tokens, or all units where there is no output.
struct Event {
    started_at: Timestamp,
    ended_at: Timestamp,
    weight: i128,
}

/// A group's events, what the bill shows by slot, and how far both are apart by start.
struct Case {
    events: Vec<Event>,
    billed: Vec<i128>,
    apart: Vec<i128>,
}

impl Basis {
    /// The instant that counts.
    pub(crate) fn instant(self, attempt: &AttemptFact) -> Timestamp {
        self.of(attempt.started_at, attempt.ended_at)
    }

    fn of(self, started_at: Timestamp, ended_at: Timestamp) -> Timestamp {
        match self {
            Self::Started => started_at,
            Self::Ended => ended_at,
            Self::Shifted(hours) => started_at.plus_micros(-i64::from(hours) * HOUR_US),
        }
    }

    /// As a sentence says it.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Started => "each call counted where it began".to_owned(),
            Self::Ended => "each call counted where it ended".to_owned(),
            Self::Shifted(hours) if hours > 0 => format!("days that begin at {hours:02}:00 UTC"),
            Self::Shifted(hours) => {
                format!("days that begin at {:02}:00 UTC of the day before", 24 + hours)
            }
        }
    }

    /// Every other basis, nearest first.
    fn others() -> impl Iterator<Item = Self> {
        let shifts = (1..=14).flat_map(|hours| [-hours, hours]).filter(|hours| *hours >= -12);
        std::iter::once(Self::Ended).chain(shifts.map(Self::Shifted))
    }
}

impl Bases {
    /// The basis of a group.
    pub(crate) fn of(&self, group: Group) -> Basis {
        self.0.get(&group).map_or(Basis::Started, |choice| choice.basis)
    }
}

/// Tests every other basis for the groups whose days do not agree.
///
/// Output totals are immune to class, tier and alias errors; the test is run on them, per owner
/// and model, so that another fault elsewhere does not hide it.
pub(crate) fn choose(sheet: &Worksheet, loose: &[Loose], attempts: &[AttemptFact]) -> Bases {
    let cases = cases(sheet, loose, attempts);
    let mut fits: BTreeMap<Group, Vec<Basis>> = BTreeMap::new();
    let mut near: BTreeMap<Group, Basis> = BTreeMap::new();
    let mut clean = Vec::new();
    for (group, case) in &cases {
        if case.apart.iter().all(|gap| *gap == 0) {
            clean.push(*group);
            continue;
        }
        let (exact, best) = case.try_others(&sheet.slots);
        if !exact.is_empty() {
            fits.insert(*group, exact);
        } else if let Some(best) = best {
            near.insert(*group, best);
        }
    }
    let mut votes: BTreeMap<Basis, usize> = BTreeMap::new();
    for basis in fits.values().flatten() {
        *votes.entry(*basis).or_insert(0) += 1;
    }
    let mut bases = Bases::default();
    for (group, exact) in fits {
        let most = exact.iter().map(|basis| votes[basis]).max().unwrap_or(0);
        let mut leading: Vec<Basis> =
            exact.into_iter().filter(|basis| votes[basis] == most).collect();
        if leading.len() > 1 {
            drop_refuted(&mut leading, &cases, &clean, &sheet.slots);
        }
        let Some((first, others)) = leading.split_first() else { continue };
        let moved = cases[&group].apart.iter().filter(|gap| **gap != 0).count();
        let alone = others.is_empty() && moved > 1;
        let spans = spans(moved, &sheet.slots);
        let evidence = format!(
            "with {}, the bill and our books differ in {spans}; with {}, they agree to the token",
            Basis::Started.words(),
            first.words()
        );
        let confidence = if alone { Confidence::Proven } else { Confidence::Consistent };
        let alternatives = others.to_vec();
        bases.0.insert(group, Choice { basis: *first, confidence, evidence, alternatives });
    }
    for (group, basis) in near {
        let evidence =
            format!("with {}, less than half of the difference in tokens is left", basis.words());
        let confidence = Confidence::Consistent;
        bases.0.insert(group, Choice { basis, confidence, evidence, alternatives: Vec::new() });
    }
    bases
}

/// So many days, or whatever the rows of the bill span.
fn spans(count: usize, slots: &Slots) -> String {
    match (count, slots.are_days()) {
        (1, true) => "one day".to_owned(),
        (_, true) => format!("{count} days"),
        (1, false) => "one period of the bill".to_owned(),
        (_, false) => format!("{count} periods of the bill"),
    }
}

/// Of several fitting bases, those are dropped under which a group that agrees would not.
fn drop_refuted(
    leading: &mut Vec<Basis>,
    cases: &BTreeMap<Group, Case>,
    clean: &[Group],
    slots: &Slots,
) {
    let holds = |basis: &Basis| {
        clean.iter().all(|group| cases[group].residuals(slots, *basis).iter().all(|gap| *gap == 0))
    };
    let kept: Vec<Basis> = leading.iter().copied().filter(holds).collect();
    if !kept.is_empty() {
        *leading = kept;
    }
}

fn cases(sheet: &Worksheet, loose: &[Loose], attempts: &[AttemptFact]) -> BTreeMap<Group, Case> {
    let mut with_output: BTreeSet<Group> = BTreeSet::new();
    let mut counted: BTreeSet<Group> = BTreeSet::new();
    let mut uncounted: BTreeSet<Group> = BTreeSet::new();
    for cell in sheet.cells.iter().filter(|cell| cell.billed.is_there()) {
        let group = (cell.key.owner, cell.key.model);
        match cell.billed.quantity {
            Some(_) => counted.insert(group),
            None => uncounted.insert(group),
        };
        if cell.key.meter.is_some_and(Meter::is_output) {
            with_output.insert(group);
        }
    }
    let groups: Vec<Group> = counted.difference(&uncounted).copied().collect();
    let numbers: QuickMap<Group, usize> =
        groups.iter().enumerate().map(|(number, group)| (*group, number)).collect();
    let weighs = |group: &Group, meter: Option<Meter>| {
        meter.is_some_and(Meter::is_output) || !with_output.contains(group)
    };
    let mut billed = vec![vec![0_i128; sheet.slots.len()]; groups.len()];
    for cell in &sheet.cells {
        let group = (cell.key.owner, cell.key.model);
        let number = numbers.get(&group).filter(|_| weighs(&group, cell.key.meter));
        if let Some(number) = number {
            billed[*number][cell.key.slot as usize] += cell.billed.quantity.map_or(0, i128::from);
        }
    }
    let weighty = |stub: &&Loose| weighs(&(stub.owner, stub.model), stub.meter);
    let mut apart = billed.clone();
    for stub in loose.iter().filter(weighty) {
        let Some(number) = numbers.get(&(stub.owner, stub.model)) else { continue };
        let started_at = attempts[stub.attempt as usize].started_at;
        if let Some(slot) = sheet.slots.at(started_at) {
            apart[*number][slot as usize] -= i128::from(stub.quantity);
        }
    }
    let mut events: Vec<Vec<Event>> = groups.iter().map(|_| Vec::new()).collect();
    if apart.iter().flatten().any(|gap| *gap != 0) {
        for stub in loose.iter().filter(weighty) {
            let Some(number) = numbers.get(&(stub.owner, stub.model)) else { continue };
            let attempt = &attempts[stub.attempt as usize];
            events[*number].push(Event {
                started_at: attempt.started_at,
                ended_at: attempt.ended_at,
                weight: i128::from(stub.quantity),
            });
        }
    }
    let sides = billed.into_iter().zip(apart).zip(events);
    let cases = sides.map(|((billed, apart), events)| Case { events, billed, apart });
    groups.into_iter().zip(cases).collect()
}

impl Case {
    fn residuals(&self, slots: &Slots, basis: Basis) -> Vec<i128> {
        let mut gaps = self.billed.clone();
        for event in &self.events {
            if let Some(slot) = slots.at(basis.of(event.started_at, event.ended_at)) {
                gaps[slot as usize] -= event.weight;
            }
        }
        gaps
    }

    /// The bases that leave nothing, and the best that leaves less than half.
    fn try_others(&self, slots: &Slots) -> (Vec<Basis>, Option<Basis>) {
        let now = &self.apart;
        let size = |gaps: &[i128]| gaps.iter().map(|gap| gap.unsigned_abs()).sum::<u128>();
        let interior = |gaps: &[i128]| match gaps {
            [_, middle @ .., _] if !middle.is_empty() => middle.iter().all(|gap| *gap == 0),
            _ => gaps.iter().all(|gap| *gap == 0),
        };
        let disagreeing = now.iter().filter(|gap| **gap != 0).count();
        let (mut exact, mut best) = (Vec::new(), None);
        let mut smallest = size(now);
        for basis in Basis::others() {
            let gaps = self.residuals(slots, basis);
            let all = gaps.iter().all(|gap| *gap == 0);
            if all || (interior(&gaps) && !interior(now)) {
                exact.push(basis);
            } else if disagreeing >= 4 && size(&gaps) * 2 < size(now) && size(&gaps) < smallest {
                smallest = size(&gaps);
                best = Some(basis);
            }
        }
        (exact, best)
    }
}

/// Books what moved between what our pages show and what the provider's periods hold.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn book(
    sheet: &mut Worksheet,
    bases: &Bases,
    moves: impl Iterator<Item = ((Cause, CellIndex), i128, Amount, BTreeSet<u32>)>,
) -> Result<(), Inexact> {
    let mut within: BTreeMap<usize, Amount> = BTreeMap::new();
    for ((cause, cell), quantity, amount, attempts) in moves {
        let key = &sheet.cells[cell].key;
        let group = (key.owner, key.model);
        let choice = bases.0.get(&group);
        let start = sheet.slots.span(key.slot).start;
        let confidence = choice.map_or(Confidence::Proven, |choice| choice.confidence);
        let subject = sheet.group_words(group);
        let note = sheet.note(cause, &subject, confidence);
        match choice {
            Some(choice) => {
                let entry = sheet.notes[note].evidence(choice.evidence.clone());
                for basis in &choice.alternatives {
                    entry.alternative(basis.words());
                }
            }
            None => {
                let sentence = format!("the export's own periods begin at {start}");
                let _ = sheet.notes[note].evidence(sentence);
            }
        }
        sheet.notes[note].about(attempts, "attempts whose day differs between the two counts");
        match cause {
            Cause::TimingWithin if amount > Amount::ZERO => {
                let sum = within.entry(note).or_default();
                *sum = [*sum, amount].into_iter().sum();
            }
            Cause::TimingWithin => {}
            Cause::TimingOut => sheet.notes[note].charges_sign = Some(-1),
            _ => sheet.notes[note].charges_sign = Some(1),
        }
        sheet.book(note, cell, quantity, amount.to_decimal()?)?;
    }
    for (note, moved) in within {
        let moved = money(moved.to_decimal()?, sheet.currency);
        sheet.notes[note].evidence(format!(
            "{moved} is billed on another day than it was recorded on; over the month the sum is \
             the same"
        ));
    }
    Ok(())
}
