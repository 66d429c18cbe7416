//! Posting: records of a journal become rows and sums of the books, in one transaction a batch.

use std::collections::BTreeSet;

use sqlx::sqlite::SqliteConnection;

use crate::failpoint::{self, Failpoint};
use crate::ledger::entry::Entry;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::projection::{Origin, PostingRecord, Rows};
use crate::store::read::get;
use crate::store::rollups::Rollups;
use crate::store::rows::json;
use crate::store::states;

/// Up to where a journal is in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostingCursor {
    /// The last record posted; 0 for none.
    pub posted_n: i64,
    /// Its hash.
    pub hash: String,
}

/// What a batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PostedBatch {
    /// Records posted now.
    pub records: u64,
    /// Settlements that differ from the first one of their attempt; kept apart.
    pub conflicts: u64,
}

/// Up to where a node's journal is in the books.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn cursor(books: &Books, node: &str) -> Result<Option<PostingCursor>, StoreError> {
    let mut connection =
        books.pool().acquire().await.map_err(StoreError::database("reading the cursor"))?;
    read_cursor(&mut connection, node).await
}

/// Posts records of one node, in the order of their numbers. Records the books have already are
/// skipped; all of the rest is posted, or nothing.
///
/// # Errors
/// [`StoreError::DoesNotContinue`] if the first new record does not follow the last one posted,
/// [`StoreError::Database`].
pub async fn post(
    books: &Books,
    node: &str,
    records: &[PostingRecord],
) -> Result<PostedBatch, StoreError> {
    let failed = || StoreError::database("posting");
    let mut transaction = books.writer().begin_with("BEGIN IMMEDIATE").await.map_err(failed())?;
    let at = read_cursor(&mut transaction, node).await?;
    let (posted_n, hash) = at.map_or((0, None), |at| (at.posted_n, Some(at.hash)));
    let new: Vec<&PostingRecord> = records.iter().filter(|it| it.n > posted_n).collect();
    let Some((first, last)) = new.first().zip(new.last()) else {
        return Ok(PostedBatch::default());
    };
    let follows = first.n == posted_n + 1 && hash.is_none_or(|hash| hash == first.prev_hash);
    let gapless = new.windows(2).all(|two| two[1].n == two[0].n + 1);
    if !follows || !gapless {
        let (node, offered) = (node.to_owned(), first.n);
        return Err(StoreError::DoesNotContinue { node, posted: posted_n, offered });
    }
    let (rows, rollups) = read_batch(&mut transaction, node, &new).await?;
    let conflicts = rows.conflicts();
    rows.insert(&mut transaction).await?;
    failpoint::pass(Failpoint::DuringPosting);
    rollups.apply(&mut transaction).await?;
    sqlx::query(
        "INSERT INTO posting_cursors (node, posted_n, hash) VALUES ($1, $2, $3) \
         ON CONFLICT (node) DO UPDATE SET posted_n = excluded.posted_n, hash = excluded.hash",
    )
    .bind(node)
    .bind(last.n)
    .bind(&last.hash)
    .execute(&mut *transaction)
    .await
    .map_err(failed())?;
    transaction.commit().await.map_err(failed())?;
    Ok(PostedBatch { records: new.len() as u64, conflicts })
}

/// The same within a transaction.
pub(crate) async fn read_cursor(
    connection: &mut SqliteConnection,
    node: &str,
) -> Result<Option<PostingCursor>, StoreError> {
    let row = sqlx::query("SELECT posted_n, hash FROM posting_cursors WHERE node = $1")
        .bind(node)
        .fetch_optional(connection)
        .await
        .map_err(StoreError::database("reading the cursor"))?;
    row.map(|row| Ok(PostingCursor { posted_n: get(&row, 0)?, hash: get(&row, 1)? })).transpose()
}

/// Puts a batch into rows, and into what it changes of the sums.
async fn read_batch(
    connection: &mut SqliteConnection,
    node: &str,
    records: &[&PostingRecord],
) -> Result<(Rows, Rollups), StoreError> {
    let touched: BTreeSet<String> = records
        .iter()
        .filter(|record| !matches!(record.entry, Entry::Count(_)))
        .filter_map(|record| record.entry.attempt().map(|it| it.to_string()))
        .collect();
    let before = states::load(connection, &json(&touched)).await?;
    let mut after = before.clone();
    let mut rows = Rows::default();
    for record in records {
        rows.take(&Origin { node, record }, &mut after);
    }
    let mut rollups = Rollups::default();
    for (attempt, state) in &after {
        let was = before.get(attempt);
        if was != Some(state) {
            was.inspect(|was| rollups.add(was, -1));
            rollups.add(state, 1);
        }
    }
    Ok((rows, rollups))
}
