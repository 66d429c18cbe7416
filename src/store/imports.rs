//! Imported exports: rows under a batch that nothing reads until its seal, and which batch speaks
//! for which day.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;

use crate::invoice::line::{BilledLine, UsageRow};
use crate::period::Timestamp;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::{get, get_count, get_json, unreadable};

/// Scope of an export without any grouping: totals that check finer exports and never replace them.
pub(crate) const TOTALS_ONLY: &str = "totals only";

/// What a batch says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// UUIDv7.
    pub batch: String,
    /// When its file was opened.
    pub opened_at: Timestamp,
    /// Who bills.
    pub provider: String,
    /// The account it is of.
    pub account: String,
    /// The export's name in the books: `openai.cost_csv` ...
    pub format: String,
    /// The filter it was made with, `TOTALS_ONLY`, or empty for everything.
    pub scope: String,
    /// The file's name.
    pub file_name: String,
    /// Hash of the file's bytes and of the part's name within it.
    pub file_sha256: String,
    /// Its size.
    pub file_bytes: u64,
    /// The column names.
    pub header: Vec<String>,
    /// What tells this header from others.
    pub header_fingerprint: String,
}

/// What makes a batch count.
#[derive(Clone, Debug)]
pub struct Seal {
    /// The batch.
    pub head: BatchHead,
    /// When.
    pub sealed_at: Timestamp,
    /// Rows by kind, sums, days, warnings, as JSON.
    pub summary: Value,
    /// Hash over the rows in order.
    pub hash: String,
    /// The days the batch speaks for.
    pub days: Vec<NaiveDate>,
}

/// A money row on its way in.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LineRow {
    /// Data row in the file, from 1.
    pub row: u64,
    /// The provider's day.
    pub day: String,
    /// FOCUS `ChargeCategory`.
    pub category: String,
    /// Of the amount.
    pub currency: String,
    /// Canonical decimal.
    pub billed_cost: String,
    /// As the row spells it.
    pub model: Option<String>,
    /// What was counted.
    pub meter: Option<String>,
    /// The line as JSON.
    pub line: String,
    /// Every cell as JSON.
    pub raw: String,
}

/// A usage row on its way in.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct QuantityRow {
    /// Data row in the file, from 1.
    pub row: u64,
    /// The provider's day.
    pub day: String,
    /// As the row spells it.
    pub model: Option<String>,
    /// The row as JSON.
    pub usage: String,
    /// Every cell as JSON.
    pub raw: String,
}

/// A sealed batch.
#[derive(Clone, Debug)]
pub struct BatchRecord {
    /// What it says of itself.
    pub head: BatchHead,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// Its summary.
    pub summary: Value,
    /// Hash over its rows in order.
    pub hash: String,
    /// When it was taken back, if it was.
    pub withdrawn_at: Option<Timestamp>,
}

/// A day and the batch that speaks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeakingDay {
    /// The batch.
    pub batch: String,
    /// Who bills.
    pub provider: String,
    /// The account.
    pub account: String,
    /// The export.
    pub format: String,
    /// Its scope.
    pub scope: String,
    /// The day.
    pub day: NaiveDate,
    /// When the batch was sealed.
    pub sealed_at: Timestamp,
}

/// A billed line as it is stored.
#[derive(Clone, Debug)]
pub struct StoredLine {
    /// Its batch.
    pub batch: String,
    /// The line.
    pub line: BilledLine,
}

/// A usage row as it is stored.
#[derive(Clone, Debug)]
pub struct StoredUsage {
    /// Its batch.
    pub batch: String,
    /// The row.
    pub usage: UsageRow,
}

const ADD_LINES: &str = "
INSERT INTO billed_lines
    (batch, row, day, category, currency, billed_cost, model, meter, line, raw)
SELECT $2, value ->> 'row', value ->> 'day', value ->> 'category', value ->> 'currency',
       value ->> 'billed_cost', value ->> 'model', value ->> 'meter', value ->> 'line',
       value ->> 'raw'
FROM jsonb_each($1) WHERE true";
const ADD_USAGE: &str = "
INSERT INTO usage_rows (batch, row, day, model, usage, raw)
SELECT $2, value ->> 'row', value ->> 'day', value ->> 'model', value ->> 'usage', value ->> 'raw'
FROM jsonb_each($1) WHERE true";
const ADD_BATCH: &str = "
INSERT INTO import_batches (batch, opened_at, provider, account, format, scope, file_name,
                            file_sha256, file_bytes, header, header_fingerprint)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const ADD_DAYS: &str =
    "INSERT INTO import_days (batch, day) SELECT $2, value FROM json_each($1) WHERE true";
const ADD_SEAL: &str =
    "INSERT INTO import_seals (batch, sealed_at, summary, hash) VALUES ($1, $2, $3, $4)";
