//! Usage objects of every shape.

use serde_json::{Value, json};

use super::*;
use crate::meter::{Meter, Quantities};
use crate::usage::{UsageFlag, UsageSource};

fn rate(provider: &str, endpoint: Endpoint, request: Value, response: Value) -> ReportedUsage {
    let request = Some(&request).filter(|request| !request.is_null());
    split_reply(&provider.into(), endpoint, request, &Conditions::default(), &response)
}

fn openai(endpoint: Endpoint, response: Value) -> ReportedUsage {
    rate("openai", endpoint, Value::Null, response)
}

fn anthropic(usage: Value) -> ReportedUsage {
    let response = json!({"type": "message", "id": "msg_1", "model": "claude-x", "usage": usage});
    rate("anthropic", Endpoint::Messages, Value::Null, response)
}

/// The main part's meters that are not zero.
fn meters(usage: &ReportedUsage) -> Vec<(&'static str, u64)> {
    nonzero(&usage.parts[0].quantities)
}

fn nonzero(quantities: &Quantities) -> Vec<(&'static str, u64)> {
    quantities.iter().filter(|(_, n)| *n > 0).map(|(meter, n)| (meter.as_str(), n)).collect()
}

#[test]
fn chat_details_are_taken_out_of_the_headline_and_a_zero_stays_a_zero() {
    let usage = openai(
        Endpoint::Chat,
        json!({"model": "gpt-4o", "service_tier": "default", "usage": {
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 20},
            "completion_tokens_details": {"reasoning_tokens": 10, "audio_tokens": 5,
                "rejected_prediction_tokens": 7},
        }}),
    );
    let expected = [
        ("input", 50),
        ("input.cache_read", 30),
        ("input.audio", 20),
        ("output", 35),
        ("output.reasoning", 10),
        ("output.audio", 5),
    ];
    assert_eq!(meters(&usage), expected);
    assert_eq!(usage.parts[0].context_tokens, 100);
    assert!(usage.conditions.is_empty() && usage.flags.is_empty());
    assert_eq!(usage.source, UsageSource::Reported);
    let zero = openai(
        Endpoint::Chat,
        json!({"usage": {"prompt_tokens": 0,
        "completion_tokens": 0, "total_tokens": 0}}),
    );
    assert_eq!(zero.source, UsageSource::Reported);
    assert_eq!(zero.parts[0].quantities.get(Meter::Input), Some(0));
}

#[test]
fn cache_writes_go_by_their_lifetime_where_it_is_known() {
    let body = |model: &str| {
        json!({"model": model, "usage": {"prompt_tokens": 100, "completion_tokens": 1,
        "total_tokens": 101, "prompt_tokens_details":
        {"cached_tokens": 10, "cache_write_tokens": 40}}})
    };
    let meter_of = |request: Value, model: &str| {
        let usage = rate("openai", Endpoint::Chat, request, body(model));
        assert_eq!(usage.parts[0].quantities.get(Meter::Input), Some(50));
        assert_eq!(usage.conditions.get("cache_retention"), None);
        meters(&usage)[2].0
    };
    assert_eq!(meter_of(json!({}), "gpt-5.6-sol"), "input.cache_write.30m");
    assert_eq!(meter_of(Value::Null, "gpt-6.1"), "input.cache_write.30m");
    let half_day = json!({"prompt_cache_retention": "12h"});
    assert_eq!(meter_of(half_day, "gpt-5.6-sol"), "input.cache_write.12h");
    let unheard = json!({"prompt_cache_retention": "24h"});
    assert_eq!(meter_of(unheard, "gpt-5.6-sol"), "input.cache_write");
    assert_eq!(meter_of(json!({}), "gpt-5.5"), "input.cache_write");
    let split = openai(
        Endpoint::Responses,
        json!({"model": "gpt-6", "usage": {"input_tokens": 100, "output_tokens": 1,
        "total_tokens": 101, "input_tokens_details": {"cached_tokens": 0,
        "cache_write_tokens": 40, "cache_write_tokens_details":
        {"ttl_30m_tokens": 30, "ttl_12h_tokens": 9}}}}),
    );
    let expected = [
        ("input", 60),
        ("input.cache_write", 1),
        ("input.cache_write.30m", 30),
        ("input.cache_write.12h", 9),
        ("output", 1),
    ];
    assert_eq!(meters(&split), expected);
}

