//! A month that was not compared yet: what is there, and how to compare it.

use askama::Template;
use serde::Serialize;

use crate::dashboard::format;
use crate::dashboard::one_month::suffix;
use crate::dashboard::page::{Chrome, CsvTable, Page, PageError};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{encode_text, month_text};
use crate::period::BillingPeriod;
use crate::store::months as store;

/// The page of a month without a report.
#[derive(Template, Serialize)]
#[template(path = "report_empty.html")]
pub(crate) struct EmptyReport {
    #[serde(skip)]
    chrome: Chrome,
    #[serde(skip)]
    provider_name: String,
    provider: String,
    period: BillingPeriod,
    #[serde(skip)]
    month: String,
    account: String,
    report: Option<String>,
    imported_days: usize,
}

/// The page of a month without a report.
///
/// # Errors
/// [`PageError::Books`] where the books do not answer.
pub(crate) async fn empty(
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
        provider_name: format::provider_name(provider).to_owned(),
        provider: provider.to_owned(),
        period: month,
        month: month_text(month),
        account: account.to_owned(),
        report: None,
        imported_days: own.count(),
    })
}

impl Page for EmptyReport {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        CsvTable { name: "no-report".to_owned(), header: vec!["finding"], rows: Vec::new() }
    }
}
