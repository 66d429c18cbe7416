//! Attempts as a list shows them: by filter, by id, or those of one request.

use serde_json::Value;
use sqlx::sqlite::SqliteRow;

use crate::meter::Quantities;
use crate::money::{Amount, Currency};
use crate::period::Timestamp;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::{AttemptFilter, get, get_count, get_count_opt, get_currency, get_json};
use crate::usage::ModelUsage;

/// What a list of attempts is narrowed by, beyond the common filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AttemptSearch {
    /// An outcome, or `errors`, `unpriced`, `unknown`, `uncertain`, `orphaned`.
    pub status: Option<String>,
    /// Only attempts older than this one: where the page before ended.
    pub before: Option<(Timestamp, String)>,
    /// At most this many.
    pub limit: u32,
}

/// One attempt in a list; the newest revision of everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptLine {
    /// The attempt.
    pub attempt: String,
    /// The request it served.
    pub request: String,
    /// 1 for the first attempt of the request.
    pub ordinal: u64,
    /// When it was sent.
    pub started_at: Timestamp,
    /// Who was called.
    pub provider: String,
    /// The kind of call.
    pub endpoint: String,
    /// The model asked for.
    pub model_requested: Option<String>,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The key that paid.
    pub credential: Option<String>,
    /// Team label, as the caller claimed or proved it.
    pub team: Option<String>,
    /// The team a person gave the key; it speaks where the call named none.
    pub given_team: Option<String>,
    /// Application label.
    pub app: Option<String>,
    /// End user.
    pub end_user: Option<String>,
    /// How it ended; `None` while in flight or after a crash.
    pub settled: Option<SettledLine>,
}

/// What a list shows of a settlement and its valuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledLine {
    /// How it ended.
    pub outcome: String,
    /// The provider's HTTP status.
    pub http_status: Option<u64>,
    /// The provider's error type.
    pub error: Option<String>,
    /// The model that answered.
    pub model_served: Option<String>,
    /// The provider's id of the call, from the answer's headers.
    pub provider_request_id: Option<String>,
    /// Where the quantities come from.
    pub usage_source: String,
    /// What was used, all parts together.
    pub quantities: Quantities,
    /// Microseconds to the first byte.
    pub first_byte_us: Option<u64>,
    /// Microseconds to the end.
    pub duration_us: u64,
    /// Whether it is billed.
    pub billing_class: String,
    /// How completely it is priced.
    pub price_status: Option<String>,
    /// What it costs, where that is known.
    pub total: Option<Amount>,
    /// Of the total.
    pub currency: Option<Currency>,
}

macro_rules! attempt_lines {
    ($tail:literal) => {
        concat!(
            "
SELECT i.*, s.outcome, s.http_status, s.error, s.model_served, s.provider_request_id,
       s.usage_source, s.usage_parts, s.first_byte_us, s.duration_us, s.billing_class,
       v.status AS price_status, v.total, v.currency,
       (SELECT r.value FROM remarks r
        WHERE r.subject = 'credential:' || i.credential AND r.attribute = 'team'
        ORDER BY r.id DESC LIMIT 1) AS given_team
FROM intents i
LEFT JOIN settlements s ON s.attempt = i.attempt
     AND s.revision = (SELECT MAX(revision) FROM settlements WHERE attempt = i.attempt)
LEFT JOIN valuations v ON v.attempt = i.attempt
     AND v.revision = (SELECT MAX(revision) FROM valuations WHERE attempt = i.attempt)
",
            $tail
        )
    };
}

const LIST: &str = attempt_lines!(
    "WHERE i.started_at >= $1 AND i.started_at < $2
  AND ($3 IS NULL OR i.provider = $3)
  AND ($4 IS NULL OR COALESCE(s.model_served, i.model_requested, '') = $4)
  AND ($5 IS NULL OR COALESCE(NULLIF(i.team, ''), given_team, '') = $5) AND ($6 IS NULL OR COALESCE(i.app, '') = $6)
  AND ($7 IS NULL OR s.organization = $7 OR s.project = $7 OR s.workspace = $7)
  AND ($8 IS NULL OR COALESCE(i.credential, '') = $8)
  AND ($9 IS NULL OR s.outcome = $9
       OR ($9 = 'errors' AND s.outcome NOT IN ('completed', 'cache_hit', 'client_gone'))
       OR ($9 = 'unpriced' AND v.status IN ('unpriced', 'partially_priced'))
       OR ($9 = 'unknown' AND s.usage_source IN ('absent', 'awaiting'))
       OR ($9 = 'uncertain' AND s.billing_class = 'uncertain')
       OR ($9 = 'orphaned' AND s.attempt IS NULL))
  AND ($10 IS NULL OR i.started_at < $10 OR (i.started_at = $10 AND i.attempt < $11))
ORDER BY i.started_at DESC, i.attempt DESC LIMIT $12"
);

