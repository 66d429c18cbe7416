//! `/invoices`: how to export, what is imported, and the upload: preview first, then import.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{Query as QueryOf, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use uuid::{NoContext, Timestamp as IdTime, Uuid};

use crate::bookkeeping::import::{
    ExportBytes, ExportFile, ImportChoice, ImportError, Imported, import,
};
use crate::bookkeeping::preview::{Preview, preview};
use crate::dashboard::drops::UPLOAD_LIMIT;
use crate::dashboard::format;
use crate::dashboard::months::reconcile_link;
use crate::dashboard::page::{self, Chrome, CsvCell, CsvTable, Face, Page, PageError};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{Query, encode_text, month_text};
use crate::invoice::refusal::Problem;
use crate::period::{BillingPeriod, SECOND_US, Timestamp};
use crate::store::imports::{self as store, BatchRecord, SpeakingDay};

/// The page.
#[derive(Template, Serialize)]
#[template(path = "invoices.html")]
pub struct Invoices {
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

/// The preview of an upload.
#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPage {
    chrome: Chrome,
    drop: String,
    files: Vec<FilePreview>,
    importable: usize,
}

struct FilePreview {
    file: String,
    parts: Vec<PartView>,
    refused: Option<String>,
}

struct PartView {
    preview: Preview,
    sums: String,
    span: String,
    rows: String,
    replaces: Vec<String>,
    problems: Vec<ProblemView>,
    more_problems: u64,
    fine: bool,
    account_field: String,
}

struct ProblemView {
    row: u64,
    column: String,
    reason: String,
}

/// The form under a preview: which upload, and accounts by file.
#[derive(Debug, Deserialize)]
pub struct ImportForm {
    drop: String,
    #[serde(flatten)]
    accounts: BTreeMap<String, String>,
}

/// The form beside an import.
#[derive(Debug, Deserialize)]
pub struct WithdrawForm {
    batch: String,
    #[serde(default)]
    reason: String,
}

/// Who acts through pages, until there is sign-in.
pub(crate) const ACTOR: &str = "dashboard";

/// `GET /invoices`, `/invoices.json`, `/invoices.csv`.
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

/// `POST /invoices/preview`: reads the files and stores nothing.
pub async fn upload(State(state): State<Arc<DashboardState>>, form: Multipart) -> Response {
    let answer = match read_upload(form).await {
        Ok((files, account)) => make_preview(&state, files, account).await,
        Err(error) => Err(error),
    };
    match answer.and_then(|page| Ok(page.render()?)) {
        Ok(html) => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(error) => error.reply(&state, Face::Html),
    }
}

/// `POST /invoices/import`: imports what was previewed.
pub async fn import_upload(
    State(state): State<Arc<DashboardState>>,
    Form(form): Form<ImportForm>,
) -> Response {
    match run_import(&state, &form).await {
        Ok(notice) => see_other(&format!("/invoices?notice={}", encode_text(&notice))),
        Err(error) => error.reply(&state, Face::Html),
    }
}

/// `POST /invoices/withdraw`: takes an import back.
pub async fn withdraw(
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

pub(crate) fn see_other(to: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, to.to_owned())]).into_response()
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
        let side = if day.format.contains("cost") {
            &mut line.cost_days
        } else {
            &mut line.usage_days
        };
        *side = (*side + 1).min(line.days);
    }
    lines.into_values().rev().collect()
}

async fn read_upload(mut form: Multipart) -> Result<(Vec<ExportFile>, String), PageError> {
    let (mut files, mut account) = (Vec::new(), String::new());
    while let Some(field) = form.next_field().await.map_err(|error| too_much(&error))? {
        let name = field.file_name().map(str::to_owned);
        let is_account = field.name() == Some("account");
        let bytes = field.bytes().await.map_err(|error| too_much(&error))?;
        match name {
            Some(name) if !name.is_empty() => {
                files.push(ExportFile { name, bytes: ExportBytes::Memory(bytes) });
            }
            _ if is_account => account = String::from_utf8_lossy(&bytes).trim().to_owned(),
            _ => {}
        }
    }
    if files.is_empty() {
        let said = "No file came with the form. Choose one or several CSV, gzip or zip files.";
        return Err(PageError::NotUnderstood(said.to_owned()));
    }
    Ok((files, account))
}

fn too_much(error: &MultipartError) -> PageError {
    PageError::NotUnderstood(if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        format!(
            "The upload is larger than {} MiB. Import it on the machine: counterfoil import FILE",
            UPLOAD_LIMIT >> 20
        )
    } else {
        format!("The upload broke off: {}", error.body_text())
    })
}

