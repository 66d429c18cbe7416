//! `counterfoil rate`: what does this response cost, and why; one JSON line in, one out.

use std::borrow::Cow;
use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::meter::{Meter, Quantities};
use crate::metering::reported::counts::{unit_meter, whole};
use crate::metering::reported::split_reply;
use crate::money::{Amount, Currency};
use crate::names::{Endpoint, ModelName, ProviderName};
use crate::period::Timestamp;
use crate::pricing::charge::{Charge, Unpriced, UnpricedReason, Valuation, ValuationStatus};
use crate::pricing::rate::rate as rate_usage;
use crate::pricing::table::PriceTable;
use crate::usage::{Conditions, ReportedUsage, UsageFlag, UsageSource};

/// The longest line read; a longer one is answered with an error and skipped.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// What some editors begin a UTF-8 file with.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Why a line has no price.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("line {0} is longer than 64 MiB")]
    TooLong(u64),
    #[error("line {line} is not the JSON object expected: {problem}")]
    NotJson { line: u64, problem: serde_json::Error },
    #[error("line {line}: {problem}")]
    Field { line: u64, problem: String },
}

#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    provider: Cow<'l, str>,
    #[serde(borrow)]
    endpoint: Cow<'l, str>,
    #[serde(default, borrow)]
    model: Option<Cow<'l, str>>,
    #[serde(borrow)]
    at: Cow<'l, str>,
    #[serde(default)]
    request: Option<Value>,
    #[serde(default)]
    context: Option<Map<String, Value>>,
    #[serde(default)]
    units: Option<Map<String, Value>>,
    response: Value,
}

/// A rated line, as it is printed.
#[derive(Debug, Serialize)]
struct Rated {
    model: Option<ModelName>,
    status: &'static str,
    meters: Map<String, Value>,
    charges: Vec<RatedCharge>,
    total: Option<Amount>,
    currency: Currency,
    price_version: String,
    unpriced: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<UsageFlag>,
}

#[derive(Debug, Serialize)]
struct RatedCharge {
    model: ModelName,
    meter: Meter,
    quantity: Value,
    /// With the factors applied, so that quantity × unit_price ÷ per is the amount.
    unit_price: String,
    per: u64,
    amount: Amount,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rounded: bool,
    rate_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    list_price: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    factors: Vec<String>,
}

/// Rates every line of the input, in order, one line of output each.
///
/// # Errors
/// Only where reading or writing itself fails; a line that cannot be rated is answered with
/// `{"error": ...}` and the rest goes on.
pub fn rate(mut input: impl BufRead, mut output: impl Write, table: &PriceTable) -> io::Result<()> {
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let read = input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            break;
        }
        if number == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        let rated = if bytes.ends_with(b"\n") || (read as u64) < LONGEST_LINE {
            rate_line(&bytes, number, table)
        } else {
            input.skip_until(b'\n')?;
            Err(LineError::TooLong(number))
        };
        match rated {
            Ok(rated) => serde_json::to_writer(&mut output, &rated)?,
            Err(error) => {
                let answer = serde_json::json!({ "error": error.to_string() });
                serde_json::to_writer(&mut output, &answer)?;
            }
        }
        output.write_all(b"\n")?;
    }
    output.flush()
}

fn rate_line(bytes: &[u8], number: u64, table: &PriceTable) -> Result<Rated, LineError> {
    let line: Line<'_> = serde_json::from_slice(bytes)
        .map_err(|problem| LineError::NotJson { line: number, problem })?;
    let field = |problem: String| LineError::Field { line: number, problem };
    let endpoint: Endpoint =
        line.endpoint.parse().map_err(|unknown| field(format!("endpoint: {unknown}")))?;
    let at: Timestamp = line.at.parse().map_err(|wrong| field(format!("at: {wrong}")))?;
    if !line.response.is_object() {
        return Err(field("response: the provider's JSON body is an object".to_owned()));
    }
    let provider = ProviderName::from(line.provider.as_ref());
    if table.provider(&provider).is_none() {
        let known: Vec<&str> = table.providers().map(|(name, _)| name).collect();
        return Err(field(format!(
            "provider: no prices of {provider:?}; known are {}",
            known.join(", ")
        )));
    }
    let mut unknown_units = Vec::new();
    let context = read_context(line.context.as_ref(), line.units.as_ref(), &mut unknown_units)
        .map_err(field)?;
    let request = with_model(line.request, line.model.as_deref());
    let usage = split_reply(&provider, endpoint, request.as_ref(), &context, &line.response);
    let named = usage.parts.first().and_then(|part| part.model.clone());
    let asked = request.as_ref().and_then(|request| request.get("model")?.as_str());
    let answered = line.response.get("model").and_then(Value::as_str);
    let model = named.or_else(|| answered.or(asked).map(ModelName::from));
    let unnamed = ModelName::from("");
    let valuation = rate_usage(table, &provider, model.as_ref().unwrap_or(&unnamed), at, &usage);
    let mut rated = printed(model, &usage, valuation);
    if !unknown_units.is_empty() {
        rated.status = if rated.status == "priced" { "partially_priced" } else { rated.status };
        rated.unpriced.append(&mut unknown_units);
    }
    Ok(rated)
}

