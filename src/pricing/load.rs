//! Price files read into a table, or refused with the file, the model and the row.

use std::collections::{BTreeMap, HashMap};

use crate::meter::{Meter, MeterUnit};
use crate::money::Currency;
use crate::period::Timestamp;
use crate::pricing::name_match::SnapshotPattern;
use crate::pricing::price::{Factor, Price, PriceTextError};
use crate::pricing::schema::{
    ContextEntry, FeeEntry, ModelEntry, MultiplyEntry, PriceEntry, PriceFile, SCHEMA, TierEntry,
    Values,
};
use crate::pricing::select::{Multiplier, Selection, Selectors};
use crate::pricing::table::{
    ModelPrices, NameEntry, NameMatch, PriceBand, PricePeriod, PriceRow, PriceTable, ProviderPrices,
};
use crate::pricing::version::{
    CanonicalRow, canonical_file, canonical_price, identity, identity_of_text,
};

/// The price files this version was built with.
pub const BUILTIN: [(&str, &str); 2] = [
    ("pricing/openai.toml", include_str!("../../pricing/openai.toml")),
    ("pricing/anthropic.toml", include_str!("../../pricing/anthropic.toml")),
];

/// A price file that cannot be used, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{place}: {problem}")]
pub struct PriceError {
    /// The file as it was named.
    pub file: String,
    /// Model and row, as far as known: ` · gpt-5 · from 2026-01-01T00:00:00Z`.
    pub place: String,
    /// What is wrong.
    pub problem: PriceProblem,
}

/// What can be wrong with a price file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum PriceProblem {
    #[error("not a price file: {0}")]
    Form(String),
    #[error("schema {0} is not the one this version reads ({SCHEMA})")]
    Schema(u32),
    #[error("{0:?} is not a three-letter currency code")]
    Currency(String),
    #[error("prices of one provider are in one currency; {0} is already in {1}")]
    SecondCurrency(String, String),
    #[error("{0:?} is not an instant like 2026-10-01T00:00:00Z")]
    Instant(String),
    #[error("the period ends before it begins")]
    EmptyPeriod,
    #[error("the period overlaps another that begins at {0}")]
    Overlap(String),
    #[error("{0:?} is not a meter; see src/meter.rs for the names")]
    Meter(String),
    #[error("{0:?} does not count tokens, so its price belongs under `fees` with its `per`")]
    NotTokens(String),
    #[error("{0:?} counts tokens, so its price belongs under `rates`")]
    Tokens(String),
    #[error("{meter}: {problem}")]
    Price { meter: String, problem: PriceTextError },
    #[error("factor: {0}")]
    Factor(PriceTextError),
    #[error("no price for {0:?}, which the standard row has; give one, or list it as `unknown`")]
    MissingMeter(String),
    #[error("{0:?} is priced and also listed as `unknown` or `included`")]
    Contradiction(String),
    #[error("{0:?} is included in {1:?}, which has no price here")]
    IncludedInNothing(String, String),
    #[error("long-context bands must rise")]
    BandsNotRising,
    #[error("{0:?} is not among the file's [selectors]")]
    Selector(String),
    #[error("{0:?} = {1:?} means nothing special, so nothing can be selected by it")]
    NeutralWord(String, String),
    #[error("an empty `select` is the standard row itself")]
    EmptySelect,
    #[error("a call could meet two rows alike: {0}")]
    Ambiguous(String),
    #[error("{0:?} begins no meter that could be multiplied")]
    Over(String),
    #[error("the name {0:?} already leads to {1:?} in the same period")]
    Name(String, String),
    #[error(
        "{0:?}: a snapshot is a name, or a name and {{date}}, {{yyyymmdd}} or {{tuned}} at its end"
    )]
    Snapshot(String),
    #[error("no source: say where the price stands and the day it was read")]
    NoSource,
    #[error("{0:?} is not a day like 2026-10-01")]
    ReadOn(String),
    #[error("no `price` at all")]
    NoPrice,
}

