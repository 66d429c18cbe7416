//! The match: both sides laid out on one worksheet, at the finest grain the bill allows.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::invoice::line::{BilledDimensions, ChargeCategory, UsageRow};
use crate::money::{Amount, Currency};
use crate::names::ModelName;
use crate::period::{ChargePeriod, Timestamp};
use crate::reconcile::aliases::NameMap;
use crate::reconcile::bill::{self, BillError, LineRef};
use crate::reconcile::causes::timing::{self, Bases};
use crate::reconcile::exact::Inexact;
use crate::reconcile::facts::Inputs;
use crate::reconcile::finding::Cause;
use crate::reconcile::grain::Grain;
use crate::reconcile::owners::{KeyNames, Owners};
use crate::reconcile::quick_hash::QuickMap;
use crate::reconcile::rates::{RateBook, RateIndex};
use crate::reconcile::slots::Slots;
use crate::reconcile::stubs::{Loose, OurSide, OutOfScope, Reading, Unknown};
use crate::reconcile::ties::{Likeness, inferred_ties, likenesses};
use crate::reconcile::worksheet::{CellIndex, CellKey, Stub, Worksheet};

/// Both sides on one worksheet.
#[derive(Debug)]
pub(crate) struct Matched<'a> {
    /// What was given.
    pub inputs: &'a Inputs,
    /// The cells.
    pub sheet: Worksheet,
    /// The bill's rows, in a fixed order.
    pub lines: Vec<LineRef<'a>>,
    /// The bill's currency.
    pub currency: Currency,
    /// Who is who.
    pub owners: Owners,
    /// Stubs of attempts held as not billed.
    pub held_out: Vec<Loose>,
    /// Attempts of unknown usage.
    pub unknown: Vec<Unknown>,
    /// Attempts in no cell, by reason.
    pub out_of_scope: BTreeMap<OutOfScope, u64>,
    /// Attempts in a cell.
    pub in_cells: u64,
}

/// Lays both sides out. Timing is decided here, since it says which period a stub belongs to.
///
/// # Errors
/// [`BillError`] where the bill cannot be laid beside the books.
pub(crate) fn lay_out(inputs: &Inputs) -> Result<Matched<'_>, BillError> {
    let lines = bill::sorted_lines(inputs);
    let currency = bill::currency(&lines, inputs)?;
    let rows = || inputs.imports.iter().flat_map(|import| &import.usage);
    let grain = Grain::of(lines.iter().map(|entry| entry.line), rows());
    let names = name_map(inputs, &lines);
    let slots = slots_of(inputs, &lines);
    let dimensions = || usage_dimensions(&lines, rows(), &grain);
    let key_names = KeyNames::new(dimensions());
    let inferred = inferred_ties(inputs, &names, &slots, &grain, &key_names);
    let owners =
        Owners::new(&inputs.ties, &inferred, &grain, &inputs.attempts, dimensions(), key_names);
    let mut rates = RateBook::new(&inputs.rates, &names);
    let billed_names = (
        dimensions().map(|row| owners.of_row(row)).collect(),
        billed_models(&lines, rows()).iter().map(|one| names.common(one).to_owned()).collect(),
        dimensions().map(|row| grain.billed_sku(row)).collect(),
    );
    let reading = Reading { names: &names, owners: &owners, grain: &grain };
    let side = OurSide::read(&inputs.attempts, reading, &mut rates, billed_names);

    let mut sheet = Worksheet::new(inputs.currency, grain, slots, rates);
    sheet.owner_words = side.owners.iter().map(|owner| owners.words(owner)).collect();
    sheet.owners = side.owners;
    sheet.models = side.models;
    sheet.skus = side.skus;
    bill::place(&mut sheet, &lines, inputs, &names, &owners)?;
    let bases = timing::choose(&sheet, &side.loose, &inputs.attempts);
    let mut matched = Matched {
        inputs,
        sheet,
        lines,
        currency,
        owners,
        held_out: side.held_out,
        unknown: side.unknown,
        out_of_scope: side.out_of_scope,
        in_cells: 0,
    };
    place_stubs(&mut matched, &side.loose, &bases)?;
    complete_absent(&mut matched.sheet);
    Ok(matched)
}

