//! Requests and their attempts: a list by filter, and everything written down about one.

use serde_json::Value;
use sqlx::sqlite::SqliteRow;

use crate::meter::{Meter, Quantities};
use crate::money::{Amount, Currency};
use crate::period::Timestamp;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::{
    AttemptFilter, get, get_count, get_count_opt, get_currency, get_json, unreadable,
};
use crate::usage::ModelUsage;

/// What a list of attempts is narrowed by, beyond the common filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptSearch {
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

/// Everything written down about one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The line of the list.
    pub line: AttemptLine,
    /// `POST`, `GET` ...
    pub method: String,
    /// Path at the provider.
    pub path: String,
    /// Configured caller that proved itself.
    pub caller: Option<String>,
    /// Free tags.
    pub tags: Vec<String>,
    /// How far the labels may be believed.
    pub label_source: String,
    /// The most output the request allowed.
    pub max_output: Option<u64>,
    /// Bytes of the request body.
    pub request_bytes: u64,
    /// Journal node, boot and number it was posted from.
    pub journal: (String, u64, u64),
    /// Hash of the journal record.
    pub hash: String,
    /// Settlements, oldest revision first.
    pub settlements: Vec<SettlementRecord>,
    /// Valuations, oldest revision first.
    pub valuations: Vec<ValuationRecord>,
    /// Our own count.
    pub count: Option<CountRecord>,
}

/// One settlement or correction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementRecord {
    /// 0 is the settlement.
    pub revision: u64,
    /// Of a correction.
    pub reason: Option<String>,
    /// When the attempt ended.
    pub ended_at: Timestamp,
    /// Bytes of the answer.
    pub response_bytes: u64,
    /// The provider's id of the call, from its headers.
    pub provider_request_id: Option<String>,
    /// The id in the answer's body.
    pub provider_response_id: Option<String>,
    /// The provider's organization.
    pub organization: Option<String>,
    /// The provider's project.
    pub project: Option<String>,
    /// The provider's workspace.
    pub workspace: Option<String>,
    /// The provider's usage object.
    pub usage_raw: Option<String>,
    /// What was noticed on reading it.
    pub usage_flags: Vec<String>,
    /// What selected the price.
    pub conditions: Value,
    /// One part per model billed.
    pub usage_parts: Vec<ModelUsage>,
    /// What the provider says the call costs.
    pub reported_cost: Option<String>,
}

/// One valuation with its charges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuationRecord {
    /// 0 came with the settlement.
    pub revision: u64,
    /// Why it was made.
    pub reason: String,
    /// How completely priced.
    pub status: String,
    /// Of every amount here.
    pub currency: Currency,
    /// Sum of the charges.
    pub total: Option<Amount>,
    /// What has no price.
    pub unpriced: Vec<String>,
    /// Hash of the price rows.
    pub price_version: String,
    /// Version of the rating rules.
    pub engine: String,
    /// When.
    pub valued_at: Timestamp,
    /// Term by term.
    pub charges: Vec<ChargeRecord>,
}

/// One meter's charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRecord {
    /// The model billed.
    pub model: String,
    /// What was counted.
    pub meter: Meter,
    /// Atoms.
    pub quantity: u64,
    /// Hash of the price row.
    pub rate_id: String,
    /// Decimal text.
    pub unit_price: String,
    /// For how many units.
    pub per: u64,
    /// Decimal texts.
    pub factors: Vec<String>,
    /// The product.
    pub amount: Amount,
    /// Whether it had to be rounded at 10⁻¹².
    pub rounded: bool,
}

/// Our own count of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountRecord {
    /// When.
    pub counted_at: Timestamp,
    /// Input tokens.
    pub input: Option<u64>,
    /// Output tokens.
    pub output: Option<u64>,
    /// How.
    pub method: String,
    /// With whose vocabulary.
    pub encoding: String,
    /// Why that vocabulary.
    pub basis: String,
    /// What could only be estimated.
    pub estimated_parts: Vec<String>,
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

const SETTLEMENTS: &str = "SELECT * FROM settlements WHERE attempt = $1 ORDER BY revision";
const VALUATIONS: &str = "SELECT * FROM valuations WHERE attempt = $1 ORDER BY revision";
const CHARGES: &str = "SELECT * FROM charges WHERE attempt = $1 ORDER BY revision, seq";
const COUNT: &str = "SELECT * FROM counts WHERE attempt = $1";

/// Attempts, newest first.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub async fn list(
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
pub async fn list_of(books: &Books, attempts: &[String]) -> Result<Vec<AttemptLine>, StoreError> {
    let wanted = Value::from(attempts.to_vec()).to_string();
    let rows = sqlx::query(OF_ATTEMPTS).bind(wanted).fetch_all(books.pool()).await;
    rows.map_err(StoreError::database("attempts"))?.iter().map(read_line).collect()
}

/// All attempts of a request, in order; also found by the id of one of its attempts. Empty where
/// no such id is in the books.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub async fn find(books: &Books, id: &str) -> Result<Vec<AttemptRecord>, StoreError> {
    let rows = sqlx::query(OF_REQUEST).bind(id).fetch_all(books.pool()).await;
    let mut records = Vec::new();
    for row in &rows.map_err(StoreError::database("a request"))? {
        records.push(read_record(books, row).await?);
    }
    Ok(records)
}

