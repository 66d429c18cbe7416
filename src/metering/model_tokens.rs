//! Which vocabulary, framing and image rule belong to a model, and how sure that is.
//!
//! The table is data; the longest prefix that matches a whole word of the name decides. Sources:
//! the publisher's own model list for vocabularies, its cookbook and image guide for rules, recorded
//! exchanges for the constants of newer models and of other vendors.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::image_tokens::ImageRule;
use super::tokenizer::Encoding;

/// Why an encoding was used for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountBasis {
    /// The publisher names this encoding for this model.
    ModelMap,
    /// The configuration names it.
    Configured,
    /// Nobody names one; the newest was taken.
    Assumed,
    /// The model has a tokenizer of its own that we do not have; the count is a yardstick, and
    /// [`usual_band`] says how far the provider's figure usually is from it.
    OtherTokenizer,
}

/// What a provider adds around the texts of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The chat format since June 2023.
    Chat,
    /// The first chat format, of `gpt-3.5-turbo-0301` alone.
    FirstChat,
    /// The chat format of the o-series: one token fewer.
    OSeries,
    /// The chat format of GPT-5: one token fewer, and in chat a long preamble before tools.
    Gpt5,
    /// Anthropic's: a few tokens around the prompt, and a hidden prompt before tools.
    Claude {
        /// Tokens of the hidden prompt when tools are offered.
        tools: i64,
    },
}

impl Framing {
    /// Whether the model reasons before it answers, which changes the frame.
    pub(crate) const fn is_reasoning(self) -> bool {
        matches!(self, Self::OSeries | Self::Gpt5)
    }
}

/// How far the reported tokens of a model usually are from our count, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UsualBand {
    /// Reported ÷ counted is usually at least this many thousandths.
    pub low_permille: u32,
    /// Reported ÷ counted is usually at most this many thousandths.
    pub high_permille: u32,
}

impl UsualBand {
    /// Whether a reported figure is within the band around a counted one, ends included.
    pub(crate) fn holds(&self, reported: u64, counted: u64) -> bool {
        let reported = u128::from(reported) * 1_000;
        let counted = u128::from(counted);
        (counted * u128::from(self.low_permille)..=counted * u128::from(self.high_permille))
            .contains(&reported)
    }
}

/// `1.20–1.50 ×`
impl fmt::Display for UsualBand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |permille: u32| (permille / 1_000, permille % 1_000 / 10);
        let ((low, low_part), (high, high_part)) =
            (part(self.low_permille), part(self.high_permille));
        write!(out, "{low}.{low_part:02}–{high}.{high_part:02} ×")
    }
}

/// Reported ÷ counted in thousandths, rounded half up; none where nothing was counted.
pub(crate) fn ratio_permille(reported: u64, counted: u64) -> Option<u64> {
    if counted == 0 {
        return None;
    }
    let counted = u128::from(counted);
    u64::try_from((u128::from(reported) * 1_000 + counted / 2) / counted).ok()
}

/// How to count for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelTokens {
    /// The vocabulary.
    pub encoding: Encoding,
    /// Why that one.
    pub basis: CountBasis,
    /// What is added around texts.
    pub framing: Framing,
    /// What an image costs.
    pub image: ImageRule,
}

/// How to count for a model as somebody spelled it: in any case, with a vendor's or a region's
/// prefix, fine-tuned or not. `configured` is what the configuration says of this deployment.
pub(crate) fn resolve(model: &str, configured: Option<Encoding>) -> ModelTokens {
    let row = find(model);
    let framing = row.map_or(Framing::Chat, |row| row.framing);
    let image = row.map_or(ImageRule::TILES, |row| row.image);
    let (encoding, basis) = match (configured, row) {
        (Some(encoding), _) => (encoding, CountBasis::Configured),
        (None, Some(row)) => (row.encoding, row.basis),
        (None, None) => (Encoding::O200kBase, CountBasis::Assumed),
    };
    ModelTokens { encoding, basis, framing, image }
}

