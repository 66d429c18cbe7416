//! The content of an OpenAI message: a text, or parts of which only text is tokenized.

use super::parts::Prompt;
use crate::metering::body::Json;
use crate::metering::counted::EstimatedPart;
use crate::metering::image_tokens::{self, ImageRule};

/// Adds the content of a message. `ending` is put behind its last text.
pub(super) fn add<'a>(
    prompt: &mut Prompt<'a>,
    content: &'a Json<'a>,
    image: ImageRule,
    ending: &str,
) {
    match content {
        Json::Text(text) => add_text(prompt, text, ending),
        Json::List(parts) => {
            let last_text = parts.iter().rposition(|part| part.get("text").text().is_some());
            for (index, part) in parts.iter().enumerate() {
                let ending = if last_text == Some(index) { ending } else { "" };
                add_part(prompt, part, image, ending);
            }
        }
        _ => {}
    }
}

fn add_text<'a>(prompt: &mut Prompt<'a>, text: &'a str, ending: &str) {
    if ending.is_empty() {
        prompt.text(text);
    } else {
        prompt.text(format!("{text}{ending}"));
    }
}

fn add_part<'a>(prompt: &mut Prompt<'a>, part: &'a Json<'a>, image: ImageRule, ending: &str) {
    match part.get("type").text() {
        Some("image_url" | "input_image" | "image") => add_image(prompt, part, image),
        Some("input_audio" | "audio") => prompt.estimate(EstimatedPart::Audio),
        Some("file" | "input_file") => prompt.estimate(EstimatedPart::File),
        _ => {
            prompt.text_of(part.get("refusal").text());
            if let Some(text) = part.get("text").text() {
                add_text(prompt, text, ending);
            }
        }
    }
}

/// An image by its address: `{"image_url": {"url", "detail"}}` in chat, `{"image_url", "detail"}` in
/// responses.
fn add_image(prompt: &mut Prompt<'_>, part: &Json<'_>, image: ImageRule) {
    let nested = part.get("image_url");
    let address = nested.text().or_else(|| nested.get("url").text());
    let detail = nested.get("detail").text().or_else(|| part.get("detail").text());
    let size = address.and_then(image_tokens::size_in_data_url);
    let tokens = image.tokens(size, detail == Some("low"));
    prompt.add(i64::try_from(tokens).unwrap_or(i64::MAX));
    prompt.estimate(EstimatedPart::Image);
}
