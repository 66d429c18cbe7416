//! Our side of the worksheet: every metered quantity of every attempt, under the names both share.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::sync::Arc;

use crate::meter::Meter;
use crate::money::Amount;
use crate::names::{CredentialId, ModelName};
use crate::period::Timestamp;
use crate::reconcile::aliases::NameMap;
use crate::reconcile::facts::{AttemptFact, BillingClass, Ending, MeteredFact};
use crate::reconcile::grain::{Grain, Sku};
use crate::reconcile::owners::{Owner, Owners};
use crate::reconcile::quick_hash::QuickMap;
use crate::reconcile::rates::{RateBook, RateIndex};
use crate::usage::{Conditions, UsageSource};

/// A stub before it is placed in a period.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loose {
    /// Index into the attempts.
    pub attempt: u32,
    /// Owner, by index of the sorted list.
    pub owner: u32,
    /// Model, by index of the sorted list.
    pub model: u32,
    /// Selectors, by index of the sorted list.
    pub sku: u32,
    /// Meter, where the bill names meters.
    pub meter: Option<Meter>,
    /// Price; `None` is unpriced.
    pub rate: Option<RateIndex>,
    /// Atoms.
    pub quantity: u64,
    /// As charged.
    pub amount: Amount,
    /// Whether the charge was rounded.
    pub rounded: bool,
}

/// An attempt of which no quantities are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unknown {
    /// Index into the attempts.
    pub attempt: u32,
    /// Owner.
    pub owner: u32,
    /// The model asked for, by index.
    pub model: u32,
    /// When it was sent.
    pub started_at: Timestamp,
}

/// Our side, with sorted lists of the names in it.
#[derive(Debug, Default)]
pub(crate) struct OurSide {
    /// Stubs that are in our totals.
    pub loose: Vec<Loose>,
    /// Stubs of attempts held as not billed: in no total, kept for the test whether they were.
    pub held_out: Vec<Loose>,
    /// Attempts of unknown usage.
    pub unknown: Vec<Unknown>,
    /// Owners, sorted.
    pub owners: Vec<Owner>,
    /// Models, sorted; the first is the empty name.
    pub models: Vec<String>,
    /// Selectors, sorted; the first is the standard one.
    pub skus: Vec<Sku>,
    /// Attempts held out, by reason.
    pub out_of_scope: BTreeMap<OutOfScope, u64>,
}

/// Why an attempt is in no cell.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum OutOfScope {
    /// In the margin around the period, or on a day the export does not cover.
    OutsideCoveredDays,
    /// Held as not billed.
    NotBilled,
    /// Paid by a seat or a subscription.
    OutsideBill,
    /// Answered from our own cache.
    CacheHit,
    /// No quantities are known.
    UsageUnknown,
    /// A call that uses nothing billable.
    NotMetered,
}

/// What both sides' names are read with.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// Model names.
    pub names: &'a NameMap,
    /// Owners.
    pub owners: &'a Owners,
    /// Grain of the bill.
    pub grain: &'a Grain,
}

/// First seen, first numbered; sorted afterwards so that arrival changes nothing.
struct Numbered<K, V> {
    numbers: QuickMap<K, u32>,
    values: Vec<V>,
}

impl<K: Hash + Eq, V> Numbered<K, V> {
    fn new() -> Self {
        Self { numbers: QuickMap::default(), values: Vec::new() }
    }

    fn number(&mut self, key: K, value: impl FnOnce(&K) -> V) -> u32 {
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value(&key));
        self.numbers.insert(key, number);
        number
    }
}

/// Sorted distinct values, and for each old number its place among them.
fn settle<T: Ord + Clone>(values: &[T], others: impl IntoIterator<Item = T>) -> (Vec<T>, Vec<u32>) {
    let mut all: BTreeSet<T> = values.iter().cloned().collect();
    all.extend(others);
    let sorted: Vec<T> = all.into_iter().collect();
    let place = |value: &T| sorted.binary_search(value).ok().and_then(|at| u32::try_from(at).ok());
    let places = values.iter().map(|value| place(value).unwrap_or(0)).collect();
    (sorted, places)
}

