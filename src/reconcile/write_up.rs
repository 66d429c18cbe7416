//! The write-up: a finished worksheet becomes the report that is kept.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use crate::digest::hexadecimal;
use crate::meter::Meter;
use crate::money::Currency;
use crate::reconcile::bridge;
use crate::reconcile::coverage;
use crate::reconcile::drill;
use crate::reconcile::exact::{Inexact, add, subtract};
use crate::reconcile::facts::{DocumentTotals, Inputs};
use crate::reconcile::finding::{Cause, Confidence, Finding, Part};
use crate::reconcile::invariants::in_books_currency;
use crate::reconcile::matching::Matched;
use crate::reconcile::report::{Compared, DocumentBridge, FileRef, MadeFrom, Population, Report};
use crate::reconcile::sentences;
use crate::reconcile::verdict::{MonthState, Verdict};
use crate::reconcile::worksheet::CellIndex;

/// Version of the tests and their order; part of every report.
pub(crate) const ALGORITHM: &str = "1";

/// Writes the report of a finished worksheet.
///
/// # Errors
/// [`Inexact`] where a figure cannot be kept exactly.
pub(crate) fn of(matched: &Matched<'_>) -> Result<Report, Inexact> {
    let inputs = matched.inputs;
    let sheet = &matched.sheet;
    let mut recorded = Decimal::ZERO;
    for cell in &sheet.cells {
        recorded = add(recorded, cell.shown)?;
    }
    let (mut export, mut billed) = (Decimal::ZERO, Decimal::ZERO);
    for entry in &matched.lines {
        let amount = entry.line.billed_cost;
        export = add(export, amount)?;
        billed =
            add(billed, in_books_currency(matched, amount, matched.currency != inputs.currency)?)?;
    }
    let findings = findings(matched)?;
    let difference = subtract(billed, recorded)?;
    let (mut unexplained, mut unexplained_gross) = (Decimal::ZERO, Decimal::ZERO);
    for finding in findings.iter().filter(|one| one.confidence == Confidence::Unexplained) {
        unexplained = add(unexplained, finding.amount)?;
        for part in &finding.parts {
            unexplained_gross = add(unexplained_gross, part.amount.abs())?;
        }
    }
    let agrees = findings.iter().all(|one| one.cause == Cause::Rounding);
    let mut report = Report {
        algorithm: ALGORITHM.into(),
        provider: inputs.provider.clone(),
        account: inputs.account.clone(),
        period: inputs.period,
        currency: inputs.currency,
        state: MonthState::NoExport,
        verdict: Verdict::default(),
        recorded,
        billed,
        difference,
        named: subtract(difference, unexplained)?,
        unexplained,
        unexplained_gross,
        agrees,
        coverage: coverage::of(matched)?,
        bridge: bridge::rows(sheet, recorded)?,
        document: document(inputs.document, matched.currency, export)?,
        exchange: inputs.exchange.clone().filter(|_| matched.currency != inputs.currency),
        findings,
        compared: compared(matched),
        population: population(matched),
        made_from: made_from(inputs),
    };
    report.state = sentences::state(matched, &report);
    report.verdict = sentences::of(matched, &report);
    Ok(report)
}

fn document(
    given: Option<DocumentTotals>,
    currency: Currency,
    export: Decimal,
) -> Result<Option<DocumentBridge>, Inexact> {
    let Some(DocumentTotals { total, tax, credits }) = given else { return Ok(None) };
    let rest = subtract(total, add(subtract(export, credits)?, tax)?)?;
    // A document prints cents, and so do its tax and credits; one that prints more is as exact.
    let printed = [total, tax, credits].iter().map(Decimal::scale).fold(2, u32::max);
    let half = Decimal::try_from_i128_with_scale(5, printed + 1).unwrap_or_default();
    let (rounding, unexplained) =
        if rest.abs() <= half { (rest, Decimal::ZERO) } else { (Decimal::ZERO, rest) };
    Ok(Some(DocumentBridge {
        currency,
        export,
        credits: subtract(Decimal::ZERO, credits)?,
        tax,
        rounding,
        unexplained,
        total,
    }))
}

