//! Published counts. OpenAI's cookbook gives one prompt of six messages; the author of the public
//! library hmarr/openai-chat-tokens gives 36 small prompts, 25 of them with functions, calls or their
//! results, each checked by him against what gpt-3.5-turbo reported.

use super::*;
use crate::metering::count::{Counter, Passed};
use crate::metering::counted::EstimatedPart;

fn count_of(endpoint: Endpoint, model: &str, body: &str) -> u64 {
    let request = body.as_bytes();
    let passed = Passed { endpoint, model, configured: None, request, answer: None };
    Counter::default().count(&passed, &|| true).input.unwrap()
}

#[test]
fn the_cookbook_example_of_six_messages_comes_out() {
    let messages: Vec<&str> = PUBLISHED[..6]
        .iter()
        .map(|(_, body)| body.strip_prefix(r#"{"messages":["#).unwrap().strip_suffix("]}").unwrap())
        .collect();
    let body = format!(r#"{{"messages":[{}]}}"#, messages.join(","));
    assert_eq!(count_of(Endpoint::Chat, "gpt-3.5-turbo-0613", &body), 129);
    assert_eq!(count_of(Endpoint::Chat, "gpt-4-0613", &body), 129);
    assert_eq!(count_of(Endpoint::Chat, "gpt-4o", &body), 124);
}

#[test]
fn every_published_count_comes_out() {
    for (tokens, body) in PUBLISHED {
        assert_eq!(count_of(Endpoint::Chat, "gpt-3.5-turbo", body), *tokens, "{body}");
    }
}

#[test]
fn special_text_typed_forty_times_is_two_hundred_and_forty_one_tokens() {
    let typed = "<|endoftext|>".repeat(40);
    let body = format!(r#"{{"prompt":"{typed}"}}"#);
    assert_eq!(count_of(Endpoint::Completions, "gpt-4o", &body), 241);
}

#[test]
fn a_forced_tool_reads_the_same_in_the_newer_spelling() {
    let functions =
        r#""functions":[{"name":"foo","parameters":{}}],"function_call":{"name":"foo"}"#;
    let tools = r#""tools":[{"type":"function","function":{"name":"foo","parameters":{}}}],
        "tool_choice":{"type":"function","function":{"name":"foo"}}"#;
    for spelled in [functions, tools] {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"hello"}}],{spelled}}}"#);
        assert_eq!(count_of(Endpoint::Chat, "gpt-3.5-turbo", &body), 36);
    }
}

