//! What an export says, row by row, in FOCUS terms: money lines and usage rows.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::meter::{Meter, Quantities};
use crate::money::Currency;
use crate::period::ChargePeriod;

/// FOCUS `ChargeCategory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeCategory {
    /// Tokens, tool calls, seconds.
    Usage,
    /// Fees, minimums, prepaid credit bought.
    Purchase,
    /// Tax.
    Tax,
    /// A credit or grant.
    Credit,
    /// A correction, refund or rounding row.
    Adjustment,
}

/// How the provider rounded the amount it printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmountPrecision {
    /// Unrounded: the printed amount is the amount.
    Exact,
    /// Each row rounded half-up at the printed number of decimals (Anthropic's cost export: 2).
    HalfUp,
    /// Each row cut off after the printed number of decimals.
    Truncated,
    /// Not known; an interval of half the last printed digit is assumed.
    Unknown,
}

/// The dimensions a row may carry besides model and meter. `None`: blank or not in the file;
/// whether the file was grouped by a dimension at all is said once, by the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BilledDimensions {
    /// The provider's organization id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// The project id (OpenAI).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The project's name, as printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// The workspace as printed (Anthropic; `Default` is a workspace).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The API key's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The API key's name, as printed; neither unique nor stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// `default`, `flex`, `priority`, `batch` ...: the tier as the row spells it, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Whether the row is batch processing, where it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<bool>,
    /// Whether the row is of the long-context band, where it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_context: Option<bool>,
    /// Inference region, as printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// `fast` or `standard`, as printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<String>,
    /// A product surface in front of the model (`evals`, `assistants api`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<String>,
}

/// One money row of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BilledLine {
    /// Data row in the file, from 1, the header not counted.
    pub row: u64,
    /// The provider's charge period of the row: for both founding providers a UTC day.
    pub period: ChargePeriod,
    /// What kind of money this is.
    pub category: ChargeCategory,
    /// The row's own word for what was charged (`line_item`, or model and token type), verbatim.
    pub description: String,
    /// What the provider charges: FOCUS `BilledCost`, positive or negative, exactly as printed.
    #[serde(with = "rust_decimal::serde::str")]
    pub billed_cost: Decimal,
    /// The same at list price, where the export prints it (Anthropic `list_price_usd`).
    #[serde(
        default,
        with = "rust_decimal::serde::str_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub list_cost: Option<Decimal>,
    /// The currency of both.
    pub currency: Currency,
    /// How the provider rounds this export's amounts.
    pub precision: AmountPrecision,
    /// Decimals the row printed.
    pub shown_decimals: u32,
    /// Quantity in the meter's atoms, where the row prints one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
    /// The model as the row spells it: an id, a snapshot, or a display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What was counted; `None` is money that maps to no meter, and stays visible as such.
    /// A bill's `output` includes reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<Meter>,
    /// Everything else the row tells apart.
    pub dimensions: BilledDimensions,
}

/// One row of a usage export: quantities, no money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// Data row in the file, from 1, the header not counted.
    pub row: u64,
    /// The row's bucket: a minute, an hour or a UTC day.
    pub period: ChargePeriod,
    /// The model as the row spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Disjoint quantities; a bill's `output` includes reasoning.
    pub quantities: Quantities,
    /// Requests, where the row counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Everything else the row tells apart.
    pub dimensions: BilledDimensions,
}
