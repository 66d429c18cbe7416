//! `/reconcile/{provider}/{period}`: one month's verdict, bridge and findings; and the claim page.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::dashboard::chart::{self, Span};
use crate::dashboard::format::{self, Figure};
use crate::dashboard::page::{self, Chrome, CsvCell, CsvTable, Face, Page, PageError};
use crate::dashboard::report_body::{ComparedBody, FindingBody, ReportBody, RowBody};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{Query, encode_text, month_text};
use crate::money::exact_add;
use crate::period::{BillingPeriod, Timestamp};
use crate::store::imports;
use crate::store::months::{self as store, ReportRecord};
use crate::store::requests;

/// The page of a report.
#[derive(Template)]
#[template(path = "report.html")]
pub struct ReportPage {
    chrome: Chrome,
    verbatim: Box<RawValue>,
    month: String,
    made: String,
    report_id: String,
    stale: bool,
    sentences: Vec<Vec<Phrase>>,
    to_do: Vec<ToDo>,
    coverage: Vec<CoverageLine>,
    bridge: Vec<BridgeLine>,
    document: Vec<(String, Figure)>,
    findings: Vec<FindingView>,
    compared: Vec<ComparedView>,
    left_out: Vec<(String, String)>,
    body: ReportBody,
    claim: Option<String>,
    compare: String,
    account: String,
}

/// The page of a month without a report.
#[derive(Template, Serialize)]
#[template(path = "report_empty.html")]
pub struct EmptyReport {
    #[serde(skip)]
    chrome: Chrome,
    provider: String,
    period: BillingPeriod,
    #[serde(skip)]
    month: String,
    account: String,
    report: Option<String>,
    imported_days: usize,
}

/// What to send to the provider.
#[derive(Template)]
#[template(path = "claim.html")]
struct ClaimPage {
    chrome: Chrome,
    month: String,
    body: ReportBody,
    total: Figure,
    claims: Vec<ClaimView>,
    files: Vec<(String, String)>,
    back: String,
}

struct ClaimView {
    finding: FindingView,
    rows: Vec<(String, String)>,
    calls: Vec<CallView>,
}

struct CallView {
    sent: String,
    model: String,
    request_id: String,
    response_id: String,
}

/// A piece of a sentence.
struct Phrase {
    strong: bool,
    text: String,
}

struct ToDo {
    mover: String,
    words: String,
    anchor: String,
}

struct CoverageLine {
    name: &'static str,
    amount: Figure,
    share: String,
    span: Span,
}

struct BridgeLine {
    title: String,
    amount: String,
    exact: String,
    balance: Figure,
    span: Span,
    kind: &'static str,
    findings: Vec<(String, String)>,
}

struct FindingView {
    anchor: String,
    title: String,
    subject: String,
    amount: String,
    exact: String,
    confidence: String,
    confidence_words: String,
    mover: &'static str,
    parts: Vec<PartView>,
    evidence: Vec<String>,
    which: String,
    attempts: String,
    sample: Vec<String>,
    requests: Option<String>,
    all: String,
    rows: String,
    row_count: u64,
    days: String,
}

struct PartView {
    model: String,
    meter: String,
    quantity: String,
    amount: String,
    exact: String,
}

struct ComparedView {
    model: String,
    side: &'static str,
    counted: String,
    reported_of_counted: String,
    reported: String,
    billed: String,
}

/// `GET /reconcile/{provider}/{period}` with or without an ending.
pub async fn show(
    State(state): State<Arc<DashboardState>>,
    Path((provider, segment)): Path<(String, String)>,
    QueryOf(query): QueryOf<Query>,
) -> Response {
    let (period, face) = Face::split(&segment);
    answer(&state, &provider, period, &query, face)
        .await
        .unwrap_or_else(|error| error.reply(&state, face))
}

