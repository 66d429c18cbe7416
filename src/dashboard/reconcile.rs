//! `/reconcile`: months by accounts, each with its state.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use crate::dashboard::months::{self, MonthStrip};
use crate::dashboard::page::{self, Chrome, CsvCell, CsvTable, Face, Page, PageError};
use crate::dashboard::state::DashboardState;

/// The page.
#[derive(Template, Serialize)]
#[template(path = "reconcile.html")]
pub struct Reconcile {
    #[serde(skip)]
    chrome: Chrome,
    months: MonthStrip,
}

/// Months shown.
const MONTHS: usize = 12;

/// `GET /reconcile`, `/reconcile.json`, `/reconcile.csv`.
pub async fn show(State(state): State<Arc<DashboardState>>, uri: Uri) -> Response {
    let face = Face::of(uri.path());
    let answer = match make(&state).await {
        Ok(page) => page::reply(face, &page, None),
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(|error| error.reply(&state, face))
}

async fn make(state: &DashboardState) -> Result<Reconcile, PageError> {
    Ok(Reconcile {
        chrome: Chrome::new(state, "Reconcile", "/reconcile", "/reconcile", ""),
        months: months::strip(&state.books, state.clock.now(), MONTHS).await?,
    })
}

impl Page for Reconcile {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        let lines = self.months.lines.iter();
        let rows = lines.flat_map(|line| {
            line.cells.iter().map(move |cell| {
                vec![
                    CsvCell::text(&line.provider),
                    CsvCell::text(&line.account),
                    CsvCell::text(cell.period.to_string()),
                    CsvCell::text(cell.state.as_str()),
                    CsvCell::text(&cell.text),
                ]
            })
        });
        CsvTable {
            name: "months".to_owned(),
            header: vec!["provider", "account", "period_utc", "state", "text"],
            rows: rows.collect(),
        }
    }
}
