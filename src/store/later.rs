//! What a start of the gateway must remember: answers still awaited, batch results already metered.

use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;

use crate::ledger::settlement::{PayingAccount, Settlement};
use crate::money::Currency;
use crate::names::{AttemptId, Endpoint, ModelName, ProviderName};
use crate::period::Timestamp;
use crate::pricing::charge::{Valuation, ValuationStatus};
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::{get, get_count, get_count_opt, get_json, unreadable};
use crate::usage::{ReportedUsage, UsageSource};

/// An attempt whose usage was still awaited when it was last written down.
#[derive(Clone, Debug)]
pub(crate) struct AwaitedCall {
    /// When it was sent.
    pub started_at: Timestamp,
    /// Where to.
    pub provider: ProviderName,
    /// The kind of call.
    pub endpoint: Endpoint,
    /// The model asked for.
    pub model_requested: Option<ModelName>,
    /// Its settlement so far; the valuation is empty, there was nothing to price.
    pub settlement: Settlement,
}

const AWAITED: &str = "SELECT i.started_at, i.provider, i.endpoint, i.model_requested, s.* \
    FROM settlements s JOIN intents i ON i.attempt = s.attempt \
    WHERE s.provider_response_id IS NOT NULL AND s.usage_source = 'awaiting' AND i.started_at >= $1 \
      AND s.revision = (SELECT MAX(revision) FROM settlements l WHERE l.attempt = s.attempt)";

const METERED_BATCHES: &str = "SELECT i.provider, i.path \
    FROM intents i JOIN settlements s ON s.attempt = i.attempt \
    WHERE i.endpoint = 'batches' AND i.started_at >= $1 \
      AND (s.usage_source = 'reported' OR s.usage_flags LIKE '%\"usage_elsewhere\"%')";

/// Attempts sent since an instant whose usage is awaited, by what is posted.
///
/// # Errors
/// [`StoreError::Database`], or a row that does not read.
pub(crate) async fn awaited(
    books: &Books,
    since: Timestamp,
) -> Result<Vec<AwaitedCall>, StoreError> {
    let rows = sqlx::query(AWAITED).bind(since.micros()).fetch_all(books.pool()).await;
    let rows = rows.map_err(StoreError::database("awaited answers"))?;
    rows.iter().map(read_awaited).collect()
}

/// Provider and path of batch results that were metered since an instant.
///
/// # Errors
/// [`StoreError::Database`], or a row that does not read.
pub(crate) async fn metered_batches(
    books: &Books,
    since: Timestamp,
) -> Result<Vec<(ProviderName, String)>, StoreError> {
    let rows = sqlx::query(METERED_BATCHES).bind(since.micros()).fetch_all(books.pool()).await;
    let rows = rows.map_err(StoreError::database("metered batch results"))?;
    let read = |row: &SqliteRow| {
        let provider: String = get(row, "provider")?;
        Ok((ProviderName::new(provider), get(row, "path")?))
    };
    rows.iter().map(read).collect()
}

fn read_awaited(row: &SqliteRow) -> Result<AwaitedCall, StoreError> {
    let attempt: String = get(row, "attempt")?;
    let attempt: AttemptId = attempt.parse().map_err(|_| unreadable("attempt", &attempt))?;
    let provider: String = get(row, "provider")?;
    let status: Option<i64> = get(row, "http_status")?;
    let mut usage = ReportedUsage::none(UsageSource::Awaiting);
    usage.conditions = get_json(row, "conditions")?;
    usage.flags = get_json(row, "usage_flags")?;
    usage.raw = get(row, "usage_raw")?;
    let settlement = Settlement {
        attempt,
        ended_at: Timestamp::from_micros(get(row, "ended_at")?),
        outcome: word(row, "outcome")?,
        status: status.and_then(|status| u16::try_from(status).ok()),
        error: get(row, "error")?,
        first_byte_us: get_count_opt(row, "first_byte_us")?,
        duration_us: get_count(row, "duration_us")?,
        response_bytes: get_count(row, "response_bytes")?,
        model_served: model(row, "model_served")?,
        provider_request_id: get(row, "provider_request_id")?,
        provider_response_id: get(row, "provider_response_id")?,
        account: PayingAccount {
            organization: get(row, "organization")?,
            project: get(row, "project")?,
            workspace: get(row, "workspace")?,
        },
        usage,
        billing_class: word(row, "billing_class")?,
        valuation: Valuation {
            status: ValuationStatus::NoUsage,
            charges: Vec::new(),
            unpriced: Vec::new(),
            total: None,
            currency: Currency::USD,
            price_version: String::new(),
            engine: String::new(),
        },
    };
    Ok(AwaitedCall {
        started_at: Timestamp::from_micros(get(row, "started_at")?),
        provider: ProviderName::new(provider),
        endpoint: word(row, "endpoint")?,
        model_requested: model(row, "model_requested")?,
        settlement,
    })
}

fn model(row: &SqliteRow, column: &'static str) -> Result<Option<ModelName>, StoreError> {
    let name: Option<String> = get(row, column)?;
    Ok(name.map(ModelName::new))
}

/// A word of one of our vocabularies.
fn word<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    serde_json::from_value(Value::String(text.clone())).map_err(|_| unreadable(column, &text))
}
