//! How finely a bill tells things apart: only what it prints can be compared.

use std::collections::BTreeSet;

use crate::invoice::line::{BilledDimensions, BilledLine, ChargeCategory, UsageRow};
use crate::meter::Meter;
use crate::reconcile::finding::Level;
use crate::usage::Conditions;

/// What selects a price besides model and meter, in one spelling for both sides. The empty text
/// is the standard tier, the global region, the standard speed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sku {
    /// `batch`, `flex`, `priority` ...
    pub tier: String,
    /// Billed in the long-context band.
    pub long_context: bool,
    /// Inference region.
    pub region: String,
    /// `fast` ...
    pub speed: String,
}

/// Which dimensions the money rows (and the quantity rows that complete them) carry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grain {
    /// A model is named.
    pub model: bool,
    /// A meter is named.
    pub meter: bool,
    /// Keys are named.
    pub key: bool,
    /// Projects or workspaces are named.
    pub scope: bool,
    /// Tier or batch is named.
    pub tier: bool,
    /// The context band is named.
    pub context: bool,
    /// The region is named.
    pub region: bool,
    /// The speed is named.
    pub speed: bool,
    /// The meters named.
    pub meters: BTreeSet<Meter>,
    /// Meters whose rows name no model.
    pub without_model: BTreeSet<Meter>,
    /// Money rows have no quantities of their own; quantity rows complete them.
    pub quantities_apart: bool,
}

impl Grain {
    /// The grain of the usage lines; where they have no quantities and quantity rows do, the
    /// grain both share.
    pub(crate) fn of<'a>(
        lines: impl Iterator<Item = &'a BilledLine>,
        usage: impl Iterator<Item = &'a UsageRow>,
    ) -> Self {
        let mut grain = Self::default();
        let mut with_model = BTreeSet::new();
        let mut has_quantity = false;
        for line in lines.filter(|line| line.category == ChargeCategory::Usage) {
            grain.model |= line.model.is_some();
            grain.meter |= line.meter.is_some();
            has_quantity |= line.quantity.is_some();
            grain.note(&line.dimensions);
            if let Some(meter) = line.meter {
                grain.meters.insert(meter);
                if line.model.is_some() {
                    with_model.insert(meter);
                }
            }
        }
        grain.without_model = grain.meters.difference(&with_model).copied().collect();
        let mut rows = Self::default();
        let mut any = false;
        for row in usage {
            any = true;
            rows.note(&row.dimensions);
        }
        if any && grain.meter && grain.model && !has_quantity {
            grain.quantities_apart = true;
            grain.key &= rows.key;
            grain.scope &= rows.scope;
            grain.tier &= rows.tier;
            grain.context &= rows.context;
            grain.region &= rows.region;
            grain.speed &= rows.speed;
        }
        grain
    }

    fn note(&mut self, dimensions: &BilledDimensions) {
        self.key |= dimensions.key_id.is_some() || dimensions.key_name.is_some();
        self.scope |= dimensions.project_id.is_some()
            || dimensions.workspace.is_some()
            || dimensions.project_name.is_some();
        self.tier |= dimensions.service_tier.is_some() || dimensions.batch.is_some();
        self.context |= dimensions.long_context.is_some();
        self.region |= dimensions.region.is_some();
        self.speed |= dimensions.speed.is_some();
    }

    /// The level findings are made at.
    pub(crate) fn level(&self, days: bool) -> Level {
        match (self.meter, self.model) {
            (true, _) if days && (self.key || self.scope) => Level::L1,
            (true, _) if days => Level::L2,
            (true, _) => Level::L3,
            (false, true) => Level::L4,
            (false, false) => Level::L5,
        }
    }

    /// What a coarse bill would need, in words; `None` where nothing is missing.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        match (self.model, self.meter) {
            (false, false) => Some("rows by model and token type (export again, grouped)"),
            (_, false) => Some("rows by token type"),
            _ => None,
        }
    }

    /// A bill row's selectors, as far as the grain keeps them.
    pub(crate) fn billed_sku(&self, dimensions: &BilledDimensions) -> Sku {
        let tier = match (dimensions.batch, dimensions.service_tier.as_deref()) {
            (Some(true), _) => "batch",
            (_, Some(tier)) => tier,
            (_, None) => "",
        };
        self.masked(
            tier,
            dimensions.long_context.unwrap_or(false),
            dimensions.region.as_deref().unwrap_or(""),
            dimensions.speed.as_deref().unwrap_or(""),
        )
    }

    /// An attempt's selectors, as far as the grain keeps them.
    pub(crate) fn attempt_sku(&self, conditions: &Conditions, long_context: bool) -> Sku {
        self.masked(
            tier_of(conditions),
            long_context,
            conditions.get("region").unwrap_or(""),
            conditions.get("speed").unwrap_or(""),
        )
    }

    fn masked(&self, tier: &str, long_context: bool, region: &str, speed: &str) -> Sku {
        let plain = |kept: bool, text: &str, standard: &[&str]| {
            let text = text.trim().to_lowercase();
            if !kept || standard.contains(&text.as_str()) { String::new() } else { text }
        };
        Sku {
            tier: plain(self.tier, tier, &["standard", "default", "auto"]),
            long_context: self.context && long_context,
            region: plain(self.region, region, &["global", "not_available", "not available"]),
            speed: plain(self.speed, speed, &["standard"]),
        }
    }

    /// The meter an amount of ours is compared under.
    pub(crate) fn meter_of(&self, meter: Meter) -> Option<Meter> {
        if !self.meter {
            return None;
        }
        let lifetimes = [
            Meter::InputCacheWrite5m,
            Meter::InputCacheWrite30m,
            Meter::InputCacheWrite1h,
            Meter::InputCacheWrite12h,
        ];
        let billed = |meter: Meter| self.meters.contains(&meter);
        Some(match meter {
            Meter::OutputReasoning => Meter::Output,
            Meter::InputToolPrompt if !billed(meter) => Meter::Input,
            _ if lifetimes.contains(&meter)
                && billed(Meter::InputCacheWrite)
                && !lifetimes.into_iter().any(billed) =>
            {
                Meter::InputCacheWrite
            }
            Meter::InputCacheWrite if !billed(meter) && billed(Meter::InputCacheWrite5m) => {
                Meter::InputCacheWrite5m
            }
            _ => meter,
        })
    }
}

