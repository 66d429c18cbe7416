//! What both dialects share: reading a prompt's text, planning an answer, sending it in pieces.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::sandbox::rates::SandboxModel;
use crate::sandbox::script::Script;
use crate::sandbox::words;

/// An answer before it is spelled in a dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Words.
    Text(String),
    /// A call of the first tool offered.
    Tool {
        /// The tool's name.
        name: String,
        /// Its arguments as JSON text.
        arguments: String,
    },
}

impl Answer {
    /// The sandbox's own count of it, as this model counts.
    pub(crate) fn tokens(&self, model: &SandboxModel) -> u64 {
        match self {
            Self::Text(text) => model.tokens(words::count(text)).max(1),
            Self::Tool { name, arguments } => {
                words::count(name) + words::count(&arguments.replace([':', ','], " ")) + 4
            }
        }
    }
}

/// All text of a message's or block's `content`: a string, or parts with `text`.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| {
                part.get("text")
                    .and_then(Value::as_str)
                    .map(str::to_owned)
                    .or_else(|| part.get("content").map(text_of).filter(|text| !text.is_empty()))
            });
            texts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

/// Calls the first tool with a made-up value for each required argument, or answers in words.
pub(crate) fn plan(
    script: &Script,
    prompt: &str,
    max_output: Option<u64>,
    tool: Option<(&str, Option<&Value>)>,
) -> Answer {
    if let Some((name, schema)) = tool {
        let required = schema.and_then(|schema| schema.get("required")).and_then(Value::as_array);
        let mut arguments = serde_json::Map::new();
        for argument in required.into_iter().flatten().filter_map(Value::as_str) {
            arguments.insert(argument.to_owned(), Value::from("the usual place"));
        }
        let arguments = Value::Object(arguments).to_string();
        return Answer::Tool { name: name.to_owned(), arguments };
    }
    let length = script.answer_words(prompt, max_output);
    Answer::Text(words::run(words::seed_of(prompt), length))
}

/// A text in pieces of about `size` words, each but the first with its leading blank.
pub(crate) fn pieces(text: &str, size: usize) -> Vec<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let chunks = words.chunks(size.max(1)).enumerate();
    chunks
        .map(|(at, chunk)| if at == 0 { chunk.join(" ") } else { format!(" {}", chunk.join(" ")) })
        .collect()
}

/// A JSON answer with the provider's usual headers.
pub(crate) fn json(
    status: StatusCode,
    body: &Value,
    headers: &[(&'static str, String)],
) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    with_headers(response, headers)
}

/// An event stream of these events, one chunk each, with a pause before every one but the first.
/// With `cut`, the second half never comes and the connection breaks.
pub(crate) fn event_stream(
    events: Vec<String>,
    pace: Duration,
    cut: bool,
    headers: &[(&'static str, String)],
) -> Response {
    let kept = if cut { events.len() / 2 } else { events.len() };
    let mut parts: Vec<Result<Bytes, std::io::Error>> =
        events.into_iter().take(kept).map(|event| Ok(Bytes::from(event))).collect();
    if cut {
        parts.push(Err(std::io::ErrorKind::ConnectionAborted.into()));
    }
    let paced = stream::unfold((parts.into_iter(), true), move |(mut rest, first)| async move {
        let part = rest.next()?;
        if !first && !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
        Some((part, (rest, false)))
    });
    let mut response = Response::new(Body::from_stream(paced));
    let events = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, events);
    with_headers(response, headers)
}

fn with_headers(mut response: Response, headers: &[(&'static str, String)]) -> Response {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}