/// The usual distance of a model's reported tokens from our count of longer texts, where its
/// tokenizer is not one we have. None where the tokenizer is the model's own, or nothing is known.
pub(crate) fn usual_band(model: &str) -> Option<UsualBand> {
    let (low_permille, high_permille) = find(model)?.band?;
    Some(UsualBand { low_permille, high_permille })
}

struct ModelRow {
    prefix: &'static str,
    encoding: Encoding,
    basis: CountBasis,
    framing: Framing,
    image: ImageRule,
    band: Option<(u32, u32)>,
}

const fn own(
    prefix: &'static str,
    encoding: Encoding,
    framing: Framing,
    image: ImageRule,
) -> ModelRow {
    ModelRow { prefix, encoding, basis: CountBasis::ModelMap, framing, image, band: None }
}

/// A model whose framing follows its family and whose vocabulary nobody has named.
const fn unnamed(prefix: &'static str, framing: Framing, image: ImageRule) -> ModelRow {
    let basis = CountBasis::Assumed;
    ModelRow { prefix, encoding: Encoding::O200kBase, basis, framing, image, band: None }
}

/// A model counted with a yardstick: its band in thousandths.
const fn foreign(prefix: &'static str, low: u32, high: u32) -> ModelRow {
    ModelRow {
        prefix,
        encoding: Encoding::O200kBase,
        basis: CountBasis::OtherTokenizer,
        framing: Framing::Chat,
        image: ImageRule::TILES,
        band: Some((low, high)),
    }
}

const fn claude(prefix: &'static str, low: u32, high: u32, tools: i64, image_cap: u64) -> ModelRow {
    ModelRow {
        framing: Framing::Claude { tools },
        image: ImageRule::ClaudePatches { cap: image_cap },
        ..foreign(prefix, low, high)
    }
}

