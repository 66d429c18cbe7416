//! The sandbox's language: plain words, from which it counts tokens.

/// Common English words. The sandbox's own counter counts words; the tokenizers of OpenAI's models
/// happen to keep each of these, with the blank before it, in one token, so that a local count of
/// sandbox traffic stands close to what the sandbox reports. Claude's split text more finely, so for
/// them it counts more tokens than words.
const WORDS: &[&str] = &[
    "the",
    "and",
    "for",
    "that",
    "with",
    "this",
    "from",
    "have",
    "were",
    "which",
    "their",
    "would",
    "there",
    "about",
    "other",
    "time",
    "first",
    "people",
    "year",
    "work",
    "market",
    "report",
    "order",
    "price",
    "number",
    "system",
    "state",
    "place",
    "point",
    "hand",
    "part",
    "group",
    "problem",
    "fact",
    "company",
    "service",
    "water",
    "power",
    "study",
    "book",
    "word",
    "house",
    "school",
    "story",
    "month",
    "light",
    "family",
    "country",
    "issue",
    "area",
    "money",
    "game",
    "line",
    "end",
    "member",
    "law",
    "car",
    "city",
    "name",
    "team",
    "minute",
    "idea",
    "body",
    "level",
    "office",
    "door",
    "health",
    "person",
    "art",
    "war",
    "history",
    "party",
    "result",
    "change",
    "morning",
    "reason",
    "research",
    "moment",
    "air",
    "teacher",
    "force",
    "education",
];

/// A run of `count` words, the same for the same seed.
pub(crate) fn run(seed: u64, count: u64) -> String {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let mut text = String::new();
    for at in 0..count {
        if at > 0 {
            text.push(' ');
        }
        text.push_str(pick(&mut state));
    }
    text
}

/// The sandbox's own count: words between blanks.
pub(crate) fn count(text: &str) -> u64 {
    u64::try_from(text.split_whitespace().count()).unwrap_or(u64::MAX)
}

/// A number that is the same for the same text; only to vary answers, not to protect anything.
pub(crate) fn seed_of(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The next number of a small generator (splitmix64): seeded, so that a month can be told again.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number in `low..=high`, evenly enough for a story.
pub(crate) fn between(state: &mut u64, low: u64, high: u64) -> u64 {
    low + next(state) % (high.saturating_sub(low) + 1)
}

fn pick(state: &mut u64) -> &'static str {
    let at = usize::try_from(next(state) % WORDS.len() as u64).unwrap_or(0);
    WORDS.get(at).copied().unwrap_or("the")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_as_many_words_as_asked_and_is_the_same_again() {
        assert_eq!(count(&run(7, 120)), 120);
        assert_eq!(run(7, 120), run(7, 120));
        assert_ne!(run(7, 120), run(8, 120));
        assert_eq!(run(7, 0), "");
    }
}
