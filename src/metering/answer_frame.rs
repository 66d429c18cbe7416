//! The tokens of an answer that nobody sees: marks around messages and around calls of tools.
//!
//! None of this is published. The constants are the commonest differences between what providers
//! reported and what the texts alone make, class by class of recorded answers.

use std::collections::BTreeSet;

use super::model_tokens::Framing;
use super::text::{OutputKind, OutputText};
use crate::names::Endpoint;

/// The marks of one class of answers, in tokens.
struct Marks {
    message: u64,
    one_call: u64,
    each_call: u64,
}

const fn marks(endpoint: Endpoint, framing: Framing) -> Marks {
    let (message, one_call, each_call) = match (endpoint, framing.is_reasoning()) {
        (Endpoint::Chat, false) => (0, 7, 14),
        (Endpoint::Chat, true) => (3, 16, 16),
        (Endpoint::Responses, false) => (1, 8, 16),
        (Endpoint::Responses, true) => (4, 11, 16),
        (Endpoint::Messages, _) => (3, 45, 45),
        _ => (0, 0, 0),
    };
    Marks { message, one_call, each_call }
}

/// The tokens of the marks around an answer.
pub(super) fn tokens(endpoint: Endpoint, framing: Framing, answer: &OutputText) -> u64 {
    let choices_with = |kinds: &[OutputKind]| {
        let pieces = answer.pieces.iter().filter(|piece| kinds.contains(&piece.kind));
        pieces.map(|piece| (piece.choice, piece.part)).collect::<BTreeSet<_>>()
    };
    let calls = choices_with(&[OutputKind::ToolName]).len() as u64;
    let said = choices_with(&[OutputKind::Content, OutputKind::Refusal]);
    let messages = said.iter().map(|(choice, _)| choice).collect::<BTreeSet<_>>().len() as u64;
    let marks = marks(endpoint, framing);
    let of_calls = if calls == 1 { marks.one_call } else { calls * marks.each_call };
    messages * marks.message + of_calls
}

/// The texts to tokenize, each by itself. Reasoning is left out: what is shown of it is a summary,
/// and what was billed is not shown.
pub(super) fn texts(answer: &OutputText) -> Vec<&str> {
    let visible = answer.pieces.iter().filter(|piece| piece.kind != OutputKind::Reasoning);
    visible.map(|piece| piece.text.as_str()).collect()
}
