//! What the pages of one month share: its address, its newest report, and what went wrong in words.

use crate::bookkeeping::month::{CloseError, Month};
use crate::dashboard::page::PageError;
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::encode_text;
use crate::names::ProviderName;
use crate::period::{BillingPeriod, PeriodError};
use crate::reconcile::bill::BillError;
use crate::reconcile::engine::ReconcileError;
use crate::reconcile::report::Report;
use crate::store::months::{self as store, ReportRecord};

/// The month an address ends in.
pub(crate) fn read_month(text: &str) -> Result<BillingPeriod, PageError> {
    text.parse().map_err(|error: PeriodError| {
        PageError::NotUnderstood(format!("{error}; the address ends in a month such as 2026-10."))
    })
}

/// The month a page is of; an empty account is none.
pub(crate) fn month_of(provider: &str, period: BillingPeriod, account: &str) -> Month {
    Month {
        provider: ProviderName::new(provider),
        account: (!account.is_empty()).then(|| account.to_owned()),
        period,
    }
}

/// The newest report of the account; without an account, the only one or the first.
pub(crate) async fn find(
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

/// The account as the query of an address; empty for none.
pub(crate) fn suffix(account: &str) -> String {
    if account.is_empty() { String::new() } else { format!("account={}", encode_text(account)) }
}

/// The report a record keeps.
pub(crate) fn read_body(record: &ReportRecord) -> Result<Report, PageError> {
    serde_json::from_str(&record.body).map_err(|error| {
        PageError::Twin(format!("report {} is not of this version: {error}", record.report))
    })
}

/// A month that could not be explained, as a page says it.
pub(crate) fn page_error(error: CloseError) -> PageError {
    match error {
        CloseError::Store(error) => error.into(),
        CloseError::Reconcile(ReconcileError::Bill(BillError::NoExchangeRate { .. }))
        | CloseError::WhichAccount { .. }
        | CloseError::UnknownAccount { .. }
        | CloseError::NotAnAmount { .. }
        | CloseError::Negative { .. }
        | CloseError::NotARate(_)
        | CloseError::NoOtherCurrency(_)
        | CloseError::TotalMissing => PageError::NotUnderstood(error.to_string()),
        CloseError::Reconcile(_) => PageError::Twin(error.to_string()),
    }
}
