//! OpenAI chat completions: three tokens around each message, three before the answer, tools as a
//! namespace.
//!
//! The rules for texts are OpenAI's (its cookbook on counting tokens). Those for tools were inferred
//! by others from the counts of gpt-3.5-turbo. The constants of newer models were read off recorded
//! answers: one token fewer in all, a preamble of 82 before tools, more around earlier calls.

use super::content;
use super::parts::{Prompt, PromptError};
use crate::metering::body::Json;
use crate::metering::counted::EstimatedPart;
use crate::metering::model_tokens::{Framing, ModelTokens};
use crate::metering::tool_text::{self, Tool};

/// Tokens around the definitions of tools.
const NAMESPACE: i64 = 9;
/// What a system message saves of them, since it is there already.
const NAMESPACE_IN_SYSTEM: i64 = -4;
/// What GPT-5 is told before them.
const PREAMBLE: i64 = 82;

pub(super) fn read<'a>(body: &'a Json<'a>, model: &ModelTokens) -> Result<Prompt<'a>, PromptError> {
    let Json::List(messages) = body.get("messages") else { return Err(PromptError::Unreadable) };
    let mut prompt = Prompt::default();
    let has_tools =
        !body.get("tools").items().is_empty() || !body.get("functions").items().is_empty();
    let system = messages.iter().position(is_system);
    for (index, message) in messages.iter().enumerate() {
        let holds_tools = has_tools && system == Some(index);
        add_message(&mut prompt, message, model, if holds_tools { "\n" } else { "" });
    }
    add_answer_start(&mut prompt, model.framing);
    if has_tools {
        let tools: Vec<&Json<'_>> = body.get("tools").items().iter().collect();
        let definitions = tools.iter().map(|tool| tool.get("function"));
        let functions = body.get("functions").items();
        if add_functions(&mut prompt, definitions.chain(functions)) {
            prompt.add(NAMESPACE);
            prompt.add(if system.is_some() { NAMESPACE_IN_SYSTEM } else { 0 });
            prompt.add(if model.framing == Framing::Gpt5 { PREAMBLE } else { 0 });
        }
        for tool in tools.iter().filter(|tool| tool.get("function").is_null()) {
            add_other_tool(&mut prompt, tool);
        }
        add_choice(&mut prompt, body);
    }
    add_schema(&mut prompt, body.get("response_format").get("json_schema").get("schema"));
    for hidden in ["web_search_options", "prediction"] {
        if !body.get(hidden).is_null() {
            prompt.estimate(EstimatedPart::Tools);
        }
    }
    Ok(prompt)
}

fn is_system(message: &Json<'_>) -> bool {
    matches!(message.get("role").text(), Some("system" | "developer"))
}

fn add_message<'a>(
    prompt: &mut Prompt<'a>,
    message: &'a Json<'a>,
    model: &ModelTokens,
    ending: &str,
) {
    let role = message.get("role").text();
    add_turn(prompt, role, model.framing);
    content::add(prompt, message.get("content"), model.image, ending);
    prompt.text_of(message.get("refusal").text());
    if let Some(name) = message.get("name").text().filter(|name| !name.is_empty()) {
        prompt.text(name);
        prompt.add(if model.framing == Framing::FirstChat { -1 } else { 1 });
    }
    if role == Some("function") {
        prompt.add(-2);
    }
    let call = message.get("function_call");
    if !call.is_null() {
        prompt.add(3);
        add_call(prompt, call);
    }
    let calls = message.get("tool_calls").items();
    prompt.add(calls_framing(calls.len(), model.framing));
    for call in calls {
        add_call(prompt, call.get("function"));
    }
    if !message.get("audio").is_null() {
        prompt.estimate(EstimatedPart::Audio);
    }
}

/// What stands around a turn, and its role.
pub(super) fn add_turn<'a>(prompt: &mut Prompt<'a>, role: Option<&'a str>, framing: Framing) {
    prompt.add(if framing == Framing::FirstChat { 4 } else { 3 });
    prompt.text_of(role);
}

/// What stands before the answer.
pub(super) fn add_answer_start(prompt: &mut Prompt<'_>, framing: Framing) {
    prompt.add(if framing.is_reasoning() { 2 } else { 3 });
}

fn add_call<'a>(prompt: &mut Prompt<'a>, call: &'a Json<'a>) {
    prompt.text_of(call.get("name").text());
    prompt.text_of(call.get("arguments").text());
    prompt.estimate(EstimatedPart::Tools);
}

/// What stands around the calls of one turn.
pub(super) fn calls_framing(calls: usize, framing: Framing) -> i64 {
    match (calls, framing) {
        (0, _) => 0,
        (1, framing) if framing.is_reasoning() => 12,
        (1, _) => 7,
        (several, _) => i64::try_from(several).unwrap_or(i64::MAX).saturating_mul(14),
    }
}

/// Adds the definitions of functions, `{name, description, parameters}` each; says whether there
/// was one.
pub(super) fn add_functions<'a>(
    prompt: &mut Prompt<'_>,
    definitions: impl Iterator<Item = &'a Json<'a>>,
) -> bool {
    let tools: Vec<Tool<'_>> = definitions
        .filter_map(|definition| {
            Some(Tool {
                name: definition.get("name").text()?,
                description: definition.get("description").text(),
                parameters: definition.get("parameters"),
            })
        })
        .collect();
    prompt.estimate(EstimatedPart::Tools);
    if tools.is_empty() {
        return false;
    }
    prompt.text(tool_text::namespace(&tools));
    true
}

/// A tool that is no function: its name and description, since its rendering is not known.
fn add_other_tool<'a>(prompt: &mut Prompt<'a>, tool: &'a Json<'a>) {
    let custom = tool.get("custom");
    prompt.text_of(custom.get("name").text());
    prompt.text_of(custom.get("description").text());
    prompt.estimate(EstimatedPart::Tools);
}

/// What a forced or forbidden call adds, in either spelling.
fn add_choice<'a>(prompt: &mut Prompt<'a>, body: &'a Json<'a>) {
    for choice in [body.get("tool_choice"), body.get("function_call")] {
        match choice.text() {
            Some("none") => prompt.add(1),
            Some(_) => {}
            None => {
                let name = choice.get("function").get("name").text();
                if let Some(name) = name.or_else(|| choice.get("name").text()) {
                    prompt.text(name);
                    prompt.add(4);
                }
            }
        }
    }
}

/// The schema the answer has to follow.
pub(super) fn add_schema(prompt: &mut Prompt<'_>, schema: &Json<'_>) {
    if !schema.is_null() {
        prompt.schema = Some(schema.to_string());
        prompt.estimate(EstimatedPart::Schema);
    }
}
