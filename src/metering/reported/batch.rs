//! The result lines of batch jobs, each with its own answer and usage.

use super::answer::{Answer, id_text};
use super::split::split;
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

/// A line larger than this is skipped.
pub(crate) const LARGEST_LINE: usize = 32 * 1024 * 1024;

/// Finds the lines of a result file in bytes that pass by in any slices. A file whose first line
/// is none, as most files are, is not looked at any further.
#[derive(Debug)]
pub struct BatchMeter {
    dialect: Dialect,
    line: Vec<u8>,
    state: FileState,
    skipped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileState {
    Unknown,
    Results,
    SkippingLine,
    SomethingElse,
}

impl BatchMeter {
    /// At the start of a file.
    pub const fn new(dialect: Dialect) -> Self {
        Self { dialect, line: Vec::new(), state: FileState::Unknown, skipped: 0 }
    }

    /// How many lines were too large or unreadable; their usage is unknown.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Takes the next bytes and calls `on_line` for each line they complete.
    pub fn feed(&mut self, mut bytes: &[u8], mut on_line: impl FnMut(BatchLine)) {
        while self.state != FileState::SomethingElse {
            let end = memchr::memchr(b'\n', bytes);
            let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            self.keep(part);
            let Some(end) = end else {
                return;
            };
            self.end_line(&mut on_line);
            bytes = bytes.get(end + 1..).unwrap_or_default();
        }
    }

    /// The file is over: its last line may have no line end.
    pub fn finish(&mut self, mut on_line: impl FnMut(BatchLine)) {
        self.end_line(&mut on_line);
    }

    fn keep(&mut self, part: &[u8]) {
        match self.state {
            FileState::SomethingElse | FileState::SkippingLine => {}
            _ if self.line.len() + part.len() > LARGEST_LINE => {
                self.line = Vec::new();
                self.skipped += u64::from(self.state == FileState::Results);
                self.state = match self.state {
                    FileState::Results => FileState::SkippingLine,
                    _ => FileState::SomethingElse,
                };
            }
            _ => self.line.extend_from_slice(part),
        }
        let starts_as_object = self.line.first().is_none_or(|first| *first == b'{');
        if self.state == FileState::Unknown && !starts_as_object {
            self.state = FileState::SomethingElse;
            self.line = Vec::new();
        }
    }

    fn end_line(&mut self, on_line: &mut impl FnMut(BatchLine)) {
        let line = self.line.trim_ascii();
        match self.state {
            FileState::SkippingLine => self.state = FileState::Results,
            FileState::SomethingElse => {}
            _ if line.is_empty() => {}
            state => match (batch_line(self.dialect, line), state) {
                (Some(line), _) => {
                    self.state = FileState::Results;
                    on_line(line);
                }
                (None, FileState::Unknown) => self.state = FileState::SomethingElse,
                (None, _) => self.skipped += 1,
            },
        }
        self.line.clear();
    }
}

/// Reads one line of a result file; `None` where the line is none, as in any other file.
/// Items that failed, expired or were canceled are lines too, and report nothing.
pub(crate) fn batch_line(dialect: Dialect, line: &[u8]) -> Option<BatchLine> {
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
