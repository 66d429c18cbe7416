//! Imported exports: batches written under a seal, and which batch speaks for which day.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use crate::invoice::line::{BilledLine, UsageRow};
use crate::period::{BillingPeriod, Timestamp};
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::states::get;

/// What is known of a file before its rows are stored.
#[derive(Clone, Debug)]
pub struct BatchHead {
    /// UUIDv7.
    pub batch: String,
    /// When storing began.
    pub opened_at: Timestamp,
    /// Who billed.
    pub provider: String,
    /// The account the export is of.
    pub account: String,
    /// The export's name in the books (`openai.cost_csv` ...).
    pub format: String,
    /// What the export replaces and is replaced by: `cost`, or one capability's usage.
    pub replaces: String,
    /// The filter the export was made with; empty for none.
    pub scope: String,
    /// How fine its lines are (`day_total`, `meter_with_quantity` ...).
    pub grain: String,
    /// The file's name, without folders.
    pub file_name: String,
    /// Hash over header and cells in order: the same for the same content in any container.
    pub content_sha256: String,
    /// Column names as the file spells them.
    pub header: Vec<String>,
    /// Hash of the normalized column names.
    pub header_fingerprint: String,
}

/// One row on its way into the books: what it is, and its cells as JSON text.
#[derive(Clone, Debug)]
pub enum StoredRow {
    /// Money.
    Line(Box<BilledLine>, String),
    /// Quantities.
    Usage(Box<UsageRow>, String),
}

/// A sealed batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SealedBatch {
    /// UUIDv7.
    pub batch: String,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// Who billed.
    pub provider: String,
    /// The account.
    pub account: String,
    /// The export's name in the books.
    pub format: String,
    /// What it replaces and is replaced by.
    pub replaces: String,
    /// The filter it was made with.
    pub scope: String,
    /// How fine its lines are.
    pub grain: String,
    /// The file's name.
    pub file_name: String,
    /// Hash over header and cells.
    pub content_sha256: String,
    /// What the file came to, as it was reported when it was imported: JSON.
    pub summary: String,
    /// When and why it was taken back, if it was.
    pub withdrawn: Option<String>,
}

/// A billed line, and the batch it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedLine {
    /// The batch.
    pub batch: String,
    /// The line.
    pub line: BilledLine,
}

/// A usage row, and the batch it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedUsage {
    /// The batch.
    pub batch: String,
    /// The row.
    pub row: UsageRow,
}

/// The kind of batch that speaks where several cover a day: named by what each could replace.
type Speakers = BTreeMap<NaiveDate, BTreeSet<String>>;

const OPEN: &str = "
INSERT INTO import_batches (batch, opened_at, provider, account, format, replaces, scope, grain,
                            file_name, content_sha256, header, header_fingerprint)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

const ADD_LINES: &str = "
INSERT INTO billed_lines (batch, row, day, category, currency, billed_cost, model, meter, line, raw)
SELECT $1, value ->> 'row', value ->> 'day', value ->> 'category', value ->> 'currency',
       value ->> 'billed_cost', value ->> 'model', value ->> 'meter', value ->> 'line',
       value ->> 'raw'
FROM json_each($2)";

const ADD_USAGE: &str = "
INSERT INTO usage_rows (batch, row, day, model, usage, raw)
SELECT $1, value ->> 'row', value ->> 'day', value ->> 'model', value ->> 'usage', value ->> 'raw'
FROM json_each($2)";

const SEALED: &str = "
SELECT b.batch, b.provider, b.account, b.format, b.replaces, b.scope, b.grain, b.file_name,
       b.content_sha256, s.sealed_at, s.summary, w.reason AS withdrawn
FROM import_batches b
JOIN import_seals s ON s.batch = b.batch
LEFT JOIN import_withdrawals w ON w.batch = b.batch
ORDER BY s.sealed_at, b.batch";

