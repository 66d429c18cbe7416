//! The texts of a request that a model reads, and the tokens a provider adds around them.

mod chat;
mod content;
mod messages;
pub(crate) mod parts;
mod plain;
mod responses;

use crate::metering::body::Json;
use crate::metering::model_tokens::ModelTokens;
use crate::names::Endpoint;
use parts::{Prompt, PromptError};

/// Whether calls of this kind carry text we know how to count.
pub(crate) const fn has_text(endpoint: Endpoint) -> bool {
    match endpoint {
        Endpoint::Chat
        | Endpoint::Responses
        | Endpoint::Completions
        | Endpoint::Embeddings
        | Endpoint::Messages
        | Endpoint::CountTokens => true,
        Endpoint::Images
        | Endpoint::Transcription
        | Endpoint::Speech
        | Endpoint::Realtime
        | Endpoint::Moderations
        | Endpoint::Batches
        | Endpoint::Other => false,
    }
}

/// Reads the prompt of a request to an endpoint.
///
/// # Errors
/// [`PromptError`], where calls of this kind carry no text or the body has not the form of its
/// endpoint.
pub(crate) fn read<'a>(
    endpoint: Endpoint,
    body: &'a Json<'a>,
    model: &ModelTokens,
) -> Result<Prompt<'a>, PromptError> {
    match endpoint {
        Endpoint::Chat => chat::read(body, model),
        Endpoint::Responses => responses::read(body, model),
        Endpoint::Completions => plain::read(body, "prompt"),
        Endpoint::Embeddings => plain::read(body, "input"),
        Endpoint::Messages | Endpoint::CountTokens => messages::read(body, model),
        _ => Err(PromptError::NoText),
    }
}

#[cfg(test)]
mod tests;