/// Where in a file the reading stands.
#[derive(Clone)]
struct Place<'f> {
    file: &'f str,
    trail: String,
}

impl Place<'_> {
    fn inside(&self, what: impl std::fmt::Display) -> Self {
        Self { file: self.file, trail: format!("{} · {what}", self.trail) }
    }

    fn error(&self, problem: PriceProblem) -> PriceError {
        PriceError { file: self.file.to_owned(), place: self.trail.clone(), problem }
    }
}

impl PriceTable {
    /// The prices this version was built with.
    ///
    /// # Errors
    /// [`PriceError`]; a test holds that there is none.
    pub fn builtin() -> Result<Self, PriceError> {
        let mut files = Vec::new();
        for (name, text) in BUILTIN {
            files.push((name.to_owned(), read_file(name, text, 0)?));
        }
        Self::build(files)
    }

    /// One price file of its own, or several.
    ///
    /// # Errors
    /// [`PriceError`] with file, model and row.
    pub fn from_toml<'f>(
        files: impl IntoIterator<Item = (&'f str, &'f str)>,
    ) -> Result<Self, PriceError> {
        let read = |(name, text): (&str, &str)| Ok((name.to_owned(), read_file(name, text, 0)?));
        Self::build(files.into_iter().map(read).collect::<Result<_, _>>()?)
    }

    /// This table with a file laid over it: where the file knows a model at an instant, it wins.
    /// For contract prices and for models we do not know.
    ///
    /// # Errors
    /// [`PriceError`] with file, model and row; the table itself is untouched.
    pub fn with_overlay(&self, name: &str, text: &str) -> Result<Self, PriceError> {
        let layer = self.files.iter().map(|file| file.layer).max().unwrap_or(0) + 1;
        let below = |file: &PriceFile| (format!("layer {}", file.layer), file.clone());
        let mut files: Vec<(String, PriceFile)> = self.files.iter().map(below).collect();
        files.push((name.to_owned(), read_file(name, text, layer)?));
        let mut table = Self::build(files)?;
        table.keep_sources_of(self);
        Ok(table)
    }

    /// The whole table as one canonical text, from which [`Self::from_canonical`] makes it again.
    pub fn canonical(&self) -> String {
        // Plain structures with text keys always serialize.
        serde_json::to_string(&self.files).unwrap_or_default()
    }

    /// The table a canonical text was taken from, less the sources.
    ///
    /// # Errors
    /// [`PriceError`] if the text is not one this version wrote.
    pub fn from_canonical(text: &str) -> Result<Self, PriceError> {
        let form = |error: serde_json::Error| PriceError {
            file: "canonical prices".to_owned(),
            place: String::new(),
            problem: PriceProblem::Form(error.to_string()),
        };
        let files: Vec<PriceFile> = serde_json::from_str(text).map_err(form)?;
        let named = |file: PriceFile| (format!("canonical {}", file.provider), file);
        Self::build(files.into_iter().map(named).collect())
    }

    fn build(files: Vec<(String, PriceFile)>) -> Result<Self, PriceError> {
        let mut providers: HashMap<String, ProviderPrices> = HashMap::new();
        let mut kept = Vec::new();
        for (name, file) in files {
            let place = Place { file: &name, trail: String::new() };
            add_file(&mut providers, &file, &place)?;
            kept.push(canonical_file(file));
        }
        kept.sort_by(|left, right| {
            (left.layer, &left.provider).cmp(&(right.layer, &right.provider))
        });
        let mut table = Self { providers, files: kept, version: String::new() };
        table.version = identity_of_text(&table.canonical());
        Ok(table)
    }

    fn keep_sources_of(&mut self, below: &Self) {
        for (name, prices) in &mut self.providers {
            let Some(old) = below.providers.get(name) else { continue };
            for (model, known) in prices.models.iter_mut().zip(&old.models) {
                for period in &mut model.periods {
                    let same = known.periods.iter().find(|known| known.from == period.from);
                    if period.source.is_none() && model.id == known.id {
                        period.source = same.and_then(|known| known.source.clone());
                    }
                }
            }
        }
    }
}

