//! Price tables that rated attempts, as the books keep them.

use crate::period::Timestamp;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::get;

/// One version of the prices, in force from its first use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PriceVersion {
    /// Hash of the canonical rows.
    pub price_version: String,
    /// When it first rated an attempt.
    pub first_used_at: Timestamp,
}

const VERSIONS: &str =
    "SELECT price_version, first_used_at FROM price_tables ORDER BY first_used_at DESC";

/// Every version used, newest first.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn versions(books: &Books) -> Result<Vec<PriceVersion>, StoreError> {
    let rows = sqlx::query(VERSIONS).fetch_all(books.pool()).await;
    let read = |row| {
        Ok(PriceVersion {
            price_version: get(row, "price_version")?,
            first_used_at: Timestamp::from_micros(get(row, "first_used_at")?),
        })
    };
    rows.map_err(StoreError::database("price tables"))?.iter().map(read).collect()
}