const DAYS: &str = "
SELECT d.batch, d.day FROM import_days d
JOIN import_seals s ON s.batch = d.batch
WHERE d.day >= $1 AND d.day < $2";

const LINES: &str = "
SELECT l.batch, l.line FROM billed_lines l
JOIN json_each($1) wanted ON l.batch = wanted.value ->> 'batch' AND l.day = wanted.value ->> 'day'
ORDER BY l.batch, l.row";

const USAGE: &str = "
SELECT u.batch, u.usage FROM usage_rows u
JOIN json_each($1) wanted ON u.batch = wanted.value ->> 'batch' AND u.day = wanted.value ->> 'day'
ORDER BY u.batch, u.row";

/// Opens a batch. Nothing reads it before its seal.
///
/// # Errors
/// [`StoreError`] where the books do not take it.
pub async fn open_batch(books: &Books, head: &BatchHead) -> Result<(), StoreError> {
    let header = serde_json::to_string(&head.header).unwrap_or_default();
    sqlx::query(OPEN)
        .bind(&head.batch)
        .bind(head.opened_at.micros())
        .bind(&head.provider)
        .bind(&head.account)
        .bind(&head.format)
        .bind(&head.replaces)
        .bind(&head.scope)
        .bind(&head.grain)
        .bind(&head.file_name)
        .bind(&head.content_sha256)
        .bind(header)
        .bind(&head.header_fingerprint)
        .execute(books.writer())
        .await
        .map_err(StoreError::database("a new batch"))?;
    Ok(())
}

/// Adds rows to an open batch, in one small transaction.
///
/// # Errors
/// [`StoreError`] where the books do not take them; the batch stays unsealed and is swept later.
pub async fn add_rows(books: &Books, batch: &str, rows: &[StoredRow]) -> Result<(), StoreError> {
    let (mut lines, mut usage) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            StoredRow::Line(line, raw) => lines.push(line_json(line, raw)),
            StoredRow::Usage(row, raw) => usage.push(usage_json(row, raw)),
        }
    }
    for (statement, rows) in [(ADD_LINES, lines), (ADD_USAGE, usage)] {
        if !rows.is_empty() {
            sqlx::query(statement)
                .bind(batch)
                .bind(serde_json::Value::Array(rows).to_string())
                .execute(books.writer())
                .await
                .map_err(StoreError::database("rows of an export"))?;
        }
    }
    Ok(())
}

/// Seals a batch: from here on it counts, and speaks for these days.
///
/// # Errors
/// [`StoreError`] where the books do not take it; then the batch does not count.
pub async fn seal(
    books: &Books,
    batch: &str,
    sealed_at: Timestamp,
    days: &BTreeSet<NaiveDate>,
    summary: &str,
    rows_hash: &str,
) -> Result<(), StoreError> {
    let days: Vec<String> = days.iter().map(NaiveDate::to_string).collect();
    let days = serde_json::to_string(&days).unwrap_or_default();
    sqlx::query("INSERT INTO import_days (batch, day) SELECT $1, value FROM json_each($2)")
        .bind(batch)
        .bind(days)
        .execute(books.writer())
        .await
        .map_err(StoreError::database("days of an export"))?;
    sqlx::query(
        "INSERT INTO import_seals (batch, sealed_at, summary, hash) VALUES ($1, $2, $3, $4)",
    )
    .bind(batch)
    .bind(sealed_at.micros())
    .bind(summary)
    .bind(rows_hash)
    .execute(books.writer())
    .await
    .map_err(StoreError::database("the seal of an export"))?;
    Ok(())
}

