//! One request: everything written down about each of its attempts.

use serde_json::Value;
use sqlx::sqlite::SqliteRow;

use crate::meter::Meter;
use crate::money::{Amount, Currency};
use crate::period::Timestamp;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::{get, get_count, get_count_opt, get_currency, get_json, unreadable};
use crate::store::requests::{AttemptLine, read_line, rows_of};
use crate::usage::ModelUsage;

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
    /// Whether the process that sent it was ended without warning, and its counts with it.
    pub interrupted: bool,
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

const SETTLEMENTS: &str = "SELECT * FROM settlements WHERE attempt = $1 ORDER BY revision";
const VALUATIONS: &str = "SELECT * FROM valuations WHERE attempt = $1 ORDER BY revision";
const CHARGES: &str = "SELECT * FROM charges WHERE attempt = $1 ORDER BY revision, seq";
const COUNT: &str = "SELECT * FROM counts WHERE attempt = $1";
/// The boot after an unclean end tells it as a gap.
const INTERRUPTED: &str = "SELECT EXISTS (SELECT 1 FROM coverage_gaps \
    WHERE node = $1 AND boot = $2 + 1 AND reason = 'unclean_stop')";

/// All attempts of a request, in order; also found by the id of one of its attempts. Empty where
/// no such id is in the books.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub async fn find(books: &Books, id: &str) -> Result<Vec<AttemptRecord>, StoreError> {
    let mut records = Vec::new();
    for row in &rows_of(books, id).await? {
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
    let interrupted = counts.is_empty() && is_interrupted(books, row).await?;
    Ok(AttemptRecord {
        line,
        interrupted,
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

async fn is_interrupted(books: &Books, row: &SqliteRow) -> Result<bool, StoreError> {
    let (node, boot): (String, i64) = (get(row, "node")?, get(row, "boot")?);
    let told = sqlx::query_scalar(INTERRUPTED).bind(node).bind(boot).fetch_one(books.pool()).await;
    told.map_err(StoreError::database("an attempt"))
}

async fn fetch(
    books: &Books,
    sql: &'static str,
    attempt: &str,
) -> Result<Vec<SqliteRow>, StoreError> {
    let rows = sqlx::query(sql).bind(attempt).fetch_all(books.pool()).await;
    rows.map_err(StoreError::database("an attempt"))
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