fn read_file(name: &str, text: &str, layer: u32) -> Result<PriceFile, PriceError> {
    let place = Place { file: name, trail: String::new() };
    let form = |error: toml::de::Error| place.error(PriceProblem::Form(error.to_string()));
    let mut file: PriceFile = toml::from_str(text).map_err(form)?;
    file.layer = layer;
    for model in &file.models {
        for price in &model.prices {
            let place = place.inside(&model.id).inside(format_args!("from {}", price.from));
            let source =
                price.source.as_ref().ok_or_else(|| place.error(PriceProblem::NoSource))?;
            if source.read_on.parse::<chrono::NaiveDate>().is_err() {
                return Err(place.error(PriceProblem::ReadOn(source.read_on.clone())));
            }
        }
    }
    Ok(file)
}

fn add_file(
    providers: &mut HashMap<String, ProviderPrices>,
    file: &PriceFile,
    place: &Place<'_>,
) -> Result<(), PriceError> {
    if file.schema != SCHEMA {
        return Err(place.error(PriceProblem::Schema(file.schema)));
    }
    let currency: Currency = file
        .currency
        .parse()
        .map_err(|_| place.error(PriceProblem::Currency(file.currency.clone())))?;
    let prices = providers.entry(file.provider.clone()).or_insert_with(|| ProviderPrices {
        currency,
        selectors: Selectors::default(),
        models: Vec::new(),
        names: HashMap::new(),
        patterns: HashMap::new(),
    });
    if prices.currency != currency {
        let (provider, known) = (file.provider.clone(), prices.currency.to_string());
        return Err(place.error(PriceProblem::SecondCurrency(provider, known)));
    }
    prices.selectors.extend(&file.selectors);
    for entry in &file.models {
        let place = place.inside(&entry.id);
        let model = read_model(file, entry, &prices.selectors, &place)?;
        prices.models.push(model);
        add_names(prices, entry, &place)?;
    }
    Ok(())
}

fn add_names(
    prices: &mut ProviderPrices,
    entry: &ModelEntry,
    place: &Place<'_>,
) -> Result<(), PriceError> {
    let model = prices.models.len().saturating_sub(1);
    let always = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
    let mut names = vec![(entry.id.clone(), always, NameMatch::Id)];
    for snapshot in &entry.snapshots {
        let pattern = SnapshotPattern::read(snapshot)
            .map_err(|text| place.error(PriceProblem::Snapshot(text)))?;
        let Some(pattern) = pattern else {
            names.push((snapshot.clone(), always, NameMatch::Snapshot));
            continue;
        };
        let known = prices.patterns.entry(pattern.prefix).or_default();
        let same = known.iter().find(|(tail, other)| {
            *tail == pattern.tail && same_layer(&prices.models, other.model, model)
        });
        if let Some((_, other)) = same {
            let other = prices.models.get(other.model).map_or("", |other| other.id.as_str());
            return Err(place.error(PriceProblem::Name(snapshot.clone(), other.to_owned())));
        }
        let (from, until) = always;
        let kind = NameMatch::Pattern;
        known.push((pattern.tail, NameEntry { model, from, until, kind }));
    }
    for alias in &entry.aliases {
        let span = read_span(&alias.from, alias.until.as_deref(), &place.inside(&alias.name))?;
        names.push((alias.name.clone(), span, NameMatch::Alias));
    }
    for (name, (from, until), kind) in names {
        let known = prices.names.entry(name.clone()).or_default();
        let taken = known.iter().find(|other| {
            same_layer(&prices.models, other.model, model)
                && other.from < until
                && from < other.until
        });
        if let Some(other) = taken {
            let other = prices.models.get(other.model).map_or("", |other| other.id.as_str());
            return Err(place.error(PriceProblem::Name(name, other.to_owned())));
        }
        known.push(NameEntry { model, from, until, kind });
    }
    Ok(())
}

fn same_layer(models: &[ModelPrices], left: usize, right: usize) -> bool {
    let layer = |index: usize| models.get(index).map(|model| model.layer);
    layer(left) == layer(right)
}

