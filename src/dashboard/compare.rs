//! Comparing a month from its page, and the list of all requests behind one of its findings.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::bookkeeping::close::{self, CloseError, DocumentWords, Month};
use crate::bookkeeping::exchange::{self, RateWords};
use crate::dashboard::format;
use crate::dashboard::months::reconcile_link;
use crate::dashboard::page::{
    self, ACTOR, Chrome, CsvCell, CsvTable, Face, Page, PageError, see_other,
};
use crate::dashboard::report::read_month;
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{Query, encode_text};
use crate::names::ProviderName;
use crate::period::BillingPeriod;
use crate::reconcile::bill::BillError;
use crate::reconcile::engine::ReconcileError;
use crate::store::requests as store;

/// The form beside a month.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CompareForm {
    account: String,
    total: String,
    tax: String,
    credits: String,
    exchange_rate: String,
    exchange_source: String,
}

/// All requests behind a finding.
#[derive(Template, Serialize)]
#[template(path = "compare.html")]
struct Behind {
    #[serde(skip)]
    chrome: Chrome,
    finding: String,
    #[serde(skip)]
    back: String,
    attempts: Vec<BehindLine>,
}

#[derive(Clone, Debug, Serialize)]
struct BehindLine {
    attempt: String,
    started_at: String,
    model: String,
    provider_request_id: String,
}

/// `POST /reconcile/{provider}/{period}/compare`: compares and shows the report.
pub async fn compare(
    State(state): State<Arc<DashboardState>>,
    Path((provider, period)): Path<(String, String)>,
    Form(form): Form<CompareForm>,
) -> Response {
    match run(&state, &provider, &period, form).await {
        Ok(to) => see_other(&to),
        Err(error) => error.reply(&state, Face::Html),
    }
}

/// `GET /reconcile/{provider}/{period}/requests?finding=ID`, as JSON with `format=json`.
pub async fn requests(
    State(state): State<Arc<DashboardState>>,
    Path((provider, period)): Path<(String, String)>,
    QueryOf(query): QueryOf<Query>,
) -> Response {
    let face = match query.get("format").map(String::as_str) {
        Some("json") => Face::Json,
        Some("csv") => Face::Csv,
        _ => Face::Html,
    };
    let answer = match behind(&state, &provider, &period, &query).await {
        Ok(page) => page::reply(face, &page, None),
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(|error| error.reply(&state, face))
}

pub(crate) fn month_of(provider: &str, period: BillingPeriod, account: &str) -> Month {
    Month {
        provider: ProviderName::new(provider),
        account: (!account.is_empty()).then(|| account.to_owned()),
        period,
    }
}

async fn run(
    state: &DashboardState,
    provider: &str,
    period: &str,
    form: CompareForm,
) -> Result<String, PageError> {
    let month = month_of(provider, read_month(period)?, &form.account);
    let given = |text: String| (!text.trim().is_empty()).then_some(text);
    let words = DocumentWords {
        total: given(form.total),
        tax: given(form.tax),
        credits: given(form.credits),
    };
    if words.total.is_some() || words.tax.is_some() || words.credits.is_some() {
        let said = close::say_document(&state.books, &month, &words, ACTOR, &state.clock).await;
        said.map_err(page_error)?;
    }
    if !form.exchange_rate.trim().is_empty() {
        let words = RateWords { rate: form.exchange_rate, source: form.exchange_source };
        let (books, prices) = (&state.books, &state.prices);
        let said = exchange::say(books, prices, &month, &words, ACTOR, &state.clock).await;
        said.map_err(page_error)?;
    }
    let explained = close::explain(&state.books, &state.prices, &month, &state.clock).await;
    let explained = explained.map_err(page_error)?;
    Ok(reconcile_link(provider, month.period, &explained.account))
}

async fn behind(
    state: &DashboardState,
    provider: &str,
    period: &str,
    query: &Query,
) -> Result<Behind, PageError> {
    let word = |name: &str| query.get(name).map_or("", String::as_str);
    let (account, finding) = (word("account"), word("finding"));
    let month = month_of(provider, read_month(period)?, account);
    let found =
        close::attempts_behind(&state.books, &state.prices, &month, finding, &state.clock).await;
    let ids: Vec<String> = found.map_err(page_error)?.iter().map(ToString::to_string).collect();
    let calls = store::provider_calls(&state.books, &ids).await?;
    let path = format!("/reconcile/{}/{}/requests", encode_text(provider), month.period);
    let asked = format!("account={}&finding={}", encode_text(account), encode_text(finding));
    let mut chrome = Chrome::new(state, "Requests behind a finding", "/reconcile", &path, "");
    chrome.json = format!("{path}?{asked}&format=json");
    chrome.csv = format!("{path}?{asked}&format=csv");
    Ok(Behind {
        chrome,
        finding: finding.to_owned(),
        back: reconcile_link(provider, month.period, account),
        attempts: calls
            .into_iter()
            .map(|call| BehindLine {
                attempt: call.attempt,
                started_at: format::instant(call.started_at),
                model: call.model.unwrap_or_default(),
                provider_request_id: call.provider_request_id.unwrap_or_default(),
            })
            .collect(),
    })
}

pub(crate) fn page_error(error: CloseError) -> PageError {
    match error {
        CloseError::Store(error) => error.into(),
        CloseError::Reconcile(ReconcileError::Bill(BillError::NoExchangeRate { .. }))
        | CloseError::WhichAccount { .. }
        | CloseError::UnknownAccount { .. }
        | CloseError::NotAnAmount { .. }
        | CloseError::Negative { .. }
        | CloseError::NotARate(_)
        | CloseError::NoOtherCurrency(_)
        | CloseError::TotalMissing => PageError::NotUnderstood(error.to_string()),
        CloseError::Reconcile(_) => PageError::Twin(error.to_string()),
    }
}

impl Page for Behind {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        let row = |line: &BehindLine| {
            vec![
                CsvCell::text(&line.attempt),
                CsvCell::text(&line.started_at),
                CsvCell::text(&line.model),
                CsvCell::text(&line.provider_request_id),
            ]
        };
        CsvTable {
            name: "requests-behind".to_owned(),
            header: vec!["attempt", "started_at_utc", "model", "provider_request_id"],
            rows: self.attempts.iter().map(row).collect(),
        }
    }
}
