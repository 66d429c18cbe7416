//! The prices a bill is tried against: every row that could have priced one of its lines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::meter::Meter;
use crate::names::{ModelName, ProviderName};
use crate::period::Timestamp;
use crate::pricing::table::{CandidateRate as TableRate, PriceTable};
use crate::reconcile::aliases::{NameMap, model_id};
use crate::reconcile::facts::{AttemptFact, CandidateRate, ImportFact};
use crate::usage::Conditions;

/// Every price that any model of either side has or had, under the name that side uses.
pub(crate) fn rates(
    prices: &PriceTable,
    provider: &ProviderName,
    attempts: &[AttemptFact],
    imports: &[ImportFact],
) -> Vec<CandidateRate> {
    let ours: BTreeSet<String> = attempts
        .iter()
        .flat_map(|attempt| attempt.metered.iter().map(|part| part.model.as_str().to_owned()))
        .collect();
    let lines = imports.iter().flat_map(|import| import.lines.iter().map(|line| &line.model));
    let usage = imports.iter().flat_map(|import| import.usage.iter().map(|row| &row.model));
    let billed: BTreeSet<String> = lines.chain(usage).flatten().cloned().collect();
    let names = NameMap::new(&ours, &billed, &BTreeMap::new());
    let billed_ids = billed.iter().map(|spelling| model_id(spelling));
    let mut rates = Vec::new();
    let mut seen = BTreeSet::new();
    for name in ours.iter().cloned().chain(billed_ids) {
        for meter in Meter::ALL {
            for candidate in prices.candidate_rates(provider, &name, *meter) {
                let common = names.common(&name).to_owned();
                if seen.insert((common, *meter, candidate.rate_id.clone())) {
                    rates.extend(candidate_rates(&name, *meter, &candidate));
                }
            }
        }
    }
    rates
}

/// One candidate for every combination of circumstances the row answers to.
fn candidate_rates(name: &str, meter: Meter, rate: &TableRate<'_>) -> Vec<CandidateRate> {
    let factors: Vec<_> = rate.multipliers.iter().map(|multiplier| &multiplier.factor).collect();
    let Some(unit_price) = rate.price.per_atom(&factors) else { return Vec::new() };
    let mut combinations = vec![Conditions::default()];
    let selects = rate.multipliers.iter().flat_map(|multiplier| multiplier.select.iter());
    for (key, words) in rate.select.iter().chain(selects) {
        let with = |conditions: &Conditions, word: &String| {
            let mut conditions = conditions.clone();
            conditions.set(key, word.as_str());
            conditions
        };
        combinations = combinations
            .iter()
            .flat_map(|conditions| words.iter().map(move |word| with(conditions, word)))
            .collect();
    }
    let source = rate.period.source.as_ref();
    let open = rate.period.until >= Timestamp::from_micros(i64::MAX);
    combinations
        .into_iter()
        .map(|conditions| CandidateRate {
            rate_id: Arc::from(rate.rate_id.as_str()),
            model: ModelName::new(name),
            meter,
            from: rate.period.from,
            until: (!open).then_some(rate.period.until),
            conditions,
            context_over: rate.from_tokens.checked_sub(1),
            unit_price,
            source_url: source.map(|source| source.url.clone()).unwrap_or_default(),
            read_on: source.map(|source| source.read_on.clone()).unwrap_or_default(),
        })
        .collect()
}
