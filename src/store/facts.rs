//! Attempts as a reconciliation reads them: each with what it used and was charged.

use std::collections::HashMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use sqlx::sqlite::SqliteRow;

use crate::meter::Meter;
use crate::money::{Amount, exact_mul, parse_decimal};
use crate::names::{CredentialId, ModelName, ProviderName};
use crate::period::{ChargePeriod, Timestamp};
use crate::reconcile::facts::{
    AttemptFact, BillingClass, ChargeFact, CountedTokens, Ending, GapFact, MeteredFact,
};
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::get;
use crate::usage::{ModelUsage, UsageSource};

const ATTEMPTS: &str = "
SELECT i.attempt, i.request, i.started_at, i.endpoint, i.model_requested, i.credential,
       i.max_output, i.request_bytes, c.hint,
       s.ended_at, s.outcome, s.http_status, s.first_byte_us, s.model_served,
       s.provider_request_id, s.provider_response_id, s.organization, s.project, s.workspace,
       s.usage_source, s.conditions, s.usage_parts, s.billing_class,
       k.input AS counted_input, k.output AS counted_output
FROM intents i
LEFT JOIN settlements s ON s.attempt = i.attempt
     AND s.revision = (SELECT MAX(revision) FROM settlements WHERE attempt = i.attempt)
LEFT JOIN credentials c ON c.credential = i.credential
LEFT JOIN counts k ON k.attempt = i.attempt
WHERE i.provider = $1 AND i.started_at >= $2 AND i.started_at < $3
  AND (s.organization IS NULL OR s.organization = $4
       OR $4 NOT IN (SELECT organization FROM settlements WHERE organization IS NOT NULL))
ORDER BY i.attempt";

const CHARGES: &str = "
SELECT h.attempt, h.model, h.meter, h.rate_id, h.unit_price, h.per, h.factors, h.amount, h.rounded
FROM intents i
JOIN charges h ON h.attempt = i.attempt
     AND h.revision = (SELECT MAX(revision) FROM valuations WHERE attempt = i.attempt)
WHERE i.provider = $1 AND i.started_at >= $2 AND i.started_at < $3
ORDER BY h.attempt, h.seq";

const GAPS: &str = "
SELECT from_at, to_at, at_most FROM coverage_gaps
WHERE to_at > $1 AND from_at < $2 ORDER BY from_at, to_at";

/// Charges of one attempt by model and meter.
type Charges = HashMap<(String, Meter), ChargeFact>;

/// Every attempt at a provider and account that was sent in a span, by id.
///
/// An account that no answer's headers ever named as an organization is a name a person gave; then
/// every attempt at the provider belongs to it, as do attempts whose answer named none.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub async fn attempts(
    books: &Books,
    provider: &ProviderName,
    account: &str,
    span: ChargePeriod,
) -> Result<Vec<AttemptFact>, StoreError> {
    let mut charges = charges(books, provider, span).await?;
    let rows = sqlx::query(ATTEMPTS)
        .bind(provider.as_str())
        .bind(span.start.micros())
        .bind(span.end.micros())
        .bind(account)
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("reading attempts"))?;
    let mut facts = Vec::with_capacity(rows.len());
    for row in &rows {
        let attempt: String = get(row, "attempt")?;
        facts.push(fact(row, &attempt, charges.remove(&attempt).unwrap_or_default())?);
    }
    Ok(facts)
}

/// Spans that may hold unrecorded traffic and touch this one.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub async fn gaps(books: &Books, span: ChargePeriod) -> Result<Vec<GapFact>, StoreError> {
    let rows = sqlx::query(GAPS)
        .bind(span.start.micros())
        .bind(span.end.micros())
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("reading coverage gaps"))?;
    let read = |row: &SqliteRow| {
        let at_most: Option<i64> = get(row, "at_most")?;
        let period = ChargePeriod {
            start: Timestamp::from_micros(get(row, "from_at")?),
            end: Timestamp::from_micros(get(row, "to_at")?),
        };
        Ok(GapFact { period, at_most: at_most.and_then(|most| u64::try_from(most).ok()) })
    };
    rows.iter().map(read).collect()
}

/// When the first attempt of these books was sent.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub async fn books_began(books: &Books) -> Result<Option<Timestamp>, StoreError> {
    let first: Option<i64> = sqlx::query_scalar("SELECT MIN(started_at) FROM intents")
        .fetch_one(books.pool())
        .await
        .map_err(StoreError::database("reading when the books began"))?;
    Ok(first.map(Timestamp::from_micros))
}

/// When the last attempt of these books was sent.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub async fn books_end(books: &Books) -> Result<Option<Timestamp>, StoreError> {
    let last: Option<i64> = sqlx::query_scalar("SELECT MAX(started_at) FROM intents")
        .fetch_one(books.pool())
        .await
        .map_err(StoreError::database("reading when the books end"))?;
    Ok(last.map(Timestamp::from_micros))
}

async fn charges(
    books: &Books,
    provider: &ProviderName,
    span: ChargePeriod,
) -> Result<HashMap<String, Charges>, StoreError> {
    let rows = sqlx::query(CHARGES)
        .bind(provider.as_str())
        .bind(span.start.micros())
        .bind(span.end.micros())
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("reading charges"))?;
    let mut rate_ids: HashMap<String, Arc<str>> = HashMap::new();
    let mut by_attempt: HashMap<String, Charges> = HashMap::new();
    for row in &rows {
        let meter: Meter = parsed(row, "meter")?;
        let rate_id: String = get(row, "rate_id")?;
        let rate_id = rate_ids.entry(rate_id).or_insert_with_key(|id| id.as_str().into()).clone();
        let amount: i64 = get(row, "amount")?;
        let rounded: i64 = get(row, "rounded")?;
        let charge = ChargeFact {
            rate_id,
            unit_price: unit_price(row, meter)?,
            amount: Amount::from_pico(i128::from(amount)),
            rounded: rounded != 0,
        };
        by_attempt
            .entry(get(row, "attempt")?)
            .or_default()
            .insert((get(row, "model")?, meter), charge);
    }
    Ok(by_attempt)
}