const MODELS: &[ModelRow] = {
    use Encoding::{Cl100kBase, O200kBase, P50kBase, R50kBase};
    use Framing::{Chat, FirstChat, Gpt5, OSeries};
    &[
        own("gpt-4o", O200kBase, Chat, ImageRule::TILES),
        own("gpt-4o-mini", O200kBase, Chat, ImageRule::tiles(2_833, 5_667)),
        own("chatgpt-4o", O200kBase, Chat, ImageRule::TILES),
        own("gpt-4.1", O200kBase, Chat, ImageRule::TILES),
        own("gpt-4.1-mini", O200kBase, Chat, ImageRule::patches(1_620, 1_536)),
        own("gpt-4.1-nano", O200kBase, Chat, ImageRule::patches(2_460, 1_536)),
        own("gpt-4.5", O200kBase, Chat, ImageRule::TILES),
        own("gpt-5", O200kBase, Gpt5, ImageRule::tiles(70, 140)),
        own("gpt-5-mini", O200kBase, Gpt5, ImageRule::patches(1_200, 1_536)),
        own("gpt-5-nano", O200kBase, Gpt5, ImageRule::patches(1_500, 1_536)),
        own("gpt-5.", O200kBase, Gpt5, ImageRule::patches(1_200, 10_000)),
        own("gpt-5.1", O200kBase, Gpt5, ImageRule::tiles(70, 140)),
        own("o1", O200kBase, OSeries, ImageRule::tiles(75, 150)),
        own("o3", O200kBase, OSeries, ImageRule::tiles(75, 150)),
        own("o4-mini", O200kBase, OSeries, ImageRule::patches(1_720, 1_536)),
        own("codex-mini", O200kBase, OSeries, ImageRule::patches(1_720, 1_536)),
        own("gpt-oss", O200kBase, OSeries, ImageRule::TILES),
        own("gpt-4", Cl100kBase, Chat, ImageRule::TILES),
        own("gpt-3.5", Cl100kBase, Chat, ImageRule::TILES),
        own("gpt-35", Cl100kBase, Chat, ImageRule::TILES),
        own("gpt-3.5-turbo-0301", Cl100kBase, FirstChat, ImageRule::TILES),
        own("text-embedding-3", Cl100kBase, Chat, ImageRule::TILES),
        own("text-embedding-ada-002", Cl100kBase, Chat, ImageRule::TILES),
        own("davinci-002", Cl100kBase, Chat, ImageRule::TILES),
        own("babbage-002", Cl100kBase, Chat, ImageRule::TILES),
        own("text-davinci-003", P50kBase, Chat, ImageRule::TILES),
        own("text-davinci-002", P50kBase, Chat, ImageRule::TILES),
        own("code-davinci", P50kBase, Chat, ImageRule::TILES),
        own("code-cushman", P50kBase, Chat, ImageRule::TILES),
        own("text-davinci-001", R50kBase, Chat, ImageRule::TILES),
        own("text-curie-001", R50kBase, Chat, ImageRule::TILES),
        own("text-babbage-001", R50kBase, Chat, ImageRule::TILES),
        own("text-ada-001", R50kBase, Chat, ImageRule::TILES),
        unnamed("gpt-6", Gpt5, ImageRule::patches(1_200, u64::MAX)),
        unnamed("o4", OSeries, ImageRule::tiles(75, 150)),
        unnamed("gpt-realtime", Chat, ImageRule::TILES),
        unnamed("gpt-audio", Chat, ImageRule::TILES),
        unnamed("computer-use", Chat, ImageRule::tiles(65, 129)),
        claude("claude", 1_000, 1_200, 300, 1_560),
        claude("claude-haiku-4-5", 1_000, 1_200, 480, 1_560),
        claude("claude-4-5-haiku", 1_000, 1_200, 480, 1_560),
        claude("claude-sonnet-4-5", 1_000, 1_200, 480, 1_560),
        claude("claude-opus-4-5", 1_000, 1_200, 480, 1_560),
        claude("claude-sonnet-4-6", 1_000, 1_200, 490, 1_560),
        claude("claude-opus-4-6", 1_000, 1_200, 490, 1_560),
        claude("claude-opus-4-7", 1_200, 1_500, 735, 3_900),
        claude("claude-opus-4-8", 1_200, 1_500, 330, 3_900),
        claude("claude-haiku-5", 1_200, 1_500, 375, 3_900),
        claude("claude-sonnet-5", 1_200, 1_500, 375, 3_900),
        claude("claude-opus-5", 1_200, 1_500, 320, 3_900),
        foreign("gemini", 900, 1_200),
        foreign("gemma", 900, 1_200),
        foreign("llama", 950, 1_100),
        foreign("meta-llama", 950, 1_100),
        foreign("mistral", 1_000, 1_250),
        foreign("ministral", 1_000, 1_250),
        foreign("deepseek", 850, 1_100),
        foreign("qwen", 900, 1_050),
        foreign("kimi", 800, 1_050),
        foreign("glm", 850, 1_050),
        foreign("minimax", 750, 1_050),
    ]
};

fn find(model: &str) -> Option<&'static ModelRow> {
    let name = plain_name(model);
    MODELS.iter().filter(|row| is_of(&name, row.prefix)).max_by_key(|row| row.prefix.len())
}

/// The name without what vendors and regions put around it.
fn plain_name(model: &str) -> String {
    let name = model.trim().to_ascii_lowercase();
    // `ft:BASE:organization:...`; the organization may hold a slash, the base may not.
    let name = match name.strip_prefix("ft:") {
        Some(tuned) => tuned.split(':').next().unwrap_or(tuned),
        None => name.rsplit('/').next().unwrap_or(&name),
    };
    let regions = ["us.", "eu.", "apac.", "jp.", "au.", "global."];
    let name = regions.iter().find_map(|region| name.strip_prefix(region)).unwrap_or(name);
    let vendors = ["anthropic.", "meta.", "mistral.", "deepseek.", "qwen."];
    let name = vendors.iter().find_map(|vendor| name.strip_prefix(vendor)).unwrap_or(name);
    if name.starts_with("claude") { name.replace('.', "-") } else { name.to_owned() }
}

