//! OpenAI's usage objects: headline numbers that contain their details.

use serde_json::{Map, Value};

use super::answer::{Answer, UsageField};
use super::counts::{Counts, milliseconds, put};
use super::raw;
use crate::dialect::request::RequestFacts;
use crate::meter::{Meter, Quantities};
use crate::names::{Endpoint, ModelName};
use crate::usage::{Conditions, ModelUsage, ReportedUsage, UsageFlag, UsageSource};

type Object = Map<String, Value>;

/// Splits one usage object of this endpoint.
pub(crate) fn split(
    endpoint: Endpoint,
    told: &Conditions,
    answer: &Answer,
    object: &Object,
) -> ReportedUsage {
    let mut counts = Counts::of(object);
    let mut usage = ReportedUsage::none(UsageSource::Reported);
    let quantities = if object.get("type").and_then(Value::as_str) == Some("duration") {
        by_duration(&mut counts, object)
    } else {
        let lifetime = WriteLifetime::of(told, answer.model.as_ref());
        by_token(endpoint, lifetime, &mut counts)
    };
    usage.flags = counts.flags;
    let context_tokens = quantities.input_tokens();
    usage.parts.push(ModelUsage { model: answer.model.clone(), quantities, context_tokens });
    add_tools(answer, &mut usage);
    if endpoint == Endpoint::Batches && answer.is_unfinished() {
        // A job reports zeros from its first minute; they are no usage until it is over.
        usage = ReportedUsage::none(UsageSource::Awaiting);
    }
    usage.raw = keep_raw(answer, object);
    usage.reported_cost = reported_cost(object);
    usage
}

/// What of the answer selects the price: the tier, and for images billed by piece their
/// `quality` and `size`, which some answers leave to the request.
pub(crate) fn conditions(
    endpoint: Endpoint,
    asked: Option<&RequestFacts>,
    answer: &Answer,
) -> Conditions {
    let mut served = Conditions::default();
    if endpoint == Endpoint::Images && answer.usage == UsageField::Missing {
        let asked_for = |read: fn(&RequestFacts) -> Option<&String>| asked.and_then(read);
        let looks = [
            ("quality", answer.quality.as_ref().or_else(|| asked_for(|a| a.quality.as_ref()))),
            ("size", answer.size.as_ref().or_else(|| asked_for(|a| a.size.as_ref()))),
        ];
        for (key, value) in looks {
            if let Some(value) = value {
                served.set(key, value.as_str());
            }
        }
    }
    if let Some(tier) = &answer.service_tier {
        served.set("service_tier", tier.as_str());
    }
    served
}

/// Image models before the token-billed ones report nothing: their images are the usage, by
/// `quality` and `size`.
pub(crate) fn images_by_piece(asked: Option<&RequestFacts>, answer: &Answer) -> ReportedUsage {
    let Some(images) = answer.images.filter(|images| *images > 0) else {
        return ReportedUsage::none(UsageSource::Absent);
    };
    let mut usage = ReportedUsage::none(UsageSource::Counted);
    let model = answer.model.clone().or_else(|| asked?.model.clone());
    let quantities = Quantities::from_iter([(Meter::Images, images)]);
    usage.parts.push(ModelUsage { model, quantities, context_tokens: 0 });
    usage
}

/// The answer of a speech call is sound; the models billed by character are metered by what was
/// asked. The later ones bill tokens, which such an answer does not tell.
pub(crate) fn speech_by_character(asked: Option<&RequestFacts>) -> ReportedUsage {
    let asked_for = asked.and_then(|asked| Some((asked.model.clone()?, asked.input_characters?)));
    match asked_for {
        Some((model, characters)) if model.as_str().starts_with("tts-1") => {
            let mut usage = ReportedUsage::none(UsageSource::Counted);
            let quantities = Quantities::from_iter([(Meter::Characters, characters)]);
            let model = Some(model);
            usage.parts.push(ModelUsage { model, quantities, context_tokens: 0 });
            usage
        }
        _ => ReportedUsage::none(UsageSource::Absent),
    }
}

/// How long what is written to a prompt cache stays there, which decides its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteLifetime {
    ThirtyMinutes,
    TwelveHours,
    Unknown,
}

