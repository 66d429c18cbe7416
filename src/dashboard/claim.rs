//! `/reconcile/{provider}/{period}/claim`: what is proven and the provider's to answer, to be sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use rust_decimal::Decimal;

use crate::bookkeeping::close;
use crate::bookkeeping::month::Month;
use crate::dashboard::format::{self, Figure};
use crate::dashboard::one_month::{find, month_of, read_body, read_month, suffix};
use crate::dashboard::page::{self, Chrome, Face, PageError};
use crate::dashboard::report_parts::{FindingView, finding_view, largest_first, sample_of};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{Query, encode_text, month_text};
use crate::money::exact_add;
use crate::reconcile::finding::{Finding, RowRef};
use crate::reconcile::report::Report;
use crate::store::attempt_sets;
use crate::store::imports;

/// What to send to the provider.
#[derive(Template)]
#[template(path = "claim.html")]
struct ClaimPage {
    chrome: Chrome,
    month: String,
    provider: String,
    body: Report,
    total: Figure,
    claims: Vec<ClaimView>,
    files: Vec<(String, String)>,
    back: String,
}

struct ClaimView {
    finding: FindingView,
    rows: Vec<(String, String)>,
    /// Whether there are rows that are not listed.
    more_rows: bool,
    calls: Vec<CallView>,
}

/// The longest list of rows a page is given.
const ROWS_LISTED: usize = 2_000;

struct CallView {
    sent: String,
    model: String,
    request_id: String,
    response_id: String,
}

/// `GET /reconcile/{provider}/{period}/claim`.
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    Path((provider, period)): Path<(String, String)>,
    QueryOf(query): QueryOf<Query>,
) -> Response {
    let made = make_claim(&state, &provider, &period, &query).await;
    match made.and_then(|page| Ok(page.render()?)) {
        Ok(html) => page::html(html),
        Err(error) => error.reply(&state, Face::Html),
    }
}

async fn make_claim(
    state: &DashboardState,
    provider: &str,
    period: &str,
    query: &Query,
) -> Result<ClaimPage, PageError> {
    let month = read_month(period)?;
    let account = query.get("account").map_or("", String::as_str);
    let record = find(state, provider, month, account).await?.ok_or_else(|| {
        PageError::NotFound(format!("{provider} {month} has not been compared yet."))
    })?;
    let body = read_body(&record)?;
    let batches: BTreeMap<String, String> = imports::batches(&state.books)
        .await?
        .into_iter()
        .map(|batch| (batch.head.batch, batch.head.file_name))
        .collect();
    let figure = |value: Decimal| Figure::new(value, body.currency);
    let path = format!("/reconcile/{}/{month}", encode_text(provider));
    let of = month_of(provider, month, &record.account);
    let (mut claims, mut total) = (Vec::new(), Decimal::ZERO);
    let claimed = largest_first(body.findings.iter().filter(|finding| finding.is_claim()));
    let rows = all_rows(state, &of, &claimed).await;
    for (finding, rows) in claimed.into_iter().zip(rows) {
        total = exact_add(total, finding.amount)
            .ok_or_else(|| PageError::Twin("the claims do not add up exactly".to_owned()))?;
        let calls = attempt_sets::provider_calls(&state.books, &sample_of(finding)).await?;
        let all = format!("{path}/requests?account={}", encode_text(&record.account));
        let all = format!("{all}&finding={}&format=csv", encode_text(&finding.id));
        claims.push(ClaimView {
            finding: finding_view(finding, &figure, &all),
            more_rows: finding.drill.row_count > u64::try_from(rows.len()).unwrap_or(u64::MAX),
            rows: rows_by_file(&rows, &batches),
            calls: calls
                .into_iter()
                .map(|call| CallView {
                    sent: format::instant(call.started_at),
                    model: call.model.unwrap_or_default(),
                    request_id: call.provider_request_id.unwrap_or_default(),
                    response_id: call.provider_response_id.unwrap_or_default(),
                })
                .collect(),
        });
    }
    let name = |batch: &String| batches.get(batch).unwrap_or(batch).clone();
    let files = body.made_from.files.iter().map(|file| (name(&file.batch), file.sha256.clone()));
    let mut chrome = Chrome::new(state, "Claim", "/reconcile", &path, &suffix(account));
    chrome.csv.clear();
    let back = if account.is_empty() { path } else { format!("{path}?{}", suffix(account)) };
    Ok(ClaimPage {
        chrome,
        month: month_text(month),
        provider: format::provider_name(body.provider.as_str()).to_owned(),
        total: Figure::new(total, body.currency),
        claims,
        files: files.collect(),
        body,
        back,
    })
}

/// The rows behind each of these findings, as many as a page can list; where the books moved on since
/// the report, those the report itself names.
async fn all_rows(
    state: &DashboardState,
    month: &Month,
    findings: &[&Finding],
) -> Vec<Vec<RowRef>> {
    let is_all = |rows: &[RowRef], finding: &Finding| {
        u64::try_from(rows.len()) == Ok(finding.drill.row_count)
    };
    let cut_off = findings.iter().filter(|finding| !is_all(&finding.drill.rows, finding));
    let cut_off: Vec<String> = cut_off.map(|finding| finding.id.clone()).collect();
    let mut found = BTreeMap::new();
    if !cut_off.is_empty() {
        let worked_out = close::rows_behind(&state.books, &state.prices, month, cut_off).await;
        found = worked_out.unwrap_or_default();
    }
    let rows_of = |finding: &&Finding| {
        let told = found.remove(&finding.id).filter(|rows| is_all(rows, finding));
        let mut rows = told.unwrap_or_else(|| finding.drill.rows.clone());
        rows.truncate(ROWS_LISTED);
        rows
    };
    findings.iter().map(rows_of).collect()
}

fn rows_by_file(rows: &[RowRef], files: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut by_file: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let file = files.get(&row.batch).unwrap_or(&row.batch).clone();
        by_file.entry(file).or_default().push(row.row.to_string());
    }
    by_file.into_iter().map(|(file, rows)| (file, rows.join(", "))).collect()
}
