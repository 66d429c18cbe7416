//! A prompt taken apart: texts to tokenize, tokens known without, and what is only estimated.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::metering::counted::EstimatedPart;

/// Everything of a request that costs input tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prompt<'a> {
    /// Texts, each tokenized by itself.
    pub texts: Vec<Cow<'a, str>>,
    /// A JSON schema for the answer, compact. The provider shows it in a rendering of its own.
    pub schema: Option<String>,
    /// Tokens known without tokenizing: framing, images, token arrays. Corrections may be negative.
    pub fixed: i64,
    /// What is an estimate, or missing.
    pub estimated: BTreeSet<EstimatedPart>,
}

impl<'a> Prompt<'a> {
    /// Adds a text.
    pub(crate) fn text(&mut self, text: impl Into<Cow<'a, str>>) {
        let text = text.into();
        if !text.is_empty() {
            self.texts.push(text);
        }
    }

    /// Adds a text where there is one.
    pub(crate) fn text_of(&mut self, text: Option<&'a str>) {
        if let Some(text) = text {
            self.text(text);
        }
    }

    /// Adds tokens known without tokenizing.
    pub(crate) fn add(&mut self, tokens: i64) {
        self.fixed = self.fixed.saturating_add(tokens);
    }

    /// Says that a part is an estimate.
    pub(crate) fn estimate(&mut self, part: EstimatedPart) {
        self.estimated.insert(part);
    }
}

/// Tokens of a JSON schema as the provider renders it, from those of its compact text: nine tenths
/// and ten, read off recorded answers; nothing is published.
pub(crate) const fn schema_tokens(compact: u64) -> u64 {
    compact.saturating_mul(9) / 10 + 10
}

/// Why a request has no prompt to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PromptError {
    /// Calls of this kind carry no text.
    #[error("calls of this kind carry no text to count")]
    NoText,
    /// The body has not the form of its endpoint.
    #[error("the request body has not the form of its endpoint")]
    Unreadable,
}
