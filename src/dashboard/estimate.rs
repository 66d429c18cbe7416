//! What an attempt would cost by our own count, where the provider's report is missing or broke off.
//!
//! It is shown beside the attempt and marked as what it is: it enters no sum, no valuation and no
//! bridge.

use crate::dashboard::format::Money;
use crate::meter::{Meter, Quantities};
use crate::names::{ModelName, ProviderName};
use crate::pricing::charge::ValuationStatus;
use crate::pricing::rate::rate;
use crate::pricing::table::PriceTable;
use crate::store::request::{AttemptRecord, CountRecord};
use crate::usage::{ModelUsage, ReportedUsage, UsageSource};

/// The estimate at list prices of the attempt's start; `None` where usage was reported whole, nothing
/// was counted, nothing is billed, or the count has no price.
pub(crate) fn estimate(prices: &PriceTable, record: &AttemptRecord) -> Option<Money> {
    let end = record.line.settled.as_ref()?;
    let is_open = matches!(end.usage_source.as_str(), "absent" | "partial");
    if !is_open || end.billing_class == "not_billed" {
        return None;
    }
    let quantities = counted(&end.quantities, record.count.as_ref()?)?;
    let model = end.model_served.as_deref().or(record.line.model_requested.as_deref())?;
    let context_tokens = quantities.input_tokens();
    let mut usage = ReportedUsage::none(UsageSource::Counted);
    usage.parts.push(ModelUsage { model: None, quantities, context_tokens });
    for (key, value) in record.settlements.last()?.conditions.as_object()? {
        usage.conditions.set(key, value.as_str()?);
    }
    let provider = ProviderName::new(record.line.provider.as_str());
    let rated = rate(prices, &provider, &ModelName::from(model), record.line.started_at, &usage);
    let whole = rated.status == ValuationStatus::Priced;
    whole.then_some(rated.total).flatten().map(|total| Money::new(total, rated.currency))
}

/// What was reported of the input, and our count of what the report does not say. The report of an
/// answer that broke off tells the output so far at most, and often of its first token only.
fn counted(reported: &Quantities, count: &CountRecord) -> Option<Quantities> {
    let mut told: Quantities = reported.iter().filter(|(meter, _)| !meter.is_output()).collect();
    if !told.iter().any(|(meter, _)| meter.is_input()) {
        told.add(Meter::Input, count.input?);
    }
    let visible = count.output.unwrap_or(0).max(reported.output_tokens());
    told.add(Meter::Output, visible);
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::Timestamp;

    fn count(input: Option<u64>, output: Option<u64>) -> CountRecord {
        CountRecord {
            counted_at: Timestamp::from_micros(0),
            input,
            output,
            method: "exact".to_owned(),
            encoding: "o200k_base".to_owned(),
            basis: "model_map".to_owned(),
            estimated_parts: Vec::new(),
        }
    }

    #[test]
    fn reported_input_stands_and_the_output_that_passed_is_counted() {
        let reported = [(Meter::Input, 40), (Meter::InputCacheRead, 2_000), (Meter::Output, 1)];
        let told = counted(&reported.into_iter().collect(), &count(Some(1_900), Some(77)));
        let expected = [(Meter::Input, 40), (Meter::InputCacheRead, 2_000), (Meter::Output, 77)];
        assert_eq!(told, Some(expected.into_iter().collect()));
    }

    #[test]
    fn without_a_report_both_sides_are_counted_and_half_a_count_is_none() {
        let told = counted(&Quantities::new(), &count(Some(9), Some(3)));
        assert_eq!(told, Some([(Meter::Input, 9), (Meter::Output, 3)].into_iter().collect()));
        assert_eq!(counted(&Quantities::new(), &count(None, Some(3))), None);
    }
}
