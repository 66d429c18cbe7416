//! Completions and embeddings: texts, or tokens the caller made himself, with nothing around them.

use super::parts::{Prompt, PromptError};
use crate::metering::body::Json;

/// Reads a member that is a text, a list of texts, a list of tokens or a list of such lists.
pub(super) fn read<'a>(body: &'a Json<'a>, member: &str) -> Result<Prompt<'a>, PromptError> {
    let mut prompt = Prompt::default();
    match body.get(member) {
        Json::Text(text) => prompt.text(text.as_ref()),
        Json::List(items) => {
            for item in items {
                match item {
                    Json::Text(text) => prompt.text(text.as_ref()),
                    Json::Number(_) => prompt.add(1),
                    Json::List(tokens) => {
                        prompt.add(i64::try_from(tokens.len()).unwrap_or(i64::MAX));
                    }
                    _ => return Err(PromptError::Unreadable),
                }
            }
        }
        _ => return Err(PromptError::Unreadable),
    }
    prompt.text_of(body.get("suffix").text());
    Ok(prompt)
}
