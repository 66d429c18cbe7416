//! `/prices`: what each model costs now or at a day, with source; and the versions that rated.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Query as QueryOf, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use crate::dashboard::format;
use crate::dashboard::page::{self, Chrome, CsvCell, CsvTable, Face, Page, PageError};
use crate::dashboard::price_list::{ModelLine, Wanted, model_lines};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{Query, encode_text};
use crate::period::{ChargePeriod, DAY_US, Timestamp};
use crate::pricing::table::{ModelPrices, PricePeriod, PriceTable};
use crate::store::overview::{self, Dimension};
use crate::store::prices as store;
use crate::store::read::AttemptFilter;

/// The page.
#[derive(Template, Serialize)]
#[template(path = "prices.html")]
pub(crate) struct Prices {
    #[serde(skip)]
    chrome: Chrome,
    price_version: String,
    day: String,
    #[serde(skip)]
    model: String,
    #[serde(skip)]
    provider: String,
    #[serde(skip)]
    shows: &'static str,
    #[serde(skip)]
    lists: Vec<(String, String, bool)>,
    #[serde(skip)]
    models: Vec<ModelLine>,
    prices: Vec<PriceLine>,
    versions: Vec<VersionLine>,
    #[serde(skip)]
    unpriced: String,
    #[serde(skip)]
    without: usize,
}

/// One price of one meter.
#[derive(Clone, Debug, Serialize)]
struct PriceLine {
    provider: String,
    model: String,
    own: bool,
    condition: String,
    from_tokens: u64,
    meter: String,
    unit_price: Option<String>,
    per: Option<u64>,
    #[serde(skip)]
    per_text: String,
    priced_as: Option<String>,
    currency: String,
    from: String,
    until: Option<String>,
    source: Option<String>,
    read_on: Option<String>,
    rate_id: String,
}

/// A version of the table that rated attempts.
#[derive(Clone, Debug, Serialize)]
struct VersionLine {
    price_version: String,
    first_used_at: String,
    now: bool,
}

/// `GET /prices`, `/prices.json`, `/prices.csv`.
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

async fn make(state: &DashboardState, query: &Query) -> Result<Prices, PageError> {
    let table = &state.prices;
    let wanted = |name: &str| query.get(name).map_or("", |text| text.trim()).to_owned();
    let (model, provider, day) = (wanted("model"), wanted("provider"), wanted("day"));
    let at = if day.is_empty() {
        state.clock.now()
    } else {
        let read = day.parse().map(Timestamp::start_of);
        read.map_err(|_| {
            let said = "The parameter day in the address should be a day like 2026-10-31.";
            PageError::NotUnderstood(said.to_owned())
        })?
    };
    let versions = store::versions(&state.books).await?;
    let (exact, list) = (wanted("exact"), wanted("list"));
    let prices = lines(table, &provider, &model, !exact.is_empty(), at);
    let used = names_used(state).await?;
    let lists = lists(table, &provider, &list, &day, !used.is_empty());
    let models = match (model.is_empty(), provider.as_str(), lists.first()) {
        (false, ..) => Vec::new(),
        (true, "", Some((_, _, true))) if !used.is_empty() => {
            model_lines(table, at, &Wanted::Used(&used))
        }
        (true, "", _) => model_lines(table, at, &Wanted::All),
        (true, only, _) => model_lines(table, at, &Wanted::Of(only)),
    };
    let pairs = [
        ("day", &day),
        ("exact", &exact),
        ("list", &list),
        ("model", &model),
        ("provider", &provider),
    ];
    let set = pairs.iter().filter(|(_, value)| !value.is_empty());
    let parts: Vec<String> =
        set.map(|(name, value)| format!("{name}={}", encode_text(value))).collect();
    Ok(Prices {
        chrome: Chrome::new(state, "Prices", "/prices", "/prices", &parts.join("&")),
        price_version: table.version().to_owned(),
        day: at.day().to_string(),
        without: prices.iter().filter(|line| line.unit_price.is_none()).count(),
        prices,
        versions: versions
            .into_iter()
            .map(|version| VersionLine {
                now: version.price_version == table.version(),
                first_used_at: format::instant_utc(version.first_used_at),
                price_version: version.price_version,
            })
            .collect(),
        unpriced: "/requests?range=30d&status=unpriced".to_owned(),
        shows: if model.is_empty() { "models" } else { "meters" },
        lists,
        models,
        model,
        provider,
    })
}

/// Days back over which a model counts as used.
const USED_DAYS: i64 = 92;

/// Provider and model of what attempts named of late.
async fn names_used(state: &DashboardState) -> Result<BTreeSet<(String, String)>, PageError> {
    let end = Timestamp::start_of(state.clock.now().day()).plus_micros(DAY_US);
    let period = ChargePeriod { start: end.plus_micros(-USED_DAYS * DAY_US), end };
    let mut used = BTreeSet::new();
    for (provider, _) in state.prices.providers() {
        let filter =
            AttemptFilter { provider: Some(provider.to_owned()), ..AttemptFilter::over(period) };
        let cells = overview::attempts(&state.books, &filter, Dimension::Model).await?;
        used.extend(cells.into_iter().map(|cell| (provider.to_owned(), cell.group)));
    }
    Ok(used)
}