/// Price of one atom with its factors, where it is a finite decimal.
fn unit_price(row: &SqliteRow, meter: Meter) -> Result<Option<Decimal>, StoreError> {
    let published: String = get(row, "unit_price")?;
    let per: i64 = get(row, "per")?;
    let factors: Vec<String> = json(row, "factors")?;
    let Ok(mut price) = parse_decimal(&published) else { return Ok(None) };
    for factor in &factors {
        match parse_decimal(factor).ok().and_then(|factor| exact_mul(price, factor)) {
            Some(product) => price = product,
            None => return Ok(None),
        }
    }
    let atoms = per.unsigned_abs().saturating_mul(meter.atoms_per_unit());
    let power = (0..19_u32).find(|power| 10_u64.checked_pow(*power) == Some(atoms));
    Ok(power.and_then(|power| exact_mul(price, Decimal::new(1, power))))
}

fn fact(row: &SqliteRow, attempt: &str, mut charges: Charges) -> Result<AttemptFact, StoreError> {
    let started_at = Timestamp::from_micros(get(row, "started_at")?);
    let ended_at: Option<i64> = get(row, "ended_at")?;
    let model_requested: Option<String> = get(row, "model_requested")?;
    let model_served: Option<String> = get(row, "model_served")?;
    let own_model = model_served.or_else(|| model_requested.clone()).unwrap_or_default();
    let settled = ended_at.is_some();
    let parts: Vec<ModelUsage> = if settled { json(row, "usage_parts")? } else { Vec::new() };
    let mut metered = Vec::new();
    for part in &parts {
        let model = part.model.clone().unwrap_or_else(|| ModelName::new(own_model.as_str()));
        for (meter, quantity) in part.quantities.iter() {
            let charge = charges.remove(&(model.as_str().to_owned(), meter));
            metered.push(MeteredFact { model: model.clone(), meter, quantity, charge });
        }
    }
    let text = |column| get::<Option<String>, _>(row, column);
    let scope = text("project")?.or(text("workspace")?);
    let counted = (
        get::<Option<i64>, _>(row, "counted_input")?,
        get::<Option<i64>, _>(row, "counted_output")?,
    );
    let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let status: Option<i64> = get(row, "http_status")?;
    let status = status.and_then(|status| u16::try_from(status).ok());
    let request_id = text("provider_request_id")?.or(text("provider_response_id")?);
    Ok(AttemptFact {
        attempt: attempt.parse().map_err(|_| value_error("attempt", attempt))?,
        request: parsed(row, "request")?,
        provider_request_id: request_id.map(Arc::from),
        started_at,
        ended_at: ended_at.map_or(started_at, Timestamp::from_micros),
        endpoint: parsed(row, "endpoint")?,
        credential: text("credential")?.map(|id| CredentialId::new(id.as_str())),
        credential_hint: text("hint")?.unwrap_or_default().into(),
        scope: scope.map(Arc::from),
        model_requested: model_requested.map(|model| ModelName::new(model.as_str())),
        conditions: if settled { json(row, "conditions")? } else { Default::default() },
        metered,
        usage_source: if settled { word(row, "usage_source")? } else { UsageSource::Absent },
        billing_class: billing_class(text("billing_class")?.as_deref()),
        ending: ending(row, status)?,
        status,
        counted: (counted.0.is_some() || counted.1.is_some())
            .then(|| CountedTokens { input: count(counted.0), output: count(counted.1) }),
        max_output: count(get(row, "max_output")?),
        max_input: count(get(row, "request_bytes")?),
    })
}

/// An attempt without a settlement is an orphan, and may be billed.
fn billing_class(word: Option<&str>) -> BillingClass {
    match word {
        Some("billed") => BillingClass::Billed,
        Some("not_billed") => BillingClass::NotBilled,
        Some("outside_bill") => BillingClass::OutsideBill,
        _ => BillingClass::Uncertain,
    }
}

fn ending(row: &SqliteRow, status: Option<u16>) -> Result<Ending, StoreError> {
    let outcome: Option<String> = get(row, "outcome")?;
    let first_byte: Option<i64> = get(row, "first_byte_us")?;
    Ok(match outcome.as_deref() {
        Some("completed") => Ending::Completed,
        Some("provider_error") if status.is_some_and(|status| status < 500) => {
            Ending::RequestRefused
        }
        Some("provider_error") => Ending::ProviderError,
        Some("client_gone") if first_byte.is_none() => Ending::ClientGoneEarly,
        Some("client_gone" | "upstream_cut" | "error_in_answer") => Ending::CutShort,
        Some("timeout" | "unreachable") => Ending::TimedOut,
        Some("refused") => Ending::RequestRefused,
        Some("cache_hit") => Ending::CacheHit,
        _ => Ending::Orphaned,
    })
}

fn value_error(what: &'static str, value: &str) -> StoreError {
    StoreError::Value { what, value: value.chars().take(80).collect() }
}

fn parsed<T: std::str::FromStr>(row: &SqliteRow, column: &'static str) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    text.parse().map_err(|_| value_error(column, &text))
}

fn json<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    serde_json::from_str(&text).map_err(|_| value_error(column, &text))
}

/// A value stored as the bare word of its JSON.
fn word<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    let read = serde_json::from_value(serde_json::Value::String(text.clone()));
    read.map_err(|_| value_error(column, &text))
}
