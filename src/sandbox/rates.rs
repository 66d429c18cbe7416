//! The sandbox's own price list: what it bills by. Not the gateway's price table, on purpose.

use rust_decimal::Decimal;

use crate::sandbox::book::Side;

/// A model the sandbox serves, and its list price in dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SandboxModel {
    /// What a client asks for.
    pub alias: &'static str,
    /// What answers, as the body and the exports spell it.
    pub served: &'static str,
    /// What Anthropic's cost export calls it; empty for OpenAI's models.
    pub display: &'static str,
    /// Dollars per million tokens outside the cache.
    pub input: &'static str,
    /// Dollars per million tokens read from the cache.
    pub cache_read: &'static str,
    /// Dollars per million tokens written for five minutes; empty where writing is free.
    pub cache_write_5m: &'static str,
    /// Dollars per million answer tokens; empty for embeddings.
    pub output: &'static str,
    /// How many tokens the sandbox counts for a hundred words: each family splits text its own way.
    pub tokens_per_100_words: u64,
}

/// Everything served, as the two price pages list it in autumn 2026.
pub(crate) const MODELS: &[SandboxModel] = &[
    openai("gpt-5.4-mini", "gpt-5.4-mini-2026-03-17", "0.75", "0.075", "4.5"),
    openai("gpt-5-mini", "gpt-5-mini-2025-08-07", "0.25", "0.025", "2"),
    openai("gpt-5.6-sol", "gpt-5.6-sol", "4", "0.4", "20"),
    openai("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", "0.4", "0.1", "1.6"),
    openai("gpt-4.1", "gpt-4.1-2025-04-14", "2", "0.5", "8"),
    openai("gpt-4o-mini", "gpt-4o-mini-2024-07-18", "0.15", "0.075", "0.6"),
    openai("text-embedding-3-small", "text-embedding-3-small", "0.02", "", ""),
    SandboxModel {
        alias: "claude-sonnet-5",
        served: "claude-sonnet-5",
        display: "Claude Sonnet 5",
        input: "2",
        cache_read: "0.2",
        cache_write_5m: "2.5",
        output: "10",
        tokens_per_100_words: 135,
    },
    SandboxModel {
        alias: "claude-haiku-4-5",
        served: "claude-haiku-4-5-20251001",
        display: "Claude Haiku 4.5",
        input: "1",
        cache_read: "0.1",
        cache_write_5m: "1.25",
        output: "5",
        tokens_per_100_words: 110,
    },
];

const fn openai(
    alias: &'static str,
    served: &'static str,
    input: &'static str,
    cache_read: &'static str,
    output: &'static str,
) -> SandboxModel {
    SandboxModel {
        alias,
        served,
        display: "",
        input,
        cache_read,
        cache_write_5m: "",
        output,
        tokens_per_100_words: 100,
    }
}

impl SandboxModel {
    /// Which side serves it.
    pub(crate) const fn side(&self) -> Side {
        if self.display.is_empty() { Side::OpenAi } else { Side::Anthropic }
    }

    /// What this model counts for so many words: part tokens are not counted.
    pub(crate) const fn tokens(&self, words: u64) -> u64 {
        words.saturating_mul(self.tokens_per_100_words) / 100
    }

    /// The most words that stay within so many tokens.
    pub(crate) const fn words_within(&self, tokens: u64) -> u64 {
        tokens.saturating_mul(100) / self.tokens_per_100_words
    }
}

/// The model a client means by a name, whether alias or dated.
pub(crate) fn find(name: &str) -> Option<&'static SandboxModel> {
    MODELS.iter().find(|model| model.alias == name || model.served == name)
}

/// `tokens` at a list price, in dollars, unrounded; `None` where there is no such price.
pub(crate) fn at_price(tokens: u64, per_million: &str) -> Option<Decimal> {
    let rate = crate::money::parse_decimal(per_million).ok()?;
    let per_token = crate::money::exact_mul(rate, Decimal::new(1, 6))?;
    crate::money::exact_mul(per_token, Decimal::from(tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claude_model_counts_more_tokens_than_words_and_stays_within_a_limit() {
        let sonnet = find("claude-sonnet-5").unwrap();
        assert_eq!(sonnet.tokens(100), 135);
        for limit in [1, 10, 60, 1_024] {
            assert!(sonnet.tokens(sonnet.words_within(limit)) <= limit);
        }
        assert_eq!(find("gpt-5.4-mini").unwrap().tokens(7), 7);
    }
}
