//! OpenAI's side: chat completions, responses, embeddings, models, and its way to say no.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::period::SECOND_US;
use crate::sandbox::answer::{self, Answer, event_stream, pieces, text_of};
use crate::sandbox::book::Side;
use crate::sandbox::call::{Call, Refused};
use crate::sandbox::provider::{CountedPrompt, ORGANIZATION, Sandbox};
use crate::sandbox::rates;
use crate::sandbox::script::Script;
use crate::sandbox::words;

/// `POST /v1/chat/completions`
pub(crate) async fn chat(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = match open(&sandbox, &headers, &body) {
        Ok(call) => call,
        Err(refusal) => return *refusal,
    };
    let messages = call.body["messages"].as_array().cloned().unwrap_or_default();
    let texts: Vec<String> = messages.iter().map(|message| text_of(&message["content"])).collect();
    let framing = 4 * u64::try_from(messages.len()).unwrap_or(0) + 3;
    let total = framing + texts.iter().map(|text| words::count(text)).sum::<u64>();
    let prompt =
        sandbox.count_prompt(call.key, call.model, texts.first().map(String::as_str), total);
    let last = texts.last().map_or("", String::as_str);
    let script = Script::read(last);
    if let Some(status) = script.status {
        return scripted_error(&call, status);
    }
    let limit = call.body["max_completion_tokens"].as_u64().or(call.body["max_tokens"].as_u64());
    let asks_tool = messages.last().is_some_and(|message| message["role"] == "user");
    let tool = call.body["tools"][0]["function"]["name"].as_str().filter(|_| asks_tool);
    let schema = call.body["tools"][0]["function"].get("parameters");
    let planned = answer::plan(&script, last, limit, tool.map(|name| (name, schema)));
    let output = planned.tokens(call.model) + script.reasoning;
    let usage = chat_usage(prompt, output, script.reasoning);
    let account = account_headers(&call);
    let streams = call.body["stream"] == true;
    let response = if streams {
        let wants_usage = call.body["stream_options"]["include_usage"] == true;
        let events = chat_events(&call, &planned, wants_usage.then_some(&usage));
        event_stream(events, sandbox.pace(), script.cut, &account)
    } else {
        let message = match &planned {
            Answer::Text(text) => json!({"role": "assistant", "content": text, "refusal": null}),
            Answer::Tool { name, arguments } => json!({
                "role": "assistant", "content": null, "refusal": null,
                "tool_calls": [{"id": format!("call_{}", call.number), "type": "function",
                    "function": {"name": name, "arguments": arguments}}],
            }),
        };
        let body = json!({
            "id": format!("chatcmpl-sandbox{}", call.number), "object": "chat.completion",
            "created": call.started_at.micros() / SECOND_US, "model": call.model.served,
            "choices": [{"index": 0, "message": message, "logprobs": null,
                "finish_reason": finish(&planned)}],
            "usage": usage, "service_tier": "default", "system_fingerprint": null,
        });
        answer::json(StatusCode::OK, &body, &account)
    };
    sandbox.serve(call.key, call.model.served, call.started_at, prompt, output);
    response
}

/// `POST /v1/responses`
pub(crate) async fn responses(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = match open(&sandbox, &headers, &body) {
        Ok(call) => call,
        Err(refusal) => return *refusal,
    };
    let input = match &call.body["input"] {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            items.iter().map(|item| text_of(&item["content"])).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    };
    let instructions = call.body["instructions"].as_str().unwrap_or_default().to_owned();
    let total = words::count(&input) + words::count(&instructions) + 7;
    let prompt = sandbox.count_prompt(call.key, call.model, Some(instructions.as_str()), total);
    let script = Script::read(&input);
    if let Some(status) = script.status {
        return scripted_error(&call, status);
    }
    let limit = call.body["max_output_tokens"].as_u64();
    let planned = answer::plan(&script, &input, limit, None);
    let output = planned.tokens(call.model) + script.reasoning;
    let Answer::Text(text) = &planned else { return no_such_path().await };
    let usage = json!({
        "input_tokens": total, "output_tokens": output, "total_tokens": total + output,
        "input_tokens_details": {"cached_tokens": prompt.cache_read},
        "output_tokens_details": {"reasoning_tokens": script.reasoning},
    });
    let account = account_headers(&call);
    let response = if call.body["stream"] == true {
        let events = responses_events(&call, text, &usage);
        event_stream(events, sandbox.pace(), script.cut, &account)
    } else {
        let body = response_object(&call, "completed", Some(text), Some(&usage));
        answer::json(StatusCode::OK, &body, &account)
    };
    sandbox.serve(call.key, call.model.served, call.started_at, prompt, output);
    response
}

