//! `/requests`: attempts, newest first, narrowed by the URL.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query as QueryOf, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use crate::dashboard::attempt_row::{AttemptRow, csv_of, hints, row};
use crate::dashboard::format;
use crate::dashboard::page::{self, Chrome, CsvTable, Face, Page, PageError};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{Query, RangeLink, SetFilter, View};
use crate::period::{ChargePeriod, Timestamp};
use crate::store::requests::{self as store, AttemptSearch};

/// The page.
#[derive(Template, Serialize)]
#[template(path = "requests.html")]
pub(crate) struct Requests {
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
    ranges: Vec<RangeLink>,
    #[serde(skip)]
    statuses: &'static [(&'static str, &'static str)],
    #[serde(skip)]
    base_url: String,
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
pub(crate) async fn show(
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
    let hints = hints(state).await?;
    let now = state.clock.now();
    Ok(Requests {
        chrome: Chrome::new(state, "Requests", "/requests", "/requests", &view.query_text()),
        period: view.filter.period,
        period_text: view.period_text(),
        attempts: lines.iter().map(|line| row(line, &hints, now)).collect(),
        older: next.as_deref().map(|next| view.link("/requests", &[("before", next)])),
        next,
        filters: view.set_filters("/requests"),
        ranges: view.range_links("/requests"),
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

impl Page for Requests {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        csv_of("attempts", &self.attempts)
    }
}
