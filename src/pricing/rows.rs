//! One period of a price file: its rows, bands and factors, checked one by one.

use std::collections::BTreeMap;

use crate::meter::{Meter, MeterUnit};
use crate::period::Timestamp;
use crate::pricing::price::{Factor, Price};
use crate::pricing::problem::{Place, PriceError, PriceProblem};
use crate::pricing::schema::{
    ContextEntry, FeeEntry, ModelEntry, MultiplyEntry, PriceEntry, PriceFile, TierEntry, Values,
};
use crate::pricing::select::{Multiplier, Selection, Selectors};
use crate::pricing::table::{PriceBand, PricePeriod, PriceRow};
use crate::pricing::version::{CanonicalRow, canonical_price, identity};

/// One period of a model, checked.
///
/// # Errors
/// [`PriceError`] with the row.
pub(crate) fn read_period(
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

/// A half-open span; open ends at the end of time.
///
/// # Errors
/// [`PriceError`] for no instants, or an end that is not after the beginning.
pub(crate) fn read_span(
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