/// Keys of the bill and credentials of ours that look like the same, for a person to confirm.
pub(crate) fn look_alike(inputs: &Inputs) -> Vec<Likeness> {
    let lines = bill::sorted_lines(inputs);
    let rows = || inputs.imports.iter().flat_map(|import| &import.usage);
    let grain = Grain::of(lines.iter().map(|entry| entry.line), rows());
    let keys = KeyNames::new(usage_dimensions(&lines, rows(), &grain));
    likenesses(inputs, &name_map(inputs, &lines), &slots_of(inputs, &lines), &grain, &keys)
}

fn name_map(inputs: &Inputs, lines: &[LineRef<'_>]) -> NameMap {
    let mut seen: QuickMap<&ModelName, ()> = QuickMap::default();
    let mut last = None;
    for part in inputs.attempts.iter().flat_map(|attempt| &attempt.metered) {
        if last != Some(&part.model) {
            seen.insert(&part.model, ());
        }
        last = Some(&part.model);
    }
    let mut ours: BTreeSet<String> = seen.keys().map(|model| model.as_str().to_owned()).collect();
    ours.extend(inputs.rates.iter().map(|rate| rate.model.as_str().to_owned()));
    let usage = inputs.imports.iter().flat_map(|import| &import.usage);
    NameMap::new(&ours, &billed_models(lines, usage), &inputs.aliases)
}

fn billed_models<'a>(
    lines: &[LineRef<'a>],
    usage: impl Iterator<Item = &'a UsageRow>,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let spelled = lines.iter().filter_map(|entry| entry.line.model.as_deref());
    for name in spelled.chain(usage.filter_map(|row| row.model.as_deref())) {
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
    }
    names
}

fn usage_dimensions<'a>(
    lines: &[LineRef<'a>],
    usage: impl Iterator<Item = &'a UsageRow>,
    grain: &Grain,
) -> impl Iterator<Item = &'a BilledDimensions> {
    let priced = lines.iter().map(|entry| entry.line);
    let priced = priced.filter(|line| line.category == ChargeCategory::Usage);
    let counted = usage.filter(|_| grain.quantities_apart).map(|row| &row.dimensions);
    priced.map(|line| &line.dimensions).chain(counted).collect::<Vec<_>>().into_iter()
}