impl OurSide {
    /// Reads every attempt. The names on the bill join the sorted lists.
    pub(crate) fn read(
        attempts: &[AttemptFact],
        reading: Reading<'_>,
        rates: &mut RateBook,
        billed: (BTreeSet<Owner>, BTreeSet<String>, BTreeSet<Sku>),
    ) -> Self {
        let mut side = Self::default();
        let mut owners: Numbered<(Option<CredentialId>, Option<Arc<str>>), Owner> = Numbered::new();
        let mut models: Numbered<ModelName, String> = Numbered::new();
        let mut skus: Numbered<(Conditions, bool), Sku> = Numbered::new();
        let no_model = models.number(ModelName::new(""), |_| String::new());
        for (index, attempt) in (0_u32..).zip(attempts) {
            if let Some(reason) = left_out(attempt) {
                *side.out_of_scope.entry(reason).or_insert(0) += 1;
                if reason != OutOfScope::NotBilled || attempt.metered.is_empty() {
                    continue;
                }
            }
            let owner = owners.number((attempt.credential.clone(), attempt.scope.clone()), |_| {
                reading.owners.of_attempt(attempt)
            });
            let mut model_number = |name: &ModelName| {
                models.number(name.clone(), |name| reading.names.common(name.as_str()).to_owned())
            };
            if attempt.metered.is_empty() {
                let model = attempt.model_requested.as_ref().map_or(no_model, &mut model_number);
                let started_at = attempt.started_at;
                side.unknown.push(Unknown { attempt: index, owner, model, started_at });
                continue;
            }
            let charged: Vec<Option<RateIndex>> =
                attempt.metered.iter().map(|part| rate_of(part, reading.names, rates)).collect();
            let is_long =
                |rate: &RateIndex| rates.get(*rate).is_some_and(|rate| rate.context_over.is_some());
            let long_context = charged.iter().flatten().any(is_long);
            let sku = skus.number((attempt.conditions.clone(), long_context), |(conditions, _)| {
                reading.grain.attempt_sku(conditions, long_context)
            });
            let target = match attempt.billing_class {
                BillingClass::NotBilled => &mut side.held_out,
                _ => &mut side.loose,
            };
            for (part, rate) in attempt.metered.iter().zip(charged) {
                let has_model =
                    reading.grain.model && !reading.grain.without_model.contains(&part.meter);
                target.push(Loose {
                    attempt: index,
                    owner,
                    model: if has_model { model_number(&part.model) } else { no_model },
                    sku,
                    meter: reading.grain.meter_of(part.meter),
                    rate,
                    quantity: part.quantity,
                    amount: part.charge.as_ref().map_or(Amount::ZERO, |charge| charge.amount),
                    rounded: part.charge.as_ref().is_some_and(|charge| charge.rounded),
                });
            }
        }
        side.sort_names((&owners.values, &models.values, &skus.values), billed);
        side
    }

    fn sort_names(
        &mut self,
        (owners, models, skus): (&[Owner], &[String], &[Sku]),
        billed: (BTreeSet<Owner>, BTreeSet<String>, BTreeSet<Sku>),
    ) {
        let (sorted_owners, owner_places) =
            settle(owners, billed.0.into_iter().chain([Owner::Shared]));
        let (sorted_models, model_places) = settle(models, billed.1);
        let (sorted_skus, sku_places) = settle(skus, billed.2.into_iter().chain([Sku::default()]));
        let place = |places: &[u32], old: u32| places.get(old as usize).copied().unwrap_or(0);
        for loose in self.loose.iter_mut().chain(&mut self.held_out) {
            loose.owner = place(&owner_places, loose.owner);
            loose.model = place(&model_places, loose.model);
            loose.sku = place(&sku_places, loose.sku);
        }
        for unknown in &mut self.unknown {
            unknown.owner = place(&owner_places, unknown.owner);
            unknown.model = place(&model_places, unknown.model);
        }
        (self.owners, self.models, self.skus) = (sorted_owners, sorted_models, sorted_skus);
    }
}

/// Why an attempt is in no total of ours; `None` where it is in one.
fn left_out(attempt: &AttemptFact) -> Option<OutOfScope> {
    match attempt.billing_class {
        BillingClass::OutsideBill => return Some(OutOfScope::OutsideBill),
        BillingClass::NotBilled if attempt.ending == Ending::CacheHit => {
            return Some(OutOfScope::CacheHit);
        }
        BillingClass::NotBilled => return Some(OutOfScope::NotBilled),
        BillingClass::Billed | BillingClass::Uncertain => {}
    }
    (attempt.usage_source == UsageSource::NotMetered && attempt.metered.is_empty())
        .then_some(OutOfScope::NotMetered)
}

fn rate_of(part: &MeteredFact, names: &NameMap, rates: &mut RateBook) -> Option<RateIndex> {
    let charge = part.charge.as_ref()?;
    let model = || names.common(part.model.as_str()).to_owned();
    Some(rates.of_charge(&charge.rate_id, part.meter, model, charge.unit_price))
}