/// The lists offered: label, address, and whether it is the one shown. The first is of the models
/// used, where any are.
fn lists(
    table: &PriceTable,
    provider: &str,
    list: &str,
    day: &str,
    any_used: bool,
) -> Vec<(String, String, bool)> {
    let on = if day.is_empty() { String::new() } else { format!("&day={}", encode_text(day)) };
    let mut lists = Vec::new();
    if any_used {
        let is_shown = provider.is_empty() && list != "all";
        lists.push(("Used here".to_owned(), format!("/prices?list=used{on}"), is_shown));
    }
    for (name, _) in table.providers() {
        let link = format!("/prices?provider={}{on}", encode_text(name));
        lists.push((format::provider_name(name).to_owned(), link, provider == name));
    }
    let all = provider.is_empty() && (list == "all" || !any_used);
    lists.push(("All".to_owned(), format!("/prices?list=all{on}"), all));
    lists
}

fn lines(
    table: &PriceTable,
    provider: &str,
    model: &str,
    exact: bool,
    at: Timestamp,
) -> Vec<PriceLine> {
    let mut found = Vec::new();
    for (name, prices) in table.providers() {
        if !provider.is_empty() && provider != name {
            continue;
        }
        for one in prices
            .models
            .iter()
            .filter(|one| if exact { one.id == model } else { one.id.contains(model) })
        {
            if let Some(period) = one.at(at) {
                period_lines(&mut found, (name, &prices.currency.to_string()), one, period);
            }
        }
    }
    // The whole table is long: without a model only its standard figures are listed.
    found.retain(|line: &PriceLine| {
        !model.is_empty()
            || (line.condition.is_empty() && line.from_tokens == 0 && line.unit_price.is_some())
    });
    found
}

fn period_lines(
    lines: &mut Vec<PriceLine>,
    (provider, currency): (&str, &str),
    model: &ModelPrices,
    period: &PricePeriod,
) {
    for row in &period.rows {
        let words = row.select.iter().map(|(key, words)| format!("{key}={}", words.join("|")));
        let condition = words.collect::<Vec<_>>().join(", ");
        for band in &row.bands {
            let line = |meter: &str| PriceLine {
                provider: provider.to_owned(),
                model: model.id.clone(),
                own: model.layer > 0,
                condition: condition.clone(),
                from_tokens: band.from_tokens,
                meter: meter.to_owned(),
                unit_price: None,
                per: None,
                per_text: String::new(),
                priced_as: None,
                currency: currency.to_owned(),
                from: period.from.day().to_string(),
                until: (period.until.micros() < i64::MAX).then(|| period.until.day().to_string()),
                source: period.source.as_ref().map(|source| source.url.clone()),
                read_on: period.source.as_ref().map(|source| source.read_on.clone()),
                rate_id: band.rate_id.clone(),
            };
            lines.extend(band.prices.iter().map(|(meter, price)| PriceLine {
                unit_price: Some(price.unit_price.clone()),
                per: Some(price.per),
                per_text: format::count(price.per),
                ..line(meter.as_str())
            }));
            lines.extend(band.included.iter().map(|(meter, through)| PriceLine {
                priced_as: Some(through.to_string()),
                ..line(meter.as_str())
            }));
            lines.extend(band.unknown.iter().map(|meter| line(meter.as_str())));
        }
    }
}

impl Page for Prices {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        let row = |line: &PriceLine| {
            vec![
                CsvCell::text(&line.provider),
                CsvCell::text(&line.model),
                CsvCell::text(&line.condition),
                CsvCell::number(Some(line.from_tokens)),
                CsvCell::text(&line.meter),
                CsvCell::number(line.unit_price.as_ref()),
                CsvCell::number(line.per),
                CsvCell::text(line.priced_as.clone().unwrap_or_default()),
                CsvCell::text(&line.currency),
                CsvCell::text(&line.from),
                CsvCell::text(line.until.clone().unwrap_or_default()),
                CsvCell::text(line.source.clone().unwrap_or_default()),
                CsvCell::text(line.read_on.clone().unwrap_or_default()),
                CsvCell::text(&line.rate_id),
            ]
        };
        CsvTable {
            name: "prices".to_owned(),
            header: vec![
                "provider",
                "model",
                "condition",
                "from_tokens",
                "meter",
                "unit_price",
                "per",
                "priced_as",
                "currency",
                "from_utc",
                "until_utc",
                "source",
                "read_on",
                "rate_id",
            ],
            rows: self.prices.iter().map(row).collect(),
        }
    }
}
