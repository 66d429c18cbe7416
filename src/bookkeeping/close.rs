//! Closing a month: books and billed lines are gathered, laid against each other, and reported.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use crate::bookkeeping::candidates::rates;
use crate::money::{Currency, MoneyError, canonical_text, parse_decimal};
use crate::names::{AccountId, AttemptId, Clock, CredentialId, ProviderName, new_id};
use crate::period::{BillingPeriod, ChargePeriod, DAY_US};
use crate::pricing::table::PriceTable;
use crate::reconcile::drill;
use crate::reconcile::engine::{ReconcileError, reconcile};
use crate::reconcile::facts::{DocumentTotals, ImportFact, Inputs, KeyTie, Ties};
use crate::reconcile::report::Report;
use crate::store::accounts;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::facts;
use crate::store::imports;
use crate::store::reports::{self, Closing, MonthOf, StoredDocument, StoredReport};

/// How far around the month attempts are read: a request may be booked on the other side of it.
const MARGIN_US: i64 = 2 * DAY_US;

/// A month to be explained.
#[derive(Clone, Debug)]
pub struct Month {
    /// Who bills.
    pub provider: ProviderName,
    /// The account; it need not be named where there is one.
    pub account: Option<String>,
    /// The month, UTC.
    pub period: BillingPeriod,
}

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