/// The bill's periods: those its usage lines name, and the days its money exports cover.
fn slots_of(inputs: &Inputs, lines: &[LineRef<'_>]) -> Slots {
    let span = inputs.period.span();
    let touches = |period: &ChargePeriod| period.start < span.end && span.start < period.end;
    let named: BTreeSet<ChargePeriod> = lines
        .iter()
        .filter(|entry| entry.line.category == ChargeCategory::Usage)
        .map(|entry| entry.line.period)
        .filter(touches)
        .collect();
    let days = inputs.money_exports().flat_map(|import| &import.covered_days);
    let covered: BTreeSet<NaiveDate> =
        days.copied().filter(|day| touches(&ChargePeriod::of_day(*day))).collect();
    Slots::new(inputs.period, &named, &covered)
}

/// Sums of a cell while stubs are being placed.
#[derive(Clone, Copy, Default)]
struct Tally {
    shown: Amount,
    quantity: i128,
}

/// Moves between what is shown and what is billed, by cause and cell.
#[derive(Default)]
struct Move {
    quantity: i128,
    amount: Amount,
    attempts: BTreeSet<u32>,
}

fn place_stubs(matched: &mut Matched<'_>, loose: &[Loose], bases: &Bases) -> Result<(), Inexact> {
    let attempts = &matched.inputs.attempts;
    let sheet = &mut matched.sheet;
    let mut tallies: Vec<Tally> = Vec::new();
    let mut moves: BTreeMap<(Cause, CellIndex), Move> = BTreeMap::new();
    let (mut previous, mut here) = (None, (None, None));
    for stub in loose {
        let attempt = &attempts[stub.attempt as usize];
        let basis = bases.of((stub.owner, stub.model));
        let shown = sheet.slots.as_shown(attempt.started_at);
        let billed = sheet.slots.at(basis.instant(attempt));
        if previous != Some(stub.attempt) || here != (shown, billed) {
            previous = Some(stub.attempt);
            here = (shown, billed);
            match (shown, billed) {
                (None, None) => {
                    *matched.out_of_scope.entry(OutOfScope::OutsideCoveredDays).or_insert(0) += 1;
                }
                _ => matched.in_cells += 1,
            }
        }
        let mut cell_in = |slot: u32| {
            let key = CellKey {
                owner: stub.owner,
                model: stub.model,
                slot,
                sku: stub.sku,
                meter: stub.meter,
            };
            let cell = sheet.cell_at(&key);
            if tallies.len() <= cell {
                tallies.resize(cell + 1, Tally::default());
            }
            cell
        };
        let from = shown.map(&mut cell_in);
        let to = if billed == shown { from } else { billed.map(&mut cell_in) };
        if let Some(cell) = from {
            tallies[cell].shown = plus(tallies[cell].shown, stub.amount)?;
            tallies[cell].quantity += i128::from(stub.quantity);
        }
        if from != to {
            let causes = match (from, to) {
                (Some(_), Some(_)) => [Cause::TimingWithin, Cause::TimingWithin],
                _ => [Cause::TimingOut, Cause::TimingIn],
            };
            for (cause, cell, sign) in [(causes[0], from, -1), (causes[1], to, 1)] {
                let Some(cell) = cell else { continue };
                let entry = moves.entry((cause, cell)).or_default();
                entry.quantity += sign * i128::from(stub.quantity);
                let amount = if sign < 0 { stub.amount.negated() } else { stub.amount };
                entry.amount = plus(entry.amount, amount)?;
                entry.attempts.insert(stub.attempt);
            }
        }
        let Some(home) = to.or(from) else { continue };
        keep(sheet, home, stub, attempt.started_at, to.is_some());
    }
    for (cell, tally) in sheet.cells.iter_mut().zip(&tallies) {
        cell.shown = tally.shown.to_decimal()?;
        cell.cost = cell.shown;
        cell.quantity = tally.quantity;
    }
    timing::book(
        sheet,
        bases,
        moves.into_iter().map(|(key, moved)| (key, moved.quantity, moved.amount, moved.attempts)),
    )
}

/// Keeps a stub with its cell; one that left the bill stays findable but is in no later test.
fn keep(sheet: &mut Worksheet, home: CellIndex, stub: &Loose, at: Timestamp, billed: bool) {
    let index = u32::try_from(sheet.stubs.len()).unwrap_or(u32::MAX);
    sheet.stubs.push(Stub {
        attempt: stub.attempt,
        cell: home,
        rate: stub.rate,
        quantity: stub.quantity,
        amount: stub.amount,
        rounded: stub.rounded,
    });
    if !billed {
        return;
    }
    let newer = {
        let cell = &sheet.cells[home];
        let id = |rate: Option<RateIndex>| Some(&sheet.rates.get(rate?)?.rate_id);
        let same_instant = || at == cell.rate_as_of && id(stub.rate) > id(cell.rate);
        stub.rate.is_some() && (at > cell.rate_as_of || same_instant())
    };
    let cell = &mut sheet.cells[home];
    cell.stubs.push(index);
    cell.rounded_charges += u64::from(stub.rounded);
    if stub.rate.is_none() {
        cell.unpriced += stub.quantity;
    }
    if newer {
        cell.rate = stub.rate;
        cell.rate_as_of = at;
    }
}

/// On a bill that prints quantities, a cell without a line was billed nothing.
fn complete_absent(sheet: &mut Worksheet) {
    if !sheet.grain.meter {
        for cell in &mut sheet.cells {
            cell.billed.quantity = None;
        }
        return;
    }
    let counted: BTreeSet<u32> = sheet
        .cells
        .iter()
        .filter(|cell| cell.billed.quantity.is_some())
        .map(|cell| cell.key.model)
        .collect();
    let everywhere = !counted.is_empty()
        && sheet
            .cells
            .iter()
            .all(|cell| cell.billed.lines.is_empty() || cell.billed.quantity.is_some());
    for cell in &mut sheet.cells {
        let in_model = everywhere || counted.contains(&cell.key.model);
        if cell.billed.lines.is_empty() && cell.billed.quantity.is_none() && in_model {
            cell.billed.quantity = Some(0);
        }
    }
}

fn plus(left: Amount, right: Amount) -> Result<Amount, Inexact> {
    left.checked_add(right).ok_or_else(|| Inexact::TooPrecise(left.to_string()))
}
