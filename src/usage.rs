//! What a provider reported: its own words kept, and their split into disjoint meters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::meter::Quantities;
use crate::names::ModelName;

/// Where the quantities of an attempt come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider's final usage object.
    Reported,
    /// The provider's usage so far, from an answer that did not end.
    Partial,
    /// Our own count, where the provider reported nothing.
    Counted,
    /// The provider will report later (a background response, a batch).
    Awaiting,
    /// Nothing reported and nothing counted: unknown, which is not zero.
    Absent,
    /// The call is of a kind that uses nothing billable (a list of models, a refused request).
    NotMetered,
}

/// What was noticed while reading a usage object. Flagged, never repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageFlag {
    /// The parts do not add up to the reported total.
    TotalMismatch,
    /// A part is larger than the whole it is said to be inside of.
    PartExceedsWhole,
    /// A count was no whole number of tokens, or negative.
    MalformedCount,
    /// More than one usage event came; the last counted.
    SeveralUsageEvents,
    /// The usage object was present and empty or null.
    EmptyUsage,
    /// The answer carried an error beside or instead of content.
    ErrorInAnswer,
    /// A credit for a retried refusal was redeemed: the provider may reprice this call.
    FallbackCredit,
    /// What the answer reports belongs to the call that ordered it, and settled that one.
    UsageElsewhere,
}

/// The circumstances that select a price: `service_tier`, `processing`, `speed`, `region`, ...
/// Keys and values as the price files spell them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conditions(BTreeMap<String, String>);

impl Conditions {
    /// Says one circumstance; a later word replaces an earlier one.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert(key.into(), value.into());
    }

    /// One circumstance, if it was said.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All of them in key order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether nothing was said.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The part of an answer's usage that one model is billed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUsage {
    /// The model billed, where the answer names it; else the model of the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// Disjoint quantities.
    pub quantities: Quantities,
    /// All input tokens of the call, which decide the long-context band of this part.
    pub context_tokens: u64,
}

/// Everything an answer said about usage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedUsage {
    /// One part per model billed; usually one.
    pub parts: Vec<ModelUsage>,
    /// What selects the price, as the answer (first) or the request (else) said it.
    #[serde(default, skip_serializing_if = "Conditions::is_empty")]
    pub conditions: Conditions,
    /// Where the quantities come from.
    pub source: UsageSource,
    /// The provider's usage object(s) as JSON text, verbatim, numbers and short names only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// What was noticed on reading.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<UsageFlag>,
    /// What the provider itself says the call costs, its number as text; evidence, never the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_cost: Option<String>,
}

impl ReportedUsage {
    /// No usage, for the reason named by the source.
    pub fn none(source: UsageSource) -> Self {
        Self {
            parts: Vec::new(),
            conditions: Conditions::default(),
            source,
            raw: None,
            flags: Vec::new(),
            reported_cost: None,
        }
    }

    /// The quantities of all parts together, for display and totals of tokens.
    pub fn quantities(&self) -> Quantities {
        self.parts.iter().flat_map(|part| part.quantities.iter()).collect()
    }
}
