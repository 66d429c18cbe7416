//! What a set of attempts, named by their ids, costs, and what the provider calls them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::money::{Amount, Currency};
use crate::period::Timestamp;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::{get, get_currency};

/// What a provider needs to find a call of ours: when it was sent, and their own ids of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProviderCall {
    /// Our attempt.
    pub attempt: String,
    /// When it was sent.
    pub started_at: Timestamp,
    /// The model that answered, else the one asked for.
    pub model: Option<String>,
    /// Their id from the answer's headers.
    pub provider_request_id: Option<String>,
    /// Their id in the answer's body.
    pub provider_response_id: Option<String>,
}

const CALLS: &str = "
SELECT i.attempt, i.started_at, COALESCE(s.model_served, i.model_requested) AS model,
       s.provider_request_id, s.provider_response_id
FROM json_each($1) wanted
JOIN intents i ON i.attempt = wanted.value
LEFT JOIN settlements s ON s.attempt = i.attempt
     AND s.revision = (SELECT MAX(revision) FROM settlements WHERE attempt = i.attempt)
ORDER BY i.started_at, i.attempt";

/// The provider's ids of some attempts, oldest first; attempts not in the books are left out.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn provider_calls(
    books: &Books,
    attempts: &[String],
) -> Result<Vec<ProviderCall>, StoreError> {
    let wanted = Value::from(attempts.to_vec()).to_string();
    let rows = sqlx::query(CALLS).bind(wanted).fetch_all(books.pool()).await;
    let read = |row| {
        Ok(ProviderCall {
            attempt: get(row, "attempt")?,
            started_at: Timestamp::from_micros(get(row, "started_at")?),
            model: get(row, "model")?,
            provider_request_id: get(row, "provider_request_id")?,
            provider_response_id: get(row, "provider_response_id")?,
        })
    };
    rows.map_err(StoreError::database("provider ids"))?.iter().map(read).collect()
}

const TOTALS: &str = "
SELECT v.total, v.currency
FROM json_each($1) wanted
JOIN intents i ON i.attempt = wanted.value
LEFT JOIN valuations v ON v.attempt = i.attempt
     AND v.revision = (SELECT MAX(revision) FROM valuations WHERE attempt = i.attempt)";

/// What these attempts cost together, by currency, and how many of them have no known cost.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub(crate) async fn totals_of(
    books: &Books,
    attempts: &[String],
) -> Result<(BTreeMap<Currency, Amount>, u64), StoreError> {
    let wanted = Value::from(attempts.to_vec()).to_string();
    let rows = sqlx::query(TOTALS).bind(wanted).fetch_all(books.pool()).await;
    let (mut sums, mut unknown) = (BTreeMap::<Currency, i128>::new(), 0);
    for row in &rows.map_err(StoreError::database("totals of attempts"))? {
        match get::<Option<i64>, _>(row, "total")? {
            Some(total) => *sums.entry(get_currency(row)?).or_default() += i128::from(total),
            None => unknown += 1,
        }
    }
    let sums = sums.into_iter().map(|(currency, pico)| (currency, Amount::from_pico(pico)));
    Ok((sums.collect(), unknown))
}