fn read_span(
    from: &str,
    until: Option<&str>,
    place: &Place<'_>,
) -> Result<(Timestamp, Timestamp), PriceError> {
    let instant = |text: &str| {
        text.parse::<Timestamp>().map_err(|_| place.error(PriceProblem::Instant(text.to_owned())))
    };
    let from = instant(from)?;
    let until = until.map_or(Ok(Timestamp::from_micros(i64::MAX)), instant)?;
    if from >= until {
        return Err(place.error(PriceProblem::EmptyPeriod));
    }
    Ok((from, until))
}

fn read_model(
    file: &PriceFile,
    entry: &ModelEntry,
    selectors: &Selectors,
    place: &Place<'_>,
) -> Result<ModelPrices, PriceError> {
    let mut periods: Vec<PricePeriod> = Vec::new();
    for price in &entry.prices {
        let place = place.inside(format_args!("from {}", price.from));
        let period = read_period(file, entry, price, selectors, &place)?;
        let overlaps =
            |other: &&PricePeriod| other.from < period.until && period.from < other.until;
        if let Some(other) = periods.iter().find(overlaps) {
            return Err(place.error(PriceProblem::Overlap(other.from.to_string())));
        }
        periods.push(period);
    }
    if periods.is_empty() {
        return Err(place.error(PriceProblem::NoPrice));
    }
    periods.sort_by_key(|period| period.from);
    Ok(ModelPrices { id: entry.id.clone(), layer: file.layer, periods })
}

fn read_period(
    file: &PriceFile,
    model: &ModelEntry,
    entry: &PriceEntry,
    selectors: &Selectors,
    place: &Place<'_>,
) -> Result<PricePeriod, PriceError> {
    let (from, until) = read_span(&entry.from, entry.until.as_deref(), place)?;
    let nothing = BTreeMap::new();
    let base = RowForm {
        select: &nothing,
        rates: &entry.rates,
        fees: entry.fees.clone(),
        included: entry.included.clone(),
        unknown: &entry.unknown,
        tiers: &entry.tiers,
        must_price: None,
    };
    let identified = Identified { file, model, entry };
    let mut rows = vec![read_row(&identified, &base, selectors, place)?];
    for when in &entry.whens {
        let place = place.inside(format_args!("when {}", spelled(&when.select)));
        if when.select.is_empty() {
            return Err(place.error(PriceProblem::EmptySelect));
        }
        let merged = |own: &BTreeMap<String, String>| {
            let mut all = entry.included.clone();
            all.extend(own.clone());
            // What this row prices by itself or does not know is not included in anything.
            all.retain(|child, _| !when.rates.contains_key(child) && !when.unknown.contains(child));
            all
        };
        let mut fees = entry.fees.clone();
        fees.extend(when.fees.clone());
        let form = RowForm {
            select: &when.select,
            rates: &when.rates,
            fees,
            included: merged(&when.included),
            unknown: &when.unknown,
            tiers: &when.tiers,
            must_price: Some(&entry.rates),
        };
        let row = read_row(&identified, &form, selectors, &place)?;
        if rows.iter().any(|other| other.select.collides_with(&row.select)) {
            return Err(place.error(PriceProblem::Ambiguous(spelled(&when.select))));
        }
        rows.push(row);
    }
    let mut multipliers = Vec::new();
    let mut multiplies: Vec<&MultiplyEntry> = entry.multiplies.iter().collect();
    multiplies.sort_by_key(|multiply| multiply.order);
    for multiply in multiplies {
        let place = place.inside(format_args!("multiply {}", spelled(&multiply.select)));
        multipliers.push(read_multiplier(multiply, selectors, &place)?);
    }
    Ok(PricePeriod { from, until, source: entry.source.clone(), rows, multipliers })
}

/// What a row's identity is made of beside its own prices.
struct Identified<'f> {
    file: &'f PriceFile,
    model: &'f ModelEntry,
    entry: &'f PriceEntry,
}

