//! A charge: one meter's quantity at one rate; and a valuation: the charges of one attempt.

use serde::{Deserialize, Serialize};

use crate::meter::Meter;
use crate::money::{Amount, Currency};
use crate::names::ModelName;

/// One meter's quantity × rate, under one price row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The model billed; one attempt may bill several.
    pub model: ModelName,
    /// What was counted.
    pub meter: Meter,
    /// How much, in the meter's atoms.
    pub quantity: u64,
    /// Hash of the canonical price row that was selected.
    pub rate_id: String,
    /// The published price, as decimal text, before factors.
    pub unit_price: String,
    /// For how many units that price is.
    pub per: u64,
    /// Multipliers applied in order, as decimal text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<String>,
    /// quantity × unit price × factors ÷ per.
    pub amount: Amount,
    /// Whether the amount had to be rounded (half-even, at 10⁻¹²).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rounded: bool,
}

/// How completely an attempt could be priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PricingStatus {
    /// Every reported meter has a price.
    Priced,
    /// Some meters have a price, the rest are named.
    PartiallyPriced,
    /// No meter has a price.
    Unpriced,
    /// There is no usage to price: unknown, not free.
    NoUsage,
    /// The call bills nothing by its kind.
    NotBillable,
}

/// The charges of an attempt under one price-table version. Re-pricing appends another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Valuation {
    /// How completely it is priced.
    pub status: PricingStatus,
    /// One charge per model and meter.
    pub charges: Vec<Charge>,
    /// What has no price, by name: `model gpt-9`, `input.audio`, `service_tier=ultrafast`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpriced: Vec<String>,
    /// Sum of the charges; `None` where nothing could be priced.
    pub total: Option<Amount>,
    /// Currency of every amount here.
    pub currency: Currency,
    /// Hash of the canonical price rows in force.
    pub price_version: String,
    /// Version of the rating rules.
    pub engine: String,
}