/// Removes what unsealed batches left, opened before an instant.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub async fn sweep_unsealed(books: &Books, opened_before: Timestamp) -> Result<u64, StoreError> {
    const STALE: &str = "SELECT batch FROM import_batches WHERE opened_at < $1
                         AND batch NOT IN (SELECT batch FROM import_seals)";
    let stale: Vec<String> = sqlx::query_scalar(STALE)
        .bind(opened_before.micros())
        .fetch_all(books.writer())
        .await
        .map_err(StoreError::database("unsealed batches"))?;
    for batch in &stale {
        for statement in [
            "DELETE FROM billed_lines WHERE batch = $1",
            "DELETE FROM usage_rows WHERE batch = $1",
            "DELETE FROM import_days WHERE batch = $1",
            "DELETE FROM import_batches WHERE batch = $1",
        ] {
            sqlx::query(statement)
                .bind(batch)
                .execute(books.writer())
                .await
                .map_err(StoreError::database("an unsealed batch"))?;
        }
    }
    Ok(u64::try_from(stale.len()).unwrap_or(u64::MAX))
}

/// Takes a sealed batch back. `false` where there is no such batch, or it was taken back before.
///
/// # Errors
/// [`StoreError`] where the books do not take it.
pub async fn withdraw(
    books: &Books,
    batch: &str,
    at: Timestamp,
    actor: &str,
    reason: &str,
) -> Result<bool, StoreError> {
    const WITHDRAW: &str = "
        INSERT INTO import_withdrawals (batch, withdrawn_at, actor, reason)
        SELECT batch, $2, $3, $4 FROM import_seals WHERE batch = $1
          AND batch NOT IN (SELECT batch FROM import_withdrawals)";
    let done = sqlx::query(WITHDRAW)
        .bind(batch)
        .bind(at.micros())
        .bind(actor)
        .bind(reason)
        .execute(books.writer())
        .await
        .map_err(StoreError::database("a withdrawal"))?;
    Ok(done.rows_affected() == 1)
}

/// Every sealed batch, oldest first, those taken back included.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub async fn sealed_batches(books: &Books) -> Result<Vec<SealedBatch>, StoreError> {
    let rows = sqlx::query(SEALED)
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("imported batches"))?;
    rows.iter().map(sealed_batch).collect()
}

/// Every batch that speaks, wholly or for some days, in a span of days `[from, until)`.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub async fn speaking(
    books: &Books,
    provider: &str,
    account: &str,
    from: NaiveDate,
    until: NaiveDate,
) -> Result<Vec<(SealedBatch, BTreeSet<NaiveDate>)>, StoreError> {
    let batches: BTreeMap<String, SealedBatch> = sealed_batches(books)
        .await?
        .into_iter()
        .filter(|batch| batch.provider == provider && batch.account == account)
        .filter(|batch| batch.withdrawn.is_none())
        .map(|batch| (batch.batch.clone(), batch))
        .collect();
    let rows = sqlx::query(DAYS)
        .bind(from.to_string())
        .bind(until.to_string())
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("days of exports"))?;
    // Of all batches that could replace each other on a day the finest grain speaks, and of these
    // the one sealed last: an ungrouped export never replaces a grouped one.
    let mut best: BTreeMap<(NaiveDate, &str, &str), &SealedBatch> = BTreeMap::new();
    for row in &rows {
        let (id, day): (String, String) = (get(row, "batch")?, get(row, "day")?);
        let Some(batch) = batches.get(&id) else { continue };
        let day: NaiveDate =
            day.parse().map_err(|_| StoreError::Value { what: "day", value: day.clone() })?;
        let place = best.entry((day, &batch.replaces, &batch.scope)).or_insert(batch);
        let rank = |batch: &SealedBatch| {
            (batch.grain != "day_total", batch.sealed_at, batch.batch.clone())
        };
        if rank(batch) > rank(place) {
            *place = batch;
        }
    }
    let mut days: BTreeMap<&str, BTreeSet<NaiveDate>> = BTreeMap::new();
    for ((day, _, _), batch) in &best {
        days.entry(&batch.batch).or_default().insert(*day);
    }
    let spoken = days.into_iter().filter_map(|(id, days)| Some((batches.get(id)?.clone(), days)));
    Ok(spoken.collect())
}

