//! Closing a month: books and billed lines are gathered, laid against each other, and reported.

use std::collections::BTreeMap;

use crate::bookkeeping::gather::{billed_in, gather, import_facts};
use crate::bookkeeping::month::{CloseError, Month, account, interrupted};
use crate::digest::sha256;
use crate::money::{canonical_text, parse_decimal};
use crate::names::{AttemptId, Clock, new_id};
use crate::pricing::table::PriceTable;
use crate::reconcile::engine::{self, reconcile};
use crate::reconcile::facts::Inputs;
use crate::reconcile::finding::RowRef;
use crate::reconcile::report::Report;
use crate::store::books::Books;
use crate::store::reports::{self, Closing, StoredDocument, StoredReport};

/// What a person says of the document that is paid, as typed.
#[derive(Clone, Debug, Default)]
pub struct DocumentWords {
    /// What is to be paid.
    pub total: Option<String>,
    /// Tax it adds.
    pub tax: Option<String>,
    /// Credits it takes off.
    pub credits: Option<String>,
}

/// A finished report, and where it is kept.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The report's id.
    pub id: String,
    /// The account it is of.
    pub account: String,
    /// Hash of the report's text; another one than a closing's means the month is stale.
    pub inputs_hash: String,
    /// The report.
    pub report: Report,
}

/// Explains a month and keeps the report; a report equal to the newest is not kept again.
///
/// # Errors
/// [`CloseError`]; nothing is kept then.
pub async fn explain(
    books: &Books,
    prices: &PriceTable,
    month: &Month,
    clock: &Clock,
) -> Result<Explained, CloseError> {
    let (account, inputs) = gather(books, prices, month).await?;
    let report = work(inputs).await?;
    let body = serde_json::to_string(&report).unwrap_or_default();
    let inputs_hash = sha256(&body);
    let of = month.of(&account);
    if let Some(newest) = reports::newest_report(books, &of).await?
        && newest.inputs_hash == inputs_hash
    {
        return Ok(Explained { id: newest.report, account, inputs_hash, report });
    }
    let status = serde_json::to_value(&report.state).unwrap_or_default();
    let stored = StoredReport {
        report: new_id(clock.now()).to_string(),
        made_at: clock.now(),
        inputs_hash: inputs_hash.clone(),
        // The state is told by its name; what goes with it stands in the body.
        status: status["state"].as_str().unwrap_or_default().to_owned(),
        body,
    };
    reports::keep_report(books, &of, &stored).await?;
    Ok(Explained { id: stored.report, account, inputs_hash, report })
}

/// Every attempt behind a finding of a month's report.
///
/// # Errors
/// [`CloseError`], also for a finding the report does not have.
pub(crate) async fn attempts_behind(
    books: &Books,
    prices: &PriceTable,
    month: &Month,
    finding: &str,
) -> Result<Vec<AttemptId>, CloseError> {
    let (_, inputs) = gather(books, prices, month).await?;
    let finding = finding.to_owned();
    let work = tokio::task::spawn_blocking(move || engine::attempts_behind(&inputs, &finding));
    Ok(work.await.map_err(|_| interrupted())??)
}

/// Every row of the bill behind some findings of a month's report, worked out once for all of them.
/// A finding the month does not have any more is not in the answer.
///
/// # Errors
/// [`CloseError`].
pub(crate) async fn rows_behind(
    books: &Books,
    prices: &PriceTable,
    month: &Month,
    findings: Vec<String>,
) -> Result<BTreeMap<String, Vec<RowRef>>, CloseError> {
    let (_, inputs) = gather(books, prices, month).await?;
    let work = tokio::task::spawn_blocking(move || engine::rows_behind(&inputs, &findings));
    Ok(work.await.map_err(|_| interrupted())??)
}

/// Notes what the document of a month says, in the currency of its export.
///
/// # Errors
/// [`CloseError`] where it is no amount, or not taken by the books.
pub async fn say_document(
    books: &Books,
    month: &Month,
    words: &DocumentWords,
    actor: &str,
    clock: &Clock,
) -> Result<(), CloseError> {
    let canonical = |what, text: &Option<String>| match text.as_deref().map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => parse_decimal(text)
            .map(|value| Some(canonical_text(value)))
            .map_err(|source| CloseError::NotAnAmount { what, source }),
    };
    let document = StoredDocument {
        total: canonical("total", &words.total)?,
        tax: canonical("tax", &words.tax)?,
        credits: canonical("credits", &words.credits)?,
    };
    if document.total.is_none() && (document.tax.is_some() || document.credits.is_some()) {
        return Err(CloseError::TotalMissing);
    }
    for (what, part) in [("tax", &document.tax), ("credits", &document.credits)] {
        if let Some(amount) = part.as_ref().filter(|text| text.starts_with('-')) {
            return Err(CloseError::Negative { what, amount: amount.clone() });
        }
    }
    let account = account(books, month).await?;
    let of = month.of(&account);
    let currency = billed_in(&import_facts(books, month, &account).await?);
    reports::say_document(books, &of, (clock.now(), actor, currency.as_str()), &document).await?;
    Ok(())
}

/// A person closes a month on its newest report.
///
/// # Errors
/// [`CloseError`] where the month cannot be explained or the books do not take it.
pub async fn close(
    books: &Books,
    prices: &PriceTable,
    month: &Month,
    (actor, note): (&str, &str),
    clock: &Clock,
) -> Result<Explained, CloseError> {
    let explained = explain(books, prices, month, clock).await?;
    close_on(books, month, &explained, (actor, note), clock).await?;
    Ok(explained)
}

/// A person closes a month on this report of it, which they have read.
///
/// # Errors
/// [`CloseError`] where the books do not take it.
pub(crate) async fn close_on(
    books: &Books,
    month: &Month,
    explained: &Explained,
    (actor, note): (&str, &str),
    clock: &Clock,
) -> Result<(), CloseError> {
    let of = month.of(&explained.account);
    let closing = Closing {
        closed_at: clock.now(),
        actor: actor.to_owned(),
        report: explained.id.clone(),
        inputs_hash: explained.inputs_hash.clone(),
        note: note.to_owned(),
    };
    Ok(reports::keep_closing(books, &of, &closing).await?)
}

async fn work(inputs: Inputs) -> Result<Report, CloseError> {
    let work = tokio::task::spawn_blocking(move || reconcile(&inputs));
    Ok(work.await.map_err(|_| interrupted())??)
}