#[test]
fn searches_count_as_billed_and_the_image_tool_is_another_model() {
    let output = json!([
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "web_search_call", "action": {"type": "open_page"}},
        {"type": "file_search_call"},
        {"type": "code_interpreter_call", "container_id": "c1"},
        {"type": "code_interpreter_call", "container_id": "c1"},
    ]);
    let numbers = json!({"input_tokens": 5, "output_tokens": 5, "total_tokens": 10});
    let usage =
        openai(Endpoint::Responses, json!({"model": "gpt-5", "output": output, "usage": numbers}));
    let tools = [("web_search", 1), ("file_search", 1), ("code_session", 1)];
    assert_eq!(&meters(&usage)[2..], tools);
    let usage = openai(
        Endpoint::Responses,
        json!({"model": "gpt-5", "output": output, "usage": numbers,
            "tools": [{"type": "image_generation", "model": "gpt-image-1"}],
            "tool_usage": {"web_search": {"num_requests": 0}, "image_gen": {
                "input_tokens": 7, "input_tokens_details": {"image_tokens": 2, "text_tokens": 5},
                "output_tokens": 9, "output_tokens_details": {"image_tokens": 9, "text_tokens": 0},
                "total_tokens": 16}}}),
    );
    assert_eq!(usage.parts[0].quantities.get(Meter::WebSearch), Some(0));
    assert_eq!(usage.parts[1].model, Some("gpt-image-1".into()));
    let expected = [("input", 5), ("input.image", 2), ("output.image", 9)];
    assert_eq!(nonzero(&usage.parts[1].quantities), expected);
}

#[test]
fn realtime_cache_is_split_by_modality() {
    let usage = openai(
        Endpoint::Realtime,
        json!({"type": "response.done", "model": "gpt-realtime", "response": {"usage": {
            "input_tokens": 100, "output_tokens": 30, "total_tokens": 130,
            "input_token_details": {"text_tokens": 40, "audio_tokens": 60, "cached_tokens": 25,
                "cached_tokens_details": {"text_tokens": 15, "audio_tokens": 10}},
            "output_token_details": {"text_tokens": 10, "audio_tokens": 20}}}}),
    );
    let expected = [
        ("input", 25),
        ("input.cache_read", 15),
        ("input.audio", 50),
        ("input.cache_read.audio", 10),
        ("output", 10),
        ("output.audio", 20),
    ];
    assert_eq!(meters(&usage), expected);
    assert_eq!(usage.parts[0].model, Some("gpt-realtime".into()));
}

#[test]
fn images_and_sound_are_metered_by_what_they_are_billed_by() {
    let pieces = rate(
        "openai",
        Endpoint::Images,
        json!({"model": "dall-e-3", "quality": "hd", "size": "1024x1024"}),
        json!({"created": 1, "data": [{"url": "x"}, {"url": "y"}]}),
    );
    assert_eq!(meters(&pieces), [("images", 2)]);
    assert_eq!(pieces.source, UsageSource::Counted);
    assert_eq!(pieces.conditions.get("quality"), Some("hd"));
    let bare = openai(
        Endpoint::Images,
        json!({"usage": {"input_tokens": 3,
        "output_tokens": 9, "total_tokens": 12}}),
    );
    assert_eq!(meters(&bare), [("input", 3), ("output.image", 9)]);
    let seconds = openai(
        Endpoint::Transcription,
        json!({"text": "", "usage":
        {"type": "duration", "seconds": 4.25}}),
    );
    assert_eq!(meters(&seconds), [("audio_seconds", 4_250)]);
    let speech =
        rate("openai", Endpoint::Speech, json!({"model": "tts-1-hd", "input": "abc"}), Value::Null);
    assert_eq!(meters(&speech), [("characters", 3)]);
    let later = rate(
        "openai",
        Endpoint::Speech,
        json!({"model": "gpt-4o-mini-tts", "input": "abc"}),
        Value::Null,
    );
    assert_eq!((later.parts.len(), later.source), (0, UsageSource::Absent));
}

