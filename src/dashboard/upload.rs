//! The upload of exports: files are previewed, kept for a while, and imported on a second word.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::body::Body;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::bookkeeping::export_file::{ExportBytes, ExportFile, ImportChoice, ImportError};
use crate::bookkeeping::import::{Imported, import};
use crate::bookkeeping::preview::{Preview, preview_drop};
use crate::dashboard::drops::UPLOAD_LIMIT;
use crate::dashboard::format;
use crate::dashboard::page::{self, Chrome, Face, PageError, see_other};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{Query, encode_text};
use crate::invoice::refusal::Problem;
use crate::names::new_id;

/// How much of an upload that is too large is read on, in bytes, and how long for its next piece.
const MOST_READ_ON: usize = 1 << 30;
const READ_ON_PATIENCE: Duration = Duration::from_secs(1);

/// The preview of an upload.
#[derive(Template)]
#[template(path = "upload.html")]
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

/// `POST /invoices/preview`: reads the files and stores nothing.
pub(crate) async fn upload(State(state): State<Arc<DashboardState>>, request: Request) -> Response {
    let answer = match receive(request).await {
        Ok((files, account)) => make_preview(&state, files, account).await,
        Err(error) => Err(error),
    };
    match answer.and_then(|page| Ok(page.render()?)) {
        Ok(html) => page::html(html),
        Err(error) => error.reply(&state, Face::Html),
    }
}

/// `POST /invoices/import`: imports what was previewed.
pub(crate) async fn import_upload(
    State(state): State<Arc<DashboardState>>,
    Form(form): Form<Query>,
) -> Response {
    match run_import(&state, &form).await {
        Ok(notice) => see_other(&format!("/invoices?notice={}", encode_text(&notice))),
        Err(error) => error.reply(&state, Face::Html),
    }
}

async fn receive(request: Request) -> Result<(Vec<ExportFile>, String), PageError> {
    let said = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length: Option<usize> = said.and_then(|length| length.parse().ok());
    if length.is_some_and(|length| length > UPLOAD_LIMIT) {
        read_on(request.into_body()).await;
        return Err(too_large());
    }
    match Multipart::from_request(request, &()).await {
        Ok(form) => read_upload(form).await,
        Err(error) => Err(PageError::NotUnderstood(error.body_text())),
    }
}

/// Reads what is too much and keeps nothing of it: a browser whose connection ends under its hands
/// shows that instead of the reason.
async fn read_on(mut body: Body) {
    let mut read = 0;
    while read < MOST_READ_ON {
        match timeout(READ_ON_PATIENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => read += frame.data_ref().map_or(0, Bytes::len),
            _ => return,
        }
    }
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
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    PageError::NotUnderstood(format!("The upload broke off: {}", error.body_text()))
}

fn too_large() -> PageError {
    PageError::NotUnderstood(format!(
        "The upload is larger than {} MiB. Import it on the machine: counterfoil import FILE",
        UPLOAD_LIMIT >> 20
    ))
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
    let read = preview_drop(&state.books, &files, &choice(state, &account), now).await;
    for (index, (file, read)) in files.iter().zip(read).enumerate() {
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
    let drop = new_id(now).hyphenated().to_string();
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
    let sums: Vec<String> = summary
        .sums
        .iter()
        .map(|(currency, sum)| format!("{} {currency}", sum.normalize()))
        .collect();
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

async fn run_import(state: &DashboardState, form: &Query) -> Result<String, PageError> {
    let now = state.clock.now();
    let drop = form.get("drop").map_or("", String::as_str);
    let Some(files) = state.drops.find(drop, now) else {
        let said = "This upload is no longer kept. Choose the files once more.";
        return Err(PageError::NotUnderstood(said.to_owned()));
    };
    let mut said = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let account = form.get(&format!("account.{index}")).map_or("", String::as_str);
        match import(&state.books, file, &choice(state, account.trim()), now).await {
            Ok(done) => said.extend(done.iter().map(told)),
            Err(ImportError::Store(error)) => return Err(error.into()),
            Err(error) => said.push(format!("Not imported: {error}.")),
        }
    }
    state.drops.forget(drop);
    Ok(said.join(" "))
}

fn told(done: &Imported) -> String {
    if done.unchanged {
        let told = format!("{}: these bytes were imported before; nothing changed", done.file);
        let overruled = done.overruled.iter().map(|words| format!(", {words}"));
        return format!("{told}{}.", overruled.collect::<String>());
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