fn choice(state: &DashboardState, account: &str) -> ImportChoice {
    ImportChoice {
        account: (!account.is_empty()).then(|| account.to_owned()),
        personal_key: state.personal_key.clone(),
    }
}

async fn make_preview(
    state: &DashboardState,
    files: Vec<ExportFile>,
    account: String,
) -> Result<PreviewPage, PageError> {
    let now = state.clock.now();
    let mut shown = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let read = preview(&state.books, file, &choice(state, &account), now).await;
        shown.push(match read {
            Ok(parts) => FilePreview {
                file: file.name.clone(),
                parts: parts.into_iter().map(|part| part_view(part, index)).collect(),
                refused: None,
            },
            Err(ImportError::Store(error)) => return Err(error.into()),
            Err(error) => FilePreview {
                file: file.name.clone(),
                parts: Vec::new(),
                refused: Some(error.to_string()),
            },
        });
    }
    let importable = shown.iter().filter(|file| is_fine(file)).count();
    let seconds = u64::try_from(now.micros() / SECOND_US).unwrap_or(0);
    let drop = Uuid::new_v7(IdTime::from_unix(NoContext, seconds, 0)).hyphenated().to_string();
    state.drops.keep(drop.clone(), files, now);
    let mut chrome = Chrome::new(state, "Preview", "/invoices", "/invoices", "");
    chrome.json.clear();
    Ok(PreviewPage { chrome, drop, files: shown, importable })
}

fn is_fine(file: &FilePreview) -> bool {
    file.refused.is_none() && file.parts.iter().all(|part| part.fine)
}

fn part_view(preview: Preview, file: usize) -> PartView {
    let summary = &preview.summary;
    let sums: Vec<String> =
        summary.sums.iter().map(|(currency, sum)| format!("{} {currency}", sum.normalize())).collect();
    let span = match summary.first_day().zip(summary.last_day()) {
        Some((first, last)) => format!("{first} to {last} (UTC)"),
        None => "no day".to_owned(),
    };
    let rows = summary.rows;
    let replaces = preview.replaces.iter().map(|one| {
        let change = if one.before.is_empty() {
            String::new()
        } else {
            format!(": {} before, {} now", one.before.join(", "), one.after.join(", "))
        };
        format!("{} days of an earlier import{change}", one.days.len())
    });
    let problem = |problem: &Problem| ProblemView {
        row: problem.row,
        column: problem.column.clone().unwrap_or_default(),
        reason: problem.reason.clone(),
    };
    PartView {
        sums: if sums.is_empty() { "no money in it".to_owned() } else { sums.join(", ") },
        span,
        rows: format!(
            "{} billed, {} usage, {} empty, {} totals",
            format::count(rows.billed_lines),
            format::count(rows.usage_rows),
            format::count(rows.empty_buckets),
            format::count(rows.totals)
        ),
        replaces: replaces.collect(),
        problems: summary.problems.iter().take(20).map(problem).collect(),
        more_problems: rows.problems.saturating_sub(20),
        fine: summary.is_clean(),
        account_field: format!("account.{file}"),
        preview,
    }
}

async fn run_import(state: &DashboardState, form: &ImportForm) -> Result<String, PageError> {
    let now = state.clock.now();
    let Some(files) = state.drops.find(&form.drop, now) else {
        let said = "This upload is no longer kept. Choose the files once more.";
        return Err(PageError::NotUnderstood(said.to_owned()));
    };
    let mut said = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let account = form.accounts.get(&format!("account.{index}")).map_or("", String::as_str);
        match import(&state.books, file, &choice(state, account.trim()), now).await {
            Ok(done) => said.extend(done.iter().map(told)),
            Err(ImportError::Store(error)) => return Err(error.into()),
            Err(error) => said.push(format!("Not imported: {error}.")),
        }
    }
    state.drops.forget(&form.drop);
    Ok(said.join(" "))
}

fn told(done: &Imported) -> String {
    if done.unchanged {
        return format!("{}: these bytes were imported before; nothing changed.", done.file);
    }
    let sum = match (&done.sum, done.currency) {
        (Some(sum), Some(currency)) => format!(", {sum} {currency}"),
        _ => String::new(),
    };
    format!(
        "{}: imported for {}, {} rows{sum}.",
        done.file,
        done.account,
        format::count(done.rows.billed_lines + done.rows.usage_rows)
    )
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
