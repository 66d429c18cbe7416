//! `/`: what was spent, by whom, on what; and how far the months are reconciled.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Query as QueryOf, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use crate::dashboard::chart::StackedBars;
use crate::dashboard::format::{self, Figure, Money};
use crate::dashboard::months::{self, MonthStrip};
use crate::dashboard::opening::opening;
use crate::dashboard::overview_lines::{
    BucketLine, GroupLine, LastLine, MeterLine, billed_tile, bucket_lines, group_line, meter_lines,
    summary,
};
use crate::dashboard::page::{self, Chrome, CsvCell, CsvTable, Face, Page, PageError};
use crate::dashboard::spend::{self, AttemptSums};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{self, Query, RangeLink, SetFilter, View};
use crate::money::{Amount, Currency};
use crate::period::{ChargePeriod, DAY_US, HOUR_US, Timestamp};
use crate::store::accounts;
use crate::store::billed::{Billed, billed};
use crate::store::months as store_months;
use crate::store::overview::{self as store, AttemptCell, Dimension, LastAttempt, SpendCell};
use crate::store::read::AttemptFilter;

/// The page.
#[derive(Template, Serialize)]
#[template(path = "overview.html")]
pub(crate) struct Overview {
    #[serde(skip)]
    chrome: Chrome,
    #[serde(skip)]
    view: View,
    #[serde(serialize_with = "format::as_span")]
    period: ChargePeriod,
    #[serde(skip)]
    period_text: String,
    group_by: &'static str,
    currency: Currency,
    spend: Money,
    #[serde(skip)]
    besides: Vec<Money>,
    spend_today: Money,
    /// `None` where our books begin only after that span.
    spend_previous: Option<Money>,
    #[serde(skip)]
    previous_text: String,
    #[serde(skip)]
    change: Option<String>,
    uncertain: Money,
    outside_bill: Money,
    cache_saving: Money,
    #[serde(skip)]
    cache_loss: bool,
    #[serde(skip)]
    cache_read: format::Cell,
    cache_left_out: Vec<String>,
    billed: Option<Figure>,
    #[serde(skip)]
    billed_text: String,
    attempts: AttemptSums,
    #[serde(skip)]
    attempts_brief: format::Cell,
    #[serde(skip)]
    unpriced_brief: format::Cell,
    #[serde(skip)]
    error_share: String,
    unpriced_atoms: u64,
    groups: Vec<GroupLine>,
    meters: Vec<MeterLine>,
    buckets: Vec<BucketLine>,
    #[serde(skip)]
    series: Vec<String>,
    #[serde(skip)]
    wide: StackedBars,
    #[serde(skip)]
    narrow: StackedBars,
    #[serde(skip)]
    summary: String,
    months: MonthStrip,
    last: Option<LastLine>,
    #[serde(skip)]
    base_url: String,
    #[serde(skip)]
    filters: Vec<SetFilter>,
    #[serde(skip)]
    ranges: Vec<RangeLink>,
    #[serde(skip)]
    why_opened: Option<String>,
    #[serde(skip)]
    this_month: String,
    #[serde(skip)]
    dimensions: &'static [Dimension],
    #[serde(skip)]
    providers: Vec<String>,
}

/// What the books said, before anything is added up.
struct Facts {
    cells: Vec<SpendCell>,
    attempts: Vec<AttemptCell>,
    previous: Vec<SpendCell>,
    today: Vec<SpendCell>,
    last: Option<LastAttempt>,
    providers: Vec<String>,
    names: BTreeMap<String, String>,
    months: MonthStrip,
    billed: Billed,
    begun: Option<Timestamp>,
    why_opened: Option<String>,
}

/// One unit of a currency, in 10⁻¹² of it.
const ONE: i128 = 1_000_000_000_000;

