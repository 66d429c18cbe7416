//! Anthropic messages: system, content blocks and tools, counted with another vendor's vocabulary.
//!
//! Its tokenizer and framing are not published. The constants were read off recorded answers: seven
//! tokens around a plain request, and a hidden prompt before tools whose length is the model's.

use super::parts::{Prompt, PromptError};
use crate::metering::body::Json;
use crate::metering::counted::EstimatedPart;
use crate::metering::image_tokens::{self, ImageRule};
use crate::metering::model_tokens::{Framing, ModelTokens};

/// Tokens around a request of one message.
const REQUEST: i64 = 4;
/// Tokens around each message.
const MESSAGE: i64 = 3;
/// Tokens around each tool.
const TOOL: i64 = 40;
/// Tokens around an earlier call and its result.
const CALL: i64 = 55;
/// What a model is told when its answer must follow a schema.
const SCHEMA: i64 = 130;
/// What a model is told when it must call a tool.
const FORCED: i64 = 90;
/// What a model is told when it may think first.
const THINKING: i64 = 28;

pub(super) fn read<'a>(body: &'a Json<'a>, model: &ModelTokens) -> Result<Prompt<'a>, PromptError> {
    let Json::List(messages) = body.get("messages") else { return Err(PromptError::Unreadable) };
    let mut prompt = Prompt::default();
    prompt.add(REQUEST);
    add_content(&mut prompt, body.get("system"), model.image);
    for message in messages {
        prompt.add(MESSAGE);
        add_content(&mut prompt, message.get("content"), model.image);
    }
    let tools = body.get("tools").items();
    if !tools.is_empty() {
        add_tools(&mut prompt, tools, model.framing);
        if matches!(body.get("tool_choice").get("type").text(), Some("any" | "tool")) {
            prompt.add(FORCED);
        }
    }
    if body.get("thinking").get("type").text() == Some("enabled") {
        prompt.add(THINKING);
    }
    add_schema(&mut prompt, body);
    for elsewhere in ["container", "mcp_servers"] {
        if !body.get(elsewhere).is_null() {
            prompt.estimate(EstimatedPart::Tools);
        }
    }
    Ok(prompt)
}

fn add_content<'a>(prompt: &mut Prompt<'a>, content: &'a Json<'a>, image: ImageRule) {
    prompt.text_of(content.text());
    for block in content.items() {
        match block.get("type").text() {
            Some("image") => add_image(prompt, block.get("source"), image),
            Some("document") => add_document(prompt, block, image),
            Some("tool_use") => {
                prompt.add(CALL);
                prompt.text_of(block.get("name").text());
                prompt.text(block.get("input").to_string());
                prompt.estimate(EstimatedPart::Tools);
            }
            // The provider drops the thinking of earlier turns, and who tells which were earlier?
            Some("thinking" | "redacted_thinking") => prompt.estimate(EstimatedPart::History),
            Some("tool_result") => {
                // One level down at most: a result holds blocks, and no result holds another.
                let result = block.get("content");
                prompt.text_of(result.text());
                for part in result.items() {
                    prompt.text_of(part.get("text").text());
                    match part.get("type").text() {
                        Some("image") => add_image(prompt, part.get("source"), image),
                        Some("document") => prompt.estimate(EstimatedPart::File),
                        _ => {}
                    }
                }
                prompt.estimate(EstimatedPart::Tools);
            }
            Some("text") | None => prompt.text_of(block.get("text").text()),
            Some(_) => prompt.estimate(EstimatedPart::Tools),
        }
    }
}

fn add_image(prompt: &mut Prompt<'_>, source: &Json<'_>, image: ImageRule) {
    let size = source.get("data").text().and_then(image_tokens::size_in_base64);
    prompt.add(i64::try_from(image.tokens(size, false)).unwrap_or(i64::MAX));
    prompt.estimate(EstimatedPart::Image);
}

fn add_document<'a>(prompt: &mut Prompt<'a>, block: &'a Json<'a>, image: ImageRule) {
    let source = block.get("source");
    prompt.text_of(block.get("title").text());
    prompt.text_of(block.get("context").text());
    match source.get("type").text() {
        Some("text") => prompt.text_of(source.get("data").text()),
        Some("content") => {
            prompt.text_of(source.get("content").text());
            for part in source.get("content").items() {
                match part.get("type").text() {
                    Some("image") => add_image(prompt, part.get("source"), image),
                    _ => prompt.text_of(part.get("text").text()),
                }
            }
        }
        _ => prompt.estimate(EstimatedPart::File),
    }
}

fn add_tools<'a>(prompt: &mut Prompt<'a>, tools: &'a [Json<'a>], framing: Framing) {
    if let Framing::Claude { tools } = framing {
        prompt.add(tools);
    }
    for tool in tools {
        prompt.add(TOOL);
        prompt.text_of(tool.get("name").text());
        prompt.text_of(tool.get("description").text());
        if !tool.get("input_schema").is_null() {
            prompt.text(tool.get("input_schema").to_string());
        }
    }
    prompt.estimate(EstimatedPart::Tools);
}

fn add_schema(prompt: &mut Prompt<'_>, body: &Json<'_>) {
    let older = body.get("output_format").get("schema");
    let newer = body.get("output_config").get("format").get("schema");
    let schema = if newer.is_null() { older } else { newer };
    if !schema.is_null() {
        prompt.schema = Some(schema.to_string());
        prompt.add(SCHEMA);
        prompt.estimate(EstimatedPart::Schema);
    }
}
