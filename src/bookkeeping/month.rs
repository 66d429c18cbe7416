//! A month to be explained: whose bill it is, and why that may not be possible.

use std::collections::BTreeSet;

use crate::money::{Currency, MoneyError};
use crate::names::ProviderName;
use crate::period::BillingPeriod;
use crate::pricing::table::PriceTable;
use crate::reconcile::engine::ReconcileError;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::facts;
use crate::store::imports;
use crate::store::reports::MonthOf;

/// Name of the only account, where no export, no answer and nobody ever named one.
pub(crate) const ONLY_ACCOUNT: &str = "default";

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
    /// What was typed is no rate of exchange.
    #[error(
        "{0:?} is no rate of exchange: write how much one unit of the bill's currency is, as EUR=1.0832"
    )]
    NotARate(String),
    /// A rate of a currency into itself.
    #[error("{0} is the currency of the books themselves; a rate is for a bill in another one")]
    NoOtherCurrency(Currency),
    /// Tax or credits alone prove nothing.
    #[error("tax and credits need the document's total beside them: --invoice-total T")]
    TotalMissing,
}

impl Month {
    /// The month of this account, as the books keep what is said of it.
    pub(crate) fn of<'m>(&'m self, account: &'m str) -> MonthOf<'m> {
        MonthOf { provider: self.provider.as_str(), account, period: self.period }
    }
}

/// The account a month is of: named, or the only one that has exports.
///
/// # Errors
/// [`CloseError::WhichAccount`] where there are several, [`CloseError::UnknownAccount`] where the
/// one named has neither an export nor an answer that named it as its organization.
pub(crate) async fn account(books: &Books, month: &Month) -> Result<String, CloseError> {
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
        0 => Ok(ONLY_ACCOUNT.to_owned()),
        1 => Ok(known.first().cloned().unwrap_or_default()),
        _ => Err(CloseError::WhichAccount {
            provider: month.provider.clone(),
            known: known.into_iter().collect(),
        }),
    }
}

/// The currency our own charges at a provider are in.
pub(crate) fn books_currency(prices: &PriceTable, provider: &ProviderName) -> Currency {
    prices.provider(provider).map_or(Currency::USD, |prices| prices.currency)
}

/// The thread that reconciled ended before its work.
pub(crate) fn interrupted() -> StoreError {
    StoreError::Value { what: "a reconciliation", value: "interrupted before its end".to_owned() }
}
