//! The form of a price file, as it is written and as it is kept for replay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The schema number this version reads and writes.
pub(crate) const SCHEMA: u32 = 1;

/// One provider's prices: the whole of a `pricing/PROVIDER.toml`.
///
/// Serialized without sources it is the canonical form the books keep.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceFile {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// The provider, as routes and records spell it.
    pub provider: String,
    /// ISO 4217 code of every price in the file.
    pub currency: String,
    /// 0 for the built-in prices; what lies above wins where both know a model at an instant.
    #[serde(default)]
    pub layer: u32,
    /// Circumstances that may change a price, each with the words that mean nothing special.
    #[serde(default)]
    pub selectors: BTreeMap<String, Vec<String>>,
    /// The models.
    #[serde(default, rename = "model")]
    pub models: Vec<ModelEntry>,
}

/// A model, its names and its prices over time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelEntry {
    /// The name the price page gives it.
    pub id: String,
    /// Further names for ever: exact, or ending in `{date}`, `{yyyymmdd}` or `{tuned}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// Names that point here for a time.
    #[serde(default, rename = "alias", skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<AliasEntry>,
    /// Prices, one row a period; periods never overlap.
    #[serde(default, rename = "price")]
    pub prices: Vec<PriceEntry>,
}

/// A name that points at a model from one instant until another.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AliasEntry {
    /// The name.
    pub name: String,
    /// First instant, RFC 3339.
    pub from: String,
    /// First instant after, or open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// What a model costs over one period.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceEntry {
    /// First instant, RFC 3339.
    pub from: String,
    /// First instant after, or open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Where the row was read; no part of the price, so never written to the canonical form.
    #[serde(default, skip_serializing)]
    pub source: Option<SourceEntry>,
    /// Price of 1,000,000 tokens, by token meter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<String, String>,
    /// Prices of everything that is not a token. Conditions leave them as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fees: BTreeMap<String, FeeEntry>,
    /// Meters that are priced through another, on purpose.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub included: BTreeMap<String, String>,
    /// Meters whose price is not published: unpriced if they occur, never a guess.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Long-context bands, rising.
    #[serde(default, rename = "tier", skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierEntry>,
    /// The same period under other circumstances.
    #[serde(default, rename = "when", skip_serializing_if = "Vec::is_empty")]
    pub whens: Vec<WhenEntry>,
    /// Circumstances the provider prices as a multiple.
    #[serde(default, rename = "multiply", skip_serializing_if = "Vec::is_empty")]
    pub multiplies: Vec<MultiplyEntry>,
}

/// Where a row comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// The provider's page that publishes the price, without a scheme.
    pub url: String,
    /// Who relayed it, where we did not read the page ourselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The day it was read, `YYYY-MM-DD`.
    pub read_on: String,
    /// What the page itself says against trusting the price for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A price per so many units.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeeEntry {
    /// Decimal text.
    pub price: String,
    /// Units the price is for: 1,000 calls, 60 seconds, 1,000,000 characters.
    pub per: u64,
}

/// Rates from a prompt size on, for the whole call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TierEntry {
    /// Where the band begins.
    pub context: ContextEntry,
    /// Price of 1,000,000 tokens, by token meter.
    pub rates: BTreeMap<String, String>,
    /// Meters whose price in this band is not published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// Where a long-context band begins, in input tokens of the call.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ContextEntry {
    /// Strictly more than this.
    Over(u64),
    /// This or more.
    AtLeast(u64),
}

/// One value or several.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Values {
    /// Exactly this word.
    One(String),
    /// Any of these.
    Many(Vec<String>),
}

/// Rates under circumstances.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhenEntry {
    /// The circumstances, all of which must hold.
    pub select: BTreeMap<String, Values>,
    /// Price of 1,000,000 tokens, by token meter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<String, String>,
    /// Fees that differ from the period's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fees: BTreeMap<String, FeeEntry>,
    /// Meters that are priced through another, beyond the period's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub included: BTreeMap<String, String>,
    /// Meters whose price under these circumstances is not published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Long-context bands of this row.
    #[serde(default, rename = "tier", skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierEntry>,
}

/// A factor under circumstances.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MultiplyEntry {
    /// The circumstances, all of which must hold.
    pub select: BTreeMap<String, Values>,
    /// Decimal text.
    pub factor: String,
    /// Meters it applies to: names, or beginnings marked `input*`.
    pub over: Vec<String>,
    /// The order factors are named in.
    #[serde(default)]
    pub order: u32,
}

impl Values {
    /// The words, whichever way they were written.
    pub(crate) fn words(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Many(words) => words,
        }
    }
}
