//! Counts remembered by a keyed hash of their text: an agent sends its history again every turn.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::tokenizer::Encoding;

/// Texts at most this long are counted again: it costs less than remembering them.
pub(super) const SHORT_TEXT_BYTES: usize = 64;

/// Two generations of this many entries each: about 64 thousand counts in a few megabytes.
const GENERATION_ENTRIES: usize = 32 * 1024;

/// Exact counts of texts seen before. It holds no text: 128 bits of a hash whose key is drawn at
/// random for each process, so that nobody can plan a collision.
#[derive(Debug, Default)]
pub(super) struct Memo {
    key: RandomState,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    current: HashMap<u128, u64>,
    previous: HashMap<u128, u64>,
}

impl Memo {
    /// The name under which a text's count is remembered; none for a short text.
    pub(super) fn name(&self, encoding: Encoding, text: &str) -> Option<u128> {
        if text.len() <= SHORT_TEXT_BYTES {
            return None;
        }
        let half = |side: u8| {
            let mut hasher = self.key.build_hasher();
            hasher.write_u8(side);
            hasher.write(encoding.as_str().as_bytes());
            hasher.write(text.as_bytes());
            u128::from(hasher.finish())
        };
        Some(half(0) << 64 | half(1))
    }

    /// The count remembered under a name.
    pub(super) fn recall(&self, name: u128) -> Option<u64> {
        let mut generations = self.lock();
        if let Some(tokens) = generations.current.get(&name) {
            return Some(*tokens);
        }
        let tokens = generations.previous.remove(&name)?;
        generations.remember(name, tokens);
        Some(tokens)
    }

    /// Remembers a count.
    pub(super) fn remember(&self, name: u128, tokens: u64) {
        self.lock().remember(name, tokens);
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // A thread that broke down while counting leaves whole entries behind.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    /// When a generation is full the one before it is forgotten: what was not asked for since the
    /// last change goes, what was asked for has moved on.
    fn remember(&mut self, name: u128, tokens: u64) {
        if self.current.len() >= GENERATION_ENTRIES {
            self.previous = mem::take(&mut self.current);
        }
        self.current.insert(name, tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_recalled_for_the_same_text_and_encoding_only() {
        let memo = Memo::default();
        let text = "a".repeat(SHORT_TEXT_BYTES + 1);
        let name = memo.name(Encoding::O200kBase, &text).unwrap();
        memo.remember(name, 9);
        assert_eq!(memo.recall(name), Some(9));
        assert_ne!(memo.name(Encoding::Cl100kBase, &text).unwrap(), name);
        assert_eq!(memo.name(Encoding::O200kBase, "short"), None);
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not_and_the_size_stays_bounded() {
        let memo = Memo::default();
        memo.remember(0, 1);
        memo.remember(1, 2);
        for name in 2..3 * GENERATION_ENTRIES as u128 {
            memo.remember(name, 3);
            assert_eq!(memo.recall(0), Some(1));
        }
        assert_eq!(memo.recall(1), None);
        let generations = memo.lock();
        assert!(generations.current.len() + generations.previous.len() <= 2 * GENERATION_ENTRIES);
    }
}