/// The lines of speaking batches in a month, by batch and row.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub async fn lines_of_month(
    books: &Books,
    provider: &str,
    account: &str,
    month: BillingPeriod,
) -> Result<Vec<ImportedLine>, StoreError> {
    let wanted = wanted_of_month(books, provider, account, month).await?;
    let rows = sqlx::query(LINES)
        .bind(wanted)
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("billed lines"))?;
    let read = |row: &SqliteRow| {
        Ok(ImportedLine { batch: get(row, "batch")?, line: get_json(row, "line")? })
    };
    rows.iter().map(read).collect()
}

/// The usage rows of speaking batches in a month, by batch and row.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub async fn usage_of_month(
    books: &Books,
    provider: &str,
    account: &str,
    month: BillingPeriod,
) -> Result<Vec<ImportedUsage>, StoreError> {
    let wanted = wanted_of_month(books, provider, account, month).await?;
    let rows = sqlx::query(USAGE)
        .bind(wanted)
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("usage rows"))?;
    let read = |row: &SqliteRow| {
        Ok(ImportedUsage { batch: get(row, "batch")?, row: get_json(row, "usage")? })
    };
    rows.iter().map(read).collect()
}

/// Accounts that exports of a provider were imported for.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub async fn accounts(books: &Books, provider: &str) -> Result<BTreeSet<String>, StoreError> {
    let batches = sealed_batches(books).await?;
    let of_provider = batches.into_iter().filter(|batch| batch.provider == provider);
    Ok(of_provider.map(|batch| batch.account).collect())
}

async fn wanted_of_month(
    books: &Books,
    provider: &str,
    account: &str,
    month: BillingPeriod,
) -> Result<String, StoreError> {
    let (from, until) = (month.first_day(), month.next().first_day());
    let mut wanted: Speakers = Speakers::new();
    for (batch, days) in speaking(books, provider, account, from, until).await? {
        for day in days {
            wanted.entry(day).or_default().insert(batch.batch.clone());
        }
    }
    let pairs: Vec<serde_json::Value> = wanted
        .iter()
        .flat_map(|(day, batches)| {
            batches
                .iter()
                .map(move |batch| serde_json::json!({"batch": batch, "day": day.to_string()}))
        })
        .collect();
    Ok(serde_json::Value::Array(pairs).to_string())
}

fn sealed_batch(row: &SqliteRow) -> Result<SealedBatch, StoreError> {
    Ok(SealedBatch {
        batch: get(row, "batch")?,
        sealed_at: Timestamp::from_micros(get(row, "sealed_at")?),
        provider: get(row, "provider")?,
        account: get(row, "account")?,
        format: get(row, "format")?,
        replaces: get(row, "replaces")?,
        scope: get(row, "scope")?,
        grain: get(row, "grain")?,
        file_name: get(row, "file_name")?,
        content_sha256: get(row, "content_sha256")?,
        summary: get(row, "summary")?,
        withdrawn: get(row, "withdrawn")?,
    })
}

fn line_json(line: &BilledLine, raw: &str) -> serde_json::Value {
    serde_json::json!({
        "row": line.row,
        "day": line.period.start.day().to_string(),
        "category": line.category,
        "currency": line.currency,
        "billed_cost": crate::money::canonical_text(line.billed_cost),
        "model": line.model,
        "meter": line.meter,
        "line": serde_json::to_string(line).unwrap_or_default(),
        "raw": raw,
    })
}

fn usage_json(row: &UsageRow, raw: &str) -> serde_json::Value {
    serde_json::json!({
        "row": row.row,
        "day": row.period.start.day().to_string(),
        "model": row.model,
        "usage": serde_json::to_string(row).unwrap_or_default(),
        "raw": raw,
    })
}

fn get_json<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    let shown = || text.chars().take(80).collect();
    serde_json::from_str(&text).map_err(|_| StoreError::Value { what: column, value: shown() })
}