impl Sku {
    /// The selectors of a price row.
    pub(crate) fn of_rate(conditions: &Conditions, context_over: Option<u64>) -> Self {
        let everything =
            Grain { tier: true, context: true, region: true, speed: true, ..Grain::default() };
        everything.attempt_sku(conditions, context_over.is_some())
    }

    /// How it reads beside a model's name; empty for the standard one.
    pub(crate) fn words(&self) -> String {
        let mut words = Vec::new();
        if !self.tier.is_empty() {
            words.push(self.tier.clone());
        }
        if self.long_context {
            words.push("long context".to_owned());
        }
        if !self.region.is_empty() {
            words.push(format!("region {}", self.region));
        }
        if !self.speed.is_empty() {
            words.push(format!("speed {}", self.speed));
        }
        words.join(", ")
    }
}

/// The tier an attempt's conditions name: batch processing, else the service tier.
fn tier_of(conditions: &Conditions) -> &str {
    match conditions.get("processing") {
        Some("batch") => "batch",
        _ => conditions.get("service_tier").unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_is_part_of_a_bills_output() {
        let grain = Grain { meter: true, meters: [Meter::Output].into(), ..Grain::default() };
        assert_eq!(grain.meter_of(Meter::OutputReasoning), Some(Meter::Output));
        assert_eq!(grain.meter_of(Meter::InputCacheRead), Some(Meter::InputCacheRead));
    }

    #[test]
    fn tiers_the_bill_does_not_print_are_not_told_apart() {
        let mut conditions = Conditions::default();
        conditions.set("service_tier", "flex");
        assert_eq!(Grain::default().attempt_sku(&conditions, true), Sku::default());
        let grain = Grain { tier: true, ..Grain::default() };
        assert_eq!(grain.attempt_sku(&conditions, true).tier, "flex");
    }
}