#[test]
fn embeddings_count_texts_and_tokens_the_caller_made() {
    let count = |input: &str| {
        count_of(Endpoint::Embeddings, "text-embedding-3-small", &format!(r#"{{"input":{input}}}"#))
    };
    assert_eq!(count(r#""hello world""#), 2);
    assert_eq!(count(r#"["hello world","hello"]"#), 3);
    assert_eq!(count("[15339,1917]"), 2);
    assert_eq!(count("[[15339,1917],[15339]]"), 3);
}

fn prompt_of(endpoint: Endpoint, model: &str, body: &str) -> (i64, Vec<EstimatedPart>, usize) {
    let json = Json::read(body.as_bytes()).unwrap();
    let model = crate::metering::model_tokens::resolve(model, None);
    let prompt = read(endpoint, &json, &model).unwrap();
    let texts = prompt.texts.iter().map(|text| text.len()).sum::<usize>();
    let bytes = texts + prompt.schema.as_ref().map_or(0, String::len);
    (prompt.fixed, prompt.estimated.iter().copied().collect(), bytes)
}

#[test]
fn a_turn_the_provider_remembers_is_said_to_be_missing() {
    let body = r#"{"previous_response_id":"resp_1","input":"and then?"}"#;
    let (_, estimated, _) = prompt_of(Endpoint::Responses, "gpt-5", body);
    assert_eq!(estimated, [EstimatedPart::History]);
}

#[test]
fn an_anthropic_message_is_read_block_by_block_and_media_are_no_text() {
    let body = r#"{"system":[{"type":"text","text":"be kind"}],"messages":[
        {"role":"user","content":[{"type":"text","text":"look"},
            {"type":"image","source":{"type":"base64","media_type":"image/gif","data":"R0lGODlhIANYAg=="}},
            {"type":"document","source":{"type":"base64","data":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"x","name":"get","input":{"a":1}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"x","content":[{"type":"text","text":"one"}]}]}]}"#;
    let (fixed, estimated, bytes) = prompt_of(Endpoint::Messages, "claude-sonnet-4-5", body);
    // 800 x 600 is 29 x 22 patches of 28 pixels; the rest is framing, 55 of it for the call.
    assert_eq!(fixed, 29 * 22 + 4 + 3 * 3 + 55);
    assert_eq!(estimated, [EstimatedPart::Tools, EstimatedPart::Image, EstimatedPart::File]);
    assert_eq!(bytes, "be kindlookget{\"a\":1}one".len());
}

#[test]
fn no_body_of_any_shape_breaks_the_reading() {
    let odd = [
        "null",
        "7",
        "\"x\"",
        "[]",
        "{}",
        "[[]]",
        "[null]",
        "[{}]",
        "{\"a\":[]}",
        "[{\"type\":\"tool_use\"}]",
    ];
    let members = [
        "messages",
        "input",
        "prompt",
        "tools",
        "system",
        "instructions",
        "response_format",
        "tool_choice",
    ];
    for endpoint in Endpoint::ALL {
        for value in odd {
            for member in members {
                let body = format!(
                    r#"{{"messages":[{{"content":{value},"tool_calls":{value}}}],"{member}":{value}}}"#
                );
                let json = Json::read(body.as_bytes()).unwrap();
                let model = crate::metering::model_tokens::resolve("gpt-4o", None);
                let _ = read(*endpoint, &json, &model);
            }
        }
    }
}

/// Tokens reported, and the request. Facts of the two sources named above.
const PUBLISHED: &[(u64, &str)] = &[
    (
        25,
        r#"{"messages":[{"role":"system","content":"You are a helpful, pattern-following assistant that translates corporate jargon into plain English."}]}"#,
    ),
    (
        20,
        r#"{"messages":[{"role":"system","name":"example_user","content":"New synergies will help drive top-line growth."}]}"#,
    ),
    (
        19,
        r#"{"messages":[{"role":"system","name":"example_assistant","content":"Things working well together will increase revenue."}]}"#,
    ),
    (
        28,
        r#"{"messages":[{"role":"system","name":"example_user","content":"Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."}]}"#,
    ),
    (
        26,
        r#"{"messages":[{"role":"system","name":"example_assistant","content":"Let's talk later when we're less busy about how to do better."}]}"#,
    ),
    (
        26,
        r#"{"messages":[{"role":"user","content":"This late pivot means we don't have time to boil the ocean for the client deliverable."}]}"#,
    ),
    (8, r#"{"messages":[{"role":"user","content":"hello"}]}"#),
    (9, r#"{"messages":[{"role":"user","content":"hello world"}]}"#),
    (8, r#"{"messages":[{"role":"system","content":"hello"}]}"#),
    (9, r#"{"messages":[{"role":"system","content":"hello:"}]}"#),
    (
        27,
        r##"{"messages":[{"role":"system","content":"# Important: you're the best robot"},{"role":"user","content":"hello robot"},{"role":"assistant","content":"hello world"}]}"##,
    ),
    (
        31,
        r#"{"messages":[{"role":"user","content":"hello"}],"functions":[{"name":"foo","parameters":{"type":"object","properties":{}}}]}"#,
    ),
    (
        32,
        r#"{"messages":[{"role":"user","content":"hello"}],"functions":[{"name":"foo","parameters":{"type":"object","properties":{}}}],"function_call":"none"}"#,
    ),
    (
        31,
        r#"{"messages":[{"role":"user","content":"hello"}],"functions":[{"name":"foo","parameters":{"type":"object","properties":{}}}],"function_call":"auto"}"#,
    ),
    (
        36,
        r#"{"messages":[{"role":"user","content":"hello"}],"functions":[{"name":"foo","parameters":{"type":"object","properties":{}}}],"function_call":{"name":"foo"}}"#,
    ),
    (
        36,
        r#"{"messages":[{"role":"user","content":"hello"}],"functions":[{"name":"foo","description":"Do a foo","parameters":{"type":"object","properties":{}}}]}"#,
    ),
    (
        49,
        r#"{"messages":[{"role":"user","content":"hello"}],"functions":[{"name":"bing_bong","description":"Do a bing bong","parameters":{"type":"object","properties":{"foo":{"type":"string"}}}}]}"#,
    ),
    (
        57,
        r#"{"messages":[{"role":"user","content":"hello"}],"functions":[{"name":"bing_bong","description":"Do a bing bong","parameters":{"type":"object","properties":{"foo":{"type":"string"},"bar":{"type":"number","description":"A number"}}}}]}"#,
    ),
    (
        68,
        r#"{"messages":[{"role":"user","content":"hello"}],"functions":[{"name":"bing_bong","description":"Do a bing bong","parameters":{"type":"object","properties":{"foo":{"type":"object","properties":{"bar":{"type":"string","enum":["a","b","c"]},"baz":{"type":"boolean"}}}}}}]}"#,
    ),
    (
        15,
        r#"{"messages":[{"role":"user","content":"hello world"},{"role":"function","name":"do_stuff","content":"{}"}]}"#,
    ),
    (
        28,
        r#"{"messages":[{"role":"user","content":"hello world"},{"role":"function","name":"do_stuff","content":"{\"foo\": \"bar\", \"baz\": 1.5}"}]}"#,
    ),
    (
        24,
        r#"{"messages":[{"role":"function","name":"dance_the_tango","content":"{\"a\": { \"b\" : { \"c\": false}}}"}]}"#,
    ),
    (
        26,
        r#"{"messages":[{"role":"assistant","content":"","function_call":{"name":"do_stuff","arguments":"{\"foo\": \"bar\", \"baz\": 1.5}"}}]}"#,
    ),
    (
        25,
        r#"{"messages":[{"role":"assistant","content":"","function_call":{"name":"do_stuff","arguments":"{\"foo\":\"bar\", \"baz\":\n\n 1.5}"}}]}"#,
    ),
    (
        158,
        r#"{"messages":[{"role":"system","content":"You are an AI assistant trained to foo or bar"},{"role":"user","content":"My name is suzie"},{"role":"function","name":"foo","content":"{\"res\":{\"kind\":\"user\",\"name\":\"suzie\"}}"},{"role":"user","content":"I want to post a message with the text \"hello world\""},{"role":"function","name":"foo","content":"{\"res\":{\"kind\":\"post\",\"text\":\"hello world\"}}"}],"functions":[{"name":"foo","description":"Return the foo or the bar","parameters":{"type":"object","properties":{"res":{"anyOf":[{"type":"object","properties":{"kind":{"type":"string","const":"post"},"text":{"type":"string"}},"required":["kind","text"],"additionalProperties":false},{"type":"object","properties":{"kind":{"type":"string","const":"user"},"name":{"type":"string","enum":["jane","suzie","adam"]}},"required":["kind","name"],"additionalProperties":false}],"description":"The foo or the bar"}},"required":["res"],"additionalProperties":false}}],"function_call":{"name":"foo"}}"#,
    ),
    (
        52,
        r#"{"messages":[{"role":"system","content":"Hello"},{"role":"user","content":"Hi there"}],"functions":[{"name":"do_stuff","parameters":{"type":"object","properties":{"foo":{"anyOf":[{"type":"object","properties":{"kind":{"type":"string","const":"a"},"baz":{"type":"boolean"}}}]}}}}]}"#,
    ),
    (
        80,
        r#"{"messages":[{"role":"system","content":"Hello"},{"role":"user","content":"Hi there"}],"functions":[{"name":"do_stuff","parameters":{"type":"object","properties":{"foo":{"anyOf":[{"type":"object","properties":{"kind":{"type":"string","const":"a"},"baz":{"type":"boolean"}}},{"type":"object","properties":{"kind":{"type":"string","const":"b"},"qux":{"type":"number"}}},{"type":"object","properties":{"kind":{"type":"string","const":"c"},"idk":{"type":"string"}}}]}}}}]}"#,
    ),
    (
        44,
        r#"{"messages":[{"role":"system","content":"Hello"},{"role":"user","content":"Hi there"}],"functions":[{"name":"do_stuff","parameters":{"type":"object","properties":{"foo":{"anyOf":[{"type":"string","const":"a"},{"type":"number"}]}}}}]}"#,
    ),
    (
        35,
        r#"{"messages":[{"role":"system","content":"Hello"},{"role":"user","content":"Hi there"}],"functions":[{"name":"do_stuff","parameters":{"type":"object","properties":{}}}]}"#,
    ),
    (
        35,
        r#"{"messages":[{"role":"system","content":"Hello:"},{"role":"user","content":"Hi there"}],"functions":[{"name":"do_stuff","parameters":{"type":"object","properties":{}}}]}"#,
    ),
    (
        40,
        r#"{"messages":[{"role":"system","content":"Hello:"},{"role":"system","content":"Hello"},{"role":"user","content":"Hi there"}],"functions":[{"name":"do_stuff","parameters":{"type":"object","properties":{}}}]}"#,
    ),
    (
        49,
        r#"{"messages":[{"role":"system","content":"Hello:"},{"role":"system","content":"Hello"},{"role":"user","content":"Hi there"}],"functions":[{"name":"do_stuff","parameters":{"type":"object","properties":{}}},{"name":"do_other_stuff","parameters":{"type":"object","properties":{}}}]}"#,
    ),
    (
        55,
        r#"{"messages":[{"role":"system","content":"Hello:"},{"role":"system","content":"Hello"},{"role":"user","content":"Hi there"}],"functions":[{"name":"do_stuff","parameters":{"type":"object","properties":{}}},{"name":"do_other_stuff","parameters":{"type":"object","properties":{}}}],"function_call":{"name":"do_stuff"}}"#,
    ),
    (
        106,
        r#"{"messages":[{"role":"user","content":"hello"}],"functions":[{"name":"get_recipe","parameters":{"type":"object","required":["ingredients","instructions","time_to_cook"],"properties":{"ingredients":{"type":"array","items":{"type":"object","required":["name","unit","amount"],"properties":{"name":{"type":"string"},"unit":{"enum":["grams","ml","cups","pieces","teaspoons"],"type":"string"},"amount":{"type":"number"}}}},"instructions":{"type":"array","items":{"type":"string"},"description":"Steps to prepare the recipe (no numbering)"},"time_to_cook":{"type":"number","description":"Total time to prepare the recipe in minutes"}}}}]}"#,
    ),
    (
        46,
        r#"{"messages":[{"role":"user","content":"hello"}],"functions":[{"name":"function","description":"description","parameters":{"type":"object","properties":{"quality":{"type":"object","properties":{"pros":{"type":"array","items":{"type":"string"},"description":"Write 3 points why this text is well written"}}}}}}]}"#,
    ),
    (
        96,
        r#"{"messages":[{"role":"user","content":"hello"}],"functions":[{"name":"function","description":"desctiption1","parameters":{"type":"object","description":"desctiption2","properties":{"mainField":{"type":"string","description":"description3"},"field number one":{"type":"object","description":"description4","properties":{"yesNoField":{"type":"string","description":"description5","enum":["Yes","No"]},"howIsInteresting":{"type":"string","description":"description6"},"scoreInteresting":{"type":"number","description":"description7"},"isInteresting":{"type":"string","description":"description8","enum":["Yes","No"]}}}}}}]}"#,
    ),
];
