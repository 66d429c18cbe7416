//! Closing a month: a person says that a report stands; late data makes that stale, never edits it.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::bookkeeping::close;
use crate::dashboard::format;
use crate::dashboard::months::reconcile_link;
use crate::dashboard::one_month::{month_of, page_error, read_month};
use crate::dashboard::page::{Face, PageError, see_other};
use crate::dashboard::state::DashboardState;
use crate::period::Timestamp;
use crate::store::months::ReportRecord;
use crate::store::reports::{self, Closing, MonthOf};

/// The form below a report.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CloseForm {
    account: String,
    report: String,
    who: String,
    note: String,
}

/// A person's word on a month.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClosingView {
    #[serde(serialize_with = "format::as_text")]
    closed_at: Timestamp,
    pub(crate) who: String,
    pub(crate) report: String,
    pub(crate) note: String,
    /// Whether the newest report is made from the same inputs.
    pub(crate) stands: bool,
    #[serde(skip)]
    pub(crate) when: String,
}

const LONGEST_NAME: usize = 200;
const LONGEST_NOTE: usize = 2_000;

/// `POST /reconcile/{provider}/{period}/close`: closes the month on the report the form shows.
pub(crate) async fn close(
    State(state): State<Arc<DashboardState>>,
    Path((provider, period)): Path<(String, String)>,
    Form(form): Form<CloseForm>,
) -> Response {
    match run(&state, &provider, &period, &form).await {
        Ok(to) => see_other(&to),
        Err(error) => error.reply(&state, Face::Html),
    }
}

/// Every closing of a report's month, the newest first.
///
/// # Errors
/// [`PageError::Books`] where the books do not answer.
pub(crate) async fn closings(
    state: &DashboardState,
    record: &ReportRecord,
) -> Result<Vec<ClosingView>, PageError> {
    let of =
        MonthOf { provider: &record.provider, account: &record.account, period: record.period };
    let view = |closing: Closing| ClosingView {
        stands: closing.inputs_hash == record.inputs_hash,
        when: format::instant_utc(closing.closed_at),
        closed_at: closing.closed_at,
        who: closing.actor,
        report: closing.report,
        note: closing.note,
    };
    Ok(reports::closings(&state.books, &of).await?.into_iter().map(view).collect())
}

/// Nobody closes a month on figures they have not seen: it is compared anew first.
async fn run(
    state: &DashboardState,
    provider: &str,
    period: &str,
    form: &CloseForm,
) -> Result<String, PageError> {
    let month = month_of(provider, read_month(period)?, &form.account);
    let (who, note) = (form.who.trim(), form.note.trim());
    let is_name = !who.is_empty()
        && who.chars().count() <= LONGEST_NAME
        && !who.chars().any(char::is_control);
    if !is_name {
        let said = format!("Say who closes the month: a name of at most {LONGEST_NAME} letters.");
        return Err(PageError::NotUnderstood(said));
    }
    if note.chars().count() > LONGEST_NOTE {
        let said = format!("A note has at most {LONGEST_NOTE} letters.");
        return Err(PageError::NotUnderstood(said));
    }
    let (books, clock) = (&state.books, &state.clock);
    let found = close::explain(books, &state.prices, &month, clock).await.map_err(page_error)?;
    if found.id != form.report {
        return Err(PageError::Changed(
            "The month was not closed: what is known of it changed after that report. Open the \
             month anew, read its new report, and close it then."
                .to_owned(),
        ));
    }
    close::close_on(books, &month, &found, (who, note), clock).await.map_err(page_error)?;
    Ok(reconcile_link(provider, month.period, &found.account) + "#closing")
}
