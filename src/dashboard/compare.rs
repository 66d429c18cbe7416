//! Comparing a month from its page, with the invoice document where a person types it in.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use crate::bookkeeping::close::{self, DocumentWords};
use crate::bookkeeping::exchange::{self, RateWords};
use crate::dashboard::months::reconcile_link;
use crate::dashboard::one_month::{month_of, page_error, read_month};
use crate::dashboard::page::{ACTOR, Face, PageError, see_other};
use crate::dashboard::state::DashboardState;

/// The form beside a month.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CompareForm {
    account: String,
    total: String,
    tax: String,
    credits: String,
    exchange_rate: String,
    exchange_source: String,
}

/// `POST /reconcile/{provider}/{period}/compare`: compares and shows the report.
pub(crate) async fn compare(
    State(state): State<Arc<DashboardState>>,
    Path((provider, period)): Path<(String, String)>,
    Form(form): Form<CompareForm>,
) -> Response {
    match run(&state, &provider, &period, form).await {
        Ok(to) => see_other(&to),
        Err(error) => error.reply(&state, Face::Html),
    }
}

async fn run(
    state: &DashboardState,
    provider: &str,
    period: &str,
    form: CompareForm,
) -> Result<String, PageError> {
    let month = month_of(provider, read_month(period)?, &form.account);
    let given = |text: String| (!text.trim().is_empty()).then_some(text);
    let words = DocumentWords {
        total: given(form.total),
        tax: given(form.tax),
        credits: given(form.credits),
    };
    if words.total.is_some() || words.tax.is_some() || words.credits.is_some() {
        let said = close::say_document(&state.books, &month, &words, ACTOR, &state.clock).await;
        said.map_err(page_error)?;
    }
    if !form.exchange_rate.trim().is_empty() {
        let words = RateWords { rate: form.exchange_rate, source: form.exchange_source };
        let (books, prices) = (&state.books, &state.prices);
        let said = exchange::say(books, prices, &month, &words, ACTOR, &state.clock).await;
        said.map_err(page_error)?;
    }
    let explained = close::explain(&state.books, &state.prices, &month, &state.clock).await;
    let explained = explained.map_err(page_error)?;
    Ok(reconcile_link(provider, month.period, &explained.account))
}