const BATCHES: &str = "
SELECT b.*, s.sealed_at, s.summary, s.hash, w.withdrawn_at
FROM import_batches b
JOIN import_seals s ON s.batch = b.batch
LEFT JOIN import_withdrawals w ON w.batch = b.batch
ORDER BY s.sealed_at DESC, b.batch DESC";
const DAYS: &str = "
SELECT b.batch, b.provider, b.account, b.format, b.scope, d.day, s.sealed_at
FROM import_days d
JOIN import_batches b ON b.batch = d.batch
JOIN import_seals s ON s.batch = d.batch
LEFT JOIN import_withdrawals w ON w.batch = d.batch
WHERE w.batch IS NULL AND d.day >= $1 AND d.day < $2
ORDER BY s.sealed_at, b.batch";
const WITHDRAW: &str = "
INSERT INTO import_withdrawals (batch, withdrawn_at, actor, reason)
SELECT batch, $2, $3, $4 FROM import_seals WHERE batch = $1
ON CONFLICT DO NOTHING";
const LINES: &str = "SELECT line FROM billed_lines WHERE batch = $1 AND day = $2 ORDER BY row";
const USAGE: &str = "SELECT usage FROM usage_rows WHERE batch = $1 AND day = $2 ORDER BY row";

// Steps from batch to batch by the primary key: a scan of every row would be as slow as the import.
const LINE_BATCHES: &str = "
WITH RECURSIVE batches (batch) AS (
    SELECT MIN(batch) FROM billed_lines
    UNION ALL
    SELECT (SELECT MIN(batch) FROM billed_lines WHERE batch > batches.batch)
    FROM batches WHERE batches.batch < $1
)
SELECT batch FROM batches
WHERE batch < $1 AND batch NOT IN (SELECT batch FROM import_seals)";
const USAGE_BATCHES: &str = "
WITH RECURSIVE batches (batch) AS (
    SELECT MIN(batch) FROM usage_rows
    UNION ALL
    SELECT (SELECT MIN(batch) FROM usage_rows WHERE batch > batches.batch)
    FROM batches WHERE batches.batch < $1
)
SELECT batch FROM batches
WHERE batch < $1 AND batch NOT IN (SELECT batch FROM import_seals)";

/// Stores rows of a batch that is not sealed yet; one transaction.
///
/// # Errors
/// [`StoreError::Database`]; nothing of this chunk is kept then.
pub(crate) async fn add_rows(
    books: &Books,
    batch: &str,
    lines: &[LineRow],
    usage: &[QuantityRow],
) -> Result<(), StoreError> {
    let failed = || StoreError::database("storing rows of an export");
    let mut transaction = books.writer().begin_with("BEGIN IMMEDIATE").await.map_err(failed())?;
    if !lines.is_empty() {
        let all = json(&lines)?;
        let done = sqlx::query(ADD_LINES).bind(all).bind(batch).execute(&mut *transaction).await;
        done.map_err(failed())?;
    }
    if !usage.is_empty() {
        let all = json(&usage)?;
        let done = sqlx::query(ADD_USAGE).bind(all).bind(batch).execute(&mut *transaction).await;
        done.map_err(failed())?;
    }
    transaction.commit().await.map_err(failed())
}

/// Seals the batches of one file: from now on they count, all of them or none.
///
/// # Errors
/// [`StoreError::Database`]; no batch is sealed then.
pub(crate) async fn seal(books: &Books, seals: &[Seal]) -> Result<(), StoreError> {
    let failed = || StoreError::database("sealing an import");
    let mut transaction = books.writer().begin_with("BEGIN IMMEDIATE").await.map_err(failed())?;
    for seal in seals {
        let head = &seal.head;
        let bytes = i64::try_from(head.file_bytes).unwrap_or(i64::MAX);
        sqlx::query(ADD_BATCH)
            .bind(&head.batch)
            .bind(head.opened_at.micros())
            .bind(&head.provider)
            .bind(&head.account)
            .bind(&head.format)
            .bind(&head.scope)
            .bind(&head.file_name)
            .bind(&head.file_sha256)
            .bind(bytes)
            .bind(json(&head.header)?)
            .bind(&head.header_fingerprint)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        let days: Vec<String> = seal.days.iter().map(NaiveDate::to_string).collect();
        let done = sqlx::query(ADD_DAYS).bind(json(&days)?).bind(&head.batch);
        done.execute(&mut *transaction).await.map_err(failed())?;
        sqlx::query(ADD_SEAL)
            .bind(&head.batch)
            .bind(seal.sealed_at.micros())
            .bind(seal.summary.to_string())
            .bind(&seal.hash)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
    }
    transaction.commit().await.map_err(failed())
}

/// Removes the rows of a batch that was never sealed.
///
/// # Errors
/// [`StoreError::Database`], also for a sealed batch: the database refuses.
pub(crate) async fn sweep(books: &Books, batch: &str) -> Result<(), StoreError> {
    for sql in
        ["DELETE FROM billed_lines WHERE batch = $1", "DELETE FROM usage_rows WHERE batch = $1"]
    {
        let done = sqlx::query(sql).bind(batch).execute(books.writer()).await;
        done.map_err(StoreError::database("sweeping an unfinished import"))?;
    }
    Ok(())
}

