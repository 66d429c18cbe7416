//! What identifies prices: the canonical text of a table, its hash, and the hash of a row.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::digest::sha256;
use crate::pricing::schema::{
    ContextEntry, FeeEntry, ModelEntry, PriceEntry, PriceFile, TierEntry, Values, WhenEntry,
};
use crate::pricing::select::Multiplier;

/// Hexadecimal digits of an identity: 128 bits.
const IDENTITY_DIGITS: usize = 32;

/// The selected row as it is hashed: what decides the price and nothing else.
#[derive(Debug, Serialize)]
pub(crate) struct CanonicalRow<'r> {
    /// The provider.
    pub provider: &'r str,
    /// What the prices are in.
    pub currency: &'r str,
    /// The model's id.
    pub model: &'r str,
    /// First instant.
    pub from: &'r str,
    /// First instant after, or open.
    pub until: Option<&'r str>,
    /// The circumstances.
    pub select: &'r BTreeMap<String, Values>,
    /// Where the band begins, or the first.
    pub context: Option<ContextEntry>,
    /// Price of 1,000,000 tokens by meter.
    pub rates: &'r BTreeMap<String, String>,
    /// Other prices by meter.
    pub fees: &'r BTreeMap<String, FeeEntry>,
    /// Meters priced through another.
    pub included: &'r BTreeMap<String, String>,
}

/// Hash of anything that serializes the same way each time.
pub(crate) fn identity(content: &impl Serialize) -> String {
    // Maps with text keys and plain fields always serialize.
    let text = serde_json::to_string(content).unwrap_or_default();
    identity_of_text(&text)
}

/// Hash of a canonical text.
pub(crate) fn identity_of_text(text: &str) -> String {
    let mut digits = sha256(text);
    digits.truncate(IDENTITY_DIGITS);
    digits
}

/// The rate id of a row under factors: the row's own where there are none.
pub(crate) fn multiplied_rate_id(row: &str, multipliers: &[&Multiplier]) -> String {
    if multipliers.is_empty() {
        return row.to_owned();
    }
    let identities: Vec<&str> =
        multipliers.iter().map(|multiplier| multiplier.identity.as_str()).collect();
    identity(&(row, identities))
}

/// Brings a checked file to the one way of writing it: models by id, names in order, instants and
/// decimals canonical. What means the same reads the same.
pub(crate) fn canonical_file(mut file: PriceFile) -> PriceFile {
    for words in file.selectors.values_mut() {
        words.sort();
    }
    file.models.iter_mut().for_each(canonical_model);
    file.models.sort_by(|left, right| left.id.cmp(&right.id));
    file
}

fn canonical_model(model: &mut ModelEntry) {
    model.snapshots.sort();
    for alias in &mut model.aliases {
        canonical_instant(&mut alias.from);
        alias.until.iter_mut().for_each(canonical_instant);
    }
    model.aliases.sort_by(|left, right| (&left.name, &left.from).cmp(&(&right.name, &right.from)));
    model.prices.iter_mut().for_each(canonical_price);
    model.prices.sort_by(|left, right| left.from.cmp(&right.from));
}

/// Brings one row to the one way of writing it.
pub(crate) fn canonical_price(price: &mut PriceEntry) {
    canonical_instant(&mut price.from);
    price.until.iter_mut().for_each(canonical_instant);
    price.rates.values_mut().for_each(canonical_decimal);
    price.fees.values_mut().for_each(|fee| canonical_decimal(&mut fee.price));
    price.unknown.sort();
    price.tiers.iter_mut().for_each(canonical_tier);
    for when in &mut price.whens {
        canonical_when(when);
    }
    for multiply in &mut price.multiplies {
        multiply.select.values_mut().for_each(canonical_words);
        canonical_decimal(&mut multiply.factor);
        multiply.over.sort();
    }
    price.whens.sort_by_cached_key(|when| identity(&when.select));
    price.multiplies.sort_by_cached_key(|multiply| (multiply.order, identity(&multiply.select)));
}

fn canonical_when(when: &mut WhenEntry) {
    when.select.values_mut().for_each(canonical_words);
    when.rates.values_mut().for_each(canonical_decimal);
    when.fees.values_mut().for_each(|fee| canonical_decimal(&mut fee.price));
    when.unknown.sort();
    when.tiers.iter_mut().for_each(canonical_tier);
}

fn canonical_tier(tier: &mut TierEntry) {
    tier.rates.values_mut().for_each(canonical_decimal);
    tier.unknown.sort();
}

fn canonical_words(values: &mut Values) {
    let mut words = values.words().to_vec();
    words.sort();
    *values = Values::Many(words);
}

fn canonical_decimal(text: &mut String) {
    if let Ok(value) = crate::money::parse_decimal(text) {
        *text = crate::money::canonical_text(value);
    }
}

fn canonical_instant(text: &mut String) {
    if let Ok(instant) = text.parse::<crate::period::Timestamp>() {
        *text = instant.to_string();
    }
}