/// Whether a name begins with a prefix and the prefix ends where a word of the name does:
/// `gpt-4-0613` is of `gpt-4`; `gpt-4.9` and `gpt-45` are not.
fn is_of(name: &str, prefix: &str) -> bool {
    let Some(rest) = name.strip_prefix(prefix) else { return false };
    let family_only = matches!(prefix, "llama" | "qwen" | "gemma" | "kimi" | "glm" | "minimax");
    rest.is_empty()
        || prefix.ends_with('.')
        || family_only
        || rest.starts_with(['-', ':', '@', '_'])
}

#[cfg(test)]
mod tests {
    use super::Encoding::{Cl100kBase, O200kBase, P50kBase};
    use super::*;

    #[test]
    fn a_model_is_recognized_however_it_is_spelled() {
        let cases = [
            ("gpt-4o-2024-05-13", O200kBase, CountBasis::ModelMap),
            ("GPT-4o", O200kBase, CountBasis::ModelMap),
            ("openai/gpt-4o", O200kBase, CountBasis::ModelMap),
            ("azure/gpt-35-turbo-16k", Cl100kBase, CountBasis::ModelMap),
            ("ft:gpt-4.1-mini:org:name:id", O200kBase, CountBasis::ModelMap),
            ("ft:gpt-3.5-turbo-0613:a/b::id", Cl100kBase, CountBasis::ModelMap),
            ("gpt-4", Cl100kBase, CountBasis::ModelMap),
            ("gpt-4-32k-0314", Cl100kBase, CountBasis::ModelMap),
            ("gpt-5.2_2025-12-11", O200kBase, CountBasis::ModelMap),
            ("gpt-5.6-sol", O200kBase, CountBasis::ModelMap),
            ("gpt-oss:20b", O200kBase, CountBasis::ModelMap),
            ("text-embedding-3-small", Cl100kBase, CountBasis::ModelMap),
            ("text-davinci-003", P50kBase, CountBasis::ModelMap),
            ("gpt-6-astra", O200kBase, CountBasis::Assumed),
            ("gpt-4.9", O200kBase, CountBasis::Assumed),
            ("gpt-45", O200kBase, CountBasis::Assumed),
            ("my-deployment", O200kBase, CountBasis::Assumed),
            ("", O200kBase, CountBasis::Assumed),
            ("us.anthropic.claude-sonnet-4-6", O200kBase, CountBasis::OtherTokenizer),
            ("anthropic/claude-3.5-sonnet", O200kBase, CountBasis::OtherTokenizer),
            ("qwen3:4b", O200kBase, CountBasis::OtherTokenizer),
        ];
        for (model, encoding, basis) in cases {
            let found = resolve(model, None);
            assert_eq!((found.encoding, found.basis), (encoding, basis), "{model}");
        }
    }

    #[test]
    fn the_configuration_overrules_the_table() {
        let found = resolve("my-deployment", Some(Cl100kBase));
        assert_eq!((found.encoding, found.basis), (Cl100kBase, CountBasis::Configured));
    }

    #[test]
    fn only_a_model_with_its_own_tokenizer_has_a_band_and_only_outside_it_is_odd() {
        assert_eq!(usual_band("gpt-4o"), None);
        assert_eq!(usual_band("gpt-6"), None);
        let new = usual_band("claude-sonnet-5").unwrap();
        assert_eq!((new.low_permille, new.high_permille), (1_200, 1_500));
        assert!(new.holds(1_310, 1_000) && new.holds(1_200, 1_000) && new.holds(1_500, 1_000));
        assert!(!new.holds(1_199, 1_000) && !new.holds(1_501, 1_000));
        assert_eq!(new.to_string(), "1.20–1.50 ×");
        let old = usual_band("claude-sonnet-4-5-20250929").unwrap();
        assert_eq!((old.low_permille, old.high_permille), (1_000, 1_200));
    }

    #[test]
    fn a_ratio_is_rounded_to_a_thousandth_and_unknown_over_nothing() {
        assert_eq!(ratio_permille(131, 100), Some(1_310));
        assert_eq!(ratio_permille(2, 3), Some(667));
        assert_eq!(ratio_permille(5, 0), None);
    }
}
