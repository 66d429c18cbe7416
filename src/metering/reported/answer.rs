//! The parts of an answer that metering needs, read from its bytes without parsing the rest.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::dialect::error::{ErrorFacts, error_facts, short_name};
use crate::dialect::members::{Elements, Members, member, string_text, whole_number};
use crate::metering::text::{OutputKind, OutputText};
use crate::names::{Endpoint, ModelName};

/// Whether an answer had a usage object, and whether that said anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum UsageField {
    /// No usage member.
    #[default]
    Missing,
    /// `null`, `{}`, or nothing that can be read.
    Empty,
    /// An object with members.
    Reported(Map<String, Value>),
}

/// What metering reads of one answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// The provider's id in the body.
    pub id: Option<String>,
    /// The model that answered.
    pub model: Option<ModelName>,
    /// The status of a response, run or batch job.
    pub status: Option<String>,
    /// The tier that served.
    pub service_tier: Option<String>,
    /// Why the model stopped: `finish_reason`, `stop_reason`, or an incomplete response's reason.
    pub finish_reason: Option<String>,
    /// The usage object.
    pub usage: UsageField,
    /// The text of the usage objects, verbatim.
    pub usage_text: Vec<String>,
    /// OpenAI's `tool_usage`.
    pub tool_usage: Option<Map<String, Value>>,
    /// Calls of the provider's tools, counted from the output items.
    pub tool_calls: ToolCalls,
    /// The image model of the `image_generation` tool, where the answer names it.
    pub image_model: Option<ModelName>,
    /// Images in `data`.
    pub images: Option<u64>,
    /// An image answer's `quality`.
    pub quality: Option<String>,
    /// An image answer's `size`.
    pub size: Option<String>,
    /// The error an answer carries.
    pub error: Option<ErrorFacts>,
}

/// Calls of the provider's own tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ToolCalls {
    /// Searches; opening or reading a found page is none.
    pub web_search: u64,
    /// File searches.
    pub file_search: u64,
    /// Code containers, by distinct id.
    pub code_session: u64,
}

impl Answer {
    /// Reads a JSON answer. What cannot be read is absent; nothing here fails.
    pub(crate) fn read(endpoint: Endpoint, body: &[u8]) -> Self {
        Self::read_with_text(endpoint, body, &mut OutputText::new(0))
    }

    /// Reads a JSON answer and, in the same pass, its visible text.
    pub(crate) fn read_with_text(endpoint: Endpoint, body: &[u8], text: &mut OutputText) -> Self {
        let mut answer = Self::default();
        answer.take_object(endpoint, body, text, 0);
        answer
    }

    /// Whether the provider still works on it, and reports later.
    pub(crate) fn is_unfinished(&self) -> bool {
        let unfinished = [
            "queued",
            "in_progress",
            "requires_action",
            "cancelling",
            "canceling",
            "validating",
            "finalizing",
        ];
        self.status.as_deref().is_some_and(|status| unfinished.contains(&status))
    }

    /// Takes a usage member's value, replacing what an earlier one said.
    pub(crate) fn take_usage(&mut self, value: &[u8]) {
        self.usage_text.clear();
        match object(value).filter(|object| !object.is_empty()) {
            Some(object) => {
                self.usage = UsageField::Reported(object);
                self.usage_text.push(String::from_utf8_lossy(value).into_owned());
            }
            None => self.usage = UsageField::Empty,
        }
    }