const OF_REQUEST: &str = attempt_lines!(
    "WHERE i.request = $1 OR i.request = (SELECT request FROM intents WHERE attempt = $1)
ORDER BY i.ordinal, i.attempt"
);

/// Attempts, newest first.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub(crate) async fn list(
    books: &Books,
    filter: &AttemptFilter,
    search: &AttemptSearch,
) -> Result<Vec<AttemptLine>, StoreError> {
    let before = search.before.as_ref();
    let rows = sqlx::query(LIST)
        .bind(filter.period.start.micros())
        .bind(filter.period.end.micros())
        .bind(filter.provider.as_deref())
        .bind(filter.model.as_deref())
        .bind(filter.team.as_deref())
        .bind(filter.app.as_deref())
        .bind(filter.account.as_deref())
        .bind(filter.credential.as_deref())
        .bind(search.status.as_deref())
        .bind(before.map(|(started_at, _)| started_at.micros()))
        .bind(before.map(|(_, attempt)| attempt.as_str()))
        .bind(i64::from(search.limit))
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("attempts"))?;
    rows.iter().map(read_line).collect()
}

const OF_ATTEMPTS: &str = attempt_lines!(
    "WHERE i.attempt IN (SELECT value FROM json_each($1)) ORDER BY i.started_at, i.attempt"
);

/// These attempts, oldest first; those not in the books are left out.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub(crate) async fn list_of(
    books: &Books,
    attempts: &[String],
) -> Result<Vec<AttemptLine>, StoreError> {
    let wanted = Value::from(attempts.to_vec()).to_string();
    let rows = sqlx::query(OF_ATTEMPTS).bind(wanted).fetch_all(books.pool()).await;
    rows.map_err(StoreError::database("attempts"))?.iter().map(read_line).collect()
}

/// The rows of a request's attempts, in order; also found by the id of one of its attempts.
pub(crate) async fn rows_of(books: &Books, id: &str) -> Result<Vec<SqliteRow>, StoreError> {
    let rows = sqlx::query(OF_REQUEST).bind(id).fetch_all(books.pool()).await;
    rows.map_err(StoreError::database("a request"))
}

/// The line of a row that `attempt_lines` selected.
pub(crate) fn read_line(row: &SqliteRow) -> Result<AttemptLine, StoreError> {
    let outcome: Option<String> = get(row, "outcome")?;
    let stream: i64 = get(row, "stream")?;
    Ok(AttemptLine {
        attempt: get(row, "attempt")?,
        request: get(row, "request")?,
        ordinal: get_count(row, "ordinal")?,
        started_at: Timestamp::from_micros(get(row, "started_at")?),
        provider: get(row, "provider")?,
        endpoint: get(row, "endpoint")?,
        model_requested: get(row, "model_requested")?,
        stream: stream != 0,
        credential: get(row, "credential")?,
        team: get(row, "team")?,
        given_team: get::<Option<String>, _>(row, "given_team")?.filter(|team| !team.is_empty()),
        app: get(row, "app")?,
        end_user: get(row, "end_user")?,
        settled: outcome.map(|outcome| read_settled(row, outcome)).transpose()?,
    })
}

fn read_settled(row: &SqliteRow, outcome: String) -> Result<SettledLine, StoreError> {
    let parts: Vec<ModelUsage> = get_json(row, "usage_parts")?;
    let total: Option<i64> = get(row, "total")?;
    let price_status: Option<String> = get(row, "price_status")?;
    let currency = price_status.is_some().then(|| get_currency(row)).transpose()?;
    Ok(SettledLine {
        outcome,
        http_status: get_count_opt(row, "http_status")?,
        error: get(row, "error")?,
        model_served: get(row, "model_served")?,
        provider_request_id: get(row, "provider_request_id")?,
        usage_source: get(row, "usage_source")?,
        quantities: parts.iter().flat_map(|part| part.quantities.iter()).collect(),
        first_byte_us: get_count_opt(row, "first_byte_us")?,
        duration_us: get_count(row, "duration_us")?,
        billing_class: get(row, "billing_class")?,
        price_status,
        total: total.map(|pico| Amount::from_pico(i128::from(pico))),
        currency,
    })
}
