//! Looking the books over: against the journal, against themselves, against the file.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::Row;

use crate::digest::sha256;
use crate::ledger::entry::Entry;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::posting::{self, PostingCursor};
use crate::store::projection::{Held, Origin, PostingRecord, Rows};
use crate::store::read::get;
use crate::store::rows::json;
use crate::store::states::State;

/// What the books hold, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct BooksCounts {
    /// Attempts with a settlement that is not an orphan's.
    pub settled: u64,
    /// Attempts whose settlement says that a crash left them.
    pub orphans: u64,
    /// Intents without a settlement.
    pub unsettled: u64,
    /// Second, different settlements.
    pub conflicts: u64,
    /// Coverage gaps.
    pub gaps: u64,
    /// Settlements whose intent is not in the books.
    pub without_intent: u64,
}

/// Where a settlement record ended up: attempt and number to revision, attempt to the first body.
#[derive(Default)]
struct Placed {
    revisions: HashMap<i64, i64>,
    first_bodies: HashMap<String, String>,
}

/// Compares posted records with the rows they became; a sentence for each that differs.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn differing(
    books: &Books,
    node: &str,
    records: &[PostingRecord],
) -> Result<Vec<String>, StoreError> {
    let placed = placed(books, node, records).await?;
    let mut rows = Rows::default();
    let mut states: HashMap<String, State> = HashMap::new();
    for record in records {
        let origin = Origin { node, record };
        let (settlement, correction) = match &record.entry {
            Entry::Settlement(settlement) => (&**settlement, None),
            Entry::Correction(correction) => (&correction.settlement, Some(&**correction)),
            _ => {
                rows.take(&origin, &mut states);
                continue;
            }
        };
        let body_hash = sha256(&record.body);
        let attempt = settlement.attempt.to_string();
        if let Some(&revision) = placed.revisions.get(&record.n) {
            let held = Held { settlement, revision, correction };
            rows.settlement(&origin, &held, body_hash, &mut State::default());
        } else if correction.is_some() || placed.first_bodies.get(&attempt) != Some(&body_hash) {
            // Neither held nor a repetition of what is held: it must stand apart.
            rows.conflict(&origin, &attempt);
        }
    }
    let mut connection = books.pool().acquire().await.map_err(StoreError::database("comparing"))?;
    rows.differing(&mut connection).await
}

async fn placed(
    books: &Books,
    node: &str,
    records: &[PostingRecord],
) -> Result<Placed, StoreError> {
    let attempts: Vec<String> = records
        .iter()
        .filter(|record| matches!(record.entry, Entry::Settlement(_) | Entry::Correction(_)))
        .filter_map(|record| record.entry.attempt().map(|attempt| attempt.to_string()))
        .collect();
    let rows = sqlx::query(
        "SELECT attempt, n, revision, body_hash, node FROM settlements \
         WHERE attempt IN (SELECT value FROM json_each($1))",
    )
    .bind(json(&attempts))
    .fetch_all(books.pool())
    .await
    .map_err(StoreError::database("comparing settlements"))?;
    let mut placed = Placed::default();
    for row in &rows {
        let revision: i64 = get(row, "revision")?;
        if get::<String, _>(row, "node")? == node {
            placed.revisions.insert(get(row, "n")?, revision);
        }
        if revision == 0 {
            placed.first_bodies.insert(get(row, "attempt")?, get(row, "body_hash")?);
        }
    }
    Ok(placed)
}

/// Counts what the books hold, and where a node's journal stands in them, at one instant.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn counts(
    books: &Books,
    node: Option<&str>,
) -> Result<(BooksCounts, Option<PostingCursor>), StoreError> {
    let mut transaction = books.pool().begin().await.map_err(StoreError::database("counting"))?;
    let cursor = match node {
        Some(node) => posting::read_cursor(&mut transaction, node).await?,
        None => None,
    };
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM settlements s WHERE outcome <> 'orphaned' AND revision = \
                    (SELECT MAX(revision) FROM settlements WHERE attempt = s.attempt)) AS settled, \
                (SELECT COUNT(*) FROM settlements s WHERE outcome = 'orphaned' AND revision = \
                    (SELECT MAX(revision) FROM settlements WHERE attempt = s.attempt)) AS orphans, \
                (SELECT COUNT(*) FROM intents i WHERE NOT EXISTS \
                    (SELECT 1 FROM settlements WHERE attempt = i.attempt)) AS unsettled, \
                (SELECT COUNT(*) FROM settlement_conflicts) AS conflicts, \
                (SELECT COUNT(*) FROM coverage_gaps) AS gaps, \
                (SELECT COUNT(*) FROM settlements s WHERE revision = 0 AND NOT EXISTS \
                    (SELECT 1 FROM intents WHERE attempt = s.attempt)) AS without_intent",
    )
    .fetch_one(&mut *transaction)
    .await
    .map_err(StoreError::database("counting"))?;
    let count = |column| get::<i64, &str>(&row, column).map(i64::unsigned_abs);
    let counts = BooksCounts {
        settled: count("settled")?,
        orphans: count("orphans")?,
        unsettled: count("unsettled")?,
        conflicts: count("conflicts")?,
        gaps: count("gaps")?,
        without_intent: count("without_intent")?,
    };
    Ok((counts, cursor))
}

/// What the database itself says of its file: nothing if it is sound.
///
/// # Errors
/// [`StoreError::Database`] if it does not even answer.
pub(crate) async fn integrity(books: &Books) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query("PRAGMA integrity_check").fetch_all(books.pool()).await;
    let words: Result<Vec<String>, _> =
        rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect());
    let mut words = words.map_err(StoreError::database("checking integrity"))?;
    words.retain(|word| word != "ok");
    Ok(words)
}
