//! Spend and attempts from the rollups, by hour or by day: the only tables an overview may read.

use std::ops::Range;

use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};

use crate::meter::Meter;
use crate::money::{Amount, Currency};
use crate::period::{ChargePeriod, DAY_US, Timestamp};
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::{AttemptFilter, add_listed, get, get_count, get_currency, unreadable};

/// What spend is broken down by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dimension {
    /// Who was called.
    #[default]
    Provider,
    /// The billed model.
    Model,
    /// Who asked.
    Team,
    /// The application.
    App,
    /// The key that paid.
    Credential,
    /// The provider's organization.
    Organization,
    /// The provider's project.
    Project,
    /// The provider's workspace.
    Workspace,
}

/// One sum of `usage_rollups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendCell {
    /// Start of the bucket.
    pub bucket: Timestamp,
    /// Value of the dimension, empty where it was not said.
    pub group: String,
    /// Billed model, empty where unknown.
    pub model: String,
    /// What was counted.
    pub meter: Meter,
    /// Whether a price was found; without one the amount says nothing.
    pub priced: bool,
    /// `billed`, `not_billed`, `uncertain`, `outside_bill`.
    pub billing_class: String,
    /// Of the amount.
    pub currency: Currency,
    /// Atoms.
    pub quantity: u64,
    /// At the prices held when each attempt was settled.
    pub amount: Amount,
}

/// One sum of `attempt_rollups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptCell {
    /// Value of the dimension, empty where it was not said.
    pub group: String,
    /// How the attempts ended.
    pub outcome: String,
    /// Where their usage comes from.
    pub usage_source: String,
    /// How completely they are priced.
    pub price_status: String,
    /// Whether they are billed.
    pub billing_class: String,
    /// How many.
    pub attempts: u64,
    /// Sum of their durations in microseconds.
    pub duration_us: u64,
}

/// When the books last heard of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastAttempt {
    /// The request it served.
    pub request: String,
    /// When it was sent.
    pub started_at: Timestamp,
    /// What it costs, where that is known.
    pub total: Option<Amount>,
    /// Of the total.
    pub currency: Option<Currency>,
    /// Whether it ended: the cost of one that did not is not known yet, rather than without a price.
    pub settled: bool,
}

/// The team a call named, else the one a person gave its key.
macro_rules! team {
    () => {
        "CASE WHEN team <> '' THEN team ELSE COALESCE(
           (SELECT r.value FROM remarks r
            WHERE r.subject = 'credential:' || credential AND r.attribute = 'team'
            ORDER BY r.id DESC LIMIT 1), '') END"
    };
}

/// What the first parameter asks to group by.
macro_rules! grouped_by {
    () => {
        concat!(
            "CASE $1 WHEN 'provider' THEN provider WHEN 'model' THEN model WHEN 'team' THEN ",
            team!(),
            " WHEN 'app' THEN app WHEN 'credential' THEN credential
               WHEN 'organization' THEN organization WHEN 'project' THEN project
               ELSE workspace END AS grouped_by"
        )
    };
}

/// The sums of a span that a filter lets through: whole days from the sums by day, what the span
/// has before and after them from the sums by hour. The tables by hour and by day have the same
/// columns in the same order.
macro_rules! sums_of {
    ($by_hour:literal, $by_day:literal) => {
        concat!(
            "FROM (SELECT * FROM ",
            $by_hour,
            " WHERE hour >= $2 AND hour < $3
      UNION ALL SELECT * FROM ",
            $by_day,
            " WHERE day >= $3 AND day < $4
      UNION ALL SELECT * FROM ",
            $by_hour,
            " WHERE hour >= $4 AND hour < $5)
WHERE ($6 IS NULL OR provider = $6) AND ($7 IS NULL OR model = $7)
  AND ($8 IS NULL OR ",
            team!(),
            " = $8) AND ($9 IS NULL OR app = $9)
  AND ($10 IS NULL OR organization = $10 OR project = $10 OR workspace = $10)
  AND ($11 IS NULL OR credential = $11)
"
        )
    };
}

/// One bucket for a span of any length: the grain of who wants the sum alone.
pub const WHOLE_SPAN: i64 = 1_000_000 * DAY_US;

const SPEND: &str = concat!(
    "
SELECT hour - (hour % $12) AS bucket,
       ",
    grouped_by!(),
    ",
       model, meter, CASE WHEN rate_id = '' THEN 0 ELSE 1 END AS priced, billing_class, currency,
       CAST(SUM(quantity) AS BIGINT) AS quantity,
       string_agg(CAST(amount AS TEXT), ' ') AS amounts
",
    sums_of!("usage_rollups", "usage_days"),
    "GROUP BY 1, 2, 3, 4, 5, 6, 7"
);

const ATTEMPTS: &str = concat!(
    "
SELECT ",
    grouped_by!(),
    ",
       outcome, usage_source, price_status, billing_class,
       CAST(SUM(attempts) AS BIGINT) AS attempts,
       CAST(SUM(duration_us) AS BIGINT) AS duration_us
",
    sums_of!("attempt_rollups", "attempt_days"),
    "GROUP BY 1, 2, 3, 4, 5"
);

const LAST: &str = "
SELECT i.request, i.started_at, v.total, v.currency,
       EXISTS (SELECT 1 FROM settlements s WHERE s.attempt = i.attempt) AS settled
FROM intents i
LEFT JOIN valuations v ON v.attempt = i.attempt
     AND v.revision = (SELECT MAX(revision) FROM valuations WHERE attempt = i.attempt)
ORDER BY i.started_at DESC LIMIT 1";

impl Dimension {
    /// Every dimension, in the order a page offers them.
    pub const ALL: &[Self] = &[
        Self::Provider,
        Self::Model,
        Self::Team,
        Self::App,
        Self::Credential,
        Self::Organization,
        Self::Project,
        Self::Workspace,
    ];

    /// The word in the URL and in the books.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Team => "team",
            Self::App => "app",
            Self::Credential => "credential",
            Self::Organization => "organization",
            Self::Project => "project",
            Self::Workspace => "workspace",
        }
    }
}