/// `GET /reconcile/{provider}/{period}/claim`.
pub async fn claim(
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

pub(crate) fn read_month(text: &str) -> Result<BillingPeriod, PageError> {
    text.parse().map_err(|error: crate::period::PeriodError| {
        PageError::NotUnderstood(format!("{error}; the address ends in a month such as 2026-10."))
    })
}

/// The newest report of the account; without an account, the only one or the first.
async fn find(
    state: &DashboardState,
    provider: &str,
    month: BillingPeriod,
    account: &str,
) -> Result<Option<ReportRecord>, PageError> {
    let reports = store::reports(&state.books, month, month).await?;
    Ok(reports
        .into_iter()
        .filter(|record| record.provider == provider)
        .find(|record| account.is_empty() || record.account == account))
}

async fn empty(
    state: &DashboardState,
    provider: &str,
    month: BillingPeriod,
    account: &str,
) -> Result<EmptyReport, PageError> {
    let first = month.first_day();
    let days = store::covered_days(&state.books, first, month.next().first_day()).await?;
    let own = days.iter().filter(|day| {
        day.provider == provider
            && (account.is_empty() || day.account == account)
            && day.format.contains("cost")
    });
    let path = format!("/reconcile/{}/{month}", encode_text(provider));
    let mut chrome =
        Chrome::new(state, format!("{provider} {month}"), "/reconcile", &path, &suffix(account));
    chrome.csv.clear();
    Ok(EmptyReport {
        chrome,
        provider: provider.to_owned(),
        period: month,
        month: month_text(month),
        account: account.to_owned(),
        report: None,
        imported_days: own.count(),
    })
}

fn suffix(account: &str) -> String {
    if account.is_empty() { String::new() } else { format!("account={}", encode_text(account)) }
}

fn read_body(record: &ReportRecord) -> Result<ReportBody, PageError> {
    serde_json::from_str(&record.body).map_err(|error| {
        PageError::Twin(format!("report {} is not of this version: {error}", record.report))
    })
}

async fn lay_out(
    state: &DashboardState,
    record: &ReportRecord,
) -> Result<ReportPage, PageError> {
    let body = read_body(record)?;
    let verbatim = RawValue::from_string(record.body.clone())
        .map_err(|error| PageError::Twin(error.to_string()))?;
    let path = format!("/reconcile/{}/{}", encode_text(&record.provider), record.period);
    let title = format!("{} {}", record.provider, record.period);
    let chrome = Chrome::new(state, title, "/reconcile", &path, &suffix(&record.account));
    let figure = |value: Decimal| Figure::new(value, body.currency);
    let all = |finding: &FindingBody| {
        let account = encode_text(&record.account);
        format!("{path}/requests?account={account}&finding={}", encode_text(&finding.id))
    };
    let proven = body.findings.iter().any(is_claim);
    let query = suffix(&record.account);
    let claim = format!("{path}/claim{}{query}", if query.is_empty() { "" } else { "?" });
    Ok(ReportPage {
        chrome,
        verbatim,
        month: month_text(record.period),
        made: format::instant_utc(record.made_at),
        report_id: record.report.clone(),
        stale: newest_import(state, record).await? > Some(record.made_at),
        sentences: body.verdict.sentences.iter().map(|text| phrases(text)).collect(),
        to_do: body.verdict.to_do.iter().map(to_do).collect(),
        coverage: coverage(&body),
        bridge: bridge(&body)?,
        document: document(&body),
        findings: body.findings.iter().map(|finding| finding_view(finding, &figure, &all(finding))).collect(),
        compared: body.compared.iter().flat_map(compared).collect(),
        left_out: left_out(&body),
        claim: proven.then_some(claim),
        compare: format!("{path}/compare"),
        account: record.account.clone(),
        body,
    })
}

async fn newest_import(
    state: &DashboardState,
    record: &ReportRecord,
) -> Result<Option<Timestamp>, PageError> {
    let (from, until) = (record.period.first_day(), record.period.next().first_day());
    let days = store::covered_days(&state.books, from, until).await?;
    let own = days
        .iter()
        .filter(|day| day.provider == record.provider && day.account == record.account);
    Ok(own.map(|day| day.sealed_at).max())
}

fn phrases(sentence: &str) -> Vec<Phrase> {
    let pieces = sentence.split("**").enumerate();
    pieces
        .filter(|(_, text)| !text.is_empty())
        .map(|(index, text)| Phrase { strong: index % 2 == 1, text: text.to_owned() })
        .collect()
}

fn to_do(action: &crate::dashboard::report_body::ActionBody) -> ToDo {
    ToDo {
        mover: move_words(&action.mover).to_owned(),
        words: action.words.clone(),
        anchor: anchor(&action.finding),
    }
}

fn move_words(mover: &str) -> &'static str {
    match mover {
        "ask_provider" => "Ask the provider",
        "fix_ours" => "Fix ours",
        _ => "Nobody: timing or rounding",
    }
}

