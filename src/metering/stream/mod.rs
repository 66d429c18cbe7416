//! Meters a streamed answer from the bytes that pass to the client, cut wherever they may be.

use serde_json::{Map, Value};

use super::reported::answer::{Answer, UsageField, id_text, model_name, object};
use super::reported::split::split;
use super::text::{OutputKind, OutputText};
use crate::dialect::endpoint::Dialect;
use crate::dialect::error::{ErrorFacts, error_facts, short_name};
use crate::dialect::members::{Elements, Members, member, string_text, whole_number};
use crate::dialect::request::RequestFacts;
use crate::dialect::sse::{Event, EventScanner};
use crate::names::{Endpoint, ModelName};
use crate::usage::{Conditions, ReportedUsage, UsageFlag, UsageSource};

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The provider closed it in order.
    Complete,
    /// The client hung up, and the upstream call was canceled.
    ClientGone,
    /// The upstream connection broke.
    UpstreamCut,
}

/// What an answer told, streamed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFacts {
    /// What it used.
    pub usage: ReportedUsage,
    /// The model that answered.
    pub model_served: Option<ModelName>,
    /// The provider's id in the body.
    pub response_id: Option<String>,
    /// The status of a response, run or job.
    pub status: Option<String>,
    /// The error it carried.
    pub error: Option<ErrorFacts>,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// Whether the dialect's own last word was seen (`[DONE]`, `message_stop`, a terminal event).
    pub saw_end: bool,
    /// The visible text, for our own count.
    pub text: OutputText,
}

/// Reads usage, names and text out of one stream.
#[derive(Debug)]
pub struct UsageMeter {
    scanner: EventScanner,
    reader: EventReader,
}

#[derive(Debug)]
struct EventReader {
    dialect: Dialect,
    endpoint: Endpoint,
    answer: Answer,
    text: OutputText,
    usage_events: u32,
    /// The usage seen is the provider's last word, not a running total.
    final_usage: bool,
    saw_end: bool,
}

impl UsageMeter {
    /// For a stream of this dialect and endpoint.
    pub fn new(dialect: Dialect, endpoint: Endpoint) -> Self {
        Self {
            scanner: EventScanner::default(),
            reader: EventReader {
                dialect,
                endpoint,
                answer: Answer::default(),
                text: OutputText::default(),
                usage_events: 0,
                final_usage: false,
                saw_end: false,
            },
        }
    }

    /// Takes the next bytes of the provider's stream, before anything is stripped from them.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self { scanner, reader } = self;
        scanner.feed(bytes, |event| reader.take(event));
    }

    /// Whether the dialect's own last word was seen.
    pub(crate) const fn saw_end(&self) -> bool {
        self.reader.saw_end
    }

    /// Reads what the stream came to. `asked` and `context` tell what selects a price where the
    /// stream does not.
    pub fn finish(
        mut self,
        end: StreamEnd,
        asked: Option<&RequestFacts>,
        context: &Conditions,
    ) -> StreamFacts {
        let Self { scanner, reader } = &mut self;
        scanner.finish(|event| reader.take(event));
        self.reader.text.truncated |= self.scanner.skipped() > 0;
        self.reader.finish(end, asked, context)
    }
}

impl EventReader {
    fn take(&mut self, event: Event<'_>) {
        if event.data == b"[DONE]" {
            self.saw_end = true;
            return;
        }
        match (self.dialect, self.endpoint) {
            (Dialect::Anthropic, _) => self.take_anthropic(event),
            (_, Endpoint::Chat | Endpoint::Completions) => self.take_chat(event.data),
            _ => self.take_typed(event.data),
        }
    }

    /// A chunk of a chat completion, or of a legacy one.
    fn take_chat(&mut self, data: &[u8]) {
        let Ok(members) = Members::of(data) else {
            return;
        };
        let mut no_choices = true;
        let mut has_usage = false;
        for found in members.map_while(Result::ok) {
            let value = found.value;
            match &*found.key {
                "choices" => no_choices = !self.take_choices(value),
                "usage" => has_usage = self.take_usage(value),
                "id" if self.answer.id.is_none() => self.answer.id = id_text(value),
                "model" if self.answer.model.is_none() => self.answer.model = model_name(value),
                "service_tier" if value != b"null" => self.answer.service_tier = short_name(value),
                "error" if value != b"null" => self.answer.error = Some(error_facts(value)),
                _ => {}
            }
        }
        self.final_usage |= has_usage && no_choices;
    }