/// Every note with money, units or rows behind it, as a finding, in the order of the bridge.
fn findings(matched: &Matched<'_>) -> Result<Vec<Finding>, Inexact> {
    let sheet = &matched.sheet;
    let ids = drill::finding_ids(matched);
    let level = sheet.grain.level(sheet.slots.are_days());
    let mut cells: Vec<Vec<CellIndex>> = vec![Vec::new(); sheet.notes.len()];
    type Key = (String, Option<Meter>);
    let mut parts: Vec<BTreeMap<Key, (i128, Decimal)>> = vec![BTreeMap::new(); sheet.notes.len()];
    for effect in &sheet.effects {
        let key = &sheet.cells[effect.cell].key;
        cells[effect.note].push(effect.cell);
        let part = (sheet.model(key.model).to_owned(), key.meter);
        let sum = parts[effect.note].entry(part).or_default();
        *sum = (sum.0 + effect.quantity, add(sum.1, effect.amount)?);
    }
    for face in &sheet.face_lines {
        let sum = parts[face.note].entry((String::new(), None)).or_default();
        sum.1 = add(sum.1, face.amount)?;
    }
    let mut findings = Vec::new();
    for (index, note) in sheet.notes.iter().enumerate() {
        cells[index].sort_unstable();
        cells[index].dedup();
        let mut amount = Decimal::ZERO;
        for (_, part) in parts[index].values() {
            amount = add(amount, *part)?;
        }
        let of_note = std::mem::take(&mut parts[index]).into_iter();
        let parts = of_note.map(|((model, meter), (quantity, amount))| Part {
            model,
            meter,
            quantity,
            amount: amount.normalize(),
        });
        let alternatives: Vec<String> = note.alternatives.iter().cloned().collect();
        findings.push(Finding {
            id: ids[index].clone(),
            step: note.cause.step(),
            cause: note.cause,
            title: match note.cause {
                Cause::Discount if amount > Decimal::ZERO => "a surcharge".into(),
                cause => cause.title().into(),
            },
            subject: note.subject.clone(),
            amount: amount.normalize(),
            parts: parts.collect(),
            level,
            confidence: note.confidence,
            confidence_words: note.confidence.words(&alternatives),
            mover: note.mover.unwrap_or(note.cause.mover()),
            evidence: note.evidence.iter().cloned().collect(),
            alternatives,
            drill: drill::of(matched, index, &cells[index]),
        });
    }
    findings.sort_by(|a, b| {
        let key = |one: &Finding| (one.step, one.cause, one.subject.clone(), one.confidence);
        key(a).cmp(&key(b))
    });
    Ok(findings)
}

/// What was counted, reported and billed for each model, as the bill names it.
fn compared(matched: &Matched<'_>) -> Vec<Compared> {
    let sheet = &matched.sheet;
    let mut rows: BTreeMap<u32, Compared> = BTreeMap::new();
    let mut seen: Option<(u32, u32)> = None;
    let mut held: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for cell in &sheet.cells {
        let row = rows.entry(cell.key.model).or_default();
        let (Some(quantity), Some(meter)) = (cell.billed.quantity, cell.key.meter) else {
            continue;
        };
        let side = match meter.is_output() {
            true => &mut row.billed_output,
            false if meter.is_input() => &mut row.billed_input,
            false => continue,
        };
        *side = Some(side.unwrap_or(0).saturating_add(quantity));
    }
    for stub in &sheet.stubs {
        let model = sheet.cells[stub.cell].key.model;
        if seen == Some((stub.attempt, model)) {
            continue;
        }
        seen = Some((stub.attempt, model));
        let attempt = &matched.inputs.attempts[stub.attempt as usize];
        let (mut input, mut output, mut reasoning) = (0_u64, 0_u64, 0_u64);
        for part in &attempt.metered {
            if part.meter == Meter::OutputReasoning {
                reasoning = reasoning.saturating_add(part.quantity);
            }
            if part.meter.is_output() {
                output = output.saturating_add(part.quantity);
            } else if part.meter.is_input() {
                input = input.saturating_add(part.quantity);
            }
        }
        let row = rows.entry(model).or_default();
        row.attempts += 1;
        row.reported_input = row.reported_input.saturating_add(input);
        row.reported_output = row.reported_output.saturating_add(output);
        if let Some(counted) = attempt.counted {
            row.counted_attempts += 1;
            row.counted_input += counted.input.unwrap_or(0);
            row.counted_output += counted.output.unwrap_or(0);
            let of_counted = held.entry(model).or_default();
            of_counted.0 += counted.input.map_or(0, |_| input);
            // Reasoning is never seen, so it is never counted.
            of_counted.1 += counted.output.map_or(0, |_| output.saturating_sub(reasoning));
        }
    }
    let named = rows.into_iter().map(|(model, mut row)| {
        let (input, output) = held.get(&model).copied().unwrap_or_default();
        row.reported_input_of_counted = input;
        row.reported_output_of_counted = output;
        sheet.model(model).clone_into(&mut row.model);
        row
    });
    named.collect()
}

fn population(matched: &Matched<'_>) -> Population {
    let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    Population {
        attempts_compared: matched.in_cells,
        attempts_of_unknown_usage: count(matched.unknown.len()),
        attempts_left_out: matched.out_of_scope.clone(),
        billed_rows: count(matched.lines.len()),
        cells: count(matched.sheet.cells.len()),
    }
}

fn made_from(inputs: &Inputs) -> MadeFrom {
    let mut files: Vec<FileRef> = inputs
        .imports
        .iter()
        .map(|import| FileRef {
            batch: import.batch.clone(),
            kind: import.kind.clone(),
            sha256: import.file_hash.clone(),
        })
        .collect();
    files.sort();
    let mut attempts: Vec<([u8; 16], i128)> = inputs
        .attempts
        .iter()
        .map(|attempt| {
            let charges = attempt.metered.iter().filter_map(|part| part.charge.as_ref());
            let pico = charges.map(|charge| charge.amount).sum::<crate::money::Amount>().pico();
            (*attempt.attempt.uuid().as_bytes(), pico)
        })
        .collect();
    attempts.sort_unstable();
    let mut hash = Sha256::new();
    for (id, pico) in attempts {
        hash.update(id);
        hash.update(pico.to_be_bytes());
    }
    let books = hexadecimal(&hash.finalize());
    MadeFrom { price_table: inputs.price_table.clone(), books, files }
}