    fn take_object(&mut self, endpoint: Endpoint, body: &[u8], text: &mut OutputText, depth: u8) {
        let Ok(members) = Members::of(body) else {
            return;
        };
        for found in members.map_while(Result::ok) {
            let value = found.value;
            match &*found.key {
                "id" => self.id = id_text(value).or(self.id.take()),
                "model" => self.model = model_name(value).or(self.model.take()),
                "status" | "processing_status" => self.status = short_name(value),
                "service_tier" => self.service_tier = short_name(value),
                "stop_reason" => self.finish_reason = short_name(value),
                "incomplete_details" => {
                    self.finish_reason = member(value, "reason").and_then(short_name)
                }
                "usage" => self.take_usage(value),
                "tool_usage" => self.tool_usage = object(value),
                "tools" => self.image_model = image_model(value),
                "output" => {
                    self.tool_calls = ToolCalls::read(value);
                    text.take_openai_output(value);
                }
                "choices" => self.take_choices(value, text),
                "content" if endpoint == Endpoint::Messages => text.take_anthropic_content(value),
                "data" if endpoint == Endpoint::Images => self.images = length(value),
                "quality" => self.quality = short_name(value),
                "size" => self.size = short_name(value),
                "error" if value != b"null" => self.error = Some(error_facts(value)),
                "response" | "message" if depth == 0 && value.starts_with(b"{") => {
                    self.take_object(endpoint, value, text, depth + 1);
                }
                _ => {}
            }
        }
    }
}

impl Answer {
    /// Takes the choices of a chat or legacy completion.
    fn take_choices(&mut self, choices: &[u8], text: &mut OutputText) {
        let choices = Elements::of(choices).into_iter().flatten().map_while(Result::ok);
        for (position, choice) in (0..).zip(choices) {
            let mut index = position;
            for found in Members::of(choice).into_iter().flatten().map_while(Result::ok) {
                match &*found.key {
                    "index" => index = whole_number(found.value).unwrap_or(position),
                    "message" => text.take_openai_message(index, found.value),
                    "text" => text.push_json(OutputKind::Content, index, 0, Some(found.value)),
                    "finish_reason" if found.value != b"null" => {
                        self.finish_reason = short_name(found.value);
                    }
                    _ => {}
                }
            }
        }
    }
}

impl ToolCalls {
    /// Counts the calls among a response's output items.
    pub(crate) fn read(output: &[u8]) -> Self {
        let mut calls = Self::default();
        let mut containers = BTreeSet::new();
        let Ok(items) = Elements::of(output) else {
            return calls;
        };
        for item in items.map_while(Result::ok) {
            let kind = member(item, "type").and_then(string_text).unwrap_or_default();
            match &*kind {
                "web_search_call" => {
                    let action = member(item, "action").and_then(|action| member(action, "type"));
                    let is_search = action.is_none_or(|kind| kind == b"\"search\"");
                    calls.web_search += u64::from(is_search);
                }
                "file_search_call" => calls.file_search += 1,
                "code_interpreter_call" => {
                    let id = member(item, "container_id").and_then(string_text);
                    calls.code_session += u64::from(containers.insert(id.unwrap_or_default()));
                }
                _ => {}
            }
        }
        calls
    }
}

/// A usage object is a few hundred bytes; one beyond this is none.
const LARGEST_USAGE: usize = 64 * 1024;

/// A JSON object of a size a usage object has; `None` for anything else.
pub(crate) fn object(value: &[u8]) -> Option<Map<String, Value>> {
    if value.len() > LARGEST_USAGE {
        return None;
    }
    match serde_json::from_slice(value) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// A model's name as the answer spells it, of a length a name can have.
pub(crate) fn model_name(value: &[u8]) -> Option<ModelName> {
    let text = string_text(value)?;
    (!text.is_empty() && text.len() <= 256).then(|| ModelName::new(&*text))
}

/// The provider's id of an answer, of a length an id can have.
pub(crate) fn id_text(value: &[u8]) -> Option<String> {
    let text = string_text(value)?;
    (!text.is_empty() && text.len() <= 256).then(|| text.into_owned())
}

fn image_model(tools: &[u8]) -> Option<ModelName> {
    let tools = Elements::of(tools).ok()?.map_while(Result::ok);
    let mut generators = tools
        .filter(|tool| member(tool, "type").is_some_and(|kind| kind == b"\"image_generation\""));
    generators.find_map(|tool| member(tool, "model").and_then(model_name))
}

fn length(array: &[u8]) -> Option<u64> {
    u64::try_from(Elements::of(array).ok()?.map_while(Result::ok).count()).ok()
}
