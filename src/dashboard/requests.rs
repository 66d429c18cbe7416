//! `/requests`: attempts, newest first, narrowed by the URL.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Query as QueryOf, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use crate::dashboard::format::{self, Money};
use crate::dashboard::page::{self, Chrome, CsvCell, CsvTable, Face, Page, PageError};
use crate::dashboard::spend::is_error;
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{Query, RANGES, RangeChoice, SetFilter, View};
use crate::period::{ChargePeriod, Timestamp};
use crate::store::accounts;
use crate::store::requests::{self as store, AttemptLine, AttemptSearch};

/// The page.
#[derive(Template, Serialize)]
#[template(path = "requests.html")]
pub struct Requests {
    #[serde(skip)]
    chrome: Chrome,
    #[serde(skip)]
    view: View,
    #[serde(serialize_with = "format::as_span")]
    period: ChargePeriod,
    #[serde(skip)]
    period_text: String,
    attempts: Vec<AttemptRow>,
    #[serde(skip)]
    older: Option<String>,
    next: Option<String>,
    #[serde(skip)]
    filters: Vec<SetFilter>,
    #[serde(skip)]
    ranges: &'static [RangeChoice],
    #[serde(skip)]
    statuses: &'static [(&'static str, &'static str)],
    #[serde(skip)]
    base_url: String,
}

/// One attempt of the list.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptRow {
    attempt: String,
    request: String,
    ordinal: u64,
    #[serde(serialize_with = "format::as_text")]
    started_at: Timestamp,
    #[serde(skip)]
    started: String,
    provider: String,
    endpoint: String,
    model_requested: Option<String>,
    model_served: Option<String>,
    #[serde(skip)]
    model: String,
    #[serde(skip)]
    asked_otherwise: bool,
    stream: bool,
    credential: Option<String>,
    #[serde(skip)]
    key: String,
    team: Option<String>,
    app: Option<String>,
    end_user: Option<String>,
    outcome: String,
    #[serde(skip)]
    outcome_text: String,
    #[serde(skip)]
    bad: bool,
    http_status: Option<u64>,
    usage_source: Option<String>,
    input_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total: Option<Money>,
    currency: Option<String>,
    price_status: Option<String>,
    #[serde(skip)]
    why_no_total: String,
    billing_class: Option<String>,
    first_byte_us: Option<u64>,
    duration_us: Option<u64>,
    #[serde(skip)]
    took: String,
    #[serde(skip)]
    first_byte: String,
}

/// Statuses a list can be narrowed to.
const STATUSES: &[(&str, &str)] = &[
    ("completed", "Completed"),
    ("errors", "All errors"),
    ("provider_error", "Provider error"),
    ("client_gone", "Client hung up"),
    ("upstream_cut", "Cut by the provider"),
    ("timeout", "Timeout"),
    ("unpriced", "No price"),
    ("unknown", "Usage unknown"),
    ("uncertain", "Billing uncertain"),
    ("orphaned", "No settlement"),
];

const PAGE_ROWS: u32 = 100;
const MOST_ROWS: u32 = 10_000;

/// `GET /requests`, `/requests.json`, `/requests.csv`.
pub async fn show(
    State(state): State<Arc<DashboardState>>,
    uri: Uri,
    QueryOf(query): QueryOf<Query>,
) -> Response {
    let face = Face::of(uri.path());
    let answer = match make(&state, &query).await {
        Ok(page) => page::reply(face, &page, None),
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(|error| error.reply(&state, face))
}

async fn make(state: &DashboardState, query: &Query) -> Result<Requests, PageError> {
    let view = View::read(query, state.clock.now())?;
    let limit = read_limit(&view)?;
    let search = AttemptSearch {
        status: view.query.get("status").cloned(),
        before: read_before(&view)?,
        limit: limit + 1,
    };
    let mut lines = store::list(&state.books, &view.filter, &search).await?;
    let more = lines.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    lines.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let last = lines.last().filter(|_| more);
    let next = last.map(|line| format!("{}~{}", line.started_at.micros(), line.attempt));
    let hints: BTreeMap<String, String> = accounts::credentials(&state.books)
        .await?
        .into_iter()
        .map(|known| (known.credential, format!("…{}", known.hint)))
        .collect();
    let now = state.clock.now();
    Ok(Requests {
        chrome: Chrome::new(state, "Requests", "/requests", "/requests", &view.query_text()),
        period: view.filter.period,
        period_text: view.period_text(),
        attempts: lines.iter().map(|line| row(line, &hints, now)).collect(),
        older: next.as_deref().map(|next| view.link("/requests", &[("before", next)])),
        next,
        filters: view.set_filters("/requests"),
        ranges: RANGES,
        statuses: STATUSES,
        base_url: state.proxy_base_url.clone(),
        view,
    })
}

fn read_limit(view: &View) -> Result<u32, PageError> {
    match view.query.get("limit").map(|text| text.parse::<u32>()) {
        None => Ok(PAGE_ROWS),
        Some(Ok(limit @ 1..=MOST_ROWS)) => Ok(limit),
        Some(_) => Err(PageError::NotUnderstood(format!(
            "The parameter limit in the address should be a number from 1 to {MOST_ROWS}."
        ))),
    }
}

fn read_before(view: &View) -> Result<Option<(Timestamp, String)>, PageError> {
    let Some(text) = view.query.get("before") else { return Ok(None) };
    let read = text.split_once('~').and_then(|(micros, attempt)| {
        Some((Timestamp::from_micros(micros.parse().ok()?), attempt.to_owned()))
    });
    read.map(Some).ok_or_else(|| {
        PageError::NotUnderstood(
            "The parameter before in the address is not one of our own; start from the first page."
                .to_owned(),
        )
    })
}

/// Seconds after which an attempt without a settlement is no longer thought to be in flight.
const IN_FLIGHT_US: i64 = 600_000_000;

/// What to say of an attempt nobody settled.
pub(crate) fn unsettled(started_at: Timestamp, now: Timestamp) -> &'static str {
    if now.micros() - started_at.micros() < IN_FLIGHT_US { "in_flight" } else { "orphaned" }
}

fn row(line: &AttemptLine, hints: &BTreeMap<String, String>, now: Timestamp) -> AttemptRow {
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
        team: line.team.clone(),
        app: line.app.clone(),
        end_user: line.end_user.clone(),
        outcome_text: format::words(&outcome),
        bad: is_error(&outcome) && outcome != "in_flight",
        outcome,
        http_status: settled.and_then(|end| end.http_status),
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
    fn tokens_text(&self, tokens: &u64) -> String {
        format::count(*tokens)
    }
}

impl Page for Requests {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
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
                text(&row.app),
                text(&row.end_user),
                CsvCell::text(&row.key),
                CsvCell::text(&row.outcome),
                CsvCell::number(row.http_status),
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
            name: "attempts".to_owned(),
            header: vec![
                "started_at_utc",
                "request",
                "attempt",
                "ordinal",
                "provider",
                "endpoint",
                "model_requested",
                "model_served",
                "team",
                "app",
                "end_user",
                "credential",
                "outcome",
                "http_status",
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
            ],
            rows: self.attempts.iter().map(row).collect(),
        }
    }
}
