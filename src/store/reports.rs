//! Reconciliation reports, invoice documents and closings: appended, never changed.

use sqlx::sqlite::SqliteRow;

use crate::period::{BillingPeriod, Timestamp};
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::get;

/// Whose month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthOf<'a> {
    /// Who bills.
    pub provider: &'a str,
    /// The account.
    pub account: &'a str,
    /// The month.
    pub period: BillingPeriod,
}

/// A stored report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReport {
    /// UUIDv7.
    pub report: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Hash of the report's text; equal for equal inputs.
    pub inputs_hash: String,
    /// The engine's word for the month's state.
    pub status: String,
    /// The report as JSON.
    pub body: String,
}

/// What the document that is paid says, canonical decimals; absent parts were not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredDocument {
    /// What is to be paid.
    pub total: Option<String>,
    /// Tax it adds.
    pub tax: Option<String>,
    /// Credits it takes off.
    pub credits: Option<String>,
}

/// What one unit of a bill's currency is in the books' currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRate {
    /// The bill's currency.
    pub from: String,
    /// The books' currency.
    pub into: String,
    /// Canonical decimal.
    pub rate: String,
    /// Where a person read it; empty where they did not say.
    pub source: String,
}

/// A person closed a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// When.
    pub closed_at: Timestamp,
    /// Who.
    pub actor: String,
    /// On which report.
    pub report: String,
    /// That report's hash; another hash now means the month is stale.
    pub inputs_hash: String,
    /// What they wrote.
    pub note: String,
}

/// Keeps a report.
///
/// # Errors
/// [`StoreError`] where the books do not take it.
pub async fn keep_report(
    books: &Books,
    of: &MonthOf<'_>,
    report: &StoredReport,
) -> Result<(), StoreError> {
    const KEEP: &str = "
        INSERT INTO reports (report, made_at, provider, account, period, inputs_hash, status, body)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(KEEP)
        .bind(&report.report)
        .bind(report.made_at.micros())
        .bind(of.provider)
        .bind(of.account)
        .bind(of.period.to_string())
        .bind(&report.inputs_hash)
        .bind(&report.status)
        .bind(&report.body)
        .execute(books.writer())
        .await
        .map(drop)
        .map_err(StoreError::database("keeping a report"))
}

/// The newest report of a month.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn newest_report(
    books: &Books,
    of: &MonthOf<'_>,
) -> Result<Option<StoredReport>, StoreError> {
    const NEWEST: &str = "
        SELECT report, made_at, inputs_hash, status, body FROM reports
        WHERE provider = $1 AND account = $2 AND period = $3
        ORDER BY made_at DESC, report DESC LIMIT 1";
    let row = newest(books, of, NEWEST, "the newest report").await?;
    let read = |row: SqliteRow| {
        Ok(StoredReport {
            report: get(&row, "report")?,
            made_at: Timestamp::from_micros(get(&row, "made_at")?),
            inputs_hash: get(&row, "inputs_hash")?,
            status: get(&row, "status")?,
            body: get(&row, "body")?,
        })
    };
    row.map(read).transpose()
}

/// Notes what the document of a month says.
///
/// # Errors
/// [`StoreError`] where the books do not take it.
pub(crate) async fn say_document(
    books: &Books,
    of: &MonthOf<'_>,
    (said_at, actor, currency): (Timestamp, &str, &str),
    document: &StoredDocument,
) -> Result<(), StoreError> {
    const SAY: &str = "
        INSERT INTO invoice_documents
               (said_at, actor, provider, account, period, currency, total, tax, credits)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let words = [
        Some(currency),
        document.total.as_deref(),
        document.tax.as_deref(),
        document.credits.as_deref(),
    ];
    say(books, of, (said_at, actor), &words, (SAY, "an invoice document")).await
}

/// The newest word on a month's document.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn document(
    books: &Books,
    of: &MonthOf<'_>,
) -> Result<Option<StoredDocument>, StoreError> {
    const NEWEST: &str = "
        SELECT total, tax, credits FROM invoice_documents
        WHERE provider = $1 AND account = $2 AND period = $3 ORDER BY id DESC LIMIT 1";
    let row = newest(books, of, NEWEST, "an invoice document").await?;
    let read = |row: SqliteRow| {
        let (total, tax) = (get(&row, "total")?, get(&row, "tax")?);
        Ok(StoredDocument { total, tax, credits: get(&row, "credits")? })
    };
    row.map(read).transpose()
}