/// `POST /v1/embeddings`
pub(crate) async fn embeddings(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = match open(&sandbox, &headers, &body) {
        Ok(call) => call,
        Err(refusal) => return *refusal,
    };
    let texts: Vec<String> = match &call.body["input"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let total: u64 = texts.iter().map(|text| words::count(text)).sum();
    // 0.0078125 sixteen times, as little-endian 32-bit fractions: exact in both spellings.
    let base64 = base64::engine::general_purpose::STANDARD.encode([0, 0, 0, 0x3c].repeat(16));
    let vector = if call.body["encoding_format"] == "base64" {
        Value::String(base64)
    } else {
        let number: Value = serde_json::from_str("0.0078125").unwrap_or_default();
        Value::Array(vec![number; 16])
    };
    let data: Vec<Value> = (0..texts.len())
        .map(|index| json!({"object": "embedding", "index": index, "embedding": vector}))
        .collect();
    let body = json!({"object": "list", "data": data, "model": call.model.served,
        "usage": {"prompt_tokens": total, "total_tokens": total}});
    let prompt = CountedPrompt { total, ..CountedPrompt::default() };
    sandbox.serve(call.key, call.model.served, call.started_at, prompt, 0);
    answer::json(StatusCode::OK, &body, &account_headers(&call))
}

/// `GET /v1/models`
pub(crate) async fn models() -> Response {
    let data: Vec<Value> = rates::MODELS
        .iter()
        .map(|model| json!({"id": model.alias, "object": "model", "created": 0, "owned_by": "sandbox"}))
        .collect();
    answer::json(StatusCode::OK, &json!({"object": "list", "data": data}), &[])
}

/// Anything else.
pub(crate) async fn no_such_path() -> Response {
    let body = error_body("invalid_request_error", "unknown_url", "There is no such path here.");
    answer::json(StatusCode::NOT_FOUND, &body, &[])
}

fn open<'a>(
    sandbox: &'a Sandbox,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Call<'a>, Box<Response>> {
    let number = sandbox.next_call();
    Call::open(sandbox, Side::OpenAi, number, headers, body).map_err(|refused| {
        let (status, code, text) = match refused {
            Refused::UnknownKey => {
                (StatusCode::UNAUTHORIZED, "invalid_api_key", "Incorrect API key provided.")
            }
            Refused::NotJson => {
                (StatusCode::BAD_REQUEST, "invalid_json", "The body of your request is not JSON.")
            }
            Refused::UnknownModel => {
                let text = "The model does not exist or you do not have access to it.";
                (StatusCode::NOT_FOUND, "model_not_found", text)
            }
        };
        let id = [("x-request-id", format!("req_sandbox{number}"))];
        Box::new(answer::json(status, &error_body("invalid_request_error", code, text), &id))
    })
}

fn error_body(kind: &str, code: &str, message: &str) -> Value {
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

fn scripted_error(call: &Call<'_>, status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (kind, code) = match status.as_u16() {
        429 => ("requests", "rate_limit_exceeded"),
        500.. => ("server_error", "server_error"),
        _ => ("invalid_request_error", "invalid_request"),
    };
    let mut headers = account_headers(call);
    if status == StatusCode::TOO_MANY_REQUESTS {
        headers.push(("retry-after", "1".to_owned()));
    }
    answer::json(status, &error_body(kind, code, "The prompt asked for this."), &headers)
}

fn account_headers(call: &Call<'_>) -> Vec<(&'static str, String)> {
    vec![
        ("x-request-id", format!("req_sandbox{}", call.number)),
        ("openai-organization", ORGANIZATION.to_owned()),
        ("openai-project", call.key.project.clone()),
        ("openai-version", "2020-10-01".to_owned()),
    ]
}

const fn finish(answer: &Answer) -> &'static str {
    match answer {
        Answer::Text(_) => "stop",
        Answer::Tool { .. } => "tool_calls",
    }
}