impl WriteLifetime {
    /// From the request's `prompt_cache_retention`; unsaid, models from GPT-5.6 on keep a write
    /// for thirty minutes (OpenAI's prompt caching guide).
    fn of(told: &Conditions, model: Option<&ModelName>) -> Self {
        match told.get("cache_retention") {
            Some("30m") => Self::ThirtyMinutes,
            Some("12h") => Self::TwelveHours,
            None | Some("in_memory" | "in-memory") if model.is_some_and(bills_writes) => {
                Self::ThirtyMinutes
            }
            _ => Self::Unknown,
        }
    }

    const fn meter(self) -> Meter {
        match self {
            Self::ThirtyMinutes => Meter::InputCacheWrite30m,
            Self::TwelveHours => Meter::InputCacheWrite12h,
            Self::Unknown => Meter::InputCacheWrite,
        }
    }
}

/// GPT-5.6 or later, by its name.
fn bills_writes(model: &ModelName) -> bool {
    let Some(version) = model.as_str().strip_prefix("gpt-") else {
        return false;
    };
    let number = |text: &str| {
        let end = text.bytes().take_while(u8::is_ascii_digit).count();
        text.get(..end).and_then(|digits| digits.parse::<u32>().ok())
    };
    let major = number(version);
    let minor = version.split_once('.').and_then(|(_, minor)| number(minor)).unwrap_or(0);
    major.is_some_and(|major| (5, 6) <= (major, minor))
}

fn by_duration(counts: &mut Counts<'_>, object: &Object) -> Quantities {
    let mut quantities = Quantities::new();
    match object.get("seconds").map(milliseconds) {
        Some(Some(atoms)) => quantities.add(Meter::AudioSeconds, atoms),
        Some(None) => counts.flags.push(UsageFlag::MalformedCount),
        None => {}
    }
    quantities
}

fn by_token(endpoint: Endpoint, lifetime: WriteLifetime, counts: &mut Counts<'_>) -> Quantities {
    let input = counts.count(&["prompt_tokens", "input_tokens"]);
    let output = counts.count(&["completion_tokens", "output_tokens"]);
    let total = counts.count(&["total_tokens"]);
    let mut quantities = Quantities::new();
    if let Some(input) = input {
        split_input(input, lifetime, counts, &mut quantities);
    }
    let reasoning = counts
        .nested(OUTPUT_DETAILS)
        .and_then(|details| counts.count_in(details, &["reasoning_tokens"]));
    // Some servers of this dialect count reasoning beside the completion; the total tells.
    let sum = input.unwrap_or(0).saturating_add(output.unwrap_or(0));
    let beside = reasoning.filter(|reasoning| *reasoning > 0);
    let is_beside = beside.is_some_and(|extra| total == sum.checked_add(extra));
    if total.is_some_and(|total| total != sum) && !is_beside {
        counts.flags.push(UsageFlag::TotalMismatch);
    }
    if let Some(output) = output {
        let inside = if is_beside { None } else { reasoning };
        split_output(endpoint, output, inside, counts, &mut quantities);
        put(&mut quantities, Meter::OutputReasoning, reasoning);
    }
    quantities
}

const INPUT_DETAILS: &[&str] = &[
    "prompt_tokens_details",
    "input_tokens_details",
    "input_token_details",
    "prompt_token_details",
];
const OUTPUT_DETAILS: &[&str] =
    &["completion_tokens_details", "output_tokens_details", "output_token_details"];