fn anchor(finding: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    format!("finding-{}", finding.chars().map(plain).collect::<String>())
}

fn coverage(body: &ReportBody) -> Vec<CoverageLine> {
    let parts = [
        ("passed through here", body.coverage.seen),
        ("before our books began", body.coverage.before_books),
        ("while we were down", body.coverage.while_down),
        ("other key, project or workspace", body.coverage.elsewhere),
        ("not known", body.coverage.unknown),
    ];
    let scaled = |value: Decimal| Figure::new(value, body.currency).pico();
    let whole = scaled(body.coverage.billed_usage);
    let mut run = 0_i128;
    let mut rows = Vec::new();
    for (_, value) in parts {
        rows.push((run, run + scaled(value)));
        run += scaled(value);
    }
    let spans = chart::waterfall(&rows);
    parts
        .into_iter()
        .zip(spans)
        .filter(|((_, value), _)| !value.is_zero())
        .map(|((name, value), span)| CoverageLine {
            name,
            amount: Figure::new(value, body.currency),
            share: format::percent(scaled(value).unsigned_abs(), whole.unsigned_abs()),
            span,
        })
        .collect()
}

/// The steps that move something, named parts first, what has no cause last; exact or refused.
fn bridge(body: &ReportBody) -> Result<Vec<BridgeLine>, PageError> {
    let add = |left: Decimal, right: Decimal| {
        exact_add(left, right).ok_or_else(|| {
            PageError::Twin("the bridge has more digits than can be added exactly".to_owned())
        })
    };
    let mut steps: Vec<(String, Decimal, Vec<(String, String)>)> = Vec::new();
    for step in &body.bridge {
        let own = |finding: &&FindingBody| {
            finding.step == step.step && finding.confidence != "unexplained"
        };
        let mut amount = Decimal::ZERO;
        let mut names = Vec::new();
        for finding in body.findings.iter().filter(own) {
            amount = add(amount, finding.amount)?;
            let said = format!("{}: {}", finding.subject, finding.title);
            names.push((anchor(&finding.id), said));
        }
        if !names.is_empty() {
            steps.push((step.title.clone(), amount, names));
        }
    }
    steps.push(("Not explained".to_owned(), body.unexplained, Vec::new()));
    let mut balance = body.recorded;
    let mut rows = vec![("We recorded, at list price".to_owned(), None, balance, balance, Vec::new())];
    for (title, amount, names) in steps {
        let before = balance;
        balance = add(balance, amount)?;
        rows.push((title, Some(amount), before, balance, names));
    }
    if balance != body.billed {
        return Err(PageError::Twin(format!(
            "the parts of the stored report come to {balance}, its total is {}: not shown",
            body.billed
        )));
    }
    rows.push(("The export shows".to_owned(), None, balance, balance, Vec::new()));
    let scaled = |value: Decimal| Figure::new(value, body.currency).pico();
    let ends: Vec<(i128, i128)> =
        rows.iter().map(|(_, _, from, to, _)| (scaled(*from), scaled(*to))).collect();
    let spans = chart::waterfall(&whole_from_zero(ends));
    let lines = rows.into_iter().zip(spans).map(|((title, amount, _, balance, findings), span)| {
        let moved = amount.map(|amount| Figure::new(amount, body.currency));
        let figure = Figure::new(balance, body.currency);
        BridgeLine {
            kind: match (amount, title.as_str()) {
                (None, _) => "total",
                (Some(_), "Not explained") => "unexplained",
                (Some(amount), _) if amount < Decimal::ZERO => "less",
                _ => "more",
            },
            amount: moved.map_or_else(|| figure.cents_text(), |moved| moved.more_or_less()),
            exact: moved.unwrap_or(figure).exact(),
            title,
            balance: figure,
            span,
            findings,
        }
    });
    Ok(lines.collect())
}

