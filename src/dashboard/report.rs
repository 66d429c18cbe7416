//! `/reconcile/{provider}/{period}`: one month's verdict, bridge and findings; and the claim page.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use rust_decimal::Decimal;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::dashboard::closing::{ClosingView, closings};
use crate::dashboard::format::{self, Figure};
use crate::dashboard::months::late_data;
use crate::dashboard::one_month::{find, read_body, read_month, suffix};
use crate::dashboard::page::{self, Chrome, CsvCell, CsvTable, Face, Page, PageError};
use crate::dashboard::report_empty::empty;
use crate::dashboard::report_parts::{
    BridgeLine, ComparedView, CoverageLine, FindingView, Phrase, ToDo, bridge, compared, coverage,
    document, finding_view, largest_first, left_out, phrases, to_do,
};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{Query, encode_text, month_text};
use crate::period::Timestamp;
use crate::reconcile::finding::Finding;
use crate::reconcile::report::Report;
use crate::store::months::{self as store, ReportRecord};

/// The page of a report.
#[derive(Template)]
#[template(path = "report.html")]
pub(crate) struct ReportPage {
    chrome: Chrome,
    members: BTreeMap<String, Box<RawValue>>,
    month: String,
    made: String,
    report_id: String,
    stale: Option<&'static str>,
    closings: Vec<ClosingView>,
    close: String,
    sentences: Vec<Vec<Phrase>>,
    to_do: Vec<ToDo>,
    coverage: Vec<CoverageLine>,
    bridge: Vec<BridgeLine>,
    document: Vec<(String, Figure)>,
    findings: Vec<FindingView>,
    compared: Vec<ComparedView>,
    left_out: Vec<(String, String)>,
    population: Population,
    sums: Vec<(&'static str, String, String)>,
    provider: String,
    body: Report,
    claim: Option<String>,
    compare: String,
    account: String,
}

/// How much was looked at, for reading.
struct Population {
    compared: String,
    rows: String,
    unknown: String,
}

/// `GET /reconcile/{provider}/{period}` with or without an ending.
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    Path((provider, segment)): Path<(String, String)>,
    QueryOf(query): QueryOf<Query>,
) -> Response {
    let (period, face) = Face::split(&segment);
    answer(&state, &provider, period, &query, face)
        .await
        .unwrap_or_else(|error| error.reply(&state, face))
}

async fn answer(
    state: &DashboardState,
    provider: &str,
    period: &str,
    query: &Query,
    face: Face,
) -> Result<Response, PageError> {
    let month = read_month(period)?;
    let account = query.get("account").map_or("", String::as_str);
    let Some(record) = find(state, provider, month, account).await? else {
        return page::reply(face, &empty(state, provider, month, account).await?, None);
    };
    let table = query.get("table").map(String::as_str);
    page::reply(face, &lay_out(state, &record).await?, table)
}

async fn lay_out(state: &DashboardState, record: &ReportRecord) -> Result<ReportPage, PageError> {
    let body = read_body(record)?;
    let members =
        serde_json::from_str(&record.body).map_err(|error| PageError::Twin(error.to_string()))?;
    let path = format!("/reconcile/{}/{}", encode_text(&record.provider), record.period);
    let title = format!("{} {}", record.provider, record.period);
    let chrome = Chrome::new(state, title, "/reconcile", &path, &suffix(&record.account));
    let figure = |value: Decimal| Figure::new(value, body.currency);
    let all = |finding: &Finding| {
        let account = encode_text(&record.account);
        format!("{path}/requests?account={account}&finding={}", encode_text(&finding.id))
    };
    let proven = body.findings.iter().any(Finding::is_claim);
    let query = suffix(&record.account);
    let claim = format!("{path}/claim{}{query}", if query.is_empty() { "" } else { "?" });
    Ok(ReportPage {
        chrome,
        members,
        month: month_text(record.period),
        made: format::instant_utc(record.made_at),
        report_id: record.report.clone(),
        stale: late_data(record, newest_import(state, record).await?),
        closings: closings(state, record).await?,
        close: format!("{path}/close"),
        sentences: body.verdict.sentences.iter().map(|text| phrases(text)).collect(),
        to_do: body.verdict.to_do.iter().map(to_do).collect(),
        coverage: coverage(&body),
        bridge: bridge(&body)?,
        document: document(&body),
        findings: largest_first(&body.findings)
            .into_iter()
            .map(|finding| finding_view(finding, &figure, &all(finding)))
            .collect(),
        compared: body.compared.iter().flat_map(compared).collect(),
        left_out: left_out(&body),
        population: population(&body),
        sums: sums(&body),
        provider: format::provider_name(body.provider.as_str()).to_owned(),
        claim: proven.then_some(claim),
        compare: format!("{path}/compare"),
        account: record.account.clone(),
        body,
    })
}

fn population(body: &Report) -> Population {
    Population {
        compared: format::count(body.population.attempts_compared),
        rows: format::count(body.population.billed_rows),
        unknown: format::count(body.population.attempts_of_unknown_usage),
    }
}

/// The four figures a reader looks for: what they are, as read, and to the last digit.
fn sums(body: &Report) -> Vec<(&'static str, String, String)> {
    let figure = |value: Decimal| Figure::new(value, body.currency);
    let (difference, open) = (figure(body.difference), figure(body.unexplained));
    vec![
        ("The export shows", figure(body.billed).cents_text(), figure(body.billed).exact()),
        ("We recorded", figure(body.recorded).cents_text(), figure(body.recorded).exact()),
        ("Difference", difference.more_or_less(), difference.exact()),
        ("Not explained", open.more_or_less(), open.exact()),
    ]
}

async fn newest_import(
    state: &DashboardState,
    record: &ReportRecord,
) -> Result<Option<Timestamp>, PageError> {
    let (from, until) = (record.period.first_day(), record.period.next().first_day());
    let days = store::covered_days(&state.books, from, until).await?;
    let own =
        days.iter().filter(|day| day.provider == record.provider && day.account == record.account);
    Ok(own.map(|day| day.sealed_at).max())
}

/// Every member of the stored report as it was stored, and beside them what is said of it now.
impl Serialize for ReportPage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("report", &self.report_id)?;
        map.serialize_entry("stale", &self.stale)?;
        map.serialize_entry("closings", &self.closings)?;
        map.serialize_entry("beside_counted", &self.compared)?;
        map.end()
    }
}

impl Page for ReportPage {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        let row = |finding: &Finding| {
            vec![
                CsvCell::text(&finding.id),
                CsvCell::text(format::name_of(&finding.step)),
                CsvCell::text(finding.cause.as_str()),
                CsvCell::text(&finding.subject),
                CsvCell::number(Some(finding.amount.normalize())),
                CsvCell::text(self.body.currency.as_str()),
                CsvCell::text(format::name_of(&finding.confidence)),
                CsvCell::text(format::name_of(&finding.mover)),
                CsvCell::number(Some(finding.drill.attempt_count)),
                CsvCell::number(Some(finding.drill.row_count)),
            ]
        };
        CsvTable {
            name: format!("findings-{}-{}", self.body.provider, self.body.period),
            header: vec![
                "finding",
                "step",
                "cause",
                "subject",
                "amount",
                "currency",
                "confidence",
                "mover",
                "attempts",
                "rows",
            ],
            rows: self.body.findings.iter().map(row).collect(),
        }
    }
}