fn split_input(
    input: u64,
    lifetime: WriteLifetime,
    counts: &mut Counts<'_>,
    quantities: &mut Quantities,
) {
    let details = counts.nested(INPUT_DETAILS);
    let nested = |key: &str| details.and_then(|details| details.get(key)?.as_object());
    let cached = counts.count_inside(details, "cached_tokens");
    let cached_by = nested("cached_tokens_details");
    let cached_audio = counts.count_inside(cached_by, "audio_tokens");
    let cached_image = counts.count_inside(cached_by, "image_tokens");
    let audio = counts.count_inside(details, "audio_tokens");
    let image = counts.count_inside(details, "image_tokens");
    let written = counts.count_inside(details, "cache_write_tokens");
    let written_by = nested("cache_write_tokens_details");
    let written_30m = counts.count_inside(written_by, "ttl_30m_tokens");
    let written_12h = counts.count_inside(written_by, "ttl_12h_tokens");

    let cached_text = cached.map(|all| counts.rest(all, &[cached_audio, cached_image]));
    let audio = audio.map(|all| counts.rest(all, &[cached_audio]));
    let image = image.map(|all| counts.rest(all, &[cached_image]));
    let text =
        counts.rest(input, &[cached_text, cached_audio, cached_image, audio, image, written]);
    put(quantities, Meter::Input, Some(text));
    put(quantities, Meter::InputCacheRead, cached_text);
    put(quantities, Meter::InputCacheReadAudio, cached_audio);
    put(quantities, Meter::InputCacheReadImage, cached_image);
    put(quantities, Meter::InputAudio, audio);
    put(quantities, Meter::InputImage, image);
    if written_30m.is_some() || written_12h.is_some() {
        put(quantities, Meter::InputCacheWrite30m, written_30m);
        put(quantities, Meter::InputCacheWrite12h, written_12h);
        let unsplit = written.map(|all| counts.rest(all, &[written_30m, written_12h]));
        put(quantities, Meter::InputCacheWrite, unsplit.filter(|rest| *rest > 0));
    } else {
        put(quantities, lifetime.meter(), written);
    }
}

fn split_output(
    endpoint: Endpoint,
    output: u64,
    reasoning: Option<u64>,
    counts: &mut Counts<'_>,
    quantities: &mut Quantities,
) {
    let details = counts.nested(OUTPUT_DETAILS);
    // Without details, the output is what the endpoint makes.
    let made = match endpoint {
        Endpoint::Images => Some(Meter::OutputImage),
        Endpoint::Speech => Some(Meter::OutputAudio),
        _ => None,
    };
    if let (Some(meter), None) = (made, details) {
        put(quantities, meter, Some(output));
        return;
    }
    let audio = counts.count_inside(details, "audio_tokens");
    let image = counts.count_inside(details, "image_tokens");
    let text = counts.rest(output, &[reasoning, audio, image]);
    put(quantities, Meter::Output, Some(text));
    put(quantities, Meter::OutputAudio, audio);
    put(quantities, Meter::OutputImage, image);
}

/// What the provider's own tools used: searches by the billable count where it is told, else by
/// the calls in the answer, and the image tool's tokens on a model of their own.
fn add_tools(answer: &Answer, usage: &mut ReportedUsage) {
    let Some(main) = usage.parts.first_mut() else {
        return;
    };
    let mut told = false;
    if let Some(tool_usage) = &answer.tool_usage {
        let mut counts = Counts::of(tool_usage);
        if let Some(search) = counts.nested(&["web_search"]) {
            let searches = counts.count_in(search, &["num_requests"]);
            told = searches.is_some();
            put(&mut main.quantities, Meter::WebSearch, searches);
        }
        usage.flags.append(&mut counts.flags);
    }
    let calls = answer.tool_calls;
    let some = |count: u64| (count > 0).then_some(count);
    if !told {
        put(&mut main.quantities, Meter::WebSearch, some(calls.web_search));
    }
    put(&mut main.quantities, Meter::FileSearch, some(calls.file_search));
    put(&mut main.quantities, Meter::CodeSession, some(calls.code_session));
    if let Some(part) = image_tool_part(answer, &mut usage.flags) {
        usage.parts.push(part);
    }
}

fn image_tool_part(answer: &Answer, flags: &mut Vec<UsageFlag>) -> Option<ModelUsage> {
    let object = answer.tool_usage.as_ref()?.get("image_gen")?.as_object()?;
    let mut counts = Counts::of(object);
    let quantities = by_token(Endpoint::Images, WriteLifetime::Unknown, &mut counts);
    flags.append(&mut counts.flags);
    let context_tokens = quantities.input_tokens();
    if context_tokens == 0 && quantities.output_tokens() == 0 {
        return None;
    }
    // Unnamed, it is certainly not the text model that answered: it stays unpriced by this name.
    let model = answer.image_model.clone().unwrap_or_else(|| "image_generation".into());
    Some(ModelUsage { model: Some(model), quantities, context_tokens })
}

fn keep_raw(answer: &Answer, object: &Object) -> Option<String> {
    let text = answer.usage_text.last()?;
    raw::keep(text, object)
}

/// What a router of this dialect says it charged.
fn reported_cost(object: &Object) -> Option<String> {
    Some(object.get("cost")?.as_number()?.to_string())
}
