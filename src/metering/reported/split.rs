//! One answer's usage with what selects its price: the dialect's split, and the last word on tiers.

use super::answer::{Answer, UsageField};
use super::{anthropic, counts, openai};
use crate::dialect::endpoint::Dialect;
use crate::dialect::request::RequestFacts;
use crate::meter::Quantities;
use crate::names::Endpoint;
use crate::usage::{Conditions, ModelUsage, ReportedUsage, UsageFlag, UsageSource};

/// Splits what an answer said. What it says wins over `context`, and context over the request;
/// see [`super::split_reply`] for the keys.
pub(crate) fn split(
    dialect: Dialect,
    endpoint: Endpoint,
    asked: Option<&RequestFacts>,
    context: &Conditions,
    answer: &Answer,
) -> ReportedUsage {
    let mut told = told_conditions(asked, context);
    if endpoint == Endpoint::Batches {
        told.set("processing", "batch");
    }
    let mut usage = match &answer.usage {
        UsageField::Reported(object) => match dialect {
            Dialect::Anthropic => anthropic::split(answer, object),
            Dialect::OpenAi => openai::split(endpoint, &told, answer, object),
        },
        UsageField::Empty | UsageField::Missing => unreported(endpoint, asked, answer),
    };
    let served = match dialect {
        Dialect::Anthropic => anthropic::conditions(answer),
        Dialect::OpenAi => openai::conditions(endpoint, asked, answer),
    };
    usage.conditions = merge_conditions(&told, &served);
    if answer.error.is_some() {
        usage.flags.push(UsageFlag::ErrorInAnswer);
    }
    add_units(context, answer, &mut usage);
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
        // Files, stores and the like are also "in progress"; they have no usage to wait for.
        (Endpoint::Other, _) if answer.usage == UsageField::Missing => {
            ReportedUsage::none(UsageSource::NotMetered)
        }
        (_, true) => ReportedUsage::none(UsageSource::Awaiting),
        (Endpoint::Images, _) => openai::images_by_piece(asked, answer),
        (Endpoint::Speech, _) => openai::speech_by_character(asked),
        (Endpoint::Batches, _) if answer.usage == UsageField::Missing => {
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
fn add_units(context: &Conditions, answer: &Answer, usage: &mut ReportedUsage) {
    for (key, value) in context.iter() {
        let Some(meter) = key.strip_prefix("units.").and_then(counts::unit_meter) else {
            continue;
        };
        if usage.quantities().get(meter).is_some_and(|atoms| atoms > 0) {
            continue;
        }
        let Ok(units) = value.parse::<u64>() else {
            usage.flags.push(UsageFlag::MalformedCount);
            continue;
        };
        let atoms = units.saturating_mul(meter.atoms_per_unit());
        match usage.parts.first_mut() {
            Some(part) => part.quantities.add(meter, atoms),
            // Known beside tokens that are not: the source keeps saying that those are missing.
            None => usage.parts.push(ModelUsage {
                model: answer.model.clone(),
                quantities: Quantities::from_iter([(meter, atoms)]),
                context_tokens: 0,
            }),
        }
    }
}