/// Why a month could not be explained.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The books.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine: rather no report than a wrong one.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// Several accounts have exports.
    #[error("{provider} has several accounts ({}); name one: --account NAME", .known.join(", "))]
    WhichAccount {
        /// The provider.
        provider: ProviderName,
        /// Its accounts.
        known: Vec<String>,
    },
    /// A name nobody knows.
    #[error(
        "the books know no account {account:?} of {provider}; those known are {}", .known.join(", ")
    )]
    UnknownAccount {
        /// The provider.
        provider: ProviderName,
        /// The name that was given.
        account: String,
        /// Its accounts.
        known: Vec<String>,
    },
    /// Tax and credits are said as the document prints them, without a sign.
    #[error("{what}: {amount} is negative; write it without the sign")]
    Negative {
        /// Which part of the document.
        what: &'static str,
        /// What was typed.
        amount: String,
    },
    /// What was typed is no amount.
    #[error("{what}: {source}; write it as 1234.56")]
    NotAnAmount {
        /// Which part of the document.
        what: &'static str,
        /// Why.
        source: MoneyError,
    },
    /// Tax or credits alone prove nothing.
    #[error("tax and credits need the document's total beside them: --invoice-total T")]
    TotalMissing,
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
    let inputs_hash = hex(&Sha256::digest(body.as_bytes()));
    let of = MonthOf { provider: month.provider.as_str(), account: &account, period: month.period };
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
pub async fn attempts_behind(
    books: &Books,
    prices: &PriceTable,
    month: &Month,
    finding: &str,
    _clock: &Clock,
) -> Result<Vec<AttemptId>, CloseError> {
    let (_, inputs) = gather(books, prices, month).await?;
    let finding = finding.to_owned();
    let work = tokio::task::spawn_blocking(move || drill::attempts_behind(&inputs, &finding));
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
    let of = MonthOf { provider: month.provider.as_str(), account: &account, period: month.period };
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
pub async fn close_on(
    books: &Books,
    month: &Month,
    explained: &Explained,
    (actor, note): (&str, &str),
    clock: &Clock,
) -> Result<(), CloseError> {
    let of = MonthOf {
        provider: month.provider.as_str(),
        account: &explained.account,
        period: month.period,
    };
    let closing = Closing {
        closed_at: clock.now(),
        actor: actor.to_owned(),
        report: explained.id.clone(),
        inputs_hash: explained.inputs_hash.clone(),
        note: note.to_owned(),
    };
    Ok(reports::keep_closing(books, &of, &closing).await?)
}

/// The account a month is of: named, or the only one that has exports.
///
/// # Errors
/// [`CloseError::WhichAccount`] where there are several, [`CloseError::UnknownAccount`] where the
/// one named has neither an export nor an answer that named it as its organization.
pub async fn account(books: &Books, month: &Month) -> Result<String, CloseError> {
    let records = imports::batches(books).await?;
    let mut known: BTreeSet<String> = records
        .into_iter()
        .filter(|record| record.withdrawn_at.is_none())
        .filter(|record| record.head.provider == month.provider.as_str())
        .map(|record| record.head.account)
        .collect();
    if let Some(account) = &month.account {
        if !known.is_empty() {
            known.extend(facts::organizations(books, &month.provider).await?);
        }
        return match known.is_empty() || known.contains(account) {
            true => Ok(account.clone()),
            false => Err(CloseError::UnknownAccount {
                provider: month.provider.clone(),
                account: account.clone(),
                known: known.into_iter().collect(),
            }),
        };
    }
    match known.len() {
        0 => Ok(crate::bookkeeping::preview::ONLY_ACCOUNT.to_owned()),
        1 => Ok(known.first().cloned().unwrap_or_default()),
        _ => Err(CloseError::WhichAccount {
            provider: month.provider.clone(),
            known: known.into_iter().collect(),
        }),
    }
}

/// Whether what a person closed is still what the month's inputs say.
///
/// # Errors
/// [`CloseError`] where the month cannot be explained.
pub async fn is_stale(
    books: &Books,
    prices: &PriceTable,
    month: &Month,
    clock: &Clock,
) -> Result<Option<bool>, CloseError> {
    let explained = explain(books, prices, month, clock).await?;
    let of = MonthOf {
        provider: month.provider.as_str(),
        account: &explained.account,
        period: month.period,
    };
    let closing = reports::newest_closing(books, &of).await?;
    Ok(closing.map(|closing| closing.inputs_hash != explained.inputs_hash))
}

async fn work(inputs: Inputs) -> Result<Report, CloseError> {
    let work = tokio::task::spawn_blocking(move || reconcile(&inputs));
    Ok(work.await.map_err(|_| interrupted())??)
}

pub(crate) fn interrupted() -> StoreError {
    StoreError::Value { what: "a reconciliation", value: "interrupted before its end".to_owned() }
}

/// Everything the engine is given.
pub(crate) async fn gather(
    books: &Books,
    prices: &PriceTable,
    month: &Month,
) -> Result<(String, Inputs), CloseError> {
    let account = account(books, month).await?;
    let provider = &month.provider;
    let span = month.period.span();
    let around = ChargePeriod {
        start: span.start.plus_micros(-MARGIN_US),
        end: span.end.plus_micros(MARGIN_US),
    };
    let own = own_names(books, provider, &account).await?;
    let attempts = facts::attempts(books, provider, &own, around).await?;
    let imports = import_facts(books, month, &account).await?;
    let document = document(books, month, &account).await?;
    let rates = rates(prices, provider, &attempts, &imports);
    let inputs = Inputs {
        provider: provider.clone(),
        account: Some(AccountId::new(account.as_str())),
        period: month.period,
        currency: prices.provider(provider).map_or(Currency::USD, |prices| prices.currency),
        price_table: prices.version().to_owned(),
        attempts,
        imports,
        rates,
        ties: ties(books, provider).await?,
        aliases: BTreeMap::new(),
        gaps: facts::gaps(books, span).await?,
        // Books without any attempt cover nothing of the month, whenever that is asked.
        books_began: Some(facts::books_began(books).await?.unwrap_or(span.end)),
        document,
        exchange: None,
    };
    Ok((account, inputs))
}

/// The names an account goes by: its own, and the organizations its exports name.
async fn own_names(
    books: &Books,
    provider: &ProviderName,
    account: &str,
) -> Result<BTreeSet<String>, CloseError> {
    let mut own = BTreeSet::from([account.to_owned()]);
    for record in imports::batches(books).await? {
        let is_its_own = record.withdrawn_at.is_none()
            && record.head.provider == provider.as_str()
            && record.head.account == account;
        let named = record.summary.pointer("/summary/accounts").filter(|_| is_its_own);
        let named = named.and_then(|names| names.as_array()).into_iter().flatten();
        own.extend(named.filter_map(|name| name.as_str()).map(str::to_owned));
    }
    Ok(own)
}

/// The currency of the month's lines; US dollars, which both providers bill in, before there are
/// any.
fn billed_in(imports: &[ImportFact]) -> Currency {
    let mut lines = imports.iter().flat_map(|import| &import.lines);
    lines.next().map_or(Currency::USD, |line| line.currency)
}

async fn import_facts(
    books: &Books,
    month: &Month,
    account: &str,
) -> Result<Vec<ImportFact>, CloseError> {
    let provider = month.provider.as_str();
    let (from, until) = (month.period.first_day(), month.period.next().first_day());
    let mut speaking = imports::speaking_days(books, from, until).await?;
    speaking.retain(|day| day.provider == provider && day.account == account);
    let mut by_batch: BTreeMap<String, ImportFact> = BTreeMap::new();
    let records = imports::batches(books).await?;
    for record in records.into_iter().filter(|record| record.withdrawn_at.is_none()) {
        let own = speaking.iter().filter(|day| day.batch == record.head.batch);
        let covered_days: Vec<_> = own.map(|day| day.day).collect();
        if covered_days.is_empty() {
            continue;
        }
        let fact = ImportFact {
            batch: record.head.batch.clone(),
            file_hash: record.head.file_sha256,
            kind: record.head.format,
            covered_days,
            exported_at: Some(record.sealed_at),
            lines: Vec::new(),
            usage: Vec::new(),
            stated_total: None,
        };
        by_batch.insert(record.head.batch, fact);
    }
    for stored in imports::billed_lines(books, &speaking).await? {
        if let Some(fact) = by_batch.get_mut(&stored.batch) {
            fact.lines.push(stored.line);
        }
    }
    for stored in imports::usage_rows(books, &speaking).await? {
        if let Some(fact) = by_batch.get_mut(&stored.batch) {
            fact.usage.push(stored.usage);
        }
    }
    Ok(by_batch.into_values().collect())
}

async fn document(
    books: &Books,
    month: &Month,
    account: &str,
) -> Result<Option<DocumentTotals>, CloseError> {
    let of = MonthOf { provider: month.provider.as_str(), account, period: month.period };
    let Some(stored) = reports::document(books, &of).await? else { return Ok(None) };
    let read = |what, text: Option<String>| match text {
        None => Ok(None),
        Some(text) => parse_decimal(&text)
            .map(Some)
            .map_err(|source| CloseError::NotAnAmount { what, source }),
    };
    let (tax, credits) = (read("tax", stored.tax)?, read("credits", stored.credits)?);
    let document = read("total", stored.total)?.map(|total| DocumentTotals {
        total,
        tax: tax.unwrap_or(Decimal::ZERO),
        credits: credits.unwrap_or(Decimal::ZERO),
    });
    Ok(document)
}

/// What people said of keys, projects and workspaces of a provider.
async fn ties(books: &Books, provider: &ProviderName) -> Result<Ties, CloseError> {
    let mut ties = Ties::default();
    let prefix = |kind: &str| format!("{kind}:{provider}/");
    for (subject, said) in accounts::remarks(books).await? {
        if let Some(credential) = subject.strip_prefix("credential:")
            && let Some(tied) = said.get("tied_to")
            && let Some(key) = tied.strip_prefix(&prefix("key"))
        {
            ties.keys.push(KeyTie {
                key: key.to_owned(),
                credential: CredentialId::new(credential),
                confirmed: true,
            });
        }
        for kind in ["key", "project", "workspace"] {
            if let Some(name) = subject.strip_prefix(&prefix(kind))
                && let Some(known) = said.get("known")
            {
                ties.known.insert(name.to_owned(), known.clone());
            }
        }
        for kind in ["project", "workspace"] {
            if let Some(name) = subject.strip_prefix(&prefix(kind))
                && let Some(tied) = said.get("tied_to")
            {
                ties.scopes.insert(name.to_owned(), tied.clone());
            }
        }
    }
    Ok(ties)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
