//! `/invoices`: how to export, what is imported, and the upload: preview first, then import.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Query as QueryOf, State};
use axum::http::Uri;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::dashboard::drops::UPLOAD_LIMIT;
use crate::dashboard::format;
use crate::dashboard::months::reconcile_link;
use crate::dashboard::page::{
    self, ACTOR, Chrome, CsvCell, CsvTable, Face, Page, PageError, see_other,
};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{Query, encode_text, month_text};
use crate::period::{BillingPeriod, Timestamp};
use crate::store::imports::{self as store, BatchRecord, SpeakingDay};

/// The page.
#[derive(Template, Serialize)]
#[template(path = "invoices.html")]
pub(crate) struct Invoices {
    #[serde(skip)]
    chrome: Chrome,
    batches: Vec<BatchLine>,
    checklist: Vec<CheckLine>,
    #[serde(skip)]
    notice: Option<String>,
    #[serde(skip)]
    limit: String,
}

/// An import in the list.
#[derive(Clone, Debug, Serialize)]
struct BatchLine {
    batch: String,
    file: String,
    part: String,
    format: String,
    provider: String,
    account: String,
    scope: String,
    first_day: Option<String>,
    last_day: Option<String>,
    rows: u64,
    sums: BTreeMap<String, String>,
    #[serde(skip)]
    sum_text: String,
    #[serde(serialize_with = "format::as_text")]
    imported_at: Timestamp,
    #[serde(skip)]
    imported: String,
    sha256: String,
    #[serde(skip)]
    sha_short: String,
    withdrawn: bool,
}

/// What a month of an account has and lacks.
#[derive(Clone, Debug, Serialize)]
struct CheckLine {
    provider: String,
    account: String,
    period: BillingPeriod,
    #[serde(skip)]
    month: String,
    days: usize,
    cost_days: usize,
    usage_days: usize,
    #[serde(skip)]
    link: String,
}

/// The form beside an import.
#[derive(Debug, Deserialize)]
pub(crate) struct WithdrawForm {
    batch: String,
    #[serde(default)]
    reason: String,
}

/// `GET /invoices`, `/invoices.json`, `/invoices.csv`.
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

/// `POST /invoices/withdraw`: takes an import back.
pub(crate) async fn withdraw(
    State(state): State<Arc<DashboardState>>,
    Form(form): Form<WithdrawForm>,
) -> Response {
    let reason = if form.reason.trim().is_empty() { "not given" } else { form.reason.trim() };
    let now = state.clock.now();
    let done = store::withdraw(&state.books, &form.batch, now, ACTOR, reason).await;
    let notice = match done {
        Ok(true) => "Withdrawn. Its rows stay in the books and count no more.",
        Ok(false) => "Nothing to withdraw: no such import, or it was withdrawn before.",
        Err(error) => return PageError::from(error).reply(&state, Face::Html),
    };
    see_other(&format!("/invoices?notice={}", encode_text(notice)))
}

async fn make(state: &DashboardState, query: &Query) -> Result<Invoices, PageError> {
    let batches = store::batches(&state.books).await?;
    let now = state.clock.now();
    let this = BillingPeriod::containing(now);
    let first = (0..11).fold(this, |month, _| month.previous());
    let until = this.next().first_day();
    let days = store::speaking_days(&state.books, first.first_day(), until).await?;
    Ok(Invoices {
        chrome: Chrome::new(state, "Invoices", "/invoices", "/invoices", ""),
        batches: batches.iter().map(batch_line).collect(),
        checklist: checklist(&days),
        notice: query.get("notice").map(|text| text.chars().take(600).collect()),
        limit: format!("{} MiB", UPLOAD_LIMIT >> 20),
    })
}

fn batch_line(record: &BatchRecord) -> BatchLine {
    let summary = record.summary.get("summary");
    let text = |value: Option<&serde_json::Value>| {
        value.and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    };
    let days = summary.and_then(|summary| summary.get("days")).and_then(|days| days.as_array());
    let day = |day: Option<&serde_json::Value>| day.map(|day| text(Some(day)));
    let sums: BTreeMap<String, String> = summary
        .and_then(|summary| serde_json::from_value(summary.get("sums")?.clone()).ok())
        .unwrap_or_default();
    let count = |kind: &str| {
        let rows = summary.and_then(|summary| summary.get("rows"));
        rows.and_then(|rows| rows.get(kind)?.as_u64()).unwrap_or(0)
    };
    let head = &record.head;
    let shown: Vec<String> =
        sums.iter().map(|(currency, sum)| format!("{sum} {currency}")).collect();
    BatchLine {
        batch: head.batch.clone(),
        file: head.file_name.clone(),
        part: text(record.summary.get("part")),
        format: head.format.clone(),
        provider: head.provider.clone(),
        account: head.account.clone(),
        scope: head.scope.clone(),
        first_day: day(days.and_then(|days| days.first())),
        last_day: day(days.and_then(|days| days.last())),
        rows: count("billed_lines") + count("usage_rows"),
        sum_text: if shown.is_empty() { "no money in it".to_owned() } else { shown.join(", ") },
        sums,
        imported_at: record.sealed_at,
        imported: format::instant(record.sealed_at),
        sha_short: format::short(&head.file_sha256),
        sha256: head.file_sha256.clone(),
        withdrawn: record.withdrawn_at.is_some(),
    }
}

fn checklist(days: &[SpeakingDay]) -> Vec<CheckLine> {
    let mut lines: BTreeMap<(BillingPeriod, String, String), CheckLine> = BTreeMap::new();
    for day in days {
        let period = BillingPeriod::of_date(day.day);
        let key = (period, day.provider.clone(), day.account.clone());
        let line = lines.entry(key).or_insert_with(|| CheckLine {
            provider: day.provider.clone(),
            account: day.account.clone(),
            period,
            month: month_text(period),
            days: period.days().count(),
            cost_days: 0,
            usage_days: 0,
            link: reconcile_link(&day.provider, period, &day.account),
        });
        let side =
            if day.format.contains("cost") { &mut line.cost_days } else { &mut line.usage_days };
        *side = (*side + 1).min(line.days);
    }
    lines.into_values().rev().collect()
}

impl Page for Invoices {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        let row = |line: &BatchLine| {
            vec![
                CsvCell::text(&line.batch),
                CsvCell::text(&line.file),
                CsvCell::text(&line.format),
                CsvCell::text(&line.provider),
                CsvCell::text(&line.account),
                CsvCell::text(line.first_day.clone().unwrap_or_default()),
                CsvCell::text(line.last_day.clone().unwrap_or_default()),
                CsvCell::number(Some(line.rows)),
                CsvCell::text(&line.sum_text),
                CsvCell::text(line.imported_at.to_string()),
                CsvCell::text(&line.sha256),
                CsvCell::text(if line.withdrawn { "withdrawn" } else { "" }),
            ]
        };
        CsvTable {
            name: "imports".to_owned(),
            header: vec![
                "batch",
                "file",
                "format",
                "provider",
                "account",
                "first_day_utc",
                "last_day_utc",
                "rows",
                "sums",
                "imported_at_utc",
                "sha256",
                "withdrawn",
            ],
            rows: self.batches.iter().map(row).collect(),
        }
    }
}
