//! The same tokens in another class or tier: counted twice, moved between tiers, between caches.

use std::collections::BTreeSet;

use crate::meter::Meter;
use crate::reconcile::causes::price::price_words;
use crate::reconcile::causes::quantity::estimated;
use crate::reconcile::exact::{Inexact, at_price, subtract};
use crate::reconcile::facts::AttemptFact;
use crate::reconcile::finding::{Cause, Confidence, Mover};
use crate::reconcile::grain::Sku;
use crate::reconcile::matching::Matched;
use crate::reconcile::worksheet::{CellIndex, CellKey, Worksheet};

/// Wholes and the parts that can be counted inside them by mistake.
const PARTS: &[(Meter, &[Meter])] = &[
    (Meter::Input, &[Meter::InputCacheRead]),
    (Meter::Input, &[Meter::InputCacheWrite]),
    (Meter::Input, &[Meter::InputCacheWrite5m]),
    (Meter::Input, &[Meter::InputCacheWrite1h]),
    (
        Meter::Input,
        &[
            Meter::InputCacheRead,
            Meter::InputCacheWrite,
            Meter::InputCacheWrite5m,
            Meter::InputCacheWrite30m,
            Meter::InputCacheWrite1h,
            Meter::InputCacheWrite12h,
        ],
    ),
    (Meter::Input, &[Meter::InputAudio]),
    (Meter::Input, &[Meter::InputImage]),
    (Meter::Output, &[Meter::OutputAudio]),
    (Meter::Output, &[Meter::OutputImage]),
];

/// Pairs of classes in the published order: the first of a pair keeps the remainder.
const PAIRS: &[(Meter, Meter)] = &[
    (Meter::Input, Meter::InputCacheRead),
    (Meter::Input, Meter::InputCacheWrite5m),
    (Meter::Input, Meter::InputCacheWrite1h),
    (Meter::InputCacheWrite5m, Meter::InputCacheWrite1h),
    (Meter::Input, Meter::InputCacheWrite),
    (Meter::Input, Meter::InputCacheWrite30m),
    (Meter::Input, Meter::InputCacheWrite12h),
    (Meter::InputCacheRead, Meter::InputCacheWrite5m),
    (Meter::InputCacheRead, Meter::InputCacheWrite1h),
    (Meter::InputCacheRead, Meter::InputCacheWrite),
    (Meter::Input, Meter::InputAudio),
    (Meter::Input, Meter::InputImage),
    (Meter::Output, Meter::OutputAudio),
    (Meter::Output, Meter::OutputImage),
];

/// Books double counts, then moves between tiers, then moves between classes.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn apply(matched: &mut Matched<'_>) -> Result<(), Inexact> {
    let attempts = &matched.inputs.attempts;
    let sheet = &mut matched.sheet;
    for (group, cells) in sheet.groups() {
        let subject = sheet.group_words(group);
        let slots = sheet.by_slot(&cells);
        let doubled: Vec<bool> =
            PARTS.iter().map(|part| doubled_everywhere(sheet, slots.values(), part)).collect();
        for cells in slots.into_values() {
            let open = |cell: &CellIndex| sheet.gap(*cell).is_some_and(|gap| gap != 0);
            if cells.iter().any(open) {
                double_counts(sheet, &cells, &subject, &doubled)?;
                reasoning_twice(sheet, &cells, &subject)?;
                let estimates: BTreeSet<CellIndex> = cells
                    .iter()
                    .copied()
                    .filter(|cell| may_be_estimates(sheet, attempts, *cell))
                    .collect();
                between_skus(sheet, &cells, &estimates, &subject)?;
                between_classes(sheet, &cells, &estimates, &subject)?;
            }
        }
    }
    Ok(())
}

/// Whether a cell's gap is no more than its estimates can be off by.
fn may_be_estimates(sheet: &Worksheet, attempts: &[AttemptFact], cell: CellIndex) -> bool {
    let gap = sheet.gap(cell).unwrap_or(0);
    gap != 0 && estimated(sheet, attempts, cell).admits(gap)
}

fn with_meter(sheet: &Worksheet, whole: CellIndex, meter: Meter) -> Option<CellIndex> {
    sheet.find(&CellKey { meter: Some(meter), ..sheet.cells[whole].key.clone() })
}

/// A whole cell and how much of it is parts that stand in cells of their own, which agree.
fn parts_inside(sheet: &Worksheet, whole: CellIndex, parts: &[Meter]) -> Option<i128> {
    let found: Vec<CellIndex> =
        parts.iter().filter_map(|part| with_meter(sheet, whole, *part)).collect();
    let agree = found.iter().all(|part| sheet.gap(*part) == Some(0));
    let inside: i128 = found.iter().map(|part| sheet.cells[*part].quantity).sum();
    (agree && inside != 0).then_some(inside)
}

