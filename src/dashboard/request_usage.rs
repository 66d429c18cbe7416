//! What one attempt used: reported, counted beside it, and the provider's own words.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::dashboard::beside::{Beside, beside};
use crate::dashboard::format;
use crate::meter::{Meter, Quantities};
use crate::store::request::{AttemptRecord, CountRecord};

/// The flag of an answer whose usage settled another call.
const ELSEWHERE: &str = "usage_elsewhere";

/// What was used: as reported, as counted, as the provider said it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UsageView {
    pub(crate) source: Option<String>,
    pub(crate) reported: BTreeMap<String, Value>,
    pub(crate) counted: Option<CountView>,
    /// Why there is no count, where none is to come.
    pub(crate) not_counted: Option<&'static str>,
    pub(crate) raw: Option<Box<RawValue>>,
    pub(crate) flags: Vec<String>,
    pub(crate) reported_cost: Option<String>,
    #[serde(skip)]
    pub(crate) raw_text: String,
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
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) side: &'static str,
    #[serde(rename = "reported")]
    reported_tokens: Option<u64>,
    #[serde(rename = "counted")]
    counted_tokens: Option<u64>,
    #[serde(flatten)]
    pub(crate) beside: Beside,
    #[serde(skip)]
    pub(crate) reported: String,
    #[serde(skip)]
    pub(crate) counted: String,
}

pub(crate) fn usage_view(record: &AttemptRecord) -> UsageView {
    let settlement = record.settlements.last();
    let raw_text = settlement.and_then(|end| end.usage_raw.clone());
    let quantities = record.line.settled.as_ref().map(|end| end.quantities.clone());
    let quantities = quantities.unwrap_or_default();
    let served = record.line.settled.as_ref().and_then(|end| end.model_served.as_deref());
    let model = served.or(record.line.model_requested.as_deref()).unwrap_or_default();
    let compared = |count| comparison(model, &quantities, count);
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
        not_counted: not_counted(record),
        raw: raw_text.as_deref().and_then(verbatim),
        raw_text: raw_text.unwrap_or_default(),
        flags: settlement.map(|end| end.usage_flags.clone()).unwrap_or_default(),
        reported_cost: settlement.and_then(|end| end.reported_cost.clone()),
        comparison: record.count.as_ref().map(compared).unwrap_or_default(),
    }
}

fn not_counted(record: &AttemptRecord) -> Option<&'static str> {
    let metered = record.line.settled.as_ref().is_some_and(|it| it.usage_source != "not_metered");
    (record.interrupted && metered)
        .then_some("not counted: the gateway was ended before it came to this call")
}

impl UsageView {
    /// Whether the usage in the answer stands at the call that ordered it.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.flags.iter().any(|flag| flag == ELSEWHERE)
    }

    /// What was noticed on reading that somebody may have to look into.
    pub(crate) fn noticed(&self) -> Vec<String> {
        let noticed = self.flags.iter().filter(|flag| *flag != ELSEWHERE);
        noticed.map(|flag| flag.replace('_', " ")).collect()
    }
}

/// The stored text as JSON, digit by digit; what is no JSON becomes a string.
pub(crate) fn verbatim(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(text.to_owned()).or_else(|_| serde_json::value::to_raw_value(text)).ok()
}

/// Counted beside reported. Reasoning is never seen, so it is never counted.
fn comparison(model: &str, reported: &Quantities, count: &CountRecord) -> Vec<Comparison> {
    let input = (!reported.is_empty()).then(|| reported.input_tokens());
    let output = (!reported.is_empty())
        .then(|| reported.output_tokens() - reported.get(Meter::OutputReasoning).unwrap_or(0));
    [("Input", input, count.input), ("Output, visible", output, count.output)]
        .into_iter()
        .map(|(side, reported, counted)| Comparison {
            side,
            reported: reported.map_or_else(|| "unknown".to_owned(), format::count),
            counted: counted.map_or_else(|| "not counted".to_owned(), format::count),
            beside: beside(model, reported, counted),
            reported_tokens: reported,
            counted_tokens: counted,
        })
        .collect()
}