/// `GET /`, `/overview.json`, `/overview.csv`.
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    uri: Uri,
    QueryOf(query): QueryOf<Query>,
) -> Response {
    let face = Face::of(uri.path());
    let answer = match make(&state, &query).await {
        Ok(page) => page::reply(face, &page, query.get("table").map(String::as_str)),
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(|error| error.reply(&state, face))
}

/// Anything that is no page.
pub(crate) async fn nothing_here(State(state): State<Arc<DashboardState>>, uri: Uri) -> Response {
    let said = format!("There is no page at {}.", uri.path());
    PageError::NotFound(said).reply(&state, Face::of(uri.path()))
}

async fn make(state: &DashboardState, query: &Query) -> Result<Overview, PageError> {
    let now = state.clock.now();
    let opened = opening(&state.books, query, now).await?;
    let view = View::read(&opened.query, now)?;
    let grain = grain(view.filter.period);
    let facts = Facts { why_opened: opened.why, ..gather(state, &view, grain, now).await? };
    Ok(lay_out(state, view, facts, grain, now))
}

/// Hours for two days, days for a season, then weeks.
fn grain(period: ChargePeriod) -> i64 {
    match period.end.micros() - period.start.micros() {
        width if width <= 2 * DAY_US => HOUR_US,
        width if width <= 100 * DAY_US => DAY_US,
        _ => 7 * DAY_US,
    }
}

async fn gather(
    state: &DashboardState,
    view: &View,
    grain: i64,
    now: Timestamp,
) -> Result<Facts, PageError> {
    let books = &state.books;
    let sum_of = async |period| {
        let over = AttemptFilter { period, ..view.filter.clone() };
        store::spend(books, &over, Dimension::Provider, store::WHOLE_SPAN).await
    };
    let (first_day, until) = (view.filter.period.start.day(), view.filter.period.end.day());
    let today = ChargePeriod::of_day(now.day());
    let last = store::find_last_attempt(books).await?;
    let mut names = BTreeMap::new();
    let remarks = accounts::remarks(books).await?;
    let credentials = accounts::credentials(books).await?;
    let mut seen: Vec<String> = Vec::new();
    for credential in credentials {
        let subject = format!("credential:{}", credential.credential);
        let name = remarks.get(&subject).and_then(|said| said.get("name"));
        let label = match name {
            Some(name) => format!("{name} (…{})", credential.hint),
            None => format!("…{}", credential.hint),
        };
        if !seen.contains(&credential.provider) {
            seen.push(credential.provider.clone());
        }
        names.insert(credential.credential, label);
    }
    Ok(Facts {
        cells: store::spend(books, &view.filter, view.group, grain).await?,
        attempts: store::attempts(books, &view.filter, view.group).await?,
        previous: sum_of(view.previous).await?,
        today: sum_of(today).await?,
        months: months::strip(books, now, 12).await?,
        billed: billed(books, view.filter.provider.as_deref(), first_day, until).await?,
        begun: store_months::beginnings(books).await?.iter().map(|(_, at)| *at).min(),
        why_opened: None,
        last,
        providers: seen,
        names,
    })
}

fn lay_out(
    state: &DashboardState,
    view: View,
    facts: Facts,
    grain: i64,
    now: Timestamp,
) -> Overview {
    let billed = |cell: &SpendCell| spend::on_the_bill(&cell.billing_class);
    let purse = spend::total(&facts.cells, billed);
    let currency = purse.leading();
    let spent = purse.of(currency);
    let groups = spend::groups(&facts.cells, &facts.attempts, currency);
    let label = |group: &str| facts.names.get(group).cloned().unwrap_or_else(|| view::named(group));
    let bars = spend::series(&facts.cells, view.filter.period, grain, currency, &groups, label);
    let print = printer(spent);
    let saving = spend::cache_saving(&facts.cells);
    let previous = spend::total(&facts.previous, billed).of(currency);
    let before = Before::of(view.previous, facts.begun);
    let attempts = spend::attempt_sums(&facts.attempts);
    let class =
        |name: &str| spend::total(&facts.cells, |cell| cell.billing_class == name).of(currency);
    let (figure, billed_text) = billed_tile(&view, &facts.billed, currency);
    let unpriced = spend::meters(&facts.cells).iter().map(|sum| sum.unpriced).sum();
    let chrome = Chrome::new(state, "Overview", "/", "/", &view.query_text());
    Overview {
        chrome,
        period: view.filter.period,
        period_text: view.period_text(),
        group_by: view.group.as_str(),
        currency,
        spend: spent,
        besides: purse.besides(currency),
        spend_today: spend::total(&facts.today, billed).of(currency),
        spend_previous: (before != Before::Unknown).then_some(previous),
        previous_text: before.words(view.previous, facts.begun),
        change: (before == Before::Whole)
            .then(|| format::change(spent.amount, previous.amount))
            .flatten(),
        uncertain: class("uncertain"),
        outside_bill: class("outside_bill"),
        cache_loss: saving.net.of(currency).amount.pico() < 0,
        cache_saving: saving.net.of(currency),
        cache_read: format::brief(saving.read, "tokens"),
        cache_left_out: saving.left_out,
        error_share: format::percent(attempts.errors.into(), attempts.attempts.into()),
        billed: figure,
        billed_text,
        attempts_brief: format::brief(attempts.attempts, "attempts"),
        unpriced_brief: format::brief(unpriced, "tokens"),
        unpriced_atoms: unpriced,
        attempts,
        groups: groups.iter().map(|sum| group_line(&view, sum, spent, label(&sum.group))).collect(),
        meters: meter_lines(&facts.cells, currency),
        buckets: bucket_lines(&bars, view.filter.period, grain, currency),
        series: bars.series.iter().map(|(name, _)| name.clone()).collect(),
        wide: StackedBars::new(1_080, 260, &bars, &print),
        narrow: StackedBars::new(340, 220, &bars, &print),
        summary: summary(&bars, spent, grain),
        months: facts.months,
        last: facts.last.map(|last| last_line(last, now)),
        base_url: state.proxy_base_url.clone(),
        filters: view.set_filters("/"),
        ranges: view.range_links("/"),
        why_opened: facts.why_opened,
        this_month: view.link("/", &[("range", "month")]),
        dimensions: Dimension::ALL,
        providers: facts.providers,
        view,
    }
}

/// How the chart prints a value: on a scale below a dollar, whole cents would name two of its lines
/// alike.
fn printer(spent: Money) -> impl Fn(i128) -> String {
    let is_small = spent.amount.pico().abs() < ONE;
    move |value| {
        let sum = Money::new(Amount::from_pico(value), spent.currency);
        if is_small { sum.fine_text() } else { sum.cents_text() }
    }
}

/// The newest attempt, for reading.
fn last_line(last: LastAttempt, now: Timestamp) -> LastLine {
    let total = last.total.zip(last.currency);
    LastLine {
        request: last.request,
        started_at: last.started_at,
        ago: format::ago(now, last.started_at),
        total: total.map(|(total, currency)| Money::new(total, currency)),
        settled: last.settled,
    }
}

/// How much of the earlier span our books know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// All of it.
    Whole,
    /// They begin within it.
    Part,
    /// They begin after it, or are empty.
    Unknown,
}