/// Totals are drawn from just below the smallest balance, so that steps are seen beside them.
fn whole_from_zero(mut ends: Vec<(i128, i128)>) -> Vec<(i128, i128)> {
    let low = ends.iter().flat_map(|(from, to)| [*from, *to]).min().unwrap_or(0);
    let high = ends.iter().flat_map(|(from, to)| [*from, *to]).max().unwrap_or(0);
    let foot = (low - (high - low) / 4).max(0).min(low);
    let last = ends.len().saturating_sub(1);
    for index in [0, last] {
        if let Some(end) = ends.get_mut(index) {
            end.0 = foot;
        }
    }
    ends
}

fn document(body: &ReportBody) -> Vec<(String, Figure)> {
    let Some(document) = &body.document else { return Vec::new() };
    let figure = |value: Decimal| Figure::new(value, document.currency);
    vec![
        ("The export".to_owned(), figure(document.export)),
        ("Credits taken off".to_owned(), figure(document.credits)),
        ("Tax added".to_owned(), figure(document.tax)),
        ("Named by neither".to_owned(), figure(document.unexplained)),
        ("The document, to be paid".to_owned(), figure(document.total)),
    ]
}

fn finding_view(
    finding: &FindingBody,
    figure: &impl Fn(Decimal) -> Figure,
    all: &str,
) -> FindingView {
    let drill = &finding.drill;
    let days = drill.days.map(|(first, last)| {
        if first == last { format!("{first} (UTC)") } else { format!("{first} to {last} (UTC)") }
    });
    FindingView {
        anchor: anchor(&finding.id),
        title: finding.title.clone(),
        subject: finding.subject.clone(),
        amount: figure(finding.amount).more_or_less(),
        exact: figure(finding.amount).exact(),
        confidence: finding.confidence.clone(),
        confidence_words: finding.confidence_words.clone(),
        mover: move_words(&finding.mover),
        parts: finding
            .parts
            .iter()
            .map(|part| PartView {
                model: part.model.clone(),
                meter: part.meter.clone().unwrap_or_default(),
                quantity: match part.quantity {
                    0 => "the same".to_owned(),
                    n if n > 0 => format!("{} more", format::count(n.unsigned_abs())),
                    n => format!("{} less", format::count(n.unsigned_abs())),
                },
                amount: figure(part.amount).more_or_less(),
                exact: figure(part.amount).exact(),
            })
            .collect(),
        evidence: finding.evidence.clone(),
        which: drill.which.clone(),
        attempts: format::count(drill.attempt_count),
        sample: drill.attempts.clone(),
        requests: (drill.attempt_count > 0).then(|| requests_link(finding)).flatten(),
        all: all.to_owned(),
        rows: row_text(&drill.rows, drill.row_count),
        row_count: drill.row_count,
        days: days.unwrap_or_default(),
    }
}

/// The requests of the finding's days, and of its model where it is one.
fn requests_link(finding: &FindingBody) -> Option<String> {
    let (first, last) = finding.drill.days?;
    let mut link = format!("/requests?from={first}&to={last}");
    if let [model] = finding.drill.models.as_slice() {
        link.push_str("&model=");
        link.push_str(&encode_text(model));
    }
    Some(link)
}

