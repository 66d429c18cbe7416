//! The price table: which row prices a meter of a model at an instant under its circumstances.

use std::collections::HashMap;

use rust_decimal::Decimal;

use crate::meter::Meter;
use crate::money::Currency;
use crate::names::ProviderName;
use crate::period::Timestamp;
use crate::pricing::name_match::{Tail, readings};
use crate::pricing::price::{Factor, Price};
use crate::pricing::schema::{PriceFile, SourceEntry};
use crate::pricing::select::{Circumstances, Multiplier, Selection, Selectors};
use crate::pricing::version::multiplied_rate_id;

/// Every price we know, checked on loading and immutable after.
#[derive(Clone, Debug)]
pub struct PriceTable {
    pub(super) providers: HashMap<String, ProviderPrices>,
    pub(super) files: Vec<PriceFile>,
    pub(super) version: String,
}

/// One provider's models, from all layers.
#[derive(Clone, Debug)]
pub struct ProviderPrices {
    /// What every price of the provider is in.
    pub currency: Currency,
    /// The circumstances that may change a price.
    pub selectors: Selectors,
    /// Models in file order, layer by layer.
    pub models: Vec<ModelPrices>,
    pub(super) names: HashMap<String, Vec<NameEntry>>,
    pub(super) patterns: HashMap<String, Vec<(Tail, NameEntry)>>,
}

/// A model and its prices over time.
#[derive(Clone, Debug)]
pub struct ModelPrices {
    /// The name the price page gives it.
    pub id: String,
    /// 0 for built-in prices; the highest that knows an instant wins.
    pub layer: u32,
    /// Periods in order, without overlap.
    pub periods: Vec<PricePeriod>,
}

/// What a model costs from one instant until another.
#[derive(Clone, Debug)]
pub struct PricePeriod {
    /// First instant.
    pub from: Timestamp,
    /// First instant after; the end of time where open.
    pub until: Timestamp,
    /// Where it was read.
    pub source: Option<SourceEntry>,
    /// The standard row first, then those under circumstances.
    pub rows: Vec<PriceRow>,
    /// Factors under circumstances, in the order they are named.
    pub multipliers: Vec<Multiplier>,
}

/// Rates under one set of circumstances.
#[derive(Clone, Debug)]
pub struct PriceRow {
    /// What it asks for; nothing for the standard row.
    pub select: Selection,
    /// Long-context bands, rising; the first begins at zero tokens.
    pub bands: Vec<PriceBand>,
}

/// The prices of one band: complete, so that nothing is looked up elsewhere.
#[derive(Clone, Debug)]
pub struct PriceBand {
    /// First number of context tokens in the band.
    pub from_tokens: u64,
    /// Identifies the content: hash of the canonical row.
    pub rate_id: String,
    /// Prices by meter.
    pub prices: Vec<(Meter, Price)>,
    /// Meters priced through another.
    pub included: Vec<(Meter, Meter)>,
    /// Meters whose price is known not to be published.
    pub unknown: Vec<Meter>,
}

/// How a name was recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameMatch {
    /// The model's own id.
    Id,
    /// A further name that never moves.
    Snapshot,
    /// A name that points here for a time.
    Alias,
    /// The form of the model's dated names.
    Pattern,
}

#[derive(Clone, Debug)]
pub(super) struct NameEntry {
    pub(super) model: usize,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) kind: NameMatch,
}

/// What a name at an instant leads to.
#[derive(Clone, Debug)]
pub enum Lookup<'t> {
    /// The model and its prices then.
    Found {
        /// The model.
        model: &'t ModelPrices,
        /// Its prices at that instant.
        period: &'t PricePeriod,
        /// How the name was recognized.
        matched: NameMatch,
    },
    /// The model is known, but not what it cost at that instant.
    NoPeriod(&'t ModelPrices),
    /// No such model.
    NoModel,
}

/// A row chosen for a call.
#[derive(Clone, Debug)]
pub struct SelectedRow<'t> {
    /// The row.
    pub row: &'t PriceRow,
    /// The factors that apply on top.
    pub multipliers: Vec<&'t Multiplier>,
}

