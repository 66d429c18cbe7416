//! The rate a bill in another currency is brought into the books' currency at, as a person says it.

use crate::bookkeeping::month::{CloseError, Month, account, books_currency};
use crate::money::{Currency, canonical_text, parse_decimal};
use crate::names::Clock;
use crate::pricing::table::PriceTable;
use crate::reconcile::facts::ExchangeRate;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::reports::{self, StoredRate};

/// What a person says of a rate, as typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateWords {
    /// `EUR=1.0832`: what one unit of the bill's currency is in the books' currency.
    pub rate: String,
    /// Where the rate was read, and of which day.
    pub source: String,
}

/// Notes the rate of a month; the newest holds, and what was said before stays on record.
///
/// # Errors
/// [`CloseError`] where it is no rate of another currency, or the books do not take it.
pub(crate) async fn say(
    books: &Books,
    prices: &PriceTable,
    month: &Month,
    words: &RateWords,
    actor: &str,
    clock: &Clock,
) -> Result<(), CloseError> {
    let not_a_rate = || CloseError::NotARate(words.rate.clone());
    let (code, rate) = words.rate.split_once('=').ok_or_else(not_a_rate)?;
    let from: Currency = code.trim().parse().map_err(|_| not_a_rate())?;
    let rate = parse_decimal(rate.trim()).map_err(|_| not_a_rate())?;
    if rate.is_zero() || rate.is_sign_negative() {
        return Err(not_a_rate());
    }
    let into = books_currency(prices, &month.provider);
    if from == into {
        return Err(CloseError::NoOtherCurrency(into));
    }
    let account = account(books, month).await?;
    let of = month.of(&account);
    let stored = StoredRate {
        from: from.to_string(),
        into: into.to_string(),
        rate: canonical_text(rate),
        source: words.source.trim().to_owned(),
    };
    Ok(reports::say_rate(books, &of, (clock.now(), actor), &stored).await?)
}

/// The rate that holds of a month.
pub(crate) async fn of_month(
    books: &Books,
    month: &Month,
    account: &str,
) -> Result<Option<ExchangeRate>, CloseError> {
    let of = month.of(account);
    let Some(stored) = reports::rate(books, &of).await? else { return Ok(None) };
    let unreadable =
        |what, value: &str| CloseError::Store(StoreError::Value { what, value: value.to_owned() });
    let currency = |code: &str| code.parse().map_err(|_| unreadable("a currency", code));
    Ok(Some(ExchangeRate {
        from: currency(&stored.from)?,
        into: currency(&stored.into)?,
        rate: parse_decimal(&stored.rate).map_err(|_| unreadable("a rate", &stored.rate))?,
        source: stored.source,
    }))
}