/// A row in the file's words, the standard one or one under circumstances.
struct RowForm<'f> {
    select: &'f BTreeMap<String, Values>,
    rates: &'f BTreeMap<String, String>,
    fees: BTreeMap<String, FeeEntry>,
    included: BTreeMap<String, String>,
    unknown: &'f [String],
    tiers: &'f [TierEntry],
    must_price: Option<&'f BTreeMap<String, String>>,
}

fn read_row(
    identified: &Identified<'_>,
    form: &RowForm<'_>,
    selectors: &Selectors,
    place: &Place<'_>,
) -> Result<PriceRow, PriceError> {
    let select = read_selection(form.select, selectors, place)?;
    if let Some(standard) = form.must_price {
        complete(standard, form.rates, form.unknown, &form.included, place)?;
    }
    let mut bands = vec![read_band(identified, form, None, place)?];
    for tier in form.tiers {
        let from_tokens = first_token(tier.context);
        let place = place.inside(format_args!("tier from {from_tokens} tokens"));
        if bands.last().is_some_and(|band| band.from_tokens >= from_tokens) {
            return Err(place.error(PriceProblem::BandsNotRising));
        }
        complete(form.rates, &tier.rates, &tier.unknown, &BTreeMap::new(), &place)?;
        bands.push(read_band(identified, form, Some(tier), &place)?);
    }
    Ok(PriceRow { select, bands })
}

const fn first_token(context: ContextEntry) -> u64 {
    match context {
        ContextEntry::Over(limit) => limit.saturating_add(1),
        ContextEntry::AtLeast(limit) => limit,
    }
}

/// Refuses a row that says nothing about a meter its standard row prices.
fn complete(
    standard: &BTreeMap<String, String>,
    rates: &BTreeMap<String, String>,
    unknown: &[String],
    included: &BTreeMap<String, String>,
    place: &Place<'_>,
) -> Result<(), PriceError> {
    let said = |meter: &String| {
        rates.contains_key(meter) || unknown.contains(meter) || included.contains_key(meter)
    };
    match standard.keys().find(|meter| !said(meter)) {
        Some(missing) => Err(place.error(PriceProblem::MissingMeter(missing.clone()))),
        None => Ok(()),
    }
}

fn read_band(
    identified: &Identified<'_>,
    form: &RowForm<'_>,
    tier: Option<&TierEntry>,
    place: &Place<'_>,
) -> Result<PriceBand, PriceError> {
    let (rates, own_unknown) =
        tier.map_or((form.rates, form.unknown), |tier| (&tier.rates, tier.unknown.as_slice()));
    let mut prices = Vec::new();
    for (name, text) in rates {
        let meter = read_meter(name, place)?;
        if meter.unit() != MeterUnit::Token {
            return Err(place.error(PriceProblem::NotTokens(name.clone())));
        }
        prices.push((meter, read_price(meter, text, 1_000_000, place)?));
    }
    for (name, fee) in &form.fees {
        let meter = read_meter(name, place)?;
        if meter.unit() == MeterUnit::Token {
            return Err(place.error(PriceProblem::Tokens(name.clone())));
        }
        prices.push((meter, read_price(meter, &fee.price, fee.per, place)?));
    }
    let mut unknown = Vec::new();
    for name in own_unknown {
        unknown.push(read_meter(name, place)?);
    }
    let priced = |meter: Meter| prices.iter().any(|(own, _)| *own == meter);
    let mut included = Vec::new();
    for (child_name, parent_name) in &form.included {
        let (child, parent) = (read_meter(child_name, place)?, read_meter(parent_name, place)?);
        if priced(child) {
            return Err(place.error(PriceProblem::Contradiction(child_name.clone())));
        }
        if !priced(parent) && !unknown.contains(&parent) {
            let names = (child_name.clone(), parent_name.clone());
            return Err(place.error(PriceProblem::IncludedInNothing(names.0, names.1)));
        }
        included.push((child, parent));
    }
    if let Some(meter) = unknown.iter().find(|meter| priced(**meter)) {
        return Err(place.error(PriceProblem::Contradiction(meter.to_string())));
    }
    Ok(PriceBand {
        from_tokens: tier.map_or(0, |tier| first_token(tier.context)),
        rate_id: row_identity(identified, form, tier),
        prices,
        included,
        unknown,
    })
}