/// One price a meter of a model has or had: what the reconciliation tries against a bill.
#[derive(Clone, Debug)]
pub struct CandidateRate<'t> {
    /// The model.
    pub model: &'t ModelPrices,
    /// The period it holds in.
    pub period: &'t PricePeriod,
    /// The circumstances it asks for; those of the factors are in `multipliers`.
    pub select: &'t Selection,
    /// First number of context tokens in its band.
    pub from_tokens: u64,
    /// The published price.
    pub price: &'t Price,
    /// Factors on top.
    pub multipliers: Vec<&'t Multiplier>,
    /// Identifies the content.
    pub rate_id: String,
}

impl PriceTable {
    /// The hash of the canonical price rows: same prices, same version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// One provider's prices.
    pub fn provider(&self, provider: &ProviderName) -> Option<&ProviderPrices> {
        self.providers.get(provider.as_str())
    }

    /// Providers with prices, in name order.
    pub fn providers(&self) -> impl Iterator<Item = (&str, &ProviderPrices)> {
        let mut providers: Vec<_> = self.providers.iter().collect();
        providers.sort_by_key(|(name, _)| *name);
        providers.into_iter().map(|(name, prices)| (name.as_str(), prices))
    }

    /// Every price a meter of a model has or had: over time, in every band, under every row and
    /// each single factor. The standard price of each period comes first.
    pub fn candidate_rates(
        &self,
        provider: &ProviderName,
        model: &str,
        meter: Meter,
    ) -> Vec<CandidateRate<'_>> {
        let Some(prices) = self.provider(provider) else { return Vec::new() };
        let mut candidates = Vec::new();
        for model in prices.named(model) {
            for period in &model.periods {
                for row in &period.rows {
                    for band in &row.bands {
                        candidates.extend(band_candidates(model, period, row, band, meter));
                    }
                }
            }
        }
        candidates
    }
}

fn band_candidates<'t>(
    model: &'t ModelPrices,
    period: &'t PricePeriod,
    row: &'t PriceRow,
    band: &'t PriceBand,
    meter: Meter,
) -> Vec<CandidateRate<'t>> {
    let Some((priced_as, price)) = band.price(meter) else { return Vec::new() };
    let applies = |multiplier: &&Multiplier| {
        multiplier.over.contains(&priced_as)
            && !multiplier.select.iter().any(|(key, _)| row.select.names(key))
    };
    let single = period.multipliers.iter().filter(applies).map(|multiplier| vec![multiplier]);
    std::iter::once(Vec::new())
        .chain(single)
        .map(|multipliers| CandidateRate {
            model,
            period,
            select: &row.select,
            from_tokens: band.from_tokens,
            price,
            rate_id: multiplied_rate_id(&band.rate_id, &multipliers),
            multipliers,
        })
        .collect()
}

impl ProviderPrices {
    /// The model and period a name leads to: exact id or snapshot, alias valid then, anchored
    /// pattern; the highest layer that knows the instant. Never a similar name.
    ///
    /// A layer that prices a model prices it under every name the model has below: answers name
    /// snapshots where contracts name models.
    pub fn find(&self, name: &str, at: Timestamp) -> Lookup<'_> {
        let valid = |entry: &&NameEntry| entry.from <= at && at < entry.until;
        let mut entries: Vec<&NameEntry> = self.entries(name).filter(valid).collect();
        entries.sort_by_key(|entry| {
            let layer = self.models.get(entry.model).map_or(0, |model| model.layer);
            (std::cmp::Reverse(layer), entry.kind)
        });
        let mut without_period = None;
        for entry in entries {
            let Some(model) = self.models.get(entry.model) else { continue };
            let over = self.models_over(model).filter_map(|over| Some((over, over.at(at)?)));
            if let Some((model, period)) = over.max_by_key(|(over, _)| over.layer) {
                return Lookup::Found { model, period, matched: entry.kind };
            }
            if let Some(period) = model.at(at) {
                return Lookup::Found { model, period, matched: entry.kind };
            }
            without_period = without_period.or(Some(model));
        }
        without_period.map_or(Lookup::NoModel, Lookup::NoPeriod)
    }

    /// Every model a name has ever led to, in any layer.
    pub fn named(&self, name: &str) -> Vec<&ModelPrices> {
        let mut indexes: Vec<usize> = self.entries(name).map(|entry| entry.model).collect();
        indexes.sort_unstable();
        indexes.dedup();
        let named = indexes.iter().filter_map(|index| self.models.get(*index));
        let mut found: Vec<&ModelPrices> = named.collect();
        for over in found.clone().into_iter().flat_map(|model| self.models_over(model)) {
            if !found.iter().any(|known| std::ptr::eq(*known, over)) {
                found.push(over);
            }
        }
        found
    }

    /// The same model in higher layers.
    fn models_over(&self, model: &ModelPrices) -> impl Iterator<Item = &ModelPrices> {
        // Models stand layer by layer, so that without an overlay there is nothing to look through.
        let is_over = self.models.last().is_some_and(|last| last.layer > model.layer);
        let above = if is_over { self.models.as_slice() } else { &[] };
        above.iter().filter(|other| other.layer > model.layer && other.id == model.id)
    }

    fn entries<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s NameEntry> {
        let exact = self.names.get(name).into_iter().flatten();
        let by_pattern = readings(name).flat_map(|(prefix, tail)| {
            let entries = self.patterns.get(prefix).into_iter().flatten();
            entries.filter(move |(own, _)| *own == tail).map(|(_, entry)| entry)
        });
        exact.chain(by_pattern)
    }
}

