//! `/`: what was spent, by whom, on what; and how far the months are reconciled.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Query as QueryOf, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use crate::dashboard::chart::{Bars, StackedBars};
use crate::dashboard::format::{self, Figure, Money};
use crate::dashboard::months::{self, MonthStrip};
use crate::dashboard::page::{self, Chrome, CsvCell, CsvTable, Face, Page, PageError};
use crate::dashboard::spend::{self, AttemptSums, GroupSum};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{self, NONE, Query, RANGES, RangeChoice, SetFilter, View};
use crate::meter::Meter;
use crate::money::{Amount, Currency};
use crate::period::{ChargePeriod, DAY_US, HOUR_US, Timestamp};
use crate::store::accounts;
use crate::store::billed::{Billed, billed};
use crate::store::overview::{self as store, AttemptCell, Dimension, LastAttempt, SpendCell};
use crate::store::read::AttemptFilter;

/// The page.
#[derive(Template, Serialize)]
#[template(path = "overview.html")]
pub struct Overview {
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
    spend_previous: Money,
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
    ranges: &'static [RangeChoice],
    #[serde(skip)]
    dimensions: &'static [Dimension],
    #[serde(skip)]
    providers: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct GroupLine {
    group: String,
    label: String,
    spend: Money,
    #[serde(skip)]
    share: String,
    attempts: u64,
    errors: u64,
    input_tokens: u64,
    output_tokens: u64,
    spend_per_attempt: Option<Money>,
    spend_per_1k_tokens: Option<Money>,
    #[serde(skip)]
    only: String,
    #[serde(skip)]
    requests: String,
}

#[derive(Clone, Debug, Serialize)]
struct MeterLine {
    meter: String,
    quantity: String,
    #[serde(skip)]
    shown: String,
    unpriced: String,
    #[serde(skip)]
    unpriced_shown: String,
    spend: Option<Money>,
}

#[derive(Clone, Debug, Serialize)]
struct BucketLine {
    #[serde(serialize_with = "format::as_text")]
    start: Timestamp,
    #[serde(skip)]
    label: String,
    spend: Money,
    by_group: Vec<Money>,
}

#[derive(Clone, Debug, Serialize)]
struct LastLine {
    request: String,
    #[serde(serialize_with = "format::as_text")]
    started_at: Timestamp,
    #[serde(skip)]
    ago: String,
    total: Option<Money>,
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
}

/// `GET /`, `/overview.json`, `/overview.csv`.
pub async fn show(
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
pub async fn nothing_here(State(state): State<Arc<DashboardState>>, uri: Uri) -> Response {
    let said = format!("There is no page at {}.", uri.path());
    PageError::NotFound(said).reply(&state, Face::of(uri.path()))
}

async fn make(state: &DashboardState, query: &Query) -> Result<Overview, PageError> {
    let now = state.clock.now();
    let view = View::read(query, now)?;
    let grain = grain(view.filter.period);
    let facts = gather(state, &view, grain, now).await?;
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
    let whole = |period: ChargePeriod| (period.end.micros() - period.start.micros()).max(HOUR_US);
    let over = |period| AttemptFilter { period, ..view.filter.clone() };
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
        previous: store::spend(
            books,
            &over(view.previous),
            Dimension::Provider,
            whole(view.previous),
        )
        .await?,
        today: store::spend(books, &over(today), Dimension::Provider, DAY_US).await?,
        months: months::strip(books, now, 12).await?,
        billed: billed(books, view.filter.provider.as_deref(), first_day, until).await?,
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
    let print = |value: i128| Money::new(Amount::from_pico(value), currency).cents_text();
    let saving = spend::cache_saving(&facts.cells);
    let previous = spend::total(&facts.previous, billed).of(currency);
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
        spend_previous: previous,
        previous_text: view::span_text(view.previous),
        change: format::change(spent.amount, previous.amount),
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
        wide: StackedBars::new(1_080, 260, &bars, print),
        narrow: StackedBars::new(340, 220, &bars, print),
        summary: summary(&bars, spent, grain),
        months: facts.months,
        last: facts.last.map(|last| LastLine {
            request: last.request,
            started_at: last.started_at,
            ago: format::ago(now, last.started_at),
            total: last
                .total
                .zip(last.currency)
                .map(|(total, currency)| Money::new(total, currency)),
        }),
        base_url: state.proxy_base_url.clone(),
        filters: view.set_filters("/"),
        ranges: RANGES,
        dimensions: Dimension::ALL,
        providers: facts.providers,
        view,
    }
}

/// What the exports bill for the span, and what has to be said beside it.
fn billed_tile(view: &View, billed: &Billed, currency: Currency) -> (Option<Figure>, String) {
    let narrowed = [&view.filter.model, &view.filter.team, &view.filter.app, &view.filter.account]
        .iter()
        .any(|filter| filter.is_some())
        || view.filter.credential.is_some();
    let sum = billed.sums.get(&currency).map(|sum| Figure::new(*sum, currency));
    let (Some(figure), false) = (sum, billed.days.is_empty()) else {
        return (None, String::new());
    };
    let width = (view.filter.period.end.micros() - view.filter.period.start.micros()) / DAY_US;
    let days = format!("by the exports, for {} of {width} days", billed.days.len());
    let text = if narrowed { format!("{days}; of everything, not of these filters") } else { days };
    (Some(figure), text)
}

fn group_line(view: &View, sum: &GroupSum, all: Money, label: String) -> GroupLine {
    let spend = sum.spent.of(all.currency);
    let tokens = sum.input + sum.output;
    let thousandfold = Amount::from_pico(spend.amount.pico().saturating_mul(1_000));
    let thousand = Money::new(thousandfold, spend.currency);
    let part = spend.amount.pico().unsigned_abs();
    let value = if sum.group.is_empty() { NONE } else { &sum.group };
    let parameter = match view.group {
        Dimension::Organization | Dimension::Project | Dimension::Workspace => "account",
        other => other.as_str(),
    };
    GroupLine {
        label,
        share: format::percent(part, all.amount.pico().unsigned_abs()),
        attempts: sum.attempts,
        errors: sum.errors,
        input_tokens: sum.input,
        output_tokens: sum.output,
        spend_per_attempt: spend.per(sum.attempts),
        spend_per_1k_tokens: thousand.per(tokens),
        only: view.link("/", &[(parameter, value)]),
        requests: view.link("/requests", &[(parameter, value), ("group", "")]),
        spend,
        group: sum.group.clone(),
    }
}

fn meter_lines(cells: &[SpendCell], currency: Currency) -> Vec<MeterLine> {
    let sums = spend::meters(cells);
    let lines = sums.iter().map(|sum| MeterLine {
        meter: sum.meter.to_string(),
        quantity: sum.meter.print(sum.quantity),
        shown: shown(sum.meter, sum.quantity),
        unpriced: sum.meter.print(sum.unpriced),
        unpriced_shown: if sum.unpriced == 0 {
            String::new()
        } else {
            shown(sum.meter, sum.unpriced)
        },
        spend: (sum.unpriced < sum.quantity || sum.quantity == 0).then(|| sum.spent.of(currency)),
    });
    lines.collect()
}

fn shown(meter: Meter, atoms: u64) -> String {
    if meter.atoms_per_unit() == 1 { format::count(atoms) } else { meter.print(atoms) }
}

fn bucket_lines(
    bars: &Bars,
    period: ChargePeriod,
    grain: i64,
    currency: Currency,
) -> Vec<BucketLine> {
    let money = |pico: i128| Money::new(Amount::from_pico(pico), currency);
    let value = |values: &[i128], bucket: usize| values.get(bucket).copied().unwrap_or(0);
    let lines = bars.labels.iter().enumerate().map(|(bucket, label)| BucketLine {
        start: period.start.plus_micros(grain * i64::try_from(bucket).unwrap_or(0)),
        label: label.clone(),
        spend: money(bars.series.iter().map(|(_, values)| value(values, bucket)).sum()),
        by_group: bars.series.iter().map(|(_, values)| money(value(values, bucket))).collect(),
    });
    lines.collect()
}

/// The chart in a sentence, for those who do not see it.
fn summary(bars: &Bars, spent: Money, grain: i64) -> String {
    let total = |bucket: usize| -> i128 {
        bars.series.iter().filter_map(|(_, values)| values.get(bucket)).sum()
    };
    let highest = (0..bars.labels.len()).max_by_key(|bucket| total(*bucket));
    let unit = match grain {
        HOUR_US => "hour",
        DAY_US => "day",
        _ => "week",
    };
    match (highest, bars.series.first()) {
        (Some(bucket), Some((first, _))) => format!(
            "{} in all. The highest {unit} is {} with {}; the largest part is {first}.",
            spent.cents_text(),
            bars.labels.get(bucket).map_or("", String::as_str),
            Money::new(Amount::from_pico(total(bucket)), spent.currency).cents_text(),
        ),
        _ => "No spend in this span.".to_owned(),
    }
}

impl GroupLine {
    fn attempts_text(&self) -> String {
        format::count(self.attempts)
    }

    fn input_text(&self) -> String {
        format::count(self.input_tokens)
    }

    fn output_text(&self) -> String {
        format::count(self.output_tokens)
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
                CsvCell::number(Some(line.spend.amount)),
                CsvCell::text(self.currency.as_str()),
                CsvCell::number(Some(line.attempts)),
                CsvCell::number(Some(line.errors)),
                CsvCell::number(Some(line.input_tokens)),
                CsvCell::number(Some(line.output_tokens)),
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
            ],
            rows: self.groups.iter().map(row).collect(),
        }
    }
}
