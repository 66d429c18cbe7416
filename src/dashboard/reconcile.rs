//! `/reconcile`: months by accounts, each with its state.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use crate::dashboard::format::{self, Figure};
use crate::dashboard::months::{self, MonthStrip, reconcile_link};
use crate::dashboard::one_month::read_body;
use crate::dashboard::page::{self, Chrome, CsvCell, CsvTable, Face, Page, PageError};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::month_text;
use crate::money::Currency;
use crate::period::BillingPeriod;
use crate::reconcile::finding::Mover;
use crate::store::months::{self as store, ReportRecord};

/// The page.
#[derive(Template, Serialize)]
#[template(path = "reconcile.html")]
pub(crate) struct Reconcile {
    #[serde(skip)]
    chrome: Chrome,
    months: MonthStrip,
    reports: Vec<ReportLine>,
}

/// The newest report of a month and account, in its sums.
#[derive(Clone, Debug, Serialize)]
struct ReportLine {
    provider: String,
    #[serde(skip)]
    provider_name: String,
    account: String,
    period: BillingPeriod,
    #[serde(skip)]
    month: String,
    #[serde(skip)]
    compared: String,
    currency: Currency,
    recorded: Figure,
    billed: Figure,
    difference: Figure,
    unexplained: Figure,
    findings: usize,
    /// Findings that are the provider's to answer.
    to_ask: usize,
    /// Empty while nobody closed the month.
    closed_by: String,
    #[serde(skip)]
    link: String,
}

/// Months shown.
const MONTHS: usize = 12;

/// `GET /reconcile`, `/reconcile.json`, `/reconcile.csv`.
pub(crate) async fn show(State(state): State<Arc<DashboardState>>, uri: Uri) -> Response {
    let face = Face::of(uri.path());
    let answer = match make(&state).await {
        Ok(page) => page::reply(face, &page, None),
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(|error| error.reply(&state, face))
}

async fn make(state: &DashboardState) -> Result<Reconcile, PageError> {
    let last = BillingPeriod::containing(state.clock.now());
    let first = (1..MONTHS).fold(last, |month, _| month.previous());
    let records = store::reports(&state.books, first, last).await?;
    // A report of another version is listed nowhere here; its own page says why.
    let mut reports: Vec<ReportLine> = records.iter().filter_map(report_line).collect();
    reports.reverse();
    Ok(Reconcile {
        reports,
        chrome: Chrome::new(state, "Reconcile", "/reconcile", "/reconcile", ""),
        months: months::strip(&state.books, state.clock.now(), MONTHS).await?,
    })
}

fn report_line(record: &ReportRecord) -> Option<ReportLine> {
    let body = read_body(record).ok()?;
    let figure = |value| Figure::new(value, body.currency);
    Some(ReportLine {
        provider: record.provider.clone(),
        provider_name: format::provider_name(&record.provider).to_owned(),
        account: record.account.clone(),
        period: record.period,
        month: month_text(record.period),
        compared: format::instant_utc(record.made_at),
        currency: body.currency,
        recorded: figure(body.recorded),
        billed: figure(body.billed),
        difference: figure(body.difference),
        unexplained: figure(body.unexplained),
        findings: body.findings.len(),
        to_ask: body
            .verdict
            .to_do
            .iter()
            .filter(|action| action.mover == Mover::AskProvider)
            .count(),
        closed_by: record.closing.as_ref().map(|one| one.actor.clone()).unwrap_or_default(),
        link: reconcile_link(&record.provider, record.period, &record.account),
    })
}

impl Page for Reconcile {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        let lines = self.months.lines.iter();
        let rows = lines.flat_map(|line| {
            line.cells.iter().map(move |cell| {
                vec![
                    CsvCell::text(&line.provider),
                    CsvCell::text(&line.account),
                    CsvCell::text(cell.period.to_string()),
                    CsvCell::text(cell.state.as_str()),
                    CsvCell::text(&cell.text),
                ]
            })
        });
        CsvTable {
            name: "months".to_owned(),
            header: vec!["provider", "account", "period_utc", "state", "text"],
            rows: rows.collect(),
        }
    }
}
