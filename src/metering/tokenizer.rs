//! The only door to the tokenizer: it is handed short spans cut at hard boundaries, never raw text.
//!
//! Called on a whole text, the tokenizer panics on a run of a million blanks and crawls on unbroken
//! input. Spans of at most `SPAN_BYTES` cut at hard boundaries give the same count, token for
//! token, in bounded time and memory. Where a span has no boundary it is cut anyway and the count
//! says so. A caller's text is always ordinary text: `<|endoftext|>` typed by a user is the six or so
//! tokens its letters make, not the one that ends a document.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use tiktoken_rs::CoreBPE;

use super::boundary;

/// The longest text handed to the tokenizer at once.
pub(crate) const SPAN_BYTES: usize = 32 * 1024;

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
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::O200kBase => "o200k_base",
            Self::Cl100kBase => "cl100k_base",
            Self::P50kBase => "p50k_base",
            Self::R50kBase => "r50k_base",
        }
    }

    /// Loads the tables now, so that no count is charged with it.
    pub(crate) fn load(self) {
        self.tables();
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
pub(crate) fn count_while(
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(encoding: Encoding, text: &str) -> u64 {
        encoding.tables().encode_ordinary(text).len() as u64
    }

    /// Strings that try every rule of the split patterns: white-space kinds, contractions in odd case,
    /// marks, title case, special-token text, emoji, several scripts.
    fn hostile_text() -> impl Strategy<Value = String> {
        let fragment = prop_oneof![
            4 => "[a-zA-Z]{1,8}",
            2 => "[0-9]{1,6}",
            2 => "[ \t\r\n]{1,4}",
            2 => "[!-/:-@\\[-`{-~]{1,4}",
            1 => "\\PC{1,4}",
            1 => "[\u{3041}-\u{3060}\u{4e00}-\u{4e40}\u{ac00}-\u{ac20}。、，！]{1,5}",
            1 => "[\u{300}-\u{310}\u{200d}\u{1f600}-\u{1f610}\u{a0}\u{2003}\u{85}]{1,3}",
            2 => prop::sample::select(vec![
                "don't", "DON'T", "we'LL", "'s", "'", "<|endoftext|>", "<|im_start|>", "ǅ", "ß",
                "\r\n", "\n\n  ", "http://a/b", "//\n", "Iİı", "١٢٣", "½", "x²", "_a_", "ーカ", "e\u{301}",
            ]).prop_map(str::to_owned),
        ];
        prop::collection::vec(fragment, 0..60).prop_map(|fragments| fragments.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn a_cut_at_any_hard_boundary_changes_no_count(text in hostile_text()) {
            for encoding in [Encoding::O200kBase, Encoding::Cl100kBase] {
                let mut end = text.len();
                while let Some(at) = boundary::last_within(&text[..end], 1) {
                    let (left, right) = text.split_at(at);
                    prop_assert_eq!(
                        whole(encoding, left) + whole(encoding, right),
                        whole(encoding, &text),
                        "cut at {} of {:?}", at, text
                    );
                    end = at;
                }
            }
        }

        #[test]
        fn a_stream_counts_what_the_whole_text_counts_however_it_is_sliced(
            text in hostile_text(),
            slices in prop::collection::vec(1_usize..60, 1..40),
            flush in 1_usize..200,
        ) {
            for encoding in [Encoding::O200kBase, Encoding::Cl100kBase] {
                let mut counter = StreamCounter::new(encoding, flush);
                let mut rest = text.as_str();
                for width in slices.iter().cycle() {
                    if rest.is_empty() {
                        break;
                    }
                    let (piece, behind) = rest.split_at(rest.ceil_char_boundary((*width).min(rest.len())));
                    counter.push(piece).unwrap();
                    rest = behind;
                    let consumed = &text[..text.len() - rest.len()];
                    prop_assert_eq!(counter.so_far().unwrap().tokens, whole(encoding, consumed));
                }
                prop_assert_eq!(counter.so_far().unwrap().tokens, whole(encoding, &text));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn a_text_of_many_spans_counts_as_the_whole(text in hostile_text()) {
            let mut text = text;
            text.push_str(" and so on, ");
            let text = text.repeat(100_000 / text.len());
            for encoding in [Encoding::O200kBase, Encoding::Cl100kBase] {
                let counted = count(encoding, &text).unwrap();
                prop_assert_eq!(counted.tokens, whole(encoding, &text));
                prop_assert!(!counted.forced_cut);
            }
        }
    }

    #[test]
    fn a_million_blanks_before_a_letter_are_counted() {
        let text = " ".repeat(1_000_001) + "x";
        for encoding in Encoding::ALL {
            let counted = count(*encoding, &text).unwrap();
            assert!(counted.tokens > 1_000, "{encoding}: {counted:?}");
            assert!(counted.forced_cut);
        }
    }

    /// Two megabytes of each shape known to be slow or fatal. A debug build is several times slower than
    /// the figure in the rule (one second of CPU), so what is held here is that each comes to an end
    /// with a sensible count.
    #[test]
    fn two_megabytes_of_anything_are_counted_without_a_panic() {
        let shapes: &[(&str, &str)] = &[
            ("blanks", " "),
            ("tabs", "\t"),
            ("newlines", "\n"),
            ("newline and blanks", "\n   "),
            ("exclamation marks", "!"),
            ("one letter", "a"),
            ("one Han letter", "漢"),
            ("one emoji", "😀"),
            ("digits", "7"),
            ("a combining mark", "\u{301}"),
            ("special text", "<|endoftext|>"),
            ("hex", "deadbeef0123"),
            ("JSON", "{\"a\":[1,2.5,null],"),
        ];
        for (name, unit) in shapes {
            let text = unit.repeat(2_000_000 / unit.len()) + "x";
            let counted = count(Encoding::O200kBase, &text).unwrap();
            assert!(
                counted.tokens > 0 && counted.tokens <= text.len() as u64,
                "{name}: {counted:?}"
            );
        }
    }

    #[test]
    fn two_megabytes_of_random_letters_have_almost_no_error() {
        let mut state = 7_u64;
        let letters: String = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
        })
        .take(300_000)
        .collect();
        let counted = count(Encoding::O200kBase, &letters).unwrap();
        let exact = whole(Encoding::O200kBase, &letters);
        assert!(counted.forced_cut);
        assert!(counted.tokens.abs_diff(exact) <= 20, "{} against {exact}", counted.tokens);
    }

    #[test]
    fn special_tokens_typed_by_a_user_are_ordinary_text() {
        let text = "<|endoftext|>".repeat(40);
        let counted = count(Encoding::O200kBase, &text).unwrap();
        assert_eq!(counted.tokens, whole(Encoding::O200kBase, &text));
        assert!(counted.tokens > 200);
    }

    #[test]
    fn counting_stops_between_spans_when_told() {
        let text = "word ".repeat(40_000);
        let mut spans = 0;
        let stopped = count_while(Encoding::O200kBase, &text, || {
            spans += 1;
            spans < 3
        });
        assert_eq!(stopped, Err(TokenizeError::Stopped));
        assert_eq!(spans, 3);
    }
}