/// Whether a whole differs by its parts, and not because it moved between tiers or bands.
fn is_doubled(sheet: &Worksheet, cells: &[CellIndex], whole: CellIndex, inside: i128) -> bool {
    let gap = sheet.gap(whole).unwrap_or(0);
    gap.abs() == inside && !meter_is_conserved(sheet, cells, whole)
}

/// Whether the parts are doubled in every charge period that has any. In one of many it may be
/// chance: small numbers are often equal.
fn doubled_everywhere<'a>(
    sheet: &Worksheet,
    mut slots: impl Iterator<Item = &'a Vec<CellIndex>>,
    (whole, parts): &(Meter, &[Meter]),
) -> bool {
    slots.all(|cells| {
        let mut wholes = cells.iter().filter(|cell| sheet.cells[**cell].key.meter == Some(*whole));
        wholes.all(|cell| {
            let inside = parts_inside(sheet, *cell, parts);
            inside.is_none_or(|inside| is_doubled(sheet, cells, *cell, inside))
        })
    })
}

/// One side counts a part inside the whole and again beside it.
fn double_counts(
    sheet: &mut Worksheet,
    cells: &[CellIndex],
    subject: &str,
    everywhere: &[bool],
) -> Result<(), Inexact> {
    for ((whole, parts), &everywhere) in PARTS.iter().zip(everywhere) {
        for cell in cells {
            if sheet.cells[*cell].key.meter != Some(*whole) {
                continue;
            }
            let Some(inside) = parts_inside(sheet, *cell, parts) else { continue };
            if !is_doubled(sheet, cells, *cell, inside) {
                continue;
            }
            let gap = sheet.gap(*cell).unwrap_or(0);
            let Some(price) = sheet.price(*cell) else { continue };
            let confidence = if everywhere { Confidence::Proven } else { Confidence::Consistent };
            let note = sheet.note(Cause::DoubleCount, subject, confidence);
            let (who, mover) = match gap < 0 {
                true => ("our books count", Mover::FixOurs),
                false => ("the bill counts", Mover::AskProvider),
            };
            let names: Vec<&str> = parts.iter().map(|part| part.as_str()).collect();
            sheet.notes[note].mover = Some(mover);
            valued_at(sheet, note, *cell);
            sheet.notes[note].evidence(format!(
                "{who} {} inside {whole} and again beside it: the difference is equal to it",
                names.join(" and ")
            ));
            if !everywhere {
                sheet.notes[note].alternative(
                    "chance: in other charge periods the difference is not equal to it",
                );
            }
            sheet.book(note, *cell, gap, at_price(price, gap)?)?;
        }
    }
    Ok(())
}

/// Whether a cell's meter agrees in total over tiers and bands, so that its gap is a move.
fn meter_is_conserved(sheet: &Worksheet, cells: &[CellIndex], cell: CellIndex) -> bool {
    let meter = sheet.cells[cell].key.meter;
    let same = |one: &&CellIndex| sheet.cells[**one].key.meter == meter;
    let total: Option<i128> = cells.iter().filter(same).map(|one| sheet.gap(*one)).sum();
    total == Some(0)
}

/// One side counts reasoning inside output and again beside it, or the bill leaves it out.
fn reasoning_twice(
    sheet: &mut Worksheet,
    cells: &[CellIndex],
    subject: &str,
) -> Result<(), Inexact> {
    for cell in cells {
        let gap = sheet.gap(*cell).unwrap_or(0);
        if sheet.cells[*cell].key.meter != Some(Meter::Output) || gap == 0 {
            continue;
        }
        let is_reasoning = |stub: &&u32| {
            let rate = sheet.stubs[**stub as usize].rate.and_then(|rate| sheet.rates.get(rate));
            rate.is_some_and(|rate| rate.meter == Meter::OutputReasoning)
        };
        let stubs = sheet.cells[*cell].stubs.iter().filter(is_reasoning);
        let reasoning: i128 =
            stubs.map(|stub| i128::from(sheet.stubs[*stub as usize].quantity)).sum();
        let equal = reasoning > 0 && gap.abs() == reasoning;
        let Some(price) = sheet.price(*cell).filter(|_| equal) else { continue };
        let (words, alternative, mover) = match gap < 0 {
            true => (
                "our books count reasoning inside output and again beside it",
                "a provider that does not bill reasoning here",
                Mover::FixOurs,
            ),
            false => (
                "the bill counts reasoning inside output and again beside it",
                "an answer's output that leaves its reasoning out",
                Mover::AskProvider,
            ),
        };
        // An equality tells the amount, and not which side is wrong about it.
        let note = sheet.note(Cause::DoubleCount, subject, Confidence::Consistent);
        sheet.notes[note].mover = Some(mover);
        sheet.notes[note].evidence(words).alternative(alternative);
        valued_at(sheet, note, *cell);
        sheet.book(note, *cell, gap, at_price(price, gap)?)?;
    }
    Ok(())
}

