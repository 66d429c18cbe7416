//! Rating: reported quantities at the prices of an instant, exact and without guessing.

use crate::money::{Amount, Currency};
use crate::names::{ModelName, ProviderName};
use crate::period::Timestamp;
use crate::pricing::charge::{Charge, Unpriced, UnpricedReason, Valuation, ValuationStatus};
use crate::pricing::price::Factor;
use crate::pricing::select::Multiplier;
use crate::pricing::table::{Lookup, PriceTable, ProviderPrices};
use crate::pricing::version::multiplied_rate_id;
use crate::usage::{ModelUsage, ReportedUsage, UsageFlag, UsageSource};

/// The version of the arithmetic; a change of any result raises it.
pub(crate) const ENGINE: &str = "1";

/// Prices what an attempt reported.
///
/// `model` is the attempt's own: the one that served, else the one asked for; a part of the usage
/// that names another is priced at that one. `at` is the attempt's start. The same arguments give
/// the same valuation, for ever.
pub fn rate(
    table: &PriceTable,
    provider: &ProviderName,
    model: &ModelName,
    at: Timestamp,
    usage: &ReportedUsage,
) -> Valuation {
    let prices = table.provider(provider);
    let mut rated = Rated::default();
    for part in &usage.parts {
        rate_part(prices, part.model.as_ref().unwrap_or(model), at, part, usage, &mut rated);
    }
    let status = status_of(usage, &rated);
    let Rated { charges, unpriced } = rated;
    let total = match status {
        ValuationStatus::Priced | ValuationStatus::PartiallyPriced => {
            Some(charges.iter().map(|charge| charge.amount).sum())
        }
        ValuationStatus::NotMetered => Some(Amount::ZERO),
        ValuationStatus::Unpriced | ValuationStatus::NoUsage => None,
    };
    Valuation {
        status,
        charges,
        unpriced,
        total,
        currency: prices.map_or(Currency::USD, |prices| prices.currency),
        price_version: table.version().to_owned(),
        engine: ENGINE.to_owned(),
    }
}

#[derive(Default)]
struct Rated {
    charges: Vec<Charge>,
    unpriced: Vec<Unpriced>,
}

fn status_of(usage: &ReportedUsage, rated: &Rated) -> ValuationStatus {
    // A count that could not be read is in no meter: what is left is a part, not the whole.
    let is_whole = !usage.flags.contains(&UsageFlag::MalformedCount);
    match (rated.charges.is_empty(), rated.unpriced.is_empty() && is_whole) {
        (false, true) => ValuationStatus::Priced,
        (false, false) => ValuationStatus::PartiallyPriced,
        (true, false) if rated.unpriced.is_empty() => ValuationStatus::NoUsage,
        (true, false) => ValuationStatus::Unpriced,
        (true, true) if usage.source == UsageSource::NotMetered => ValuationStatus::NotMetered,
        // Zeros that were reported cost nothing; silence is not a zero.
        (true, true) if usage.parts.iter().any(|part| !part.quantities.is_empty()) => {
            ValuationStatus::Priced
        }
        (true, true) => ValuationStatus::NoUsage,
    }
}

fn rate_part(
    prices: Option<&ProviderPrices>,
    model: &ModelName,
    at: Timestamp,
    part: &ModelUsage,
    usage: &ReportedUsage,
    rated: &mut Rated,
) {
    let quantities = || part.quantities.iter().filter(|(_, atoms)| *atoms > 0);
    let mut refuse = |reason: &UnpricedReason| {
        rated.unpriced.extend(quantities().map(|(meter, quantity)| Unpriced {
            model: model.clone(),
            meter,
            quantity,
            reason: reason.clone(),
        }));
    };
    let Some(prices) = prices else { return refuse(&UnpricedReason::Model) };
    let period = match prices.find(model.as_str(), at) {
        Lookup::Found { period, .. } => period,
        Lookup::NoPeriod(_) => return refuse(&UnpricedReason::Period),
        Lookup::NoModel => return refuse(&UnpricedReason::Model),
    };
    let selected = match period.select(&prices.selectors.special(&usage.conditions)) {
        Ok(selected) => selected,
        Err((key, value)) => return refuse(&UnpricedReason::Selector { key, value }),
    };
    let Some(band) = selected.row.band(part.context_tokens) else {
        return refuse(&UnpricedReason::Meter);
    };
    // The same factors reach most meters of a call, so their id is hashed once.
    let mut hashed: Option<(Vec<&Multiplier>, String)> = None;
    for (meter, quantity) in quantities() {
        let unpriced = |reason| Unpriced { model: model.clone(), meter, quantity, reason };
        let Some((priced_as, price)) = band.price(meter) else {
            rated.unpriced.push(unpriced(UnpricedReason::Meter));
            continue;
        };
        let multipliers = selected.over(priced_as);
        let factors: Vec<&Factor> =
            multipliers.iter().map(|multiplier| &multiplier.factor).collect();
        let Some((amount, rounded)) = price.amount(quantity, &factors) else {
            rated.unpriced.push(unpriced(UnpricedReason::OutOfRange));
            continue;
        };
        let rate_id = match &hashed {
            Some((same, id)) if same_factors(same, &multipliers) => id.clone(),
            _ => multiplied_rate_id(&band.rate_id, &multipliers),
        };
        hashed = Some((multipliers, rate_id.clone()));
        rated.charges.push(Charge {
            model: model.clone(),
            meter,
            quantity,
            rate_id,
            unit_price: price.unit_price.clone(),
            per: price.per,
            factors: factors.iter().map(|factor| factor.text.clone()).collect(),
            amount,
            rounded,
        });
    }
}

fn same_factors(left: &[&Multiplier], right: &[&Multiplier]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(one, other)| std::ptr::eq(*one, *other))
}
