//! The visible answer of a model, and the tokens of it that nobody sees: marks around messages and
//! around calls of tools.
//!
//! None of this is published. The constants are the commonest differences between what providers
//! reported and what the texts alone make, class by class of recorded answers.

use super::model_tokens::Framing;
use crate::names::Endpoint;

/// What a client could read of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its texts, each by itself and whole: content and refusal per choice, and of each call the name
    /// and the arguments.
    pub texts: Vec<String>,
    /// How many calls of tools are in it.
    pub calls: usize,
}

impl Answer {
    /// The bytes of its texts.
    pub fn bytes(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }

    /// The tokens of the marks around it.
    pub(super) fn frame(&self, endpoint: Endpoint, framing: Framing) -> u64 {
        let reasons = framing.is_reasoning();
        // Around a message; around one call; around each of several.
        let (message, one_call, each_call) = match (endpoint, reasons) {
            (Endpoint::Chat, false) => (0, 7, 14),
            (Endpoint::Chat, true) => (3, 16, 16),
            (Endpoint::Responses, false) => (1, 8, 16),
            (Endpoint::Responses, true) => (4, 11, 16),
            (Endpoint::Messages, _) => (3, 45, 45),
            _ => (0, 0, 0),
        };
        // Each call has a name and arguments; what is more than that is a message.
        let has_message = self.texts.len() > self.calls.saturating_mul(2);
        let of_calls = match self.calls {
            0 => 0,
            1 => one_call,
            several => (several as u64).saturating_mul(each_call),
        };
        if has_message { message + of_calls } else { of_calls }
    }
}