#[test]
fn anthropic_counters_stand_side_by_side() {
    let usage = anthropic(json!({"input_tokens": 3, "cache_read_input_tokens": 20_000,
        "cache_creation_input_tokens": 1_500, "cache_creation":
        {"ephemeral_5m_input_tokens": 1_000, "ephemeral_1h_input_tokens": 500},
        "output_tokens": 120, "output_tokens_details": {"thinking_tokens": 20},
        "server_tool_use": {"web_search_requests": 2}, "service_tier": "standard",
        "inference_geo": "us", "speed": "fast"}));
    let expected = [
        ("input", 3),
        ("input.cache_read", 20_000),
        ("input.cache_write.5m", 1_000),
        ("input.cache_write.1h", 500),
        ("output", 100),
        ("output.reasoning", 20),
        ("web_search", 2),
    ];
    assert_eq!(meters(&usage), expected);
    assert_eq!(usage.parts[0].context_tokens, 21_503);
    let conditions: Vec<_> = usage.conditions.iter().collect();
    assert_eq!(conditions, [("region", "us"), ("speed", "fast")]);
    let batch = anthropic(json!({"input_tokens": 1, "output_tokens": 1, "service_tier": "batch"}));
    assert_eq!(batch.conditions.get("processing"), Some("batch"));
    assert_eq!(batch.conditions.get("service_tier"), None);
    let old = anthropic(json!({"input_tokens": 1, "cache_creation_input_tokens": 4,
        "output_tokens": 1}));
    assert_eq!(meters(&old)[1], ("input.cache_write", 4));
}

#[test]
fn passes_of_other_models_are_billed_beside_the_headline() {
    let pass = |kind: &str, model: Option<&str>, input: u64, output: u64| json!({"type": kind, "model": model, "input_tokens": input, "output_tokens": output});
    let compaction = anthropic(json!({"input_tokens": 23_000, "output_tokens": 1_000,
        "iterations": [pass("compaction", None, 180_000, 3_500),
            pass("message", None, 23_000, 1_000)]}));
    assert_eq!(compaction.parts.len(), 2);
    assert_eq!(nonzero(&compaction.parts[1].quantities), [("input", 180_000), ("output", 3_500)]);
    assert_eq!(compaction.parts[1].model, Some("claude-x".into()));
    assert_eq!(compaction.parts[1].context_tokens, 180_000);
    let adviser = anthropic(json!({"input_tokens": 2_411, "output_tokens": 145,
        "iterations": [pass("message", None, 1_128, 135),
            pass("advisor_message", Some("claude-big"), 2_543, 18),
            pass("message", None, 1_283, 10)]}));
    assert_eq!(adviser.parts[1].model, Some("claude-big".into()));
    assert!(adviser.flags.is_empty());
    let inside = anthropic(json!({"input_tokens": 30, "output_tokens": 3, "iterations":
        [pass("message", None, 10, 1), pass("fallback_message", Some("claude-small"), 20, 2)]}));
    assert_eq!(meters(&inside), [("input", 10), ("output", 1)]);
    assert_eq!(nonzero(&inside.parts[1].quantities), [("input", 20), ("output", 2)]);
    let odd = anthropic(json!({"input_tokens": 30, "output_tokens": 3,
        "iterations": [pass("message", None, 10, 1)],
        "fallback_credit": {"status": "redeemed"}}));
    assert_eq!(odd.flags, [UsageFlag::TotalMismatch, UsageFlag::FallbackCredit]);
}

#[test]
fn what_does_not_add_up_is_flagged_and_nothing_falls_below_zero() {
    let cached = openai(
        Endpoint::Chat,
        json!({"usage": {"prompt_tokens": 10,
        "completion_tokens": 5, "total_tokens": 99,
        "prompt_tokens_details": {"cached_tokens": 161}}}),
    );
    assert_eq!(cached.flags, [UsageFlag::TotalMismatch, UsageFlag::PartExceedsWhole]);
    assert_eq!(cached.parts[0].quantities.get(Meter::Input), Some(0));
    assert_eq!(cached.parts[0].quantities.get(Meter::InputCacheRead), Some(161));
    let malformed = openai(
        Endpoint::Chat,
        json!({"usage": {"prompt_tokens": -1,
        "completion_tokens": "5", "total_tokens": 1e300}}),
    );
    assert_eq!(malformed.flags, [UsageFlag::MalformedCount]);
    assert!(malformed.parts[0].quantities.is_empty());
    let huge = anthropic(json!({"input_tokens": u64::MAX, "output_tokens": u64::MAX,
        "cache_read_input_tokens": 3}));
    assert_eq!(huge.flags, [UsageFlag::MalformedCount]);
    assert_eq!(huge.parts[0].context_tokens, 3);
}