/// Removes the rows of batches below this id that were never sealed: what a crash left.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn sweep_older(books: &Books, below: &str) -> Result<(), StoreError> {
    for (batches, sweep) in [
        (LINE_BATCHES, "DELETE FROM billed_lines WHERE batch = $1"),
        (USAGE_BATCHES, "DELETE FROM usage_rows WHERE batch = $1"),
    ] {
        let failed = || StoreError::database("sweeping unfinished imports");
        let unsealed = sqlx::query_scalar::<_, String>(batches).bind(below);
        for batch in unsealed.fetch_all(books.pool()).await.map_err(failed())? {
            let done = sqlx::query(sweep).bind(batch).execute(books.writer()).await;
            done.map_err(failed())?;
        }
    }
    Ok(())
}

/// Every sealed batch, newest first.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub(crate) async fn batches(books: &Books) -> Result<Vec<BatchRecord>, StoreError> {
    let rows = sqlx::query(BATCHES).fetch_all(books.pool()).await;
    rows.map_err(StoreError::database("imports"))?.iter().map(read_batch).collect()
}

/// Takes a sealed batch back; `false` where there is no such batch or it is withdrawn already.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn withdraw(
    books: &Books,
    batch: &str,
    at: Timestamp,
    actor: &str,
    reason: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query(WITHDRAW)
        .bind(batch)
        .bind(at.micros())
        .bind(actor)
        .bind(reason)
        .execute(books.writer())
        .await
        .map_err(StoreError::database("withdrawing an import"))?;
    Ok(done.rows_affected() > 0)
}

/// Which batch speaks for which day, of each provider, account and export, in `[from, until)`: the
/// newest seal of the finest scope.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub async fn speaking_days(
    books: &Books,
    from: NaiveDate,
    until: NaiveDate,
) -> Result<Vec<SpeakingDay>, StoreError> {
    let rows = sqlx::query(DAYS)
        .bind(from.to_string())
        .bind(until.to_string())
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("imported days"))?;
    let mut speaking: BTreeMap<_, SpeakingDay> = BTreeMap::new();
    for row in &rows {
        let next = read_day(row)?;
        let key = (next.provider.clone(), next.account.clone(), next.format.clone(), next.day);
        let finer = |held: &SpeakingDay| next.scope == TOTALS_ONLY && held.scope != TOTALS_ONLY;
        if !speaking.get(&key).is_some_and(finer) {
            speaking.insert(key, next);
        }
    }
    Ok(speaking.into_values().collect())
}

/// The billed lines of days, each by the batch that speaks for it.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub async fn billed_lines(
    books: &Books,
    days: &[SpeakingDay],
) -> Result<Vec<StoredLine>, StoreError> {
    let mut lines = Vec::new();
    for day in days {
        for row in &fetch_day(books, LINES, day).await? {
            lines.push(StoredLine { batch: day.batch.clone(), line: get_json(row, "line")? });
        }
    }
    Ok(lines)
}

/// The usage rows of days, each by the batch that speaks for it.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub(crate) async fn usage_rows(
    books: &Books,
    days: &[SpeakingDay],
) -> Result<Vec<StoredUsage>, StoreError> {
    let mut rows = Vec::new();
    for day in days {
        for row in &fetch_day(books, USAGE, day).await? {
            rows.push(StoredUsage { batch: day.batch.clone(), usage: get_json(row, "usage")? });
        }
    }
    Ok(rows)
}

async fn fetch_day(
    books: &Books,
    sql: &'static str,
    day: &SpeakingDay,
) -> Result<Vec<SqliteRow>, StoreError> {
    let rows = sqlx::query(sql).bind(&day.batch).bind(day.day.to_string());
    rows.fetch_all(books.pool()).await.map_err(StoreError::database("rows of an export"))
}

fn read_day(row: &SqliteRow) -> Result<SpeakingDay, StoreError> {
    let day: String = get(row, "day")?;
    Ok(SpeakingDay {
        batch: get(row, "batch")?,
        provider: get(row, "provider")?,
        account: get(row, "account")?,
        format: get(row, "format")?,
        scope: get(row, "scope")?,
        day: day.parse().map_err(|_| unreadable("day", &day))?,
        sealed_at: Timestamp::from_micros(get(row, "sealed_at")?),
    })
}

fn read_batch(row: &SqliteRow) -> Result<BatchRecord, StoreError> {
    let withdrawn_at: Option<i64> = get(row, "withdrawn_at")?;
    Ok(BatchRecord {
        head: BatchHead {
            batch: get(row, "batch")?,
            opened_at: Timestamp::from_micros(get(row, "opened_at")?),
            provider: get(row, "provider")?,
            account: get(row, "account")?,
            format: get(row, "format")?,
            scope: get(row, "scope")?,
            file_name: get(row, "file_name")?,
            file_sha256: get(row, "file_sha256")?,
            file_bytes: get_count(row, "file_bytes")?,
            header: get_json(row, "header")?,
            header_fingerprint: get(row, "header_fingerprint")?,
        },
        sealed_at: Timestamp::from_micros(get(row, "sealed_at")?),
        summary: get_json(row, "summary")?,
        hash: get(row, "hash")?,
        withdrawn_at: withdrawn_at.map(Timestamp::from_micros),
    })
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| unreadable("rows of an export", &error.to_string()))
}