impl Before {
    fn of(previous: ChargePeriod, begun: Option<Timestamp>) -> Self {
        match begun {
            Some(begun) if begun <= previous.start => Self::Whole,
            Some(begun) if begun < previous.end => Self::Part,
            _ => Self::Unknown,
        }
    }

    fn words(self, previous: ChargePeriod, begun: Option<Timestamp>) -> String {
        let span = view::span_text(previous);
        match (self, begun) {
            (Self::Whole, _) | (_, None) => span,
            (Self::Part | Self::Unknown, Some(begun)) => {
                format!("{span}; our books begin {}", begun.day().format("%-d %b %Y"))
            }
        }
    }
}

impl Page for Overview {
    fn csv(&self, table: Option<&str>) -> CsvTable {
        match table {
            Some("meters") => CsvTable {
                name: "meters".to_owned(),
                header: vec!["meter", "quantity", "unpriced_quantity", "spend", "currency"],
                rows: self
                    .meters
                    .iter()
                    .map(|line| {
                        vec![
                            CsvCell::text(&line.meter),
                            CsvCell::number(Some(&line.quantity)),
                            CsvCell::number(Some(&line.unpriced)),
                            CsvCell::number(line.spend.map(|spend| spend.amount)),
                            CsvCell::text(self.currency.as_str()),
                        ]
                    })
                    .collect(),
            },
            Some("buckets") => CsvTable {
                name: "spend-over-time".to_owned(),
                header: vec!["start_utc", "spend", "currency"],
                rows: self
                    .buckets
                    .iter()
                    .map(|line| {
                        vec![
                            CsvCell::text(line.start.to_string()),
                            CsvCell::number(Some(line.spend.amount)),
                            CsvCell::text(self.currency.as_str()),
                        ]
                    })
                    .collect(),
            },
            _ => self.groups_csv(),
        }
    }
}

impl Overview {
    fn groups_csv(&self) -> CsvTable {
        let row = |line: &GroupLine| {
            vec![
                CsvCell::text(&line.group),
                CsvCell::text(&line.label),
                CsvCell::number(line.spend.map(|spend| spend.amount)),
                CsvCell::text(self.currency.as_str()),
                CsvCell::number(Some(line.attempts)),
                CsvCell::number(Some(line.errors)),
                CsvCell::number(Some(line.input_tokens)),
                CsvCell::number(Some(line.output_tokens)),
                CsvCell::number(Some(line.attempts_without_price)),
            ]
        };
        CsvTable {
            name: format!("spend-by-{}", self.group_by),
            header: vec![
                "group",
                "label",
                "spend",
                "currency",
                "attempts",
                "errors",
                "input_tokens",
                "output_tokens",
                "attempts_without_price",
            ],
            rows: self.groups.iter().map(row).collect(),
        }
    }
}
