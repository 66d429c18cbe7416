//! Streams of both dialects, whole and cut at every byte.

use super::*;
use crate::meter::Meter;

fn facts(meter: UsageMeter, end: StreamEnd) -> StreamFacts {
    meter.finish(end, None, &Conditions::default())
}

/// Reads a stream whole and cut at every byte; all readings must agree.
fn read(dialect: Dialect, endpoint: Endpoint, stream: &str, end: StreamEnd) -> StreamFacts {
    let mut whole = UsageMeter::new(dialect, endpoint);
    whole.feed(stream.as_bytes());
    let whole = facts(whole, end);
    for cut in 0..=stream.len() {
        let (head, tail) = stream.as_bytes().split_at(cut);
        let mut meter = UsageMeter::new(dialect, endpoint);
        meter.feed(head);
        meter.feed(tail);
        assert_eq!(facts(meter, end), whole, "cut at {cut}");
    }
    whole
}

fn chat(stream: &str, end: StreamEnd) -> StreamFacts {
    read(Dialect::OpenAi, Endpoint::Chat, stream, end)
}

fn messages(stream: &str, end: StreamEnd) -> StreamFacts {
    read(Dialect::Anthropic, Endpoint::Messages, stream, end)
}

fn quantity(facts: &StreamFacts, meter: Meter) -> Option<u64> {
    facts.usage.parts.first()?.quantities.get(meter)
}

fn said(facts: &StreamFacts, kind: OutputKind) -> String {
    let pieces = facts.text.pieces.iter().filter(|piece| piece.kind == kind);
    pieces.map(|piece| piece.text.as_str()).collect()
}

const CHUNKS: &str = concat!(
    ": processing\r\n\r\n",
    "data: {\"id\":\"c-1\",\"model\":\"gpt-4o-2024\",\"service_tier\":\"flex\",\"choices\":",
    "[{\"index\":0,\"delta\":{\"content\":\"Gr\\u00fc\"}}],\"usage\":null}\r\n\r\n",
    "data: {\"id\":\"c-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ße\"},",
    "\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
);
const USAGE: &str = concat!(
    "data: {\"id\":\"c-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,",
    "\"completion_tokens\":2,\"total_tokens\":9}}\n\ndata: [DONE]\n\n",
);

#[test]
fn a_chat_stream_tells_usage_names_and_text() {
    let facts = chat(&format!("{CHUNKS}{USAGE}"), StreamEnd::Complete);
    assert_eq!(facts.usage.source, UsageSource::Reported);
    assert_eq!(quantity(&facts, Meter::Input), Some(7));
    assert_eq!(quantity(&facts, Meter::Output), Some(2));
    assert_eq!(facts.usage.conditions.get("service_tier"), Some("flex"));
    assert_eq!(facts.model_served, Some("gpt-4o-2024".into()));
    assert_eq!(facts.response_id.as_deref(), Some("c-1"));
    assert_eq!(facts.finish_reason.as_deref(), Some("stop"));
    assert_eq!(said(&facts, OutputKind::Content), "Grüße");
    assert!(facts.saw_end && facts.usage.flags.is_empty());
}

#[test]
fn a_stream_without_usage_says_absent_and_keeps_the_text_for_the_count() {
    let silent = CHUNKS.replace(",\"usage\":null", "");
    let facts = chat(&format!("{silent}data: [DONE]\n\n"), StreamEnd::Complete);
    assert_eq!(facts.usage.source, UsageSource::Absent);
    assert!(facts.usage.flags.is_empty());
    assert_eq!(said(&facts, OutputKind::Content), "Grüße");
    let nulls = chat(CHUNKS, StreamEnd::UpstreamCut);
    assert_eq!(nulls.usage.source, UsageSource::Absent);
    assert_eq!(nulls.usage.flags, [UsageFlag::EmptyUsage]);
    assert!(!nulls.saw_end);
}

#[test]
fn of_two_usage_events_the_last_counts_whole_and_is_flagged() {
    let later = USAGE.replace(":7,", ":3,").replace(":9}", ":5}");
    let facts = chat(&format!("{CHUNKS}{USAGE}{later}"), StreamEnd::Complete);
    assert_eq!(quantity(&facts, Meter::Input), Some(3));
    assert_eq!(facts.usage.flags, [UsageFlag::SeveralUsageEvents]);
}

