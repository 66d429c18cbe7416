//! Reading the books: what every page's query shares.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, Row, Sqlite, Type};

use crate::money::{Amount, Currency};
use crate::period::ChargePeriod;
use crate::store::error::StoreError;

/// Which attempts a page speaks of. `None` means any; an empty text means "not said".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttemptFilter {
    /// The span, by the attempt's start. Rollups know whole hours only.
    pub period: ChargePeriod,
    /// Provider.
    pub provider: Option<String>,
    /// Model: served, else requested.
    pub model: Option<String>,
    /// Team label.
    pub team: Option<String>,
    /// Application label.
    pub app: Option<String>,
    /// Organization, project or workspace, whichever carries this text.
    pub account: Option<String>,
    /// Credential fingerprint.
    pub credential: Option<String>,
}

impl AttemptFilter {
    /// All attempts of a span.
    pub(crate) const fn over(period: ChargePeriod) -> Self {
        Self {
            period,
            provider: None,
            model: None,
            team: None,
            app: None,
            account: None,
            credential: None,
        }
    }
}

/// Names the column and shortens the value that is not what this version writes.
pub(crate) fn unreadable(what: &'static str, value: &str) -> StoreError {
    StoreError::Value { what, value: value.chars().take(80).collect() }
}

/// One column of a row.
pub(crate) fn get<'row, T, I>(row: &'row SqliteRow, column: I) -> Result<T, StoreError>
where
    T: Decode<'row, Sqlite> + Type<Sqlite>,
    I: ColumnIndex<SqliteRow>,
{
    row.try_get(column).map_err(StoreError::database("a column"))
}

/// A quantity: stored signed, never negative.
pub(crate) fn get_count(row: &SqliteRow, column: &'static str) -> Result<u64, StoreError> {
    let stored: i64 = get(row, column)?;
    u64::try_from(stored).map_err(|_| unreadable(column, &stored.to_string()))
}

/// The same where it may be missing.
pub(crate) fn get_count_opt(
    row: &SqliteRow,
    column: &'static str,
) -> Result<Option<u64>, StoreError> {
    let stored: Option<i64> = get(row, column)?;
    let read =
        |value: i64| u64::try_from(value).map_err(|_| unreadable(column, &value.to_string()));
    stored.map(read).transpose()
}

/// A currency code.
pub(crate) fn get_currency(row: &SqliteRow) -> Result<Currency, StoreError> {
    let code: String = get(row, "currency")?;
    code.parse().map_err(|_| unreadable("currency", &code))
}

/// Adds amounts the database listed side by side: money is added here, never in SQL.
pub(crate) fn add_listed(amounts: &str) -> Result<Amount, StoreError> {
    let read = |text: &str| text.parse::<i64>().map_err(|_| unreadable("amount", text));
    let mut total: i128 = 0;
    for amount in amounts.split(' ').filter(|text| !text.is_empty()) {
        total = total.saturating_add(i128::from(read(amount)?));
    }
    Ok(Amount::from_pico(total))
}

/// A JSON column.
pub(crate) fn get_json<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    serde_json::from_str(&text).map_err(|_| unreadable(column, &text))
}
