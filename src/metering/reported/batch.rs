//! The result lines of batch jobs, each with its own answer and usage.

use super::answer::{Answer, id_text};
use super::split;
use crate::dialect::endpoint::Dialect;
use crate::dialect::members::{member, string_text};
use crate::names::{Endpoint, ModelName};
use crate::usage::{Conditions, ReportedUsage};

/// One line of a batch's results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchLine {
    /// The caller's own id of the item.
    pub custom_id: Option<String>,
    /// The provider's id of the answer.
    pub response_id: Option<String>,
    /// The model that answered.
    pub model: Option<ModelName>,
    /// What it used, at batch prices.
    pub usage: ReportedUsage,
}

/// Reads one line of a result file; `None` where the line is none, as in any other file.
/// Items that failed, expired or were canceled are lines too, and report nothing.
pub fn batch_line(dialect: Dialect, line: &[u8]) -> Option<BatchLine> {
    let custom_id = member(line, "custom_id")?;
    let body = match dialect {
        Dialect::OpenAi => member(line, "response").map(|response| member(response, "body")),
        Dialect::Anthropic => member(line, "result").map(|result| member(result, "message")),
    }?;
    let endpoint = body.map_or(Endpoint::Batches, |body| body_endpoint(dialect, body));
    let answer = body.map(|body| Answer::read(endpoint, body)).unwrap_or_default();
    let mut context = Conditions::default();
    context.set("processing", "batch");
    let usage = split(dialect, endpoint, None, &context, &answer);
    let custom_id = id_text(custom_id);
    Some(BatchLine { custom_id, response_id: answer.id, model: answer.model, usage })
}

/// The kind of call an item was, by what its answer calls itself.
fn body_endpoint(dialect: Dialect, body: &[u8]) -> Endpoint {
    if dialect == Dialect::Anthropic {
        return Endpoint::Messages;
    }
    match member(body, "object").and_then(string_text).as_deref() {
        Some("chat.completion") => Endpoint::Chat,
        Some("response") => Endpoint::Responses,
        Some("text_completion") => Endpoint::Completions,
        Some("list") => Endpoint::Embeddings,
        _ => Endpoint::Batches,
    }
}