#[test]
fn usage_beside_choices_is_read_and_partial_if_the_stream_breaks() {
    let running = USAGE.replace("[],", "[{\"delta\":{}}],").replace("data: [DONE]\n\n", "");
    let facts = chat(&running, StreamEnd::Complete);
    assert_eq!(facts.usage.source, UsageSource::Reported);
    let facts = chat(&running, StreamEnd::ClientGone);
    assert_eq!(facts.usage.source, UsageSource::Partial);
    let facts = chat(USAGE, StreamEnd::ClientGone);
    assert_eq!(facts.usage.source, UsageSource::Reported);
}

#[test]
fn an_error_inside_a_stream_is_kept_without_its_message() {
    let error = "data: {\"error\":{\"message\":\"you said x\",\"code\":502}}\n\n";
    let facts = chat(&format!("{CHUNKS}{error}"), StreamEnd::Complete);
    assert_eq!(facts.error.clone().unwrap().code.as_deref(), Some("502"));
    assert!(facts.usage.flags.contains(&UsageFlag::ErrorInAnswer));
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":\
        {\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
    let facts = messages(&format!("{START}{error}"), StreamEnd::Complete);
    assert_eq!(facts.error.unwrap().error_type.as_deref(), Some("overloaded_error"));
    assert_eq!(facts.usage.source, UsageSource::Partial);
}

const START: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",",
    "\"model\":\"claude-x\",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,",
    "\"cache_creation_input_tokens\":6,\"cache_creation\":{\"ephemeral_5m_input_tokens\":2,",
    "\"ephemeral_1h_input_tokens\":4},\"output_tokens\":1,\"service_tier\":\"standard\"}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,",
    "\"content_block\":{\"type\":\"tool_use\",\"name\":\"look\",\"input\":{}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":",
    "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1}\"}}\n\n",
);

