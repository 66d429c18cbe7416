//! What one attempt used: reported, counted beside it, and the provider's own words.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::dashboard::format;
use crate::meter::{Meter, Quantities};
use crate::store::requests::{AttemptRecord, CountRecord};

/// What was used: as reported, as counted, as the provider said it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UsageView {
    pub(crate) source: Option<String>,
    pub(crate) reported: BTreeMap<String, Value>,
    pub(crate) counted: Option<CountView>,
    pub(crate) raw: Option<Box<RawValue>>,
    pub(crate) flags: Vec<String>,
    pub(crate) reported_cost: Option<String>,
    #[serde(skip)]
    pub(crate) raw_text: String,
    #[serde(skip)]
    pub(crate) comparison: Vec<Comparison>,
}

/// Our own count.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CountView {
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) method: String,
    pub(crate) encoding: String,
    pub(crate) basis: String,
    pub(crate) estimated_parts: Vec<String>,
}

/// Counted beside reported, one side of the call.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    pub(crate) side: &'static str,
    pub(crate) reported: String,
    pub(crate) counted: String,
    pub(crate) ratio: String,
}

pub(crate) fn usage_view(record: &AttemptRecord) -> UsageView {
    let settlement = record.settlements.last();
    let raw_text = settlement.and_then(|end| end.usage_raw.clone());
    let quantities = record.line.settled.as_ref().map(|end| end.quantities.clone());
    let quantities = quantities.unwrap_or_default();
    let printed = |(meter, atoms): (Meter, u64)| {
        let value = if meter.atoms_per_unit() == 1 {
            Value::from(atoms)
        } else {
            Value::from(meter.print(atoms))
        };
        (meter.to_string(), value)
    };
    UsageView {
        source: record.line.settled.as_ref().map(|end| end.usage_source.clone()),
        reported: quantities.iter().map(printed).collect(),
        counted: record.count.as_ref().map(|count| CountView {
            input: count.input,
            output: count.output,
            method: count.method.clone(),
            encoding: count.encoding.clone(),
            basis: count.basis.clone(),
            estimated_parts: count.estimated_parts.clone(),
        }),
        raw: raw_text.as_deref().and_then(verbatim),
        raw_text: raw_text.unwrap_or_default(),
        flags: settlement.map(|end| end.usage_flags.clone()).unwrap_or_default(),
        reported_cost: settlement.and_then(|end| end.reported_cost.clone()),
        comparison: record.count.as_ref().map(|c| comparison(&quantities, c)).unwrap_or_default(),
    }
}

/// The stored text as JSON, digit by digit; what is no JSON becomes a string.
pub(crate) fn verbatim(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(text.to_owned()).or_else(|_| serde_json::value::to_raw_value(text)).ok()
}

/// Counted beside reported. Reasoning is never seen, so it is never counted.
pub(crate) fn comparison(reported: &Quantities, count: &CountRecord) -> Vec<Comparison> {
    let input = (!reported.is_empty()).then(|| reported.input_tokens());
    let output = (!reported.is_empty())
        .then(|| reported.output_tokens() - reported.get(Meter::OutputReasoning).unwrap_or(0));
    [("Input", input, count.input), ("Output, visible", output, count.output)]
        .into_iter()
        .map(|(side, reported, counted)| Comparison {
            side,
            reported: reported.map_or_else(|| "unknown".to_owned(), format::count),
            counted: counted.map_or_else(|| "not counted".to_owned(), format::count),
            ratio: match (reported, counted) {
                (Some(reported), Some(counted @ 1..)) => ratio(reported, counted),
                _ => "–".to_owned(),
            },
        })
        .collect()
}

/// `1.31 ×`, rounded half to even.
pub(crate) fn ratio(reported: u64, counted: u64) -> String {
    let hundredths =
        format::divide_half_even(u128::from(reported) * 100, u128::from(counted).max(1));
    format!("{}.{:02} ×", hundredths / 100, hundredths % 100)
}
