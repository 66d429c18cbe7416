//! One attempt as a line of a list, wherever attempts are listed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::dashboard::format::{self, Money};
use crate::dashboard::page::{CsvCell, CsvTable, PageError};
use crate::dashboard::spend::is_error;
use crate::dashboard::state::DashboardState;
use crate::period::Timestamp;
use crate::store::accounts;
use crate::store::requests::AttemptLine;

/// One attempt of the list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AttemptRow {
    pub(crate) attempt: String,
    pub(crate) request: String,
    pub(crate) ordinal: u64,
    #[serde(serialize_with = "format::as_text")]
    pub(crate) started_at: Timestamp,
    #[serde(skip)]
    pub(crate) started: String,
    pub(crate) provider: String,
    pub(crate) endpoint: String,
    pub(crate) model_requested: Option<String>,
    pub(crate) model_served: Option<String>,
    #[serde(skip)]
    pub(crate) model: String,
    #[serde(skip)]
    pub(crate) asked_otherwise: bool,
    pub(crate) stream: bool,
    pub(crate) credential: Option<String>,
    #[serde(skip)]
    pub(crate) key: String,
    pub(crate) team: Option<String>,
    pub(crate) given_team: Option<String>,
    pub(crate) app: Option<String>,
    pub(crate) end_user: Option<String>,
    pub(crate) provider_request_id: Option<String>,
    pub(crate) outcome: String,
    #[serde(skip)]
    pub(crate) outcome_text: String,
    #[serde(skip)]
    pub(crate) bad: bool,
    pub(crate) http_status: Option<u64>,
    pub(crate) usage_source: Option<String>,
    pub(crate) input_tokens: Option<u64>,
    pub(crate) cached_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
    pub(crate) total: Option<Money>,
    pub(crate) currency: Option<String>,
    pub(crate) price_status: Option<String>,
    #[serde(skip)]
    pub(crate) why_no_total: String,
    pub(crate) billing_class: Option<String>,
    pub(crate) first_byte_us: Option<u64>,
    pub(crate) duration_us: Option<u64>,
    #[serde(skip)]
    pub(crate) took: String,
    #[serde(skip)]
    pub(crate) first_byte: String,
}

/// The last four characters of each key, by its fingerprint.
pub(crate) async fn hints(state: &DashboardState) -> Result<BTreeMap<String, String>, PageError> {
    let known = accounts::credentials(&state.books).await?.into_iter();
    Ok(known.map(|known| (known.credential, format!("…{}", known.hint))).collect())
}

/// Seconds after which an attempt without a settlement is no longer thought to be in flight.
const IN_FLIGHT_US: i64 = 600_000_000;

/// What to say of an attempt nobody settled.
pub(crate) fn unsettled(started_at: Timestamp, now: Timestamp) -> &'static str {
    if now.micros() - started_at.micros() < IN_FLIGHT_US { "in_flight" } else { "orphaned" }
}

