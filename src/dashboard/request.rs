//! `/requests/{id}`: everything written down about one request, with its arithmetic.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use crate::dashboard::attempt_row::unsettled;
use crate::dashboard::chart::{self, Span};
use crate::dashboard::estimate::estimate;
use crate::dashboard::format::{self, Money};
use crate::dashboard::page::{self, Chrome, CsvCell, CsvTable, Face, Page, PageError};
use crate::dashboard::request_usage::{UsageView, usage_view};
use crate::dashboard::spend::is_error;
use crate::dashboard::state::DashboardState;
use crate::gateway::capture::LARGEST_SIDE;
use crate::period::Timestamp;
use crate::store::accounts;
use crate::store::captured::{Captured, KeptContent};
use crate::store::request::{self as store, AttemptRecord, ChargeRecord};

/// The page.
#[derive(Template, Serialize)]
#[template(path = "request.html")]
pub(crate) struct RequestPage {
    #[serde(skip)]
    chrome: Chrome,
    id: String,
    #[serde(skip)]
    started: String,
    total: Option<Money>,
    #[serde(skip)]
    incomplete: bool,
    attempts: Vec<AttemptView>,
    /// On the page only: who fetches figures by the twin does not fetch content by accident.
    #[serde(skip)]
    captured: Vec<ContentView>,
}

/// Content of an attempt that is kept because its caller is set to that.
struct ContentView {
    caller: String,
    days: u32,
    until: String,
    asked: SideView,
    answer: SideView,
}

/// One side of it.
struct SideView {
    text: Option<String>,
    bytes: String,
    is_cut: bool,
}

/// One attempt as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AttemptView {
    id: String,
    ordinal: u64,
    #[serde(serialize_with = "format::as_text")]
    started_at: Timestamp,
    provider: String,
    endpoint: String,
    method: String,
    path: String,
    model_requested: Option<String>,
    model_served: Option<String>,
    stream: bool,
    status: Option<u64>,
    outcome: String,
    #[serde(skip)]
    outcome_text: String,
    #[serde(skip)]
    bad: bool,
    error: Option<String>,
    usage: UsageView,
    charges: Vec<ChargeView>,
    unpriced: Vec<String>,
    price_status: Option<String>,
    total: Option<Money>,
    /// By our own count, where the report is missing or broke off.
    estimate: Option<Money>,
    currency: Option<String>,
    price_version: Option<String>,
    engine: Option<String>,
    billing_class: Option<String>,
    revisions: Vec<RevisionView>,
    credential: Option<String>,
    #[serde(skip)]
    key: String,
    organization: Option<String>,
    project: Option<String>,
    workspace: Option<String>,
    provider_request_id: Option<String>,
    provider_response_id: Option<String>,
    caller: Option<String>,
    team: Option<String>,
    app: Option<String>,
    end_user: Option<String>,
    tags: Vec<String>,
    label_source: String,
    conditions: BTreeMap<String, String>,
    request_bytes: u64,
    response_bytes: Option<u64>,
    max_output: Option<u64>,
    first_byte_us: Option<u64>,
    duration_us: Option<u64>,
    #[serde(skip)]
    took: String,
    #[serde(skip)]
    first_byte: String,
    journal: JournalView,
    #[serde(skip)]
    span: Span,
}

/// One term of the arithmetic.
#[derive(Clone, Debug, Serialize)]
struct ChargeView {
    model: String,
    meter: String,
    quantity: String,
    #[serde(skip)]
    quantity_text: String,
    unit_price: String,
    per: u64,
    #[serde(skip)]
    per_text: String,
    factors: Vec<String>,
    amount: Money,
    rate_id: String,
    #[serde(skip)]
    rate_short: String,
    rounded: bool,
}

/// An earlier or later word on the price.
#[derive(Clone, Debug, Serialize)]
struct RevisionView {
    revision: u64,
    reason: String,
    #[serde(serialize_with = "format::as_text")]
    valued_at: Timestamp,
    #[serde(skip)]
    valued: String,
    total: Option<Money>,
    price_version: String,
}

/// Where the record stands in the journal.
#[derive(Clone, Debug, Serialize)]
struct JournalView {
    node: String,
    boot: u64,
    n: u64,
    hash: String,
}

