//! What is behind a note of the worksheet: its cells, attempts and rows.

use crate::names::AttemptId;
use crate::reconcile::facts::AttemptFact;
use crate::reconcile::finding::{DrillDown, RowRef};
use crate::reconcile::matching::Matched;
use crate::reconcile::worksheet::CellIndex;

/// How many attempts and rows a report itself names; the rest is one question away.
pub(crate) const SAMPLE: usize = 20;

/// The rows behind a note, as indexes in order of batch and row.
pub(crate) fn rows(matched: &Matched<'_>, note: usize, cells: &[CellIndex]) -> Vec<u32> {
    let sheet = &matched.sheet;
    let mut rows: Vec<u32> =
        cells.iter().flat_map(|cell| &sheet.cells[*cell].billed.lines).copied().collect();
    let faces = sheet.face_lines.iter().filter(|face| face.note == note);
    rows.extend(faces.map(|face| face.line));
    rows.sort_unstable();
    rows
}

/// A row as a person finds it.
pub(crate) fn row_ref(matched: &Matched<'_>, index: u32) -> RowRef {
    let entry = matched.lines[index as usize];
    RowRef { batch: entry.import.batch.clone(), row: entry.line.row }
}

/// The ids of all findings, in the order of the worksheet's notes.
pub(crate) fn finding_ids(matched: &Matched<'_>) -> Vec<String> {
    let notes = &matched.sheet.notes;
    let id = |index: usize| {
        let note = &notes[index];
        let same = |other: &crate::reconcile::worksheet::Note| {
            other.cause == note.cause && other.subject == note.subject
        };
        let plain = format!("{}:{}", note.cause, note.subject);
        match notes.iter().filter(|other| same(other)).count() {
            1 => plain,
            _ => format!("{plain}:{:?}", note.confidence).to_lowercase(),
        }
    };
    (0..notes.len()).map(id).collect()
}

/// The attempts behind a note, as indexes.
pub(crate) fn behind(matched: &Matched<'_>, note: usize, cells: &[CellIndex]) -> Vec<u32> {
    let sheet = &matched.sheet;
    if let Some(attempts) = &sheet.notes[note].attempts {
        return attempts.iter().copied().collect();
    }
    let mut found: Vec<u32> = cells
        .iter()
        .flat_map(|cell| &sheet.cells[*cell].stubs)
        .map(|stub| sheet.stubs[*stub as usize].attempt)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The cells a note has effects in.
pub(crate) fn cells_of(matched: &Matched<'_>, note: usize) -> Vec<CellIndex> {
    let effects = matched.sheet.effects.iter().filter(|effect| effect.note == note);
    let mut cells: Vec<CellIndex> = effects.map(|effect| effect.cell).collect();
    cells.sort_unstable();
    cells.dedup();
    cells
}

/// The drill-down a report prints.
pub(crate) fn of(matched: &Matched<'_>, note: usize, cells: &[CellIndex]) -> DrillDown {
    let sheet = &matched.sheet;
    let attempts = behind(matched, note, cells);
    let rows = rows(matched, note, cells);
    let keys = || cells.iter().map(|cell| &sheet.cells[*cell].key);
    let labels =
        keys().flat_map(|key| [sheet.slots.label(key.slot), sheet.slots.last_label(key.slot)]);
    let (first, last) = (labels.clone().min(), labels.max());
    let names = |mut list: Vec<String>| {
        list.sort_unstable();
        list.dedup();
        list.retain(|name| !name.is_empty());
        list
    };
    let owner = |index: u32| sheet.owner_words.get(index as usize).cloned().unwrap_or_default();
    let which = match sheet.notes[note].which.as_str() {
        "" => "every attempt of these days, models and owners".to_owned(),
        words => words.to_owned(),
    };
    DrillDown {
        days: first.zip(last),
        models: names(keys().map(|key| sheet.model(key.model).to_owned()).collect()),
        owners: names(keys().map(|key| owner(key.owner)).collect()),
        which,
        attempt_count: u64::try_from(attempts.len()).unwrap_or(u64::MAX),
        attempts: first_ids(&matched.inputs.attempts, attempts),
        row_count: u64::try_from(rows.len()).unwrap_or(u64::MAX),
        rows: rows.iter().take(SAMPLE).map(|index| row_ref(matched, *index)).collect(),
    }
}

/// The smallest ids, in order.
fn first_ids(attempts: &[AttemptFact], mut chosen: Vec<u32>) -> Vec<AttemptId> {
    let id = |index: &u32| attempts[*index as usize].attempt;
    if chosen.len() > SAMPLE {
        chosen.select_nth_unstable_by_key(SAMPLE, id);
        chosen.truncate(SAMPLE);
    }
    let mut ids: Vec<AttemptId> = chosen.iter().map(id).collect();
    ids.sort_unstable();
    ids
}