#[test]
fn reasoning_beside_the_completion_is_told_by_the_total() {
    let usage = openai(
        Endpoint::Chat,
        json!({"usage": {"prompt_tokens": 10_120,
        "completion_tokens": 1_499, "total_tokens": 14_428,
        "prompt_tokens_details": {"cached_tokens": 128, "text_tokens": 10_120},
        "completion_tokens_details": {"reasoning_tokens": 2_809}}}),
    );
    assert!(usage.flags.is_empty());
    let expected = [
        ("input", 9_992),
        ("input.cache_read", 128),
        ("output", 1_499),
        ("output.reasoning", 2_809),
    ];
    assert_eq!(meters(&usage), expected);
}

#[test]
fn usage_that_is_missing_has_a_reason() {
    let source = |endpoint, response| openai(endpoint, response).source;
    let background = json!({"status": "in_progress", "background": true, "usage": null});
    let awaited = openai(Endpoint::Responses, background);
    assert_eq!(awaited.source, UsageSource::Awaiting);
    assert_eq!(source(Endpoint::Chat, json!({"choices": []})), UsageSource::Absent);
    let empty = openai(Endpoint::Chat, json!({"usage": {}}));
    assert_eq!((empty.source, empty.flags), (UsageSource::Absent, vec![UsageFlag::EmptyUsage]));
    assert_eq!(source(Endpoint::Other, json!({"data": []})), UsageSource::NotMetered);
    let store = json!({"object": "vector_store", "status": "in_progress"});
    assert_eq!(source(Endpoint::Other, store), UsageSource::NotMetered);
    let run = json!({"object": "thread.run", "status": "queued", "usage": null});
    assert_eq!(source(Endpoint::Other, run), UsageSource::Awaiting);
    let messages = json!({"type": "message_batch", "processing_status": "in_progress"});
    assert_eq!(source(Endpoint::Batches, messages), UsageSource::Awaiting);
    assert_eq!(source(Endpoint::CountTokens, json!({"input_tokens": 5})), UsageSource::NotMetered);
    let failed = openai(Endpoint::Chat, json!({"error": {"code": 502}}));
    assert_eq!(failed.flags, [UsageFlag::ErrorInAnswer]);
    let job = openai(
        Endpoint::Batches,
        json!({"status": "validating", "usage":
        {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}}),
    );
    assert_eq!((job.parts.len(), job.source), (0, UsageSource::Awaiting));
    let job = openai(
        Endpoint::Batches,
        json!({"status": "completed", "usage":
        {"input_tokens": 8, "output_tokens": 2, "total_tokens": 10}}),
    );
    assert_eq!(
        (meters(&job), job.source),
        (vec![("input", 8), ("output", 2)], UsageSource::Reported)
    );
    assert_eq!(job.conditions.get("processing"), Some("batch"));
}

#[test]
fn the_tier_that_served_wins_over_the_one_asked_for() {
    let numbers = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
    let tier = |asked: &str, served: Value| {
        let request = json!({"service_tier": asked});
        let response = json!({"usage": numbers, "service_tier": served});
        let usage = rate("openai", Endpoint::Chat, request, response);
        usage.conditions.get("service_tier").map(str::to_owned)
    };
    assert_eq!(tier("priority", json!("default")), None);
    assert_eq!(tier("fast", Value::Null).as_deref(), Some("priority"));
    assert_eq!(tier("auto", json!("flex")).as_deref(), Some("flex"));
}

#[test]
fn units_from_outside_count_only_where_the_body_is_silent() {
    let mut context = Conditions::default();
    context.set("units.web_searches", "4");
    context.set("processing", "batch");
    let told = |response: Value| {
        split_reply(&"openai".into(), Endpoint::Responses, None, &context, &response)
    };
    let numbers = json!({"input_tokens": 1, "output_tokens": 1, "total_tokens": 2});
    let usage = told(json!({"usage": numbers}));
    assert_eq!(usage.parts[0].quantities.get(Meter::WebSearch), Some(4));
    assert_eq!(usage.conditions.iter().collect::<Vec<_>>(), [("processing", "batch")]);
    let silent = told(json!({"model": "gpt-5"}));
    assert_eq!((meters(&silent), silent.source), (vec![("web_search", 4)], UsageSource::Absent));
    let tools = json!({"web_search": {"num_requests": 2}});
    let usage = told(json!({"usage": numbers, "tool_usage": tools}));
    assert_eq!(usage.parts[0].quantities.get(Meter::WebSearch), Some(2));
}

