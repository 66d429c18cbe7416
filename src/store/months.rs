//! Months against exports: which days are spoken for, and the newest report of each month.

use chrono::NaiveDate;
use sqlx::sqlite::SqliteRow;

use crate::period::{BillingPeriod, Timestamp};
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::{get, unreadable};
use crate::store::reports::Closing;

/// A day an export of an account speaks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CoveredDay {
    /// Who bills.
    pub provider: String,
    /// The account the export is of.
    pub account: String,
    /// `openai_cost`, `openai_usage`, `anthropic_cost`, `anthropic_tokens`.
    pub format: String,
    /// The provider's day, UTC.
    pub day: NaiveDate,
    /// When its newest batch was sealed.
    pub sealed_at: Timestamp,
}

/// The newest report of a provider, account and month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportRecord {
    /// Its id.
    pub report: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Who bills.
    pub provider: String,
    /// The account.
    pub account: String,
    /// The month.
    pub period: BillingPeriod,
    /// Hash of the report's text; equal for equal inputs.
    pub inputs_hash: String,
    /// The engine's word for it.
    pub status: String,
    /// The whole report as JSON.
    pub body: String,
    /// The newest word of a person who closed the month, on this report or an earlier one.
    pub closing: Option<Closing>,
}

const DAYS: &str = "
SELECT b.provider, b.account, b.format, d.day, MAX(s.sealed_at) AS sealed_at
FROM import_days d
JOIN import_batches b ON b.batch = d.batch
JOIN import_seals s ON s.batch = d.batch
LEFT JOIN import_withdrawals w ON w.batch = d.batch
WHERE w.batch IS NULL AND d.day >= $1 AND d.day < $2
GROUP BY b.provider, b.account, b.format, d.day";

const BEGINNINGS: &str = "
SELECT provider,
       (SELECT MIN(hour) FROM attempt_rollups h
        WHERE h.provider = began.provider
          AND h.hour >= began.day AND h.hour < began.day + 86400000000) AS first_hour
FROM (SELECT provider, MIN(day) AS day FROM attempt_days GROUP BY provider) began";

const REPORTS: &str = "
SELECT r.*, c.closed_at, c.actor, c.closed_report, c.closed_hash, c.note
FROM reports r
LEFT JOIN (SELECT id, closed_at, actor, report AS closed_report, inputs_hash AS closed_hash, note
           FROM closings) c
    ON c.id = (SELECT MAX(id) FROM closings
               WHERE provider = r.provider AND account = r.account AND period = r.period)
WHERE r.period >= $1 AND r.period <= $2
  AND r.report = (SELECT MAX(report) FROM reports
                WHERE provider = r.provider AND account = r.account AND period = r.period)
ORDER BY r.period, r.provider, r.account";

/// Days spoken for by sealed exports that were not withdrawn, from one day to before another.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub(crate) async fn covered_days(
    books: &Books,
    from: NaiveDate,
    until: NaiveDate,
) -> Result<Vec<CoveredDay>, StoreError> {
    let rows = sqlx::query(DAYS)
        .bind(from.to_string())
        .bind(until.to_string())
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("imported days"))?;
    let read = |row| {
        let day: String = get(row, "day")?;
        Ok(CoveredDay {
            provider: get(row, "provider")?,
            account: get(row, "account")?,
            format: get(row, "format")?,
            day: day.parse().map_err(|_| unreadable("day", &day))?,
            sealed_at: Timestamp::from_micros(get(row, "sealed_at")?),
        })
    };
    rows.iter().map(read).collect()
}

/// The newest report of each provider, account and month in a span of months, both included.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub(crate) async fn reports(
    books: &Books,
    first: BillingPeriod,
    last: BillingPeriod,
) -> Result<Vec<ReportRecord>, StoreError> {
    let rows = sqlx::query(REPORTS)
        .bind(first.to_string())
        .bind(last.to_string())
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("reports"))?;
    let read = |row| {
        let period: String = get(row, "period")?;
        Ok(ReportRecord {
            report: get(row, "report")?,
            made_at: Timestamp::from_micros(get(row, "made_at")?),
            provider: get(row, "provider")?,
            account: get(row, "account")?,
            period: period.parse().map_err(|_| unreadable("period", &period))?,
            inputs_hash: get(row, "inputs_hash")?,
            status: get(row, "status")?,
            body: get(row, "body")?,
            closing: closing(row)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Providers with attempts, and the hour of their first one.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn beginnings(books: &Books) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let rows = sqlx::query(BEGINNINGS).fetch_all(books.pool()).await;
    let read = |row| Ok((get(row, "provider")?, Timestamp::from_micros(get(row, "first_hour")?)));
    rows.map_err(StoreError::database("the first attempts"))?.iter().map(read).collect()
}

fn closing(row: &SqliteRow) -> Result<Option<Closing>, StoreError> {
    let Some(closed_at) = get::<Option<i64>, _>(row, "closed_at")? else { return Ok(None) };
    Ok(Some(Closing {
        closed_at: Timestamp::from_micros(closed_at),
        actor: get(row, "actor")?,
        report: get(row, "closed_report")?,
        inputs_hash: get(row, "closed_hash")?,
        note: get(row, "note")?,
    }))
}