async fn read_record(books: &Books, row: &SqliteRow) -> Result<AttemptRecord, StoreError> {
    let line = read_line(row)?;
    let settlements = fetch(books, SETTLEMENTS, &line.attempt).await?;
    let charges = fetch(books, CHARGES, &line.attempt).await?;
    let valuations = fetch(books, VALUATIONS, &line.attempt).await?;
    let counts = fetch(books, COUNT, &line.attempt).await?;
    Ok(AttemptRecord {
        line,
        method: get(row, "method")?,
        path: get(row, "path")?,
        caller: get(row, "caller")?,
        tags: get_json(row, "tags")?,
        label_source: get(row, "label_source")?,
        max_output: get_count_opt(row, "max_output")?,
        request_bytes: get_count(row, "request_bytes")?,
        journal: (get(row, "node")?, get_count(row, "boot")?, get_count(row, "n")?),
        hash: get(row, "hash")?,
        settlements: settlements.iter().map(read_settlement).collect::<Result<_, _>>()?,
        valuations: read_valuations(&valuations, &charges)?,
        count: counts.first().map(read_count).transpose()?,
    })
}

async fn fetch(
    books: &Books,
    sql: &'static str,
    attempt: &str,
) -> Result<Vec<SqliteRow>, StoreError> {
    let rows = sqlx::query(sql).bind(attempt).fetch_all(books.pool()).await;
    rows.map_err(StoreError::database("an attempt"))
}

fn read_line(row: &SqliteRow) -> Result<AttemptLine, StoreError> {
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

fn read_settlement(row: &SqliteRow) -> Result<SettlementRecord, StoreError> {
    Ok(SettlementRecord {
        revision: get_count(row, "revision")?,
        reason: get(row, "reason")?,
        ended_at: Timestamp::from_micros(get(row, "ended_at")?),
        response_bytes: get_count(row, "response_bytes")?,
        provider_request_id: get(row, "provider_request_id")?,
        provider_response_id: get(row, "provider_response_id")?,
        organization: get(row, "organization")?,
        project: get(row, "project")?,
        workspace: get(row, "workspace")?,
        usage_raw: get(row, "usage_raw")?,
        usage_flags: get_json(row, "usage_flags")?,
        conditions: get_json(row, "conditions")?,
        usage_parts: get_json(row, "usage_parts")?,
        reported_cost: get(row, "reported_cost")?,
    })
}

fn read_valuations(
    valuations: &[SqliteRow],
    charges: &[SqliteRow],
) -> Result<Vec<ValuationRecord>, StoreError> {
    let mut records = Vec::new();
    for row in valuations {
        let revision = get_count(row, "revision")?;
        let total: Option<i64> = get(row, "total")?;
        let mut own = Vec::new();
        for charge in charges {
            if get_count(charge, "revision")? == revision {
                own.push(read_charge(charge)?);
            }
        }
        records.push(ValuationRecord {
            revision,
            reason: get(row, "reason")?,
            status: get(row, "status")?,
            currency: get_currency(row)?,
            total: total.map(|pico| Amount::from_pico(i128::from(pico))),
            unpriced: get_json::<Vec<Value>>(row, "unpriced")?.iter().map(named).collect(),
            price_version: get(row, "price_version")?,
            engine: get(row, "engine")?,
            valued_at: Timestamp::from_micros(get(row, "valued_at")?),
            charges: own,
        });
    }
    Ok(records)
}

/// What has no price, in words: a name, or model, meter and reason.
fn named(unpriced: &Value) -> String {
    if let Some(text) = unpriced.as_str() {
        return text.to_owned();
    }
    let part = |name: &str| unpriced.get(name).and_then(Value::as_str).map(str::to_owned);
    let parts: Vec<String> = ["model", "meter", "reason"].into_iter().filter_map(part).collect();
    if parts.is_empty() { unpriced.to_string() } else { parts.join(" ") }
}

fn read_charge(row: &SqliteRow) -> Result<ChargeRecord, StoreError> {
    let meter: String = get(row, "meter")?;
    let amount: i64 = get(row, "amount")?;
    let rounded: i64 = get(row, "rounded")?;
    Ok(ChargeRecord {
        model: get(row, "model")?,
        meter: meter.parse().map_err(|_| unreadable("meter", &meter))?,
        quantity: get_count(row, "quantity")?,
        rate_id: get(row, "rate_id")?,
        unit_price: get(row, "unit_price")?,
        per: get_count(row, "per")?,
        factors: get_json(row, "factors")?,
        amount: Amount::from_pico(i128::from(amount)),
        rounded: rounded != 0,
    })
}

fn read_count(row: &SqliteRow) -> Result<CountRecord, StoreError> {
    Ok(CountRecord {
        counted_at: Timestamp::from_micros(get(row, "counted_at")?),
        input: get_count_opt(row, "input")?,
        output: get_count_opt(row, "output")?,
        method: get(row, "method")?,
        encoding: get(row, "encoding")?,
        basis: get(row, "basis")?,
        estimated_parts: get_json(row, "estimated_parts")?,
    })
}
