//! Anthropic's usage objects: input counters side by side, and passes billed on their own.

use serde_json::{Map, Value};

use super::answer::{Answer, UsageField};
use super::counts::{Counts, put};
use super::raw;
use crate::meter::{Meter, Quantities};
use crate::names::ModelName;
use crate::usage::{Conditions, ModelUsage, ReportedUsage, UsageFlag, UsageSource};

type Object = Map<String, Value>;

/// Splits one usage object, or a stream's events merged into one.
pub(crate) fn split(answer: &Answer, object: &Object) -> ReportedUsage {
    let mut counts = Counts::of(object);
    let mut usage = ReportedUsage::none(UsageSource::Reported);
    let mut main = token_part(object, answer.model.clone(), &mut counts);
    let own_passes = own_passes(object, &mut main, &mut counts);
    let server_tools = counts.nested(&["server_tool_use"]);
    let searches = counts.count_inside(server_tools, "web_search_requests");
    put(&mut main.quantities, Meter::WebSearch, searches);
    usage.parts.push(main);
    usage.parts.extend(own_passes);
    usage.flags = counts.flags;
    if credit_redeemed(object) {
        usage.flags.push(UsageFlag::FallbackCredit);
    }
    usage.raw = keep_raw(answer, object);
    usage.reported_cost = object.get("cost").and_then(Value::as_number).map(ToString::to_string);
    usage
}

/// What of the answer selects the price.
pub(crate) fn conditions(answer: &Answer) -> Conditions {
    let mut served = Conditions::default();
    let UsageField::Reported(object) = &answer.usage else {
        return served;
    };
    let selectors =
        [("service_tier", "service_tier"), ("speed", "speed"), ("inference_geo", "region")];
    for (member, condition) in selectors {
        if let Some(value) = object.get(member).and_then(Value::as_str)
            && !value.is_empty()
        {
            served.set(condition, value);
        }
    }
    served
}

fn token_part(object: &Object, model: Option<ModelName>, counts: &mut Counts<'_>) -> ModelUsage {
    let mut quantities = Quantities::new();
    put(&mut quantities, Meter::Input, counts.count_in(object, &["input_tokens"]));
    let read = counts.count_in(object, &["cache_read_input_tokens"]);
    put(&mut quantities, Meter::InputCacheRead, read);
    put_written(object, counts, &mut quantities);
    if let Some(output) = counts.count_in(object, &["output_tokens"]) {
        let details = object.get("output_tokens_details").and_then(Value::as_object);
        let thinking = counts.count_inside(details, "thinking_tokens");
        let visible = counts.rest(output, &[thinking]);
        put(&mut quantities, Meter::Output, Some(visible));
        put(&mut quantities, Meter::OutputReasoning, thinking);
    }
    let context_tokens = quantities.input_tokens();
    ModelUsage { model, quantities, context_tokens }
}

/// Cache writes by lifetime; what the split does not cover keeps its lifetime unknown.
fn put_written(object: &Object, counts: &mut Counts<'_>, quantities: &mut Quantities) {
    let written = counts.count_in(object, &["cache_creation_input_tokens"]);
    let Some(split) = object.get("cache_creation").and_then(Value::as_object) else {
        put(quantities, Meter::InputCacheWrite, written);
        return;
    };
    let five_minutes = counts.count_in(split, &["ephemeral_5m_input_tokens"]);
    let one_hour = counts.count_in(split, &["ephemeral_1h_input_tokens"]);
    put(quantities, Meter::InputCacheWrite5m, five_minutes);
    put(quantities, Meter::InputCacheWrite1h, one_hour);
    if let Some(written) = written {
        let rest = counts.rest(written, &[five_minutes, one_hour]);
        if rest > 0 {
            counts.flags.push(UsageFlag::TotalMismatch);
            put(quantities, Meter::InputCacheWrite, Some(rest));
        }
    }
}

/// The passes of `iterations` that are billed apart from the main model's: a compaction and an
/// adviser's are in no headline number; a fallback model's may be, and is then taken out of it.
fn own_passes(object: &Object, main: &mut ModelUsage, counts: &mut Counts<'_>) -> Vec<ModelUsage> {
    let Some(iterations) = object.get("iterations").and_then(Value::as_array) else {
        return Vec::new();
    };
    let mut own = Vec::new();
    let mut fallbacks = Vec::new();
    let mut messages = Quantities::new();
    let mut has_messages = false;
    for pass in iterations.iter().filter_map(Value::as_object) {
        let model = pass.get("model").and_then(Value::as_str).map(ModelName::from);
        let kind = pass.get("type").and_then(Value::as_str).unwrap_or("message");
        let part = token_part(pass, model.or_else(|| main.model.clone()), counts);
        match kind {
            "message" => {
                has_messages = true;
                add_all(&mut messages, &part.quantities);
            }
            "fallback_message" => fallbacks.push(part),
            _ => own.push(part),
        }
    }
    let mut with_fallbacks = messages.clone();
    for part in &fallbacks {
        add_all(&mut with_fallbacks, &part.quantities);
    }
    if !fallbacks.is_empty() && same_tokens(&main.quantities, &with_fallbacks) {
        main.quantities = messages;
        main.context_tokens = main.quantities.input_tokens();
    } else if has_messages && !same_tokens(&main.quantities, &messages) {
        counts.flags.push(UsageFlag::TotalMismatch);
    }
    fallbacks.extend(own);
    fallbacks
}

fn add_all(sum: &mut Quantities, part: &Quantities) {
    for (meter, atoms) in part.iter() {
        sum.add(meter, atoms);
    }
}

/// Equal in input, read, written and output; passes do not tell their thinking apart.
fn same_tokens(left: &Quantities, right: &Quantities) -> bool {
    let sums = |quantities: &Quantities| {
        let written = quantities.iter().filter(|(meter, _)| is_write(*meter));
        let written: u64 = written.map(|(_, atoms)| atoms).fold(0, u64::saturating_add);
        (
            quantities.get(Meter::Input).unwrap_or(0),
            quantities.get(Meter::InputCacheRead).unwrap_or(0),
            written,
            quantities.output_tokens(),
        )
    };
    sums(left) == sums(right)
}

const fn is_write(meter: Meter) -> bool {
    matches!(meter, Meter::InputCacheWrite | Meter::InputCacheWrite5m | Meter::InputCacheWrite1h)
}

fn credit_redeemed(object: &Object) -> bool {
    let credit = object.get("fallback_credit");
    let status = credit.and_then(|credit| credit.get("status")).and_then(Value::as_str);
    status == Some("redeemed")
}

fn keep_raw(answer: &Answer, object: &Object) -> Option<String> {
    if let [only] = answer.usage_text.as_slice() {
        return raw::keep(only, object);
    }
    let texts = answer.usage_text.iter();
    let kept: Vec<String> =
        texts.filter_map(|text| raw::keep(text, &serde_json::from_str(text).ok()?)).collect();
    (!kept.is_empty()).then(|| format!("[{}]", kept.join(",")))
}