fn row_text(rows: &[RowBody], count: u64) -> String {
    let shown: Vec<String> = rows.iter().map(|row| row.row.to_string()).collect();
    let more = count.saturating_sub(u64::try_from(rows.len()).unwrap_or(0));
    if more == 0 {
        shown.join(", ")
    } else {
        format!("{} and {} more", shown.join(", "), format::count(more))
    }
}

fn compared(body: &ComparedBody) -> [ComparedView; 2] {
    let none = || "not printed".to_owned();
    let counted = |n: u64| {
        if body.counted_attempts == 0 { "not counted".to_owned() } else { format::count(n) }
    };
    [
        ComparedView {
            model: body.model.clone(),
            side: "input",
            counted: counted(body.counted_input),
            reported_of_counted: counted(body.reported_input_of_counted),
            reported: format::count(body.reported_input),
            billed: body.billed_input.map_or_else(none, format::count),
        },
        ComparedView {
            model: body.model.clone(),
            side: "output",
            counted: counted(body.counted_output),
            reported_of_counted: counted(body.reported_output_of_counted),
            reported: format::count(body.reported_output),
            billed: body.billed_output.map_or_else(none, format::count),
        },
    ]
}

fn left_out(body: &ReportBody) -> Vec<(String, String)> {
    let reasons = body.population.attempts_left_out.iter();
    reasons.map(|(reason, n)| (format::words(reason), format::count(*n))).collect()
}

/// Only what is proven and theirs to answer is claimed.
fn is_claim(finding: &FindingBody) -> bool {
    finding.confidence == "proven" && finding.mover == "ask_provider"
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
    let (mut claims, mut total) = (Vec::new(), Decimal::ZERO);
    for finding in body.findings.iter().filter(|finding| is_claim(finding)) {
        total = exact_add(total, finding.amount)
            .ok_or_else(|| PageError::Twin("the claims do not add up exactly".to_owned()))?;
        let calls = requests::provider_calls(&state.books, &finding.drill.attempts).await?;
        claims.push(ClaimView {
            finding: finding_view(finding, &figure, ""),
            rows: rows_by_file(&finding.drill.rows, &batches),
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
    let path = format!("/reconcile/{}/{month}", encode_text(provider));
    let mut chrome = Chrome::new(state, "Claim", "/reconcile", &path, &suffix(account));
    chrome.csv.clear();
    let back = if account.is_empty() { path } else { format!("{path}?{}", suffix(account)) };
    Ok(ClaimPage {
        chrome,
        month: month_text(month),
        total: Figure::new(total, body.currency),
        claims,
        files: files.collect(),
        body,
        back,
    })
}

fn rows_by_file(rows: &[RowBody], files: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut by_file: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let file = files.get(&row.batch).unwrap_or(&row.batch).clone();
        by_file.entry(file).or_default().push(row.row.to_string());
    }
    by_file.into_iter().map(|(file, rows)| (file, rows.join(", "))).collect()
}

/// The stored report, unchanged to the last byte's meaning.
impl Serialize for ReportPage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.verbatim.serialize(serializer)
    }
}

impl Page for ReportPage {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        let row = |finding: &FindingBody| {
            vec![
                CsvCell::text(&finding.id),
                CsvCell::text(&finding.step),
                CsvCell::text(&finding.cause),
                CsvCell::text(&finding.subject),
                CsvCell::number(Some(finding.amount.normalize())),
                CsvCell::text(self.body.currency.as_str()),
                CsvCell::text(&finding.confidence),
                CsvCell::text(&finding.mover),
                CsvCell::number(Some(finding.drill.attempt_count)),
                CsvCell::number(Some(finding.drill.row_count)),
            ]
        };
        CsvTable {
            name: format!("findings-{}-{}", self.body.provider, self.body.period),
            header: vec![
                "finding", "step", "cause", "subject", "amount", "currency", "confidence", "mover",
                "attempts", "rows",
            ],
            rows: self.body.findings.iter().map(row).collect(),
        }
    }
}

impl Page for EmptyReport {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        CsvTable { name: "no-report".to_owned(), header: vec!["finding"], rows: Vec::new() }
    }
}