fn row_identity(
    identified: &Identified<'_>,
    form: &RowForm<'_>,
    tier: Option<&TierEntry>,
) -> String {
    // Hashed from the canonical spelling, so that a table read from its canonical text has the
    // same identities as the one read from files.
    let mut entry = PriceEntry {
        rates: tier.map_or(form.rates, |tier| &tier.rates).clone(),
        fees: form.fees.clone(),
        whens: Vec::new(),
        tiers: Vec::new(),
        multiplies: Vec::new(),
        ..identified.entry.clone()
    };
    canonical_price(&mut entry);
    let sorted = |values: &Values| {
        let mut words = values.words().to_vec();
        words.sort();
        Values::Many(words)
    };
    let select = form.select.iter().map(|(key, words)| (key.clone(), sorted(words))).collect();
    identity(&CanonicalRow {
        provider: &identified.file.provider,
        currency: &identified.file.currency,
        model: &identified.model.id,
        from: &entry.from,
        until: entry.until.as_deref(),
        select: &select,
        context: tier.map(|tier| tier.context),
        rates: &entry.rates,
        fees: &entry.fees,
        included: &form.included,
    })
}

fn read_meter(name: &str, place: &Place<'_>) -> Result<Meter, PriceError> {
    name.parse().map_err(|_| place.error(PriceProblem::Meter(name.to_owned())))
}

fn read_price(meter: Meter, text: &str, per: u64, place: &Place<'_>) -> Result<Price, PriceError> {
    Price::read(meter, text, per)
        .map_err(|problem| place.error(PriceProblem::Price { meter: meter.to_string(), problem }))
}

fn read_selection(
    select: &BTreeMap<String, Values>,
    selectors: &Selectors,
    place: &Place<'_>,
) -> Result<Selection, PriceError> {
    let mut keys = Vec::new();
    for (key, values) in select {
        if !selectors.decides(key) {
            return Err(place.error(PriceProblem::Selector(key.clone())));
        }
        let neutral = values.words().iter().find(|word| selectors.is_neutral(key, word));
        if let Some(word) = neutral {
            return Err(place.error(PriceProblem::NeutralWord(key.clone(), word.clone())));
        }
        let mut words = values.words().to_vec();
        words.sort();
        keys.push((key.clone(), words));
    }
    Ok(Selection::new(keys))
}

fn read_multiplier(
    entry: &MultiplyEntry,
    selectors: &Selectors,
    place: &Place<'_>,
) -> Result<Multiplier, PriceError> {
    if entry.select.is_empty() {
        return Err(place.error(PriceProblem::EmptySelect));
    }
    let select = read_selection(&entry.select, selectors, place)?;
    let factor = Factor::read(&entry.factor)
        .map_err(|problem| place.error(PriceProblem::Factor(problem)))?;
    let mut over = Vec::new();
    for pattern in &entry.over {
        let named: Vec<Meter> = match pattern.strip_suffix('*') {
            Some(start) => {
                let begins = |meter: &&Meter| meter.as_str().starts_with(start);
                Meter::ALL.iter().filter(begins).copied().collect()
            }
            None => vec![read_meter(pattern, place)?],
        };
        if named.is_empty() {
            return Err(place.error(PriceProblem::Over(pattern.clone())));
        }
        over.extend(named);
    }
    over.sort();
    over.dedup();
    let words: Vec<_> = select.iter().collect();
    let identity = identity(&(words, &factor.text, &over));
    Ok(Multiplier { select, factor, over, identity })
}

fn spelled(select: &BTreeMap<String, Values>) -> String {
    let pair = |(key, values): (&String, &Values)| format!("{key}={}", values.words().join("|"));
    select.iter().map(pair).collect::<Vec<_>>().join(", ")
}
