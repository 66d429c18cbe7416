//! The price book as candidates: which other prices could explain a line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rust_decimal::Decimal;

use crate::meter::Meter;
use crate::period::Timestamp;
use crate::reconcile::aliases::{NameMap, undated};
use crate::reconcile::facts::CandidateRate;
use crate::reconcile::grain::Sku;
use crate::reconcile::quick_hash::QuickMap;

/// One price, under the name both sides share.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    /// The row's id.
    pub rate_id: Arc<str>,
    /// Model, as matched.
    pub model: String,
    /// Meter.
    pub meter: Meter,
    /// What selects it, whether or not the bill tells it apart.
    pub sku: Sku,
    /// Calls with more input tokens than this.
    pub context_over: Option<u64>,
    /// When it holds; both open for a price known from charges only.
    pub from: Option<Timestamp>,
    /// First instant it no longer holds.
    pub until: Option<Timestamp>,
    /// Price of one atom; `None` where it has no finite decimal.
    pub unit_price: Option<Decimal>,
    /// Where it was read, and when.
    pub source: String,
}

/// Index of a [`Rate`] in its book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RateIndex(u32);

/// Every price that is known, by model and meter.
#[derive(Debug, Default)]
pub(crate) struct RateBook {
    rates: Vec<Rate>,
    by_charge: QuickMap<(Arc<str>, Meter), RateIndex>,
    by_series: BTreeMap<(String, Meter), Vec<RateIndex>>,
}

impl RateBook {
    /// The candidates, sorted so that their order of arrival changes nothing.
    pub(crate) fn new(candidates: &[CandidateRate], names: &NameMap) -> Self {
        let mut sorted: Vec<&CandidateRate> = candidates.iter().collect();
        sorted.sort_by(|a, b| {
            let key = |rate: &CandidateRate| {
                (rate.model.clone(), rate.meter, rate.from, rate.until, Arc::clone(&rate.rate_id))
            };
            key(a).cmp(&key(b))
        });
        let listed: BTreeSet<&str> = sorted.iter().map(|rate| rate.model.as_str()).collect();
        let mut book = Self::default();
        for rate in sorted {
            let own = rate.model.as_str();
            let common = names.common(own);
            let model = if listed.contains(common) { own } else { common };
            let source = if rate.source_url.is_empty() {
                String::new()
            } else {
                format!("{}, read {}", rate.source_url, rate.read_on)
            };
            book.push(Rate {
                rate_id: Arc::clone(&rate.rate_id),
                model: model.to_owned(),
                meter: rate.meter,
                sku: Sku::of_rate(&rate.conditions, rate.context_over),
                context_over: rate.context_over,
                from: Some(rate.from),
                until: rate.until,
                unit_price: Some(rate.unit_price),
                source,
            });
        }
        book
    }

    fn push(&mut self, rate: Rate) -> RateIndex {
        let index = RateIndex(u32::try_from(self.rates.len()).unwrap_or(u32::MAX));
        self.by_charge.entry((Arc::clone(&rate.rate_id), rate.meter)).or_insert(index);
        self.by_series.entry((rate.model.clone(), rate.meter)).or_default().push(index);
        self.rates.push(rate);
        index
    }

    /// The price a stored charge was made at; one the caller did not list is added as it stands.
    pub(crate) fn of_charge(
        &mut self,
        rate_id: &Arc<str>,
        meter: Meter,
        model: impl FnOnce() -> String,
        unit_price: Option<Decimal>,
    ) -> RateIndex {
        if let Some(index) = self.by_charge.get(&(Arc::clone(rate_id), meter)) {
            return *index;
        }
        self.push(Rate {
            rate_id: Arc::clone(rate_id),
            model: model(),
            meter,
            sku: Sku::default(),
            context_over: None,
            from: None,
            until: None,
            unit_price,
            source: String::new(),
        })
    }

    /// A price by index.
    pub(crate) fn get(&self, index: RateIndex) -> Option<&Rate> {
        self.rates.get(index.0 as usize)
    }

    /// Every price of a model's meter, oldest first; a snapshot the book does not list has the
    /// prices of its undated name.
    pub(crate) fn series(
        &self,
        model: &str,
        meter: Meter,
    ) -> impl Iterator<Item = (RateIndex, &Rate)> {
        let of = |name: &str| self.by_series.get(&(name.to_owned(), meter));
        let is_listed = |rates: &&Vec<RateIndex>| {
            rates.iter().any(|rate| self.get(*rate).is_some_and(|rate| rate.from.is_some()))
        };
        let listed = of(model).filter(is_listed).or_else(|| of(undated(model)));
        let listed = listed.or_else(|| of(model));
        listed.into_iter().flatten().filter_map(|index| Some((*index, self.get(*index)?)))
    }

    /// The price that holds for a model's meter under these selectors at an instant.
    pub(crate) fn at(
        &self,
        model: &str,
        meter: Meter,
        sku: &Sku,
        at: Timestamp,
    ) -> Option<RateIndex> {
        let holds = |rate: &Rate| {
            rate.from.is_none_or(|from| from <= at) && rate.until.is_none_or(|until| at < until)
        };
        let mut fitting = self.series(model, meter).filter(|(_, rate)| rate.sku == *sku);
        fitting.find(|(_, rate)| holds(rate)).map(|(index, _)| index)
    }
}
