//! `/reconcile/{provider}/{period}/requests`: every request behind a finding, and what they cost.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query as QueryOf, State};
use axum::response::Response;
use serde::Serialize;

use crate::bookkeeping::close;
use crate::dashboard::attempt_row::{AttemptRow, csv_of, hints, row};
use crate::dashboard::format::{self, Figure, Money};
use crate::dashboard::months::reconcile_link;
use crate::dashboard::one_month::{find, month_of, page_error, read_body, read_month};
use crate::dashboard::page::{self, Chrome, CsvTable, Face, Page, PageError};
use crate::dashboard::report_parts::anchor;
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{Query, encode_text, month_text};
use crate::money::Currency;
use crate::store::attempt_sets;
use crate::store::requests as store;

/// All requests behind a finding; a page of them for people, all of them in its twins.
#[derive(Template, Serialize)]
#[template(path = "behind.html")]
struct Behind {
    #[serde(skip)]
    chrome: Chrome,
    finding: String,
    title: String,
    subject: String,
    #[serde(skip)]
    month: String,
    /// What the finding says the bill shows more or less.
    amount: Figure,
    currency: Currency,
    /// What its requests cost together at list price, as recorded.
    spend: Money,
    attempt_count: usize,
    /// Of them, those whose cost is not known.
    unknown: u64,
    /// Whether the requests' cost is the finding's amount.
    is_their_cost: bool,
    /// Requests the report spoke of, where the books have moved since.
    #[serde(skip)]
    reported_count: Option<u64>,
    attempts: Vec<AttemptRow>,
    #[serde(skip)]
    back: String,
    #[serde(skip)]
    turn: PageTurn,
}

/// Which page of a list this is, and the way to its neighbors.
struct PageTurn {
    page: usize,
    pages: usize,
    first: usize,
    last: usize,
    earlier: Option<String>,
    later: Option<String>,
}

const PAGE_ROWS: usize = 100;

/// `GET /reconcile/{provider}/{period}/requests?finding=ID`; all of it as JSON or CSV with
/// `format=json` or `format=csv`.
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    Path((provider, period)): Path<(String, String)>,
    QueryOf(query): QueryOf<Query>,
) -> Response {
    let face = match query.get("format").map(String::as_str) {
        Some("json") => Face::Json,
        Some("csv") => Face::Csv,
        _ => Face::Html,
    };
    let answer = match make(&state, &provider, &period, &query, face).await {
        Ok(page) => page::reply(face, &page, None),
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(|error| error.reply(&state, face))
}

async fn make(
    state: &DashboardState,
    provider: &str,
    period: &str,
    query: &Query,
    face: Face,
) -> Result<Behind, PageError> {
    let word = |name: &str| query.get(name).map_or("", String::as_str);
    let (account, wanted) = (word("account"), word("finding"));
    let month = month_of(provider, read_month(period)?, account);
    let record = find(state, provider, month.period, account).await?.ok_or_else(|| {
        PageError::NotFound(format!("{provider} {} has not been compared yet.", month.period))
    })?;
    let body = read_body(&record)?;
    let finding = body.findings.iter().find(|finding| finding.id == wanted).ok_or_else(|| {
        PageError::NotFound(format!("The report of {} has no finding {wanted}.", month.period))
    })?;
    let found = close::attempts_behind(&state.books, &state.prices, &month, wanted).await;
    let ids: Vec<String> = found.map_err(page_error)?.iter().map(ToString::to_string).collect();
    let path = format!("/reconcile/{}/{}/requests", encode_text(provider), month.period);
    let asked = format!("account={}&finding={}", encode_text(account), encode_text(wanted));
    let turn = PageTurn::read(word("page"), ids.len(), &format!("{path}?{asked}"))?;
    let shown = if face == Face::Html { ids.get(turn.range()).unwrap_or_default() } else { &ids };
    let (lines, hints) = (store::list_of(&state.books, shown).await?, hints(state).await?);
    let (sums, unknown) = attempt_sets::totals_of(&state.books, &ids).await?;
    let spend = sums.get(&body.currency).copied().unwrap_or_default();
    let mut chrome = Chrome::new(state, "Requests behind a finding", "/reconcile", &path, "");
    chrome.json = format!("{path}?{asked}&format=json");
    chrome.csv = format!("{path}?{asked}&format=csv");
    let moved = u64::try_from(ids.len()).is_ok_and(|now| now != finding.drill.attempt_count);
    let now = state.clock.now();
    Ok(Behind {
        chrome,
        finding: finding.id.clone(),
        title: finding.title.to_string(),
        subject: format::plain_instants(&finding.subject),
        month: month_text(month.period),
        amount: Figure::new(finding.amount, body.currency),
        currency: body.currency,
        spend: Money::new(spend, body.currency),
        attempt_count: ids.len(),
        unknown,
        is_their_cost: unknown == 0
            && sums.len() == 1
            && spend.to_decimal().is_ok_and(|cost| cost == finding.amount.abs())
            && !spend.is_zero(),
        reported_count: moved.then_some(finding.drill.attempt_count),
        attempts: lines.iter().map(|line| row(line, &hints, now)).collect(),
        back: format!(
            "{}#{}",
            reconcile_link(provider, month.period, account),
            anchor(&finding.id)
        ),
        turn,
    })
}

impl Behind {
    fn count_text(&self) -> String {
        format::grouped(self.attempt_count as u128)
    }
}

impl PageTurn {
    /// Reads the number of a page of a list so long; the first where none is named.
    fn read(said: &str, rows: usize, link: &str) -> Result<Self, PageError> {
        let pages = rows.div_ceil(PAGE_ROWS).max(1);
        let page = if said.is_empty() { Some(1) } else { said.parse::<usize>().ok() };
        let page = page.filter(|page| (1..=pages).contains(page)).ok_or_else(|| {
            PageError::NotUnderstood(format!(
                "The parameter page in the address should be a number from 1 to {pages}."
            ))
        })?;
        Ok(Self {
            page,
            pages,
            first: (page - 1) * PAGE_ROWS + 1,
            last: (page * PAGE_ROWS).min(rows),
            later: (page < pages).then(|| format!("{link}&page={}", page + 1)),
            earlier: (page > 1).then(|| format!("{link}&page={}", page - 1)),
        })
    }

    /// The rows of this page.
    const fn range(&self) -> std::ops::Range<usize> {
        self.first - 1..self.last
    }
}

impl Page for Behind {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        csv_of("requests-behind", &self.attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_turned_page_by_page_and_no_further() {
        let first = PageTurn::read("", 250, "/x?a=b").unwrap();
        assert_eq!((first.range(), first.earlier), (0..100, None));
        assert_eq!(first.later.as_deref(), Some("/x?a=b&page=2"));
        let last = PageTurn::read("3", 250, "/x?a=b").unwrap();
        assert_eq!((last.range(), last.later), (200..250, None));
        for none in ["0", "4", "two"] {
            assert!(PageTurn::read(none, 250, "/x").is_err(), "{none}");
        }
        assert_eq!(PageTurn::read("", 0, "/x").unwrap().range(), 0..0);
    }
}