fn delta(usage: &str) -> String {
    format!(
        "event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":\
         {{\"stop_reason\":\"tool_use\"}},\"usage\":{usage}}}\n\n\
         event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
    )
}

#[test]
fn a_delta_with_output_only_keeps_the_input_of_the_start() {
    let stream = format!("{START}{}", delta("{\"output_tokens\":42,\"input_tokens\":null}"));
    let facts = messages(&stream, StreamEnd::Complete);
    assert_eq!(facts.usage.source, UsageSource::Reported);
    assert_eq!(quantity(&facts, Meter::Input), Some(10));
    assert_eq!(quantity(&facts, Meter::InputCacheWrite1h), Some(4));
    assert_eq!(quantity(&facts, Meter::Output), Some(42));
    assert_eq!(facts.finish_reason.as_deref(), Some("tool_use"));
    assert_eq!(said(&facts, OutputKind::ToolName), "look");
    assert_eq!(said(&facts, OutputKind::ToolArguments), "{\"a\":1}");
    let raw: Value = serde_json::from_str(facts.usage.raw.as_deref().unwrap()).unwrap();
    assert_eq!(raw.as_array().map(Vec::len), Some(2));
}

#[test]
fn several_deltas_overwrite_and_never_add() {
    let stream = format!(
        "{START}{}{}",
        delta("{\"output_tokens\":20,\"input_tokens\":12}"),
        delta(
            "{\"output_tokens\":30,\"input_tokens\":15,\"cache_read_input_tokens\":5,\
             \"cache_creation_input_tokens\":6}"
        )
    );
    let facts = messages(&stream, StreamEnd::Complete);
    assert_eq!(quantity(&facts, Meter::Input), Some(15));
    assert_eq!(quantity(&facts, Meter::Output), Some(30));
    assert_eq!(quantity(&facts, Meter::InputCacheWrite5m), Some(2));
    assert!(facts.usage.flags.is_empty());
}

#[test]
fn a_prompt_first_told_in_one_number_and_later_split_counts_once() {
    let start = "data: {\"type\":\"message_start\",\"message\":{\"usage\":\
        {\"input_tokens\":8834,\"output_tokens\":0}}}\n\n";
    let usage = "{\"input_tokens\":18,\"output_tokens\":426,\"cache_read_input_tokens\":8831}";
    let facts = messages(&format!("{start}{}", delta(usage)), StreamEnd::Complete);
    assert_eq!(facts.usage.parts[0].context_tokens, 8_849);
}

#[test]
fn a_message_cut_off_has_its_exact_input_and_is_partial() {
    for end in [StreamEnd::ClientGone, StreamEnd::UpstreamCut] {
        let facts = messages(START, end);
        assert_eq!(facts.usage.source, UsageSource::Partial);
        assert_eq!(facts.usage.parts[0].context_tokens, 21);
        assert!(!facts.saw_end);
    }
}

const CREATED: &str = concat!(
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",",
    "\"status\":\"in_progress\",\"model\":\"gpt-5\",\"usage\":null}}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",",
    "\"output_index\":1,\"delta\":\"Hi\"}\n\n",
);

fn responses(stream: &str, end: StreamEnd) -> StreamFacts {
    read(Dialect::OpenAi, Endpoint::Responses, stream, end)
}

#[test]
fn a_response_reports_on_each_of_its_three_last_events() {
    for (kind, reason) in
        [("completed", None), ("incomplete", Some("max_output_tokens")), ("failed", None)]
    {
        let details = reason.map(|reason| serde_json::json!({ "reason": reason }));
        let response = serde_json::json!({"type": format!("response.{kind}"), "response": {
            "id": "resp_1", "model": "gpt-5", "status": kind, "incomplete_details": details,
            "output": [{"type": "web_search_call", "action": {"type": "search"}}],
            "usage": {"input_tokens": 4, "output_tokens": 6, "total_tokens": 10,
                "output_tokens_details": {"reasoning_tokens": 5}}}});
        let stream = format!("{CREATED}data: {response}\n\n");
        let facts = responses(&stream, StreamEnd::Complete);
        assert_eq!(facts.usage.source, UsageSource::Reported);
        assert_eq!(quantity(&facts, Meter::OutputReasoning), Some(5));
        assert_eq!(quantity(&facts, Meter::WebSearch), Some(1));
        assert_eq!(facts.finish_reason.as_deref(), reason);
        assert_eq!(facts.status.as_deref(), Some(kind));
        assert_eq!(said(&facts, OutputKind::Content), "Hi");
    }
}

#[test]
fn a_response_cut_off_is_awaited_only_if_it_runs_on_in_the_background() {
    let facts = responses(CREATED, StreamEnd::UpstreamCut);
    assert_eq!(facts.usage.source, UsageSource::Absent);
    assert_eq!(facts.response_id.as_deref(), Some("resp_1"));
    let asked = RequestFacts { background: true, ..RequestFacts::default() };
    let mut meter = UsageMeter::new(Dialect::OpenAi, Endpoint::Responses);
    meter.feed(CREATED.as_bytes());
    let facts = meter.finish(StreamEnd::ClientGone, Some(&asked), &Conditions::default());
    assert_eq!(facts.usage.source, UsageSource::Awaiting);
}

proptest::proptest! {
    #[test]
    fn a_stream_with_any_bytes_damaged_is_read_without_a_panic(
        damage in proptest::collection::vec((0_usize..2_000, proptest::num::u8::ANY), 1..20),
    ) {
        let streams = [
            (Dialect::OpenAi, Endpoint::Chat, format!("{CHUNKS}{USAGE}")),
            (Dialect::Anthropic, Endpoint::Messages, format!("{START}{}", delta("{}"))),
            (Dialect::OpenAi, Endpoint::Responses, CREATED.to_owned()),
        ];
        for (dialect, endpoint, stream) in streams {
            let mut bytes = stream.into_bytes();
            for (at, byte) in &damage {
                let at = at % bytes.len();
                bytes[at] = *byte;
            }
            let mut meter = UsageMeter::new(dialect, endpoint);
            meter.feed(&bytes);
            facts(meter, StreamEnd::UpstreamCut);
        }
    }
}

#[test]
fn a_stream_of_anything_at_all_is_read_without_a_panic() {
    for stream in ["", "data:", "data: {\"usage\":[1]}\n\n", "data: {\"type\":1}\n\n", "\u{0}\n\n"]
    {
        for endpoint in Endpoint::ALL {
            read(Dialect::OpenAi, *endpoint, stream, StreamEnd::Complete);
            read(Dialect::Anthropic, *endpoint, stream, StreamEnd::UpstreamCut);
        }
    }
}