    fn take_choices(&mut self, choices: &[u8]) -> bool {
        let mut any = false;
        for choice in Elements::of(choices).into_iter().flatten().map_while(Result::ok) {
            any = true;
            let index = member(choice, "index").and_then(whole_number).unwrap_or(0);
            let Ok(members) = Members::of(choice) else {
                continue;
            };
            for found in members.map_while(Result::ok) {
                match &*found.key {
                    "delta" => self.text.take_openai_message(index, found.value),
                    "text" => {
                        self.text.push_json(OutputKind::Content, index, 0, Some(found.value));
                    }
                    "finish_reason" if found.value != b"null" => {
                        self.answer.finish_reason = short_name(found.value);
                    }
                    _ => {}
                }
            }
        }
        any
    }

    /// Whether the value is a usage object that says something; `null` on every other chunk is
    /// the dialect's habit and no finding.
    fn take_usage(&mut self, value: &[u8]) -> bool {
        if value == b"null" {
            if self.answer.usage == UsageField::Missing {
                self.answer.usage = UsageField::Empty;
            }
            return false;
        }
        self.answer.take_usage(value);
        self.usage_events += 1;
        true
    }

    /// An event that names its type: responses, images, transcription, speech, runs.
    fn take_typed(&mut self, data: &[u8]) {
        let kind = member(data, "type").and_then(string_text).unwrap_or_default();
        match &*kind {
            "response.output_text.delta" => self.take_delta(OutputKind::Content, data),
            "response.refusal.delta" => self.take_delta(OutputKind::Refusal, data),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.take_delta(OutputKind::ToolArguments, data);
            }
            "response.reasoning_summary_text.delta" => self.take_delta(OutputKind::Reasoning, data),
            "response.output_item.added" => {
                let item = member(data, "item").unwrap_or_default();
                let part = member(data, "output_index").and_then(whole_number).unwrap_or(0);
                self.text.push_json(OutputKind::ToolName, 0, part, member(item, "name"));
            }
            "response.created" | "response.in_progress" | "response.queued" => {
                let response = member(data, "response").unwrap_or_default();
                self.answer.id = member(response, "id").and_then(id_text);
                self.answer.model = member(response, "model").and_then(model_name);
                self.answer.status = member(response, "status").and_then(short_name);
            }
            "response.completed" | "response.incomplete" | "response.failed" | "response.done" => {
                self.take_terminal(data);
            }
            "error" => {
                let error = member(data, "error").unwrap_or(data);
                self.answer.error = Some(error_facts(error));
            }
            _ => self.take_other(data),
        }
    }

    /// The event that carries the whole answer again, usage included.
    fn take_terminal(&mut self, data: &[u8]) {
        let answer = Answer::read(self.endpoint, data);
        let earlier = std::mem::replace(&mut self.answer, answer);
        self.answer.id = self.answer.id.take().or(earlier.id);
        self.answer.model = self.answer.model.take().or(earlier.model);
        self.answer.error = self.answer.error.take().or(earlier.error);
        self.usage_events += u32::from(matches!(self.answer.usage, UsageField::Reported(_)));
        self.final_usage = true;
        self.saw_end = true;
    }

    /// Events of other kinds carry usage, if any, as their own member; the last one counts.
    fn take_other(&mut self, data: &[u8]) {
        if memchr::memmem::find(data, b"\"usage\"").is_none()
            && memchr::memmem::find(data, b"\"error\"").is_none()
        {
            return;
        }
        let answer = Answer::read(self.endpoint, data);
        if let UsageField::Reported(_) = answer.usage {
            self.usage_events += 1;
            self.final_usage = true;
            self.answer.usage = answer.usage;
            self.answer.usage_text = answer.usage_text;
        }
        self.answer.status = answer.status.or(self.answer.status.take());
        self.answer.model = answer.model.or(self.answer.model.take());
        self.answer.id = self.answer.id.take().or(answer.id);
        self.answer.error = answer.error.or(self.answer.error.take());
    }

    fn take_delta(&mut self, kind: OutputKind, data: &[u8]) {
        let part = member(data, "output_index").and_then(whole_number).unwrap_or(0);
        self.text.push_json(kind, 0, part, member(data, "delta"));
    }

    fn take_anthropic(&mut self, event: Event<'_>) {
        let data = event.data;
        let kind = member(data, "type").and_then(string_text);
        let kind = kind.unwrap_or_else(|| String::from_utf8_lossy(event.name));
        let part = || member(data, "index").and_then(whole_number).unwrap_or(0);
        match &*kind {
            "message_start" => {
                let message = member(data, "message").unwrap_or_default();
                self.answer.id = member(message, "id").and_then(id_text);
                self.answer.model = member(message, "model").and_then(model_name);
                self.merge_usage(member(message, "usage"));
            }
            "content_block_start" => {
                let block = member(data, "content_block").unwrap_or_default();
                self.text.take_anthropic_block(part(), block);
            }
            "content_block_delta" => {
                let delta = member(data, "delta").unwrap_or_default();
                let kinds = [
                    ("text", OutputKind::Content),
                    ("partial_json", OutputKind::ToolArguments),
                    ("thinking", OutputKind::Reasoning),
                ];
                for (key, kind) in kinds {
                    self.text.push_json(kind, 0, part(), member(delta, key));
                }
            }
            "message_delta" => {
                let delta = member(data, "delta").unwrap_or_default();
                let usage = member(data, "usage");
                if let Some(reason) = member(delta, "stop_reason").and_then(short_name) {
                    self.answer.finish_reason = Some(reason);
                    self.final_usage = usage.is_some();
                }
                self.merge_usage(usage);
            }
            "message_stop" => self.saw_end = true,
            "error" => {
                self.answer.error =
                    Some(member(data, "error").map(error_facts).unwrap_or_default());
            }
            _ => {}
        }
    }

    /// Anthropic's counters are cumulative: a later value replaces an earlier one, never adds.
    fn merge_usage(&mut self, usage: Option<&[u8]>) {
        let Some(text) = usage else {
            return;
        };
        let Some(later) = object(text) else {
            if self.answer.usage == UsageField::Missing {
                self.answer.usage = UsageField::Empty;
            }
            return;
        };
        self.answer.usage_text.push(String::from_utf8_lossy(text).into_owned());
        // Several deltas may come; the first and the last tell the story.
        if self.answer.usage_text.len() > 2 {
            self.answer.usage_text.remove(1);
        }
        self.usage_events += 1;
        match &mut self.answer.usage {
            UsageField::Reported(merged) => merge_later(merged, later),
            field => *field = UsageField::Reported(later),
        }
    }

    fn finish(
        mut self,
        end: StreamEnd,
        asked: Option<&RequestFacts>,
        context: &Conditions,
    ) -> StreamFacts {
        if self.dialect == Dialect::Anthropic && self.answer.error.is_some() {
            self.final_usage = false;
        }
        let mut usage = split(self.dialect, self.endpoint, asked, context, &self.answer);
        let background = asked.is_some_and(|asked| asked.background);
        if usage.source == UsageSource::Awaiting && !background && end != StreamEnd::Complete {
            // Nobody will ask for it again.
            usage.source = UsageSource::Absent;
        }
        self.judge(end, &mut usage);
        StreamFacts {
            usage,
            model_served: self.answer.model,
            response_id: self.answer.id,
            status: self.answer.status,
            error: self.answer.error,
            finish_reason: self.answer.finish_reason,
            saw_end: self.saw_end,
            text: self.text,
        }
    }

    /// Whether what was reported is the whole of it.
    fn judge(&self, end: StreamEnd, usage: &mut ReportedUsage) {
        let whole =
            self.final_usage || (self.dialect == Dialect::OpenAi && end == StreamEnd::Complete);
        if usage.source == UsageSource::Reported && !whole {
            usage.source = UsageSource::Partial;
        }
        if end != StreamEnd::Complete && usage.source == UsageSource::NotMetered {
            usage.source = UsageSource::Absent;
        }
        if self.dialect == Dialect::OpenAi && self.usage_events > 1 {
            usage.flags.push(UsageFlag::SeveralUsageEvents);
            usage.flags.sort_unstable();
        }
    }
}

/// Field by field the later value wins unless it is null; an event that counts its cache anew
/// replaces the whole group of input counters, since servers that first report the prompt in one
/// number later split it.
fn merge_later(merged: &mut Map<String, Value>, later: Map<String, Value>) {
    let said = |key: &str| later.get(key).is_some_and(|value| !value.is_null());
    let cache = ["cache_read_input_tokens", "cache_creation_input_tokens"];
    if said("input_tokens") && cache.iter().any(|key| said(key)) {
        for key in cache {
            merged.remove(key);
        }
    }
    for (key, value) in later {
        match (merged.get_mut(&key), value) {
            (_, Value::Null) => {}
            (Some(Value::Object(inner)), Value::Object(later)) => merge_later(inner, later),
            (_, value) => {
                merged.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
