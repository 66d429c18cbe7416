//! Anthropic's side: messages, count_tokens, and its way to say no.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::sandbox::answer::{self, Answer, event_stream, pieces, text_of};
use crate::sandbox::book::Side;
use crate::sandbox::call::{Call, Refused};
use crate::sandbox::provider::{CountedPrompt, ORGANIZATION, Sandbox};
use crate::sandbox::script::Script;
use crate::sandbox::words;

/// `POST /v1/messages`
pub(crate) async fn messages(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = match open(&sandbox, &headers, &body) {
        Ok(call) => call,
        Err(refusal) => return *refusal,
    };
    let (total, last) = count(&call);
    let prefix = cached_prefix(&call.body);
    let prompt = sandbox.count_prompt(call.key, call.model, prefix.as_deref(), total);
    let script = Script::read(&last);
    if let Some(status) = script.status {
        return scripted_error(&call, status);
    }
    let asks_tool =
        call.body["messages"].as_array().and_then(|all| all.last()).is_some_and(|message| {
            message["role"] == "user" && message["content"][0]["type"] != "tool_result"
        });
    let tool = call.body["tools"][0]["name"].as_str().filter(|_| asks_tool);
    let schema = call.body["tools"][0].get("input_schema");
    let limit = call.body["max_tokens"].as_u64().map(|most| call.model.words_within(most));
    let planned = answer::plan(&script, &last, limit, tool.map(|name| (name, schema)));
    let output = planned.tokens(call.model) + script.reasoning;
    let account = account_headers(&call);
    let response = if call.body["stream"] == true {
        let events = stream_events(&call, &planned, prompt, output);
        event_stream(events, sandbox.pace(), script.cut, &account)
    } else {
        let mut body = message_object(&call, prompt, output);
        body["content"] = json!([block(&call, &planned)]);
        body["stop_reason"] = Value::from(stop_reason(&planned));
        answer::json(StatusCode::OK, &body, &account)
    };
    sandbox.serve(call.key, call.model.served, call.started_at, prompt, output);
    response
}

/// `POST /v1/messages/count_tokens`
pub(crate) async fn count_tokens(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match open(&sandbox, &headers, &body) {
        Ok(call) => {
            let body = json!({"input_tokens": count(&call).0});
            answer::json(StatusCode::OK, &body, &account_headers(&call))
        }
        Err(refusal) => *refusal,
    }
}

fn open<'a>(
    sandbox: &'a Sandbox,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Call<'a>, Box<Response>> {
    let number = sandbox.next_call();
    Call::open(sandbox, Side::Anthropic, number, headers, body).map_err(|refused| {
        let (status, kind, text) = match refused {
            Refused::UnknownKey => {
                (StatusCode::UNAUTHORIZED, "authentication_error", "invalid x-api-key")
            }
            Refused::NotJson => {
                (StatusCode::BAD_REQUEST, "invalid_request_error", "The body is not JSON.")
            }
            Refused::UnknownModel => (StatusCode::NOT_FOUND, "not_found_error", "no such model"),
        };
        let id = format!("req_sandbox{number}");
        let body = error_body(kind, text, &id);
        Box::new(answer::json(status, &body, &[("request-id", id)]))
    })
}

fn count(call: &Call<'_>) -> (u64, String) {
    let messages = call.body["messages"].as_array().cloned().unwrap_or_default();
    let texts: Vec<String> = messages.iter().map(|message| text_of(&message["content"])).collect();
    let framing = 3 * u64::try_from(messages.len()).unwrap_or(0) + 5;
    let tokens = |text: &str| call.model.tokens(words::count(text));
    let asked = texts.iter().map(|text| tokens(text)).sum::<u64>();
    let total = framing + asked + tokens(&text_of(&call.body["system"]));
    (total, texts.last().cloned().unwrap_or_default())
}

