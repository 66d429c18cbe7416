//! Price files read into a table, or refused with the file, the model and the row.

use std::collections::HashMap;

use crate::money::Currency;
use crate::period::Timestamp;
use crate::pricing::name_match::SnapshotPattern;
use crate::pricing::problem::{Place, PriceError, PriceProblem};
use crate::pricing::rows::{read_period, read_span};
use crate::pricing::schema::{ModelEntry, PriceFile, SCHEMA};
use crate::pricing::select::Selectors;
use crate::pricing::table::{
    ModelPrices, NameEntry, NameMatch, PricePeriod, PriceTable, ProviderPrices,
};
use crate::pricing::version::{canonical_file, identity_of_text};

/// The price files this version was built with.
pub(crate) const BUILTIN: [(&str, &str); 2] = [
    ("pricing/openai.toml", include_str!("../../pricing/openai.toml")),
    ("pricing/anthropic.toml", include_str!("../../pricing/anthropic.toml")),
];

impl PriceTable {
    /// The prices this version was built with.
    ///
    /// # Errors
    /// `PriceError`; a test holds that there is none.
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
    /// `PriceError` with file, model and row.
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
    /// `PriceError` with file, model and row; the table itself is untouched.
    pub fn with_overlay(&self, name: &str, text: &str) -> Result<Self, PriceError> {
        let layer = self.files.iter().map(|file| file.layer).max().unwrap_or(0) + 1;
        let below = |file: &PriceFile| (format!("layer {}", file.layer), file.clone());
        let mut files: Vec<(String, PriceFile)> = self.files.iter().map(below).collect();
        files.push((name.to_owned(), read_file(name, text, layer)?));
        Self::build(files)
    }

    /// The whole table as one canonical text, from which [`Self::from_canonical`] makes it again.
    pub fn canonical(&self) -> String {
        // Plain structures with text keys always serialize.
        serde_json::to_string(&self.files).unwrap_or_default()
    }

    /// The table a canonical text was taken from, less the sources.
    ///
    /// # Errors
    /// `PriceError` if the text is not one this version wrote.
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
            let place = Place::of(&name);
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
}

fn read_file(name: &str, text: &str, layer: u32) -> Result<PriceFile, PriceError> {
    let place = Place::of(name);
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
