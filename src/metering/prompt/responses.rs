//! OpenAI responses: instructions and items, framed like chat. The form is not published; recorded
//! answers to plain text agree with the chat rules, those with tools with the constants here.

use super::parts::{Prompt, PromptError};
use super::{chat, content};
use crate::metering::body::Json;
use crate::metering::counted::EstimatedPart;
use crate::metering::model_tokens::ModelTokens;

/// Tokens around the definitions of tools; here no system message saves any, and no preamble comes
/// before them.
const NAMESPACE: i64 = 3;
const NAMESPACE_OF_REASONING: i64 = 9;
/// What a model that does not reason is told when it must call a tool.
const FORCED: i64 = 9;
/// A schema stands here without the ten tokens that chat puts around it.
const SCHEMA: i64 = -10;

pub(super) fn read<'a>(body: &'a Json<'a>, model: &ModelTokens) -> Result<Prompt<'a>, PromptError> {
    let mut prompt = Prompt::default();
    let instructions = body.get("instructions").text();
    if let Some(instructions) = instructions {
        chat::add_turn(&mut prompt, Some("system"), model.framing);
        prompt.text(instructions);
    }
    // A prompt kept at the provider, or a turn it remembers: its text does not pass here.
    for kept in ["previous_response_id", "conversation", "prompt"] {
        if !body.get(kept).is_null() {
            prompt.estimate(EstimatedPart::History);
        }
    }
    match body.get("input") {
        Json::Text(text) => {
            chat::add_turn(&mut prompt, Some("user"), model.framing);
            prompt.text(text.as_ref());
        }
        Json::List(items) => {
            for item in items {
                add_item(&mut prompt, item, model);
            }
        }
        Json::Null if !prompt.estimated.is_empty() => {}
        _ => return Err(PromptError::Unreadable),
    }
    chat::add_answer_start(&mut prompt, model.framing);
    let tools = body.get("tools").items();
    if !tools.is_empty() {
        let functions = tools.iter().filter(|tool| tool.get("type").text() == Some("function"));
        if chat::add_functions(&mut prompt, functions) {
            let reasons = model.framing.is_reasoning();
            prompt.add(if reasons { NAMESPACE_OF_REASONING } else { NAMESPACE });
            let forced = body.get("tool_choice").text() == Some("required");
            prompt.add(if forced && !reasons { FORCED } else { 0 });
        }
    }
    chat::add_schema(&mut prompt, body.get("text").get("format").get("schema"));
    if prompt.schema.is_some() {
        prompt.add(SCHEMA);
    }
    Ok(prompt)
}

fn add_item<'a>(prompt: &mut Prompt<'a>, item: &'a Json<'a>, model: &ModelTokens) {
    match item.get("type").text() {
        None | Some("message") => {
            chat::add_turn(prompt, item.get("role").text(), model.framing);
            content::add(prompt, item.get("content"), model.image, "");
        }
        Some("function_call" | "custom_tool_call") => {
            chat::add_turn(prompt, Some("assistant"), model.framing);
            prompt.add(chat::calls_framing(1, model.framing));
            prompt.text_of(item.get("name").text());
            prompt.text_of(item.get("arguments").text().or_else(|| item.get("input").text()));
            prompt.estimate(EstimatedPart::Tools);
        }
        Some("function_call_output" | "custom_tool_call_output") => {
            chat::add_turn(prompt, Some("tool"), model.framing);
            content::add(prompt, item.get("output"), model.image, "");
            prompt.estimate(EstimatedPart::Tools);
        }
        // Earlier reasoning is sealed; a reference names what the provider keeps.
        Some("reasoning" | "item_reference") => prompt.estimate(EstimatedPart::History),
        // A call of a tool the provider runs itself.
        Some(_) => prompt.estimate(EstimatedPart::Tools),
    }
}
