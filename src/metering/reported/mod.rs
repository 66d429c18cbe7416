//! Splits what a provider reported into disjoint meters, per dialect and endpoint.

pub mod answer;
pub mod anthropic;
pub mod batch;
pub mod counts;
pub mod openai;
pub mod raw;

use serde_json::Value;

use crate::dialect::endpoint::Dialect;
use crate::dialect::request::RequestFacts;
use crate::names::{Endpoint, ProviderName};
use crate::usage::{Conditions, ReportedUsage, UsageFlag, UsageSource};
use answer::{Answer, UsageField};

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
    split(dialect, endpoint, asked.as_ref(), context, &answer)
}

/// The same from the parts of an answer that were read off the wire.
pub fn split(
    dialect: Dialect,
    endpoint: Endpoint,
    asked: Option<&RequestFacts>,
    context: &Conditions,
    answer: &Answer,
) -> ReportedUsage {
    let told = told_conditions(asked, context);
    let mut usage = match &answer.usage {
        UsageField::Reported(object) => match dialect {
            Dialect::Anthropic => anthropic::split(answer, object),
            Dialect::OpenAi => openai::split(endpoint, &told, answer, object),
        },
        UsageField::Empty | UsageField::Missing => unreported(endpoint, asked, answer),
    };
    let served = match dialect {
        Dialect::Anthropic => anthropic::conditions(answer),
        Dialect::OpenAi => openai::conditions(answer),
    };
    usage.conditions = merge_conditions(&told, &served);
    if answer.error.is_some() {
        usage.flags.push(UsageFlag::ErrorInAnswer);
    }
    add_units(context, &mut usage);
    usage.flags.sort_unstable();
    usage.flags.dedup();
    usage
}

/// An answer without usage: awaited, measured otherwise, not metered at all, or missing.
fn unreported(endpoint: Endpoint, asked: Option<&RequestFacts>, answer: &Answer) -> ReportedUsage {
    let mut usage = match (endpoint, answer.is_unfinished()) {
        (Endpoint::CountTokens | Endpoint::Moderations, _) => {
            ReportedUsage::none(UsageSource::NotMetered)
        }
        (_, true) => ReportedUsage::none(UsageSource::Awaiting),
        (Endpoint::Images, _) => openai::images_by_piece(asked, answer),
        (Endpoint::Speech, _) => openai::speech_by_character(asked),
        (Endpoint::Other | Endpoint::Batches, _) if answer.usage == UsageField::Missing => {
            ReportedUsage::none(UsageSource::NotMetered)
        }
        _ => ReportedUsage::none(UsageSource::Absent),
    };
    if answer.usage == UsageField::Empty {
        usage.flags.push(UsageFlag::EmptyUsage);
    }
    usage
}

fn told_conditions(asked: Option<&RequestFacts>, context: &Conditions) -> Conditions {
    let mut told = asked.map(RequestFacts::conditions).unwrap_or_default();
    for (key, value) in context.iter().filter(|(key, _)| !key.starts_with("units.")) {
        told.set(key, value);
    }
    told
}

/// What was told, overruled by what served; values that mean the standard price are left out, so
/// that every spelling of "nothing special" selects the same row.
fn merge_conditions(told: &Conditions, served: &Conditions) -> Conditions {
    let mut all = told.clone();
    for (key, value) in served.iter() {
        all.set(key, value);
    }
    let mut merged = Conditions::default();
    for (key, value) in all.iter() {
        match (key, value) {
            ("cache_retention", _) => {}
            ("service_tier", "auto" | "default" | "standard" | "standard_only") => {}
            ("service_tier", "batch") => merged.set("processing", "batch"),
            // OpenAI takes `fast` in a request and answers `priority`.
            ("service_tier", "fast") => merged.set("service_tier", "priority"),
            ("speed", "standard") | ("region", "global" | "not_available") => {}
            ("processing", "standard" | "sync") => {}
            _ => merged.set(key, value),
        }
    }
    merged
}

/// Things counted outside the body, where the body itself did not count them.
fn add_units(context: &Conditions, usage: &mut ReportedUsage) {
    let reported = usage.quantities();
    for (key, value) in context.iter() {
        let Some(meter) = key.strip_prefix("units.").and_then(counts::unit_meter) else {
            continue;
        };
        if reported.get(meter).is_some_and(|atoms| atoms > 0) {
            continue;
        }
        match (value.parse::<u64>(), usage.parts.first_mut()) {
            (Ok(atoms), Some(part)) => part.quantities.add(meter, atoms),
            (Ok(_), None) => {}
            (Err(_), _) => usage.flags.push(UsageFlag::MalformedCount),
        }
    }
}

#[cfg(test)]
mod tests;
