//! OpenAI responses: instructions and items, framed like chat. The form is not published; recorded
//! answers to plain text agree with the chat rules.

use super::parts::{Prompt, PromptError};
use super::{chat, content};
use crate::metering::body::Json;
use crate::metering::counted::EstimatedPart;
use crate::metering::model_tokens::ModelTokens;

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
        chat::add_functions(&mut prompt, functions, model.framing, instructions.is_some());
    }
    chat::add_schema(&mut prompt, body.get("text").get("format").get("schema"));
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