impl ModelPrices {
    /// The prices at an instant.
    pub(crate) fn at(&self, at: Timestamp) -> Option<&PricePeriod> {
        self.periods.iter().find(|period| period.from <= at && at < period.until)
    }
}

impl PricePeriod {
    /// The row whose circumstances, with those of the factors, are exactly the call's.
    ///
    /// # Errors
    /// The first circumstance nothing accounts for: the price under it is not known.
    pub(crate) fn select(
        &self,
        circumstances: &Circumstances,
    ) -> Result<SelectedRow<'_>, (String, String)> {
        let mut uncovered = None;
        let mut matching: Vec<&PriceRow> =
            self.rows.iter().filter(|row| row.select.matches(circumstances)).collect();
        matching.sort_by_key(|row| std::cmp::Reverse(row.select.len()));
        for row in matching {
            let multipliers: Vec<&Multiplier> = self
                .multipliers
                .iter()
                .filter(|multiplier| {
                    multiplier.select.matches(circumstances)
                        && !multiplier.select.iter().any(|(key, _)| row.select.names(key))
                })
                .collect();
            match circumstances.uncovered(&row.select, &multipliers) {
                None => return Ok(SelectedRow { row, multipliers }),
                Some((key, value)) => {
                    uncovered = uncovered.or(Some((key.to_owned(), value.to_owned())));
                }
            }
        }
        Err(uncovered.unwrap_or_default())
    }
}

impl PriceRow {
    /// The band a prompt of so many tokens falls in.
    pub fn band(&self, context_tokens: u64) -> Option<&PriceBand> {
        self.bands.iter().rev().find(|band| band.from_tokens <= context_tokens)
    }
}

impl PriceBand {
    /// The price of a meter and the meter it is priced as: itself, or what includes it.
    pub(crate) fn price(&self, meter: Meter) -> Option<(Meter, &Price)> {
        let own = |meter: Meter| {
            self.prices.iter().find(|(priced, _)| *priced == meter).map(|(_, price)| (meter, price))
        };
        own(meter).or_else(|| {
            let parent = self.included.iter().find(|(child, _)| *child == meter)?.1;
            own(parent)
        })
    }
}

impl<'t> SelectedRow<'t> {
    /// The factors that apply to a meter.
    pub(crate) fn over(&self, meter: Meter) -> Vec<&'t Multiplier> {
        self.multipliers
            .iter()
            .filter(|multiplier| multiplier.over.contains(&meter))
            .copied()
            .collect()
    }
}

impl CandidateRate<'_> {
    /// The exact price of one atom of the meter in the provider's currency; `None` where it has no
    /// end (a price per minute for a thousandth of a second).
    pub fn per_atom(&self) -> Option<Decimal> {
        self.price.per_atom(&self.factors())
    }

    fn factors(&self) -> Vec<&Factor> {
        self.multipliers.iter().map(|multiplier| &multiplier.factor).collect()
    }
}