/// The system text, where its last block asks to be cached.
fn cached_prefix(body: &Value) -> Option<String> {
    let blocks = body["system"].as_array()?;
    let asks = blocks.last().is_some_and(|block| block["cache_control"]["type"] == "ephemeral");
    asks.then(|| text_of(&body["system"]))
}

fn usage(prompt: CountedPrompt, output: u64) -> Value {
    json!({
        "input_tokens": prompt.total - prompt.cache_read - prompt.cache_write,
        "cache_creation_input_tokens": prompt.cache_write,
        "cache_read_input_tokens": prompt.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": prompt.cache_write,
            "ephemeral_1h_input_tokens": 0},
        "output_tokens": output, "service_tier": "standard", "inference_geo": "not_available",
    })
}

fn message_object(call: &Call<'_>, prompt: CountedPrompt, output: u64) -> Value {
    json!({
        "id": format!("msg_sandbox{}", call.number), "type": "message", "role": "assistant",
        "model": call.model.served, "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": usage(prompt, output),
    })
}

fn block(call: &Call<'_>, planned: &Answer) -> Value {
    match planned {
        Answer::Text(text) => json!({"type": "text", "text": text}),
        Answer::Tool { name, arguments } => {
            let input: Value = serde_json::from_str(arguments).unwrap_or_default();
            json!({"type": "tool_use", "id": format!("toolu_{}", call.number), "name": name,
                "input": input})
        }
    }
}

const fn stop_reason(answer: &Answer) -> &'static str {
    match answer {
        Answer::Text(_) => "end_turn",
        Answer::Tool { .. } => "tool_use",
    }
}

fn stream_events(
    call: &Call<'_>,
    planned: &Answer,
    prompt: CountedPrompt,
    output: u64,
) -> Vec<String> {
    let event = |kind: &str, mut body: Value| {
        body["type"] = Value::from(kind);
        format!("event: {kind}\ndata: {body}\n\n")
    };
    // The real provider seeds the output counter with a small number at the start.
    let start = message_object(call, prompt, 1);
    let mut events = vec![event("message_start", json!({"message": start}))];
    let delta = |delta: Value| json!({"index": 0, "delta": delta});
    match planned {
        Answer::Text(text) => {
            let empty = json!({"index": 0, "content_block": {"type": "text", "text": ""}});
            events.push(event("content_block_start", empty));
            events.push(event("ping", json!({})));
            events.extend(pieces(text, 4).into_iter().map(|piece| {
                event("content_block_delta", delta(json!({"type": "text_delta", "text": piece})))
            }));
        }
        Answer::Tool { arguments, .. } => {
            let mut empty = block(call, planned);
            empty["input"] = json!({});
            events.push(event("content_block_start", json!({"index": 0, "content_block": empty})));
            let json_delta = json!({"type": "input_json_delta", "partial_json": arguments});
            events.push(event("content_block_delta", delta(json_delta)));
        }
    }
    events.push(event("content_block_stop", json!({"index": 0})));
    let end = json!({
        "delta": {"stop_reason": stop_reason(planned), "stop_sequence": null},
        "usage": {"output_tokens": output},
    });
    events.push(event("message_delta", end));
    events.push(event("message_stop", json!({})));
    events
}

fn account_headers(call: &Call<'_>) -> Vec<(&'static str, String)> {
    vec![
        ("request-id", format!("req_sandbox{}", call.number)),
        ("anthropic-organization-id", ORGANIZATION.to_owned()),
        ("anthropic-workspace-id", call.key.project.clone()),
    ]
}

fn error_body(kind: &str, message: &str, request_id: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id})
}

fn scripted_error(call: &Call<'_>, status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = match status.as_u16() {
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let id = format!("req_sandbox{}", call.number);
    let mut headers = account_headers(call);
    if status == StatusCode::TOO_MANY_REQUESTS {
        headers.push(("retry-after", "1".to_owned()));
    }
    answer::json(status, &error_body(kind, "The prompt asked for this.", &id), &headers)
}