pub(crate) fn row(
    line: &AttemptLine,
    hints: &BTreeMap<String, String>,
    now: Timestamp,
) -> AttemptRow {
    let settled = line.settled.as_ref();
    let served = settled.and_then(|settled| settled.model_served.clone());
    let asked = line.model_requested.clone();
    let outcome = settled
        .map_or_else(|| unsettled(line.started_at, now).to_owned(), |end| end.outcome.clone());
    let known = settled.filter(|end| !end.quantities.is_empty());
    let key = line.credential.as_ref().map(|credential| {
        hints.get(credential).cloned().unwrap_or_else(|| format::short(credential))
    });
    let money = settled.and_then(|end| end.total.zip(end.currency));
    AttemptRow {
        attempt: line.attempt.clone(),
        request: line.request.clone(),
        ordinal: line.ordinal,
        started_at: line.started_at,
        started: format::instant(line.started_at),
        provider: line.provider.clone(),
        endpoint: line.endpoint.clone(),
        model: served.clone().or_else(|| asked.clone()).unwrap_or_default(),
        // A dated snapshot of the model that was asked for is no other model.
        asked_otherwise: served
            .as_deref()
            .zip(asked.as_deref())
            .is_some_and(|(served, asked)| !served.starts_with(asked)),
        model_requested: asked,
        model_served: served,
        stream: line.stream,
        credential: line.credential.clone(),
        key: key.unwrap_or_default(),
        team: line.team.clone().filter(|team| !team.is_empty()),
        given_team: line.given_team.clone(),
        app: line.app.clone(),
        end_user: line.end_user.clone(),
        outcome_text: format::words(&outcome),
        bad: is_error(&outcome) && outcome != "in_flight",
        outcome,
        http_status: settled.and_then(|end| end.http_status),
        provider_request_id: settled.and_then(|end| end.provider_request_id.clone()),
        usage_source: settled.map(|end| end.usage_source.clone()),
        input_tokens: known.map(|end| end.quantities.input_tokens()),
        cached_tokens: known.map(|end| {
            let cached = end.quantities.iter();
            let read = |name: &str| name.starts_with("input.cache_read");
            cached.filter(|(meter, _)| read(meter.as_str())).map(|(_, atoms)| atoms).sum()
        }),
        output_tokens: known.map(|end| end.quantities.output_tokens()),
        total: money.map(|(total, currency)| Money::new(total, currency)),
        currency: settled.and_then(|end| end.currency).map(|currency| currency.to_string()),
        price_status: settled.and_then(|end| end.price_status.clone()),
        why_no_total: why_no_total(line),
        billing_class: settled.map(|end| end.billing_class.clone()),
        first_byte_us: settled.and_then(|end| end.first_byte_us),
        duration_us: settled.map(|end| end.duration_us),
        took: settled.map(|end| format::duration(end.duration_us)).unwrap_or_default(),
        first_byte: settled
            .and_then(|end| end.first_byte_us)
            .map(format::duration)
            .unwrap_or_default(),
    }
}

/// The named state that stands where a sum would: unknown is not zero.
fn why_no_total(line: &AttemptLine) -> String {
    let Some(end) = &line.settled else { return "unknown".to_owned() };
    let word = match (end.price_status.as_deref(), end.usage_source.as_str()) {
        (Some("unpriced"), _) => "no price",
        (_, "awaiting") => "awaiting usage",
        (Some("not_billable"), _) | (_, "not_metered") => "not billable",
        _ => "usage unknown",
    };
    word.to_owned()
}

impl AttemptRow {
    pub(crate) fn tokens_text(&self, tokens: &u64) -> String {
        format::count(*tokens)
    }
}

/// Attempts as a CSV table.
pub(crate) fn csv_of(name: &str, attempts: &[AttemptRow]) -> CsvTable {
    let text = |text: &Option<String>| CsvCell::text(text.clone().unwrap_or_default());
    let row = |row: &AttemptRow| {
        vec![
            CsvCell::text(row.started_at.to_string()),
            CsvCell::text(&row.request),
            CsvCell::text(&row.attempt),
            CsvCell::number(Some(row.ordinal)),
            CsvCell::text(&row.provider),
            CsvCell::text(&row.endpoint),
            text(&row.model_requested),
            text(&row.model_served),
            text(&row.team),
            text(&row.given_team),
            text(&row.app),
            text(&row.end_user),
            CsvCell::text(&row.key),
            CsvCell::text(&row.outcome),
            CsvCell::number(row.http_status),
            text(&row.provider_request_id),
            text(&row.usage_source),
            CsvCell::number(row.input_tokens),
            CsvCell::number(row.cached_tokens),
            CsvCell::number(row.output_tokens),
            text(&row.price_status),
            CsvCell::number(row.total.map(|total| total.amount)),
            text(&row.currency),
            text(&row.billing_class),
            CsvCell::number(row.first_byte_us),
            CsvCell::number(row.duration_us),
        ]
    };
    CsvTable {
        name: name.to_owned(),
        header: CSV_COLUMNS.to_vec(),
        rows: attempts.iter().map(row).collect(),
    }
}

const CSV_COLUMNS: &[&str] = &[
    "started_at_utc",
    "request",
    "attempt",
    "ordinal",
    "provider",
    "endpoint",
    "model_requested",
    "model_served",
    "team",
    "team_of_key",
    "app",
    "end_user",
    "credential",
    "outcome",
    "http_status",
    "provider_request_id",
    "usage_source",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "price_status",
    "total",
    "currency",
    "billing_class",
    "first_byte_us",
    "duration_us",
];
