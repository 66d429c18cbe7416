//! The only door to the tokenizer: it is handed short spans cut at hard boundaries, never raw text.
//!
//! Called on a whole text, the tokenizer panics on a run of a million blanks and crawls on unbroken
//! input. Spans of at most [`SPAN_BYTES`] cut at hard boundaries give the same count, token for
//! token, in bounded time and memory. Where a span has no boundary it is cut anyway and the count
//! says so. A caller's text is always ordinary text: `<|endoftext|>` typed by a user is the seven or
//! so tokens its letters make, not the one that ends a document.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use tiktoken_rs::CoreBPE;

use super::boundary;

/// The longest text handed to the tokenizer at once.
pub const SPAN_BYTES: usize = 32 * 1024;

/// A vocabulary and the pattern that splits text before it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// GPT-4o, GPT-4.1, GPT-5, o-series, and our yardstick for models of other vendors.
    O200kBase,
    /// GPT-4, GPT-3.5, current embeddings.
    Cl100kBase,
    /// Retired completion and code models.
    P50kBase,
    /// Retired GPT-3 models.
    R50kBase,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: &[Self] = &[Self::O200kBase, Self::Cl100kBase, Self::P50kBase, Self::R50kBase];

    /// The name its publisher gave it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::O200kBase => "o200k_base",
            Self::Cl100kBase => "cl100k_base",
            Self::P50kBase => "p50k_base",
            Self::R50kBase => "r50k_base",
        }
    }

    /// The loaded tables; the first caller pays a third of a second and up to 46 MB.
    fn tables(self) -> &'static CoreBPE {
        match self {
            Self::O200kBase => tiktoken_rs::o200k_base_singleton(),
            Self::Cl100kBase => tiktoken_rs::cl100k_base_singleton(),
            Self::P50kBase => tiktoken_rs::p50k_base_singleton(),
            Self::R50kBase => tiktoken_rs::r50k_base_singleton(),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// How many tokens a text makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCount {
    /// Tokens.
    pub tokens: u64,
    /// Whether a span had to be cut where a token might have been: then a few tokens too many.
    pub forced_cut: bool,
}

impl TextCount {
    fn add(&mut self, other: Self) {
        self.tokens += other.tokens;
        self.forced_cut |= other.forced_cut;
    }
}

/// Why a text was not counted to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenizeError {
    /// The pattern gave up on a span; the tokenizer's own words.
    #[error("the tokenizer refused a span of {bytes} bytes: {reason}")]
    Refused {
        /// The length of the span.
        bytes: usize,
        /// What the tokenizer said.
        reason: String,
    },
    /// The caller said to stop between two spans.
    #[error("counting was stopped before the end of the text")]
    Stopped,
}

/// Counts a text of any length and content.
///
/// # Errors
/// [`TokenizeError::Refused`], which no input is known to reach.
pub fn count(encoding: Encoding, text: &str) -> Result<TextCount, TokenizeError> {
    count_while(encoding, text, || true)
}

/// Counts a text, asking `go_on` before each span.
///
/// # Errors
/// [`TokenizeError::Stopped`] once `go_on` says no; [`TokenizeError::Refused`] as [`count`].
pub fn count_while(
    encoding: Encoding,
    text: &str,
    mut go_on: impl FnMut() -> bool,
) -> Result<TextCount, TokenizeError> {
    let mut counted = TextCount::default();
    let mut rest = text;
    while !rest.is_empty() {
        if !go_on() {
            return Err(TokenizeError::Stopped);
        }
        let (end, forced_cut) = next_span(rest);
        let (span, behind) = rest.split_at(end);
        counted.add(TextCount { tokens: count_span(encoding, span)?, forced_cut });
        rest = behind;
    }
    Ok(counted)
}

/// Where the first span of a text ends, and whether that place had to be forced.
fn next_span(text: &str) -> (usize, bool) {
    if text.len() <= SPAN_BYTES {
        return (text.len(), false);
    }
    let limit = text.floor_char_boundary(SPAN_BYTES);
    // One character more is searched, so that the limit itself may be found to be a boundary.
    let searched = text.ceil_char_boundary(limit + 1);
    match boundary::last_within(&text[..searched], 1) {
        Some(end) => (end, false),
        None => (limit, true),
    }
}

fn count_span(encoding: Encoding, span: &str) -> Result<u64, TokenizeError> {
    // The fallible call, with no special tokens allowed: ordinary text, and an error for a panic.
    match encoding.tables().encode(span, &HashSet::new()) {
        Ok((tokens, _)) => Ok(tokens.len() as u64),
        Err(error) => Err(TokenizeError::Refused { bytes: span.len(), reason: error.to_string() }),
    }
}

/// Counts a text that arrives in pieces, exactly: each byte is tokenized once, and the sum equals
/// the count of the whole text wherever the pieces were cut.
#[derive(Debug)]
pub struct StreamCounter {
    encoding: Encoding,
    flush_bytes: usize,
    pending: String,
    /// Up to here `pending` holds no hard boundary.
    searched: usize,
    settled: TextCount,
}

impl StreamCounter {
    /// A counter that settles what it can whenever more than `flush_bytes` wait.
    pub const fn new(encoding: Encoding, flush_bytes: usize) -> Self {
        Self {
            encoding,
            flush_bytes,
            pending: String::new(),
            searched: 0,
            settled: TextCount { tokens: 0, forced_cut: false },
        }
    }

    /// Takes the next piece of the text.
    ///
    /// # Errors
    /// As [`count`].
    pub fn push(&mut self, piece: &str) -> Result<(), TokenizeError> {
        self.pending.push_str(piece);
        if self.pending.len() <= self.flush_bytes {
            return Ok(());
        }
        match boundary::last_within(&self.pending, self.searched.max(1)) {
            Some(end) => {
                self.settled.add(count(self.encoding, &self.pending[..end])?);
                self.pending.drain(..end);
                self.searched = self.pending.len();
            }
            None if self.pending.len() > SPAN_BYTES => {
                self.settled.add(count(self.encoding, &self.pending)?);
                self.settled.forced_cut = true;
                self.pending.clear();
                self.searched = 0;
            }
            None => self.searched = self.pending.len(),
        }
        Ok(())
    }

    /// The tokens that no later piece can change.
    pub const fn settled(&self) -> u64 {
        self.settled.tokens
    }

    /// The count if the text ended here.
    ///
    /// # Errors
    /// As [`count`].
    pub fn so_far(&self) -> Result<TextCount, TokenizeError> {
        let mut counted = self.settled;
        counted.add(count(self.encoding, &self.pending)?);
        Ok(counted)
    }
}

#[cfg(test)]
mod tests;