/// The request as far as it is known: a model given beside it stands in for the one it would name.
fn with_model(request: Option<Value>, model: Option<&str>) -> Option<Value> {
    match (request, model) {
        (Some(Value::Object(mut request)), Some(model)) => {
            request.insert("model".to_owned(), model.into());
            Some(Value::Object(request))
        }
        (None, Some(model)) => Some(serde_json::json!({ "model": model })),
        (request, _) => request,
    }
}

fn read_context(
    context: Option<&Map<String, Value>>,
    units: Option<&Map<String, Value>>,
    unknown: &mut Vec<Value>,
) -> Result<Conditions, String> {
    let mut conditions = Conditions::default();
    for (key, value) in context.into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::Object(inner) if key == "units" => add_units(inner, &mut conditions, unknown)?,
            Value::String(word) => conditions.set(key.as_str(), word.as_str()),
            Value::Bool(_) | Value::Number(_) => conditions.set(key.as_str(), value.to_string()),
            Value::Array(_) | Value::Object(_) => {
                return Err(format!("context.{key}: a word is expected"));
            }
        }
    }
    if let Some(units) = units {
        add_units(units, &mut conditions, unknown)?;
    }
    Ok(conditions)
}

/// Takes the units; those of no meter are left, by name, as what has no price.
fn add_units(
    units: &Map<String, Value>,
    conditions: &mut Conditions,
    unknown: &mut Vec<Value>,
) -> Result<(), String> {
    for (name, count) in units.iter().filter(|(_, count)| !count.is_null()) {
        match whole(count) {
            Some(0) => {}
            Some(quantity) if unit_meter(name).is_none() => unknown.push(serde_json::json!({
                "meter": name,
                "quantity": quantity,
                "reason": "unit",
                "because": "no meter of this version counts this unit",
            })),
            Some(quantity) => conditions.set(format!("units.{name}"), quantity.to_string()),
            None => return Err(format!("units.{name}: a whole number is expected")),
        }
    }
    Ok(())
}

fn printed(model: Option<ModelName>, usage: &ReportedUsage, valuation: Valuation) -> Rated {
    let mut unpriced: Vec<Value> = valuation.unpriced.iter().map(printed_unpriced).collect();
    if usage.flags.contains(&UsageFlag::MalformedCount) {
        unpriced.push(serde_json::json!({
            "reason": "malformed_count",
            "because": "the usage holds a count that is no whole number; it is in no meter",
        }));
    }
    let status = match valuation.status {
        ValuationStatus::Priced | ValuationStatus::NotMetered => "priced",
        ValuationStatus::PartiallyPriced => "partially_priced",
        ValuationStatus::Unpriced => "unpriced",
        ValuationStatus::NoUsage => {
            unpriced.push(serde_json::json!({
                "reason": "no_usage",
                "because": no_usage(usage.source),
            }));
            "unpriced"
        }
    };
    Rated {
        model,
        status,
        meters: meters(&usage.quantities()),
        charges: valuation.charges.into_iter().map(printed_charge).collect(),
        total: valuation.total,
        currency: valuation.currency,
        price_version: valuation.price_version,
        unpriced,
        flags: usage.flags.clone(),
    }
}

fn printed_charge(charge: Charge) -> RatedCharge {
    let effective = charge.effective_unit_price();
    let listed = effective.is_some() && !charge.factors.is_empty();
    RatedCharge {
        quantity: quantity(charge.meter, charge.quantity),
        list_price: listed.then(|| charge.unit_price.clone()),
        unit_price: effective.unwrap_or(charge.unit_price),
        model: charge.model,
        meter: charge.meter,
        per: charge.per,
        amount: charge.amount,
        rounded: charge.rounded,
        rate_id: charge.rate_id,
        factors: charge.factors,
    }
}

fn printed_unpriced(entry: &Unpriced) -> Value {
    let (reason, because) = match &entry.reason {
        UnpricedReason::Model => ("model", "no price file names this model".to_owned()),
        UnpricedReason::Period => ("period", "no price is known for that instant".to_owned()),
        UnpricedReason::Selector { key, value } => {
            ("selector", format!("the price under {key}={value} is not known"))
        }
        UnpricedReason::Meter => {
            ("meter", "the model has no published price for this meter".to_owned())
        }
        UnpricedReason::OutOfRange => {
            ("out_of_range", "the amount is beyond what one charge can hold".to_owned())
        }
    };
    serde_json::json!({
        "model": entry.model,
        "meter": entry.meter,
        "quantity": quantity(entry.meter, entry.quantity),
        "reason": reason,
        "because": because,
    })
}

fn meters(quantities: &Quantities) -> Map<String, Value> {
    let shown = |(meter, atoms): (Meter, u64)| (meter.to_string(), quantity(meter, atoms));
    quantities.iter().map(shown).collect()
}

/// A whole number as a number, thousandths of a second as decimal text.
fn quantity(meter: Meter, atoms: u64) -> Value {
    let per = meter.atoms_per_unit();
    if atoms.is_multiple_of(per) { (atoms / per).into() } else { meter.print(atoms).into() }
}

const fn no_usage(source: UsageSource) -> &'static str {
    match source {
        UsageSource::Awaiting => "the provider will report the usage later",
        _ => "the response reports no usage",
    }
}