/// The same meter under other selectors: tier, context band, region, speed.
fn between_skus(
    sheet: &mut Worksheet,
    cells: &[CellIndex],
    estimates: &BTreeSet<CellIndex>,
    subject: &str,
) -> Result<(), Inexact> {
    for (index, first) in cells.iter().enumerate() {
        for second in &cells[index + 1..] {
            let (a, b) = (&sheet.cells[*first].key, &sheet.cells[*second].key);
            if a.meter != b.meter || a.sku == b.sku {
                continue;
            }
            let (sku_a, sku_b) = (sheet.sku(a.sku), sheet.sku(b.sku));
            let cause = differing(&sku_a, &sku_b);
            let conserved = meter_is_conserved(sheet, cells, *first);
            if conserved || !(estimates.contains(first) && estimates.contains(second)) {
                transfer(sheet, (*first, *second), cause, subject, conserved)?;
            }
        }
    }
    Ok(())
}

fn differing(a: &Sku, b: &Sku) -> Cause {
    if a.tier != b.tier {
        Cause::Tier
    } else if a.long_context != b.long_context {
        Cause::ContextBand
    } else if a.region != b.region {
        Cause::Geography
    } else {
        Cause::Speed
    }
}

/// The same selectors, another class of the same side.
fn between_classes(
    sheet: &mut Worksheet,
    cells: &[CellIndex],
    estimates: &BTreeSet<CellIndex>,
    subject: &str,
) -> Result<(), Inexact> {
    for (base, other) in PAIRS {
        for cell in cells {
            if sheet.cells[*cell].key.meter != Some(*base) {
                continue;
            }
            let Some(second) = with_meter(sheet, *cell, *other) else { continue };
            let sku = sheet.cells[*cell].key.sku;
            let side = |cell: &&CellIndex| {
                let key = &sheet.cells[**cell].key;
                let same_side = key.meter.is_some_and(|meter| meter.is_input() == base.is_input());
                key.sku == sku && same_side
            };
            let total: Option<i128> = cells.iter().filter(side).map(|cell| sheet.gap(*cell)).sum();
            let conserved = total == Some(0);
            if conserved || !(estimates.contains(cell) && estimates.contains(&second)) {
                transfer(sheet, (*cell, second), Cause::CacheClass, subject, conserved)?;
            }
        }
    }
    Ok(())
}

/// Names the price the units of a cell are valued at, and where it was read.
fn valued_at(sheet: &mut Worksheet, note: usize, cell: CellIndex) {
    let rate = sheet.rate_of(cell).and_then(|rate| sheet.rates.get(rate));
    if let Some(words) = rate.map(|rate| price_words(rate, sheet.currency)) {
        sheet.notes[note].evidence(format!("valued at {words}"));
    }
}

/// Moves units from one cell to another where one has too many and the other too few.
///
/// The second cell is set to the bill; where the first's surplus covers at least half of that,
/// the first keeps the remainder, to be booked as a difference of quantity.
fn transfer(
    sheet: &mut Worksheet,
    (base, other): (CellIndex, CellIndex),
    cause: Cause,
    subject: &str,
    conserved: bool,
) -> Result<(), Inexact> {
    let (Some(gap_base), Some(gap_other)) = (sheet.gap(base), sheet.gap(other)) else {
        return Ok(());
    };
    if gap_base.signum() * gap_other.signum() != -1 {
        return Ok(());
    }
    let covers = gap_base.abs() * 2 >= gap_other.abs();
    let limit = if gap_other > 0 { sheet.cells[base].quantity } else { i128::MAX };
    let wanted = if covers { gap_other.abs() } else { gap_base.abs() };
    let moved = wanted.min(limit) * gap_other.signum();
    let (Some(price_base), Some(price_other)) = (sheet.price(base), sheet.price(other)) else {
        return Ok(());
    };
    if moved == 0 {
        return Ok(());
    }
    let (out, into) = (at_price(price_base, -moved)?, at_price(price_other, moved)?);
    let dearer = subtract(into, -out)? > rust_decimal::Decimal::ZERO;
    let confidence = if conserved { Confidence::Proven } else { Confidence::Consistent };
    let note = sheet.note(cause, subject, confidence);
    sheet.notes[note].mover = Some(if dearer { Mover::AskProvider } else { Mover::FixOurs });
    sheet.notes[note].evidence(match conserved {
        true => "the units of both sides are equal in total; only their split differs",
        false => "one class has more and another fewer units; the totals differ as well",
    });
    for cell in [base, other] {
        valued_at(sheet, note, cell);
    }
    sheet.book(note, base, -moved, out)?;
    sheet.book(note, other, moved, into)
}
