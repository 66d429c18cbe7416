//! What a prompt may tell the sandbox to do: answer an error, break off, think first.

use crate::sandbox::words;

/// An instruction in the last user text: `sandbox: status 429`, `sandbox: cut`, `sandbox: words 40`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    /// Answer this HTTP status as an error.
    pub status: Option<u16>,
    /// Break the connection in the middle of the answer.
    pub cut: bool,
    /// So many words of answer.
    pub words: Option<u64>,
    /// So many words of reasoning before it.
    pub reasoning: u64,
}

impl Script {
    /// Reads the instructions of a text; a text without any is an ordinary prompt.
    pub(crate) fn read(text: &str) -> Self {
        let mut script = Self::default();
        for instruction in text.split("sandbox:").skip(1) {
            let mut parts = instruction.split_whitespace();
            let word = parts.next().unwrap_or_default().trim_end_matches('.');
            let number = parts.next().and_then(|part| part.trim_end_matches('.').parse().ok());
            match word {
                "status" => script.status = number.and_then(|status| u16::try_from(status).ok()),
                "cut" => script.cut = true,
                "words" => script.words = number,
                "reasoning" => script.reasoning = number.unwrap_or(0),
                _ => {}
            }
        }
        script
    }

    /// How long the answer to a prompt is: as told, else some length that depends on the prompt,
    /// never over what the caller allows.
    pub(crate) fn answer_words(&self, prompt: &str, max_output: Option<u64>) -> u64 {
        let own = self.words.unwrap_or_else(|| 12 + words::seed_of(prompt) % 60);
        max_output.map_or(own, |most| own.min(most.saturating_sub(self.reasoning)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_read_and_ordinary_text_has_none() {
        assert_eq!(Script::read("how is the weather"), Script::default());
        let script = Script::read("sandbox: status 429 sandbox: cut sandbox: reasoning 7");
        assert_eq!(script.status, Some(429));
        assert!(script.cut);
        assert_eq!(script.reasoning, 7);
    }

    #[test]
    fn an_answer_is_never_longer_than_allowed() {
        let script = Script::read("sandbox: words 90 sandbox: reasoning 10");
        assert_eq!(script.answer_words("", Some(40)), 30);
        assert_eq!(script.answer_words("", None), 90);
    }
}