/// `GET /requests/{id}` with or without an ending.
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    Path(segment): Path<String>,
) -> Response {
    let (id, face) = Face::split(&segment);
    let answer = match make(&state, id).await {
        Ok(page) => page::reply(face, &page, None),
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(|error| error.reply(&state, face))
}

async fn make(state: &DashboardState, id: &str) -> Result<RequestPage, PageError> {
    let records = store::find(&state.books, id).await?;
    let Some(first) = records.first() else {
        return Err(PageError::NotFound(format!(
            "No request {id} is in the books. A request appears within a second or two of being \
             sent; its id is in the reply header x-counterfoil-request-id."
        )));
    };
    let request = first.line.request.clone();
    let started = format::instant_utc(first.line.started_at);
    let hints: BTreeMap<String, String> = accounts::credentials(&state.books)
        .await?
        .into_iter()
        .map(|known| {
            (known.credential, format!("…{} ({})", known.hint, format::words(&known.kind)))
        })
        .collect();
    let now = state.clock.now();
    let spans =
        chart::waterfall(&records.iter().map(|record| ends(record, now)).collect::<Vec<_>>());
    let attempts: Vec<AttemptView> = records
        .iter()
        .zip(spans)
        .map(|(record, span)| {
            attempt_view(record, estimate(&state.prices, record), span, &hints, now)
        })
        .collect();
    let captured = captured(state, &request, now).await?;
    let path = format!("/requests/{request}");
    Ok(RequestPage {
        chrome: Chrome::new(
            state,
            format!("Request {}", format::short(&request)),
            "/requests",
            &path,
            "",
        ),
        started,
        total: total(&attempts),
        incomplete: attempts.iter().any(|attempt| attempt.total.is_none()),
        attempts,
        captured,
        id: request,
    })
}

/// What is kept of its content; for nearly every request, nothing.
async fn captured(
    state: &DashboardState,
    request: &str,
    now: Timestamp,
) -> Result<Vec<ContentView>, PageError> {
    let folder = state.books.path().parent().unwrap_or(FilePath::new("."));
    let Some(captured) = Captured::open_if_there(folder).await? else { return Ok(Vec::new()) };
    let kept = captured.of_request(request, now).await;
    captured.close().await;
    let view = |kept: KeptContent| ContentView {
        until: format::instant_utc(kept.expires_at),
        asked: side(kept.asked, kept.asked_bytes),
        answer: side(kept.answer, kept.answer_bytes),
        caller: kept.caller,
        days: kept.days,
    };
    Ok(kept?.into_iter().map(view).collect())
}

fn side(text: Option<String>, bytes: u64) -> SideView {
    let is_cut = bytes > u64::try_from(LARGEST_SIDE).unwrap_or(u64::MAX);
    SideView { text, bytes: format::count(bytes), is_cut }
}

/// The sum over attempts, where there is one and one currency only.
fn total(attempts: &[AttemptView]) -> Option<Money> {
    let known: Vec<Money> = attempts.iter().filter_map(|attempt| attempt.total).collect();
    let currency = known.first()?.currency;
    let sum = known.iter().map(|money| money.amount).sum();
    known.iter().all(|money| money.currency == currency).then(|| Money::new(sum, currency))
}

fn ends(record: &AttemptRecord, now: Timestamp) -> (i128, i128) {
    let start = i128::from(record.line.started_at.micros());
    let took = record.line.settled.as_ref().map(|end| i128::from(end.duration_us));
    let since = i128::from(now.micros()) - start;
    (start, start + took.unwrap_or_else(|| since.clamp(0, 600_000_000)))
}

fn attempt_view(
    record: &AttemptRecord,
    estimate: Option<Money>,
    span: Span,
    hints: &BTreeMap<String, String>,
    now: Timestamp,
) -> AttemptView {
    let line = &record.line;
    let end = line.settled.as_ref();
    let settlement = record.settlements.last();
    let valuation = record.valuations.last();
    let outcome =
        end.map_or_else(|| unsettled(line.started_at, now).to_owned(), |end| end.outcome.clone());
    let hint = |credential: &String| hints.get(credential).cloned();
    let money = |total| valuation.map(|valuation| Money::new(total, valuation.currency));
    AttemptView {
        id: line.attempt.clone(),
        ordinal: line.ordinal,
        started_at: line.started_at,
        provider: line.provider.clone(),
        endpoint: line.endpoint.clone(),
        method: record.method.clone(),
        path: record.path.clone(),
        model_requested: line.model_requested.clone(),
        model_served: end.and_then(|end| end.model_served.clone()),
        stream: line.stream,
        status: end.and_then(|end| end.http_status),
        outcome_text: format::words(&outcome),
        bad: is_error(&outcome) && outcome != "in_flight",
        outcome,
        error: end.and_then(|end| end.error.clone()),
        usage: usage_view(record),
        charges: valuation
            .map(|valuation| {
                let view = |charge| charge_view(charge, valuation.currency);
                valuation.charges.iter().map(view).collect()
            })
            .unwrap_or_default(),
        unpriced: valuation.map(|valuation| valuation.unpriced.clone()).unwrap_or_default(),
        price_status: valuation.map(|valuation| valuation.status.clone()),
        total: valuation.and_then(|valuation| valuation.total).and_then(money),
        estimate,
        currency: valuation.map(|valuation| valuation.currency.to_string()),
        price_version: valuation.map(|valuation| valuation.price_version.clone()),
        engine: valuation.map(|valuation| valuation.engine.clone()),
        billing_class: end.map(|end| end.billing_class.clone()),
        revisions: revisions(record),
        key: line.credential.as_ref().and_then(hint).unwrap_or_default(),
        credential: line.credential.clone(),
        organization: settlement.and_then(|end| end.organization.clone()),
        project: settlement.and_then(|end| end.project.clone()),
        workspace: settlement.and_then(|end| end.workspace.clone()),
        provider_request_id: settlement.and_then(|end| end.provider_request_id.clone()),
        provider_response_id: settlement.and_then(|end| end.provider_response_id.clone()),
        caller: record.caller.clone(),
        team: line.team.clone(),
        app: line.app.clone(),
        end_user: line.end_user.clone(),
        tags: record.tags.clone(),
        label_source: record.label_source.clone(),
        conditions: settlement.map(|end| conditions(&end.conditions)).unwrap_or_default(),
        request_bytes: record.request_bytes,
        response_bytes: settlement.map(|end| end.response_bytes),
        max_output: record.max_output,
        first_byte_us: end.and_then(|end| end.first_byte_us),
        duration_us: end.map(|end| end.duration_us),
        took: end.map(|end| format::duration(end.duration_us)).unwrap_or_default(),
        first_byte: end.and_then(|end| end.first_byte_us).map(format::duration).unwrap_or_default(),
        journal: JournalView {
            node: record.journal.0.clone(),
            boot: record.journal.1,
            n: record.journal.2,
            hash: record.hash.clone(),
        },
        span,
    }
}

fn conditions(stored: &Value) -> BTreeMap<String, String> {
    let Some(object) = stored.as_object() else { return BTreeMap::new() };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    object.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn revisions(record: &AttemptRecord) -> Vec<RevisionView> {
    let view = |valuation: &store::ValuationRecord| RevisionView {
        revision: valuation.revision,
        reason: valuation.reason.clone(),
        valued_at: valuation.valued_at,
        valued: format::instant(valuation.valued_at),
        total: valuation.total.map(|total| Money::new(total, valuation.currency)),
        price_version: valuation.price_version.clone(),
    };
    record.valuations.iter().map(view).collect()
}

fn charge_view(charge: &ChargeRecord, currency: crate::money::Currency) -> ChargeView {
    ChargeView {
        model: charge.model.clone(),
        meter: charge.meter.to_string(),
        quantity: charge.meter.print(charge.quantity),
        quantity_text: if charge.meter.atoms_per_unit() == 1 {
            format::count(charge.quantity)
        } else {
            charge.meter.print(charge.quantity)
        },
        unit_price: charge.unit_price.clone(),
        per: charge.per,
        per_text: format::count(charge.per),
        factors: charge.factors.clone(),
        amount: Money::new(charge.amount, currency),
        rate_short: format::short(&charge.rate_id),
        rate_id: charge.rate_id.clone(),
        rounded: charge.rounded,
    }
}

impl Page for RequestPage {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        let mut rows = Vec::new();
        for attempt in &self.attempts {
            for charge in &attempt.charges {
                rows.push(vec![
                    CsvCell::text(&attempt.id),
                    CsvCell::text(&charge.model),
                    CsvCell::text(&charge.meter),
                    CsvCell::number(Some(&charge.quantity)),
                    CsvCell::number(Some(&charge.unit_price)),
                    CsvCell::number(Some(charge.per)),
                    CsvCell::text(charge.factors.join(" × ")),
                    CsvCell::number(Some(charge.amount.amount)),
                    CsvCell::text(charge.amount.currency.as_str()),
                    CsvCell::text(&charge.rate_id),
                ]);
            }
        }
        CsvTable {
            name: format!("charges-{}", format::short(&self.id).trim_end_matches('…')),
            header: vec![
                "attempt",
                "model",
                "meter",
                "quantity",
                "unit_price",
                "per",
                "factors",
                "amount",
                "currency",
                "rate_id",
            ],
            rows,
        }
    }
}
