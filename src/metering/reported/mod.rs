//! Splits what a provider reported into disjoint meters, per dialect and endpoint.

pub(crate) mod answer;
pub(crate) mod anthropic;
pub mod batch;
pub(crate) mod counts;
pub(crate) mod openai;
pub(crate) mod raw;
pub(crate) mod split;

use serde_json::Value;

use crate::dialect::endpoint::Dialect;
use crate::dialect::request::RequestFacts;
use crate::names::{Endpoint, ProviderName};
use crate::usage::{Conditions, ReportedUsage};
use answer::Answer;

/// What a provider's JSON answer says was used.
///
/// `context` carries what only the request or the gateway knows: `service_tier`,
/// `processing` (`batch`), `speed`, `region`, `cache_retention`, and `units.METER`, things counted
/// outside the body (`units.web_search = 3`), which count only where the body does not say.
/// What the answer says wins over context, and context over the request.
pub fn split_reply(
    provider: &ProviderName,
    endpoint: Endpoint,
    request: Option<&Value>,
    context: &Conditions,
    response: &Value,
) -> ReportedUsage {
    let dialect = Dialect::of(provider, endpoint);
    let body = response.to_string();
    let asked = request.map(Value::to_string);
    let asked = asked.and_then(|text| RequestFacts::read(None, text.as_bytes()).ok());
    let answer = Answer::read(endpoint, body.as_bytes());
    split::split(dialect, endpoint, asked.as_ref(), context, &answer)
}

#[cfg(test)]
mod tests;