fn chat_usage(prompt: CountedPrompt, output: u64, reasoning: u64) -> Value {
    json!({
        "prompt_tokens": prompt.total, "completion_tokens": output,
        "total_tokens": prompt.total + output,
        "prompt_tokens_details": {"cached_tokens": prompt.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    })
}

fn chat_events(call: &Call<'_>, planned: &Answer, usage: Option<&Value>) -> Vec<String> {
    let chunk = |choices: Value, usage_member: Option<Value>| {
        let mut body = json!({
            "id": format!("chatcmpl-sandbox{}", call.number), "object": "chat.completion.chunk",
            "created": call.started_at.micros() / SECOND_US, "model": call.model.served,
            "service_tier": "default", "system_fingerprint": null, "choices": choices,
        });
        if let Some(member) = usage_member {
            body["usage"] = member;
        }
        format!("data: {body}\n\n")
    };
    let silent = usage.map(|_| Value::Null);
    let delta = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let start = delta(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null);
    let mut events = vec![chunk(start, silent.clone())];
    match planned {
        Answer::Text(text) => events.extend(
            pieces(text, 4)
                .into_iter()
                .map(|piece| chunk(delta(json!({"content": piece}), Value::Null), silent.clone())),
        ),
        Answer::Tool { name, arguments } => {
            let opening = json!({"tool_calls": [{"index": 0, "id": format!("call_{}", call.number),
                "type": "function", "function": {"name": name, "arguments": ""}}]});
            let rest = json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]});
            events.push(chunk(delta(opening, Value::Null), silent.clone()));
            events.push(chunk(delta(rest, Value::Null), silent.clone()));
        }
    }
    events.push(chunk(delta(json!({}), Value::from(finish(planned))), silent));
    if let Some(usage) = usage {
        events.push(chunk(json!([]), Some(usage.clone())));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn response_object(
    call: &Call<'_>,
    status: &str,
    text: Option<&str>,
    usage: Option<&Value>,
) -> Value {
    let output = text.map_or_else(Vec::new, |text| {
        vec![json!({"type": "message", "id": format!("msg_{}", call.number), "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}]})]
    });
    json!({
        "id": format!("resp_sandbox{}", call.number), "object": "response", "status": status,
        "created_at": call.started_at.micros() / SECOND_US, "model": call.model.served,
        "output": output, "error": null, "incomplete_details": null, "instructions": null,
        "metadata": {}, "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
        "service_tier": "default", "usage": usage,
    })
}

fn responses_events(call: &Call<'_>, text: &str, usage: &Value) -> Vec<String> {
    let mut number = 0;
    let mut event = |kind: &str, mut body: Value| {
        body["type"] = Value::from(kind);
        body["sequence_number"] = Value::from(number);
        number += 1;
        format!("event: {kind}\ndata: {body}\n\n")
    };
    let item = format!("msg_{}", call.number);
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let begun = response_object(call, "in_progress", None, None);
    let mut events = vec![
        event("response.created", json!({"response": begun})),
        event(
            "response.output_item.added",
            json!({"output_index": 0, "item": {"type": "message", "id": item, "role": "assistant",
                "status": "in_progress", "content": []}}),
        ),
        event(
            "response.content_part.added",
            json!({"item_id": item, "output_index": 0, "content_index": 0, "part": part("")}),
        ),
    ];
    for piece in pieces(text, 4) {
        let body = json!({"item_id": item, "output_index": 0, "content_index": 0, "delta": piece,
            "logprobs": []});
        events.push(event("response.output_text.delta", body));
    }
    events.push(event(
        "response.output_text.done",
        json!({"item_id": item, "output_index": 0, "content_index": 0, "text": text,
            "logprobs": []}),
    ));
    events.push(event(
        "response.content_part.done",
        json!({"item_id": item, "output_index": 0, "content_index": 0, "part": part(text)}),
    ));
    let done = response_object(call, "completed", Some(text), Some(usage));
    events.push(event(
        "response.output_item.done",
        json!({"output_index": 0, "item": done["output"][0]}),
    ));
    events.push(event("response.completed", json!({"response": done})));
    events
}
