//! What we counted ourselves, how, and if not, why not: the payload of the journal's `count` record.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::model_tokens::CountBasis;
use super::tokenizer::Encoding;

/// How the tokens of an attempt were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountMethod {
    /// There is no text to count at this endpoint.
    None,
    /// Every byte was tokenized.
    Exact,
    /// Every byte was tokenized, and unbroken text had to be cut: some tokens too many.
    ForcedCut,
    /// Random places were tokenized and scaled by bytes.
    Sampled,
    /// Not counted: too much was waiting.
    SkippedBusy,
    /// Not counted: the call alone is larger than the room for waiting calls, or its answer than
    /// what is kept of one.
    SkippedSize,
    /// Not counted, or not wholly: see the reason.
    Failed,
}

/// A part of the prompt whose tokens follow no published, checkable rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EstimatedPart {
    /// Definitions of tools, or earlier calls of them.
    Tools,
    /// A JSON schema the answer must follow.
    Schema,
    /// An image: by the published tile or patch rule, or a default where its size is unknown.
    Image,
    /// Audio: not counted at all.
    Audio,
    /// A file: not counted at all.
    File,
    /// Earlier turns the provider holds and we did not see in this request: not counted at all.
    History,
}

/// Why a side of an attempt has no count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotCounted {
    /// No text passes at this endpoint.
    NoTextEndpoint,
    /// The queue was full.
    QueueFull,
    /// The call is larger than the whole queue.
    LargerThanQueue,
    /// The answer was longer than what is kept of one.
    AnswerNotKept,
    /// The gateway was stopping.
    ShuttingDown,
    /// The request body could not be read.
    UnreadableRequest,
    /// The tokenizer refused the text.
    TokenizerRefused,
    /// Counting broke down; the record stands without it.
    Panicked,
}

impl fmt::Display for NotCounted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoTextEndpoint => "not counted: calls of this kind carry no text to count",
            Self::QueueFull => "not counted: too many calls were waiting to be counted",
            Self::LargerThanQueue => "not counted: the call is larger than the counting queue",
            Self::AnswerNotKept => "not counted: the answer was longer than what is kept of one",
            Self::ShuttingDown => "not counted: the gateway was stopping",
            Self::UnreadableRequest => {
                "not counted: the request body is not JSON of a form we know"
            }
            Self::TokenizerRefused => "not counted: the tokenizer refused the text",
            Self::Panicked => "not counted: counting broke down on this call",
        })
    }
}

/// Tokens counted by us in what passed by. It stands beside the provider's figures and never
/// replaces them; what is unknown is absent, not zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedTokens {
    /// Tokens of the prompt, framing and estimated parts included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// Tokens of the visible answer, the marks around it included. Hidden reasoning does not pass
    /// here and is not in it: compare with what was reported less its reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// How; the least exact of the two sides.
    pub method: CountMethod,
    /// The vocabulary used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Why that vocabulary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<CountBasis>,
    /// What in `input` is an estimate or missing from it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub estimated_parts: BTreeSet<EstimatedPart>,
    /// Why a side is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_counted: Option<NotCounted>,
}

impl CountedTokens {
    /// Neither side was counted, and why.
    pub(crate) const fn not_counted(reason: NotCounted) -> Self {
        Self {
            input: None,
            output: None,
            method: match reason {
                NotCounted::NoTextEndpoint => CountMethod::None,
                NotCounted::QueueFull | NotCounted::ShuttingDown => CountMethod::SkippedBusy,
                NotCounted::LargerThanQueue | NotCounted::AnswerNotKept => CountMethod::SkippedSize,
                NotCounted::UnreadableRequest
                | NotCounted::TokenizerRefused
                | NotCounted::Panicked => CountMethod::Failed,
            },
            encoding: None,
            basis: None,
            estimated_parts: BTreeSet::new(),
            not_counted: Some(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_was_not_made_says_so_in_json_and_holds_no_zero() {
        let skipped = CountedTokens::not_counted(NotCounted::QueueFull);
        let json = serde_json::to_string(&skipped).unwrap();
        assert_eq!(json, r#"{"method":"skipped_busy","not_counted":"queue_full"}"#);
        assert_eq!(serde_json::from_str::<CountedTokens>(&json).unwrap(), skipped);
    }

    #[test]
    fn a_count_is_read_back_as_it_was_written() {
        let counted = CountedTokens {
            input: Some(129),
            output: Some(7),
            method: CountMethod::Exact,
            encoding: Some(Encoding::Cl100kBase),
            basis: Some(CountBasis::ModelMap),
            estimated_parts: BTreeSet::from([EstimatedPart::Tools]),
            not_counted: None,
        };
        let json = serde_json::to_string(&counted).unwrap();
        assert_eq!(
            json,
            r#"{"input":129,"output":7,"method":"exact","encoding":"cl100k_base","basis":"model_map","estimated_parts":["tools"]}"#
        );
        assert_eq!(serde_json::from_str::<CountedTokens>(&json).unwrap(), counted);
    }
}