/// Notes the rate of exchange of a month.
///
/// # Errors
/// [`StoreError`] where the books do not take it.
pub(crate) async fn say_rate(
    books: &Books,
    of: &MonthOf<'_>,
    (said_at, actor): (Timestamp, &str),
    rate: &StoredRate,
) -> Result<(), StoreError> {
    const SAY: &str = "
        INSERT INTO exchange_rates
               (said_at, actor, provider, account, period, from_currency, into_currency, rate, source)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let words = [&rate.from, &rate.into, &rate.rate, &rate.source].map(|word| Some(word.as_str()));
    say(books, of, (said_at, actor), &words, (SAY, "a rate of exchange")).await
}

/// The newest word on a month's rate of exchange.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn rate(
    books: &Books,
    of: &MonthOf<'_>,
) -> Result<Option<StoredRate>, StoreError> {
    const NEWEST: &str = "
        SELECT from_currency, into_currency, rate, source FROM exchange_rates
        WHERE provider = $1 AND account = $2 AND period = $3 ORDER BY id DESC LIMIT 1";
    let row = newest(books, of, NEWEST, "a rate of exchange").await?;
    let read = |row: SqliteRow| {
        Ok(StoredRate {
            from: get(&row, "from_currency")?,
            into: get(&row, "into_currency")?,
            rate: get(&row, "rate")?,
            source: get(&row, "source")?,
        })
    };
    row.map(read).transpose()
}

/// Notes that a person closed a month.
///
/// # Errors
/// [`StoreError`] where the books do not take it.
pub(crate) async fn keep_closing(
    books: &Books,
    of: &MonthOf<'_>,
    closing: &Closing,
) -> Result<(), StoreError> {
    const SAY: &str = "
        INSERT INTO closings (closed_at, actor, provider, account, period, report, inputs_hash, note)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let words =
        [&closing.report, &closing.inputs_hash, &closing.note].map(|word| Some(word.as_str()));
    say(books, of, (closing.closed_at, &closing.actor), &words, (SAY, "a closing")).await
}

/// Every closing of a month, the newest first.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub async fn closings(books: &Books, of: &MonthOf<'_>) -> Result<Vec<Closing>, StoreError> {
    const ALL: &str = "
        SELECT closed_at, actor, report, inputs_hash, note FROM closings
        WHERE provider = $1 AND account = $2 AND period = $3 ORDER BY id DESC";
    let rows = sqlx::query(ALL)
        .bind(of.provider)
        .bind(of.account)
        .bind(of.period.to_string())
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("closings"))?;
    rows.iter().map(closing).collect()
}

/// Appends what a person says of a month: when, who, whose month, and the words in their order.
async fn say(
    books: &Books,
    of: &MonthOf<'_>,
    (at, actor): (Timestamp, &str),
    words: &[Option<&str>],
    (insert, what): (&'static str, &'static str),
) -> Result<(), StoreError> {
    let mut statement = sqlx::query(insert)
        .bind(at.micros())
        .bind(actor)
        .bind(of.provider)
        .bind(of.account)
        .bind(of.period.to_string());
    for word in words {
        statement = statement.bind(*word);
    }
    statement.execute(books.writer()).await.map(drop).map_err(StoreError::database(what))
}

/// The row a query finds for a provider, an account and a period.
async fn newest(
    books: &Books,
    of: &MonthOf<'_>,
    query: &'static str,
    what: &'static str,
) -> Result<Option<SqliteRow>, StoreError> {
    sqlx::query(query)
        .bind(of.provider)
        .bind(of.account)
        .bind(of.period.to_string())
        .fetch_optional(books.pool())
        .await
        .map_err(StoreError::database(what))
}

fn closing(row: &SqliteRow) -> Result<Closing, StoreError> {
    Ok(Closing {
        closed_at: Timestamp::from_micros(get(row, "closed_at")?),
        actor: get(row, "actor")?,
        report: get(row, "report")?,
        inputs_hash: get(row, "inputs_hash")?,
        note: get(row, "note")?,
    })
}