/// Sums of quantity and amount, by bucket of `grain_us` microseconds and by dimension.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub async fn spend(
    books: &Books,
    filter: &AttemptFilter,
    by: Dimension,
    grain_us: i64,
) -> Result<Vec<SpendCell>, StoreError> {
    let rows = asked(SPEND, filter, by, grain_us)
        .bind(grain_us)
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("spend"))?;
    rows.iter().map(read_spend).collect()
}

/// Numbers of attempts by how they ended, by dimension.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub async fn attempts(
    books: &Books,
    filter: &AttemptFilter,
    by: Dimension,
) -> Result<Vec<AttemptCell>, StoreError> {
    let rows = asked(ATTEMPTS, filter, by, WHOLE_SPAN)
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("attempts"))?;
    rows.iter().map(read_attempts).collect()
}

/// A statement with the parameters of [`grouped_by`] and [`sums_of`].
fn asked<'f>(
    sql: &'static str,
    filter: &'f AttemptFilter,
    by: Dimension,
    grain_us: i64,
) -> Query<'f, Sqlite, SqliteArguments> {
    let days = whole_days(filter.period, grain_us);
    sqlx::query(sql)
        .bind(by.as_str())
        .bind(filter.period.start.micros())
        .bind(days.start)
        .bind(days.end)
        .bind(filter.period.end.micros())
        .bind(filter.provider.as_deref())
        .bind(filter.model.as_deref())
        .bind(filter.team.as_deref())
        .bind(filter.app.as_deref())
        .bind(filter.account.as_deref())
        .bind(filter.credential.as_deref())
}

/// The newest attempt, or `None` while the books are empty.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn find_last_attempt(books: &Books) -> Result<Option<LastAttempt>, StoreError> {
    let row = sqlx::query(LAST).fetch_optional(books.pool()).await;
    let Some(row) = row.map_err(StoreError::database("the last attempt"))? else {
        return Ok(None);
    };
    let total: Option<i64> = get(&row, "total")?;
    let currency: Option<String> = get(&row, "currency")?;
    let settled: i64 = get(&row, "settled")?;
    Ok(Some(LastAttempt {
        request: get(&row, "request")?,
        started_at: Timestamp::from_micros(get(&row, "started_at")?),
        total: total.map(|pico| Amount::from_pico(i128::from(pico))),
        currency: currency.and_then(|code| code.parse().ok()),
        settled: settled != 0,
    }))
}

/// The part of a span the sums by day tell, in microseconds: its whole days, and nothing of it where
/// it has none or a bucket is less than a day.
fn whole_days(period: ChargePeriod, grain_us: i64) -> Range<i64> {
    let (start, end) = (period.start.micros(), period.end.micros());
    let first = start.saturating_add((DAY_US - start.rem_euclid(DAY_US)) % DAY_US);
    let last = end - end.rem_euclid(DAY_US);
    if grain_us % DAY_US == 0 && first < last { first..last } else { end..end }
}

fn read_spend(row: &SqliteRow) -> Result<SpendCell, StoreError> {
    let meter: String = get(row, "meter")?;
    let amounts: String = get(row, "amounts")?;
    let priced: i64 = get(row, "priced")?;
    Ok(SpendCell {
        bucket: Timestamp::from_micros(get(row, "bucket")?),
        group: get(row, "grouped_by")?,
        model: get(row, "model")?,
        meter: meter.parse().map_err(|_| unreadable("meter", &meter))?,
        priced: priced != 0,
        billing_class: get(row, "billing_class")?,
        currency: get_currency(row)?,
        quantity: get_count(row, "quantity")?,
        amount: add_listed(&amounts)?,
    })
}

fn read_attempts(row: &SqliteRow) -> Result<AttemptCell, StoreError> {
    Ok(AttemptCell {
        group: get(row, "grouped_by")?,
        outcome: get(row, "outcome")?,
        usage_source: get(row, "usage_source")?,
        price_status: get(row, "price_status")?,
        billing_class: get(row, "billing_class")?,
        attempts: get_count(row, "attempts")?,
        duration_us: get_count(row, "duration_us")?,
    })
}
