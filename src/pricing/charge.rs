//! What a rating says: charges, what could not be priced, and why.

use serde::{Deserialize, Serialize};

use crate::meter::Meter;
use crate::money::{Amount, Currency, canonical_text, exact_mul, parse_decimal};
use crate::names::ModelName;

/// One meter of one model at one rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The model billed, as the answer (or the call) named it.
    pub model: ModelName,
    /// What was counted.
    pub meter: Meter,
    /// How much, in atoms of the meter.
    pub quantity: u64,
    /// Hash of the canonical row, band and factors that priced it.
    pub rate_id: String,
    /// The published price of `per` units, decimal text.
    pub unit_price: String,
    /// The units `unit_price` is for.
    pub per: u64,
    /// Factors on top, decimal texts in the order they apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<String>,
    /// Quantity × unit price × factors ÷ per.
    pub amount: Amount,
    /// Whether the amount had to be rounded (once, half to even, at 10⁻¹²).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rounded: bool,
}

/// How far a valuation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValuationStatus {
    /// Every reported quantity has a price.
    Priced,
    /// Some have, some have not.
    PartiallyPriced,
    /// None has.
    Unpriced,
    /// Nothing was reported (yet), so there is nothing to price. Not zero: unknown.
    NoUsage,
    /// The call is of a kind that costs nothing.
    NotMetered,
}

/// Why a quantity has no price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnpricedReason {
    /// No price file names this model.
    Model,
    /// The model is known, but not what it cost at that instant.
    Period,
    /// The price under this circumstance is not known.
    Selector {
        /// Such as `service_tier`.
        key: String,
        /// Such as `ultrafast`.
        value: String,
    },
    /// The model has no price for this meter.
    Meter,
    /// The amount is beyond what one charge can hold (9.2 million units).
    OutOfRange,
}

/// A quantity without a price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpriced {
    /// The model.
    pub model: ModelName,
    /// What was counted.
    pub meter: Meter,
    /// How much, in atoms.
    pub quantity: u64,
    /// Why.
    pub reason: UnpricedReason,
}

/// The charges of an attempt under one version of the prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Valuation {
    /// How far it goes.
    pub status: ValuationStatus,
    /// What was priced.
    pub charges: Vec<Charge>,
    /// What was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpriced: Vec<Unpriced>,
    /// Sum of the charges: the whole where priced, a part where partially priced, absent where
    /// nothing is known.
    pub total: Option<Amount>,
    /// What the amounts are in.
    pub currency: Currency,
    /// Hash of the canonical price rows used.
    pub price_version: String,
    /// The version of the arithmetic.
    pub engine: String,
}

impl Charge {
    /// The published price with its factors, for one `per`; `None` beyond 28 digits.
    pub fn effective_unit_price(&self) -> Option<String> {
        let mut price = parse_decimal(&self.unit_price).ok()?;
        for factor in &self.factors {
            price = exact_mul(price, parse_decimal(factor).ok()?)?;
        }
        Some(canonical_text(price))
    }
}

impl Valuation {}