#[test]
fn a_batch_line_carries_its_own_usage_at_batch_prices() {
    let line = br#"{"id":"batch_req_1","custom_id":"c-1","response":{"status_code":200,"body":{
        "id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o","choices":[],
        "usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}},"error":null}"#;
    let read = batch::batch_line(Dialect::OpenAi, line).unwrap();
    assert_eq!(read.custom_id.as_deref(), Some("c-1"));
    assert_eq!(read.response_id.as_deref(), Some("chatcmpl-1"));
    assert_eq!(meters(&read.usage), [("input", 3), ("output", 4)]);
    assert_eq!(read.usage.conditions.get("processing"), Some("batch"));
    let line = br#"{"custom_id":"0","result":{"type":"succeeded","message":{"model":"claude-h",
        "id":"msg_1","usage":{"input_tokens":20,"output_tokens":5,"service_tier":"batch"}}}}"#;
    let read = batch::batch_line(Dialect::Anthropic, line).unwrap();
    assert_eq!(meters(&read.usage), [("input", 20), ("output", 5)]);
    let errored = br#"{"custom_id":"1","result":{"type":"errored","error":{}}}"#;
    let read = batch::batch_line(Dialect::Anthropic, errored).unwrap();
    assert!(read.usage.parts.is_empty());
    assert_eq!(batch::batch_line(Dialect::OpenAi, b"{\"messages\":[]}"), None);
}

#[test]
fn a_result_file_is_read_line_by_line_wherever_it_is_cut() {
    let line = |id: &str| {
        format!(
            "{{\"custom_id\":\"{id}\",\"result\":{{\"type\":\"succeeded\",\"message\":\
             {{\"id\":\"msg_{id}\",\"usage\":{{\"input_tokens\":1,\"output_tokens\":2}}}}}}}}"
        )
    };
    let file = format!("{}\r\nbroken\n\n{}", line("a"), line("b"));
    for cut in 0..=file.len() {
        let mut ids = Vec::new();
        let mut take = |line: batch::BatchLine| ids.push(line.custom_id.unwrap());
        let mut meter = batch::BatchMeter::new(Dialect::Anthropic);
        let (head, tail) = file.as_bytes().split_at(cut);
        meter.feed(head, &mut take);
        meter.feed(tail, &mut take);
        meter.finish(&mut take);
        assert_eq!((meter.skipped(), ids), (1, vec!["a".to_owned(), "b".to_owned()]), "{cut}");
    }
    for other in ["{\"messages\":[]}\n", "\u{89}PNG\n"] {
        let mut meter = batch::BatchMeter::new(Dialect::OpenAi);
        meter.feed(format!("{other}{}", line("a")).as_bytes(), |line| panic!("{line:?}"));
        meter.finish(|line| panic!("{line:?}"));
    }
}

proptest::proptest! {
    #[test]
    fn no_usage_object_whatever_its_numbers_breaks_the_split(
        numbers in proptest::collection::vec(proptest::option::of(proptest::num::i64::ANY), 12),
    ) {
        let at = |index: usize| json!(numbers[index]);
        let usage = json!({
            "prompt_tokens": at(0), "input_tokens": at(1), "completion_tokens": at(2),
            "output_tokens": at(3), "total_tokens": at(4),
            "cache_read_input_tokens": at(5), "cache_creation_input_tokens": at(6),
            "cache_creation": {"ephemeral_5m_input_tokens": at(7)},
            "prompt_tokens_details": {"cached_tokens": at(8), "cache_write_tokens": at(9)},
            "completion_tokens_details": {"reasoning_tokens": at(10), "audio_tokens": at(11)},
        });
        for (provider, endpoint) in [("openai", Endpoint::Chat), ("anthropic", Endpoint::Messages)] {
            let read = rate(provider, endpoint, Value::Null, json!({"usage": usage}));
            proptest::prop_assert_eq!(read.parts.len(), 1);
        }
    }
}
