//! What standing imports bill for a span of days, without reading rows where a sum will do.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::money::{Currency, exact_add, parse_decimal};
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::imports::{self, SealedBatch};
use crate::store::read::{get, get_currency, unreadable};

/// Billed money of a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Billed {
    /// Sums by currency.
    pub sums: BTreeMap<Currency, Decimal>,
    /// Days some cost export speaks for.
    pub days: BTreeSet<NaiveDate>,
}

/// The part of a batch's own summary that is needed here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sealed {
    summary: SealedSums,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SealedSums {
    sums: BTreeMap<String, String>,
    days: BTreeSet<NaiveDate>,
}

const LINES: &str = "
SELECT currency, billed_cost FROM billed_lines
WHERE batch = $1 AND day IN (SELECT value FROM json_each($2))";

/// What the cost exports that speak for `[from, until)` bill, of one provider or of all.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub async fn billed(
    books: &Books,
    provider: Option<&str>,
    from: NaiveDate,
    until: NaiveDate,
) -> Result<Billed, StoreError> {
    let accounts: BTreeSet<(String, String)> = imports::sealed_batches(books)
        .await?
        .into_iter()
        .filter(|batch| provider.is_none_or(|wanted| wanted == batch.provider))
        .map(|batch| (batch.provider, batch.account))
        .collect();
    let mut billed = Billed::default();
    for (provider, account) in accounts {
        for (batch, days) in imports::speaking(books, &provider, &account, from, until).await? {
            if batch.replaces == "cost" {
                add_batch(books, &mut billed, &batch, &days).await?;
                billed.days.extend(days);
            }
        }
    }
    Ok(billed)
}

async fn add_batch(
    books: &Books,
    billed: &mut Billed,
    batch: &SealedBatch,
    days: &BTreeSet<NaiveDate>,
) -> Result<(), StoreError> {
    let sealed: Sealed = serde_json::from_str(&batch.summary).unwrap_or_default();
    if sealed.summary.days == *days {
        for (currency, sum) in &sealed.summary.sums {
            let currency = currency.parse().map_err(|_| unreadable("currency", currency))?;
            add(billed, currency, sum)?;
        }
        return Ok(());
    }
    let wanted: Vec<String> = days.iter().map(NaiveDate::to_string).collect();
    let rows = sqlx::query(LINES)
        .bind(&batch.batch)
        .bind(serde_json::Value::from(wanted).to_string())
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("billed lines"))?;
    for row in &rows {
        let sum: String = get(row, "billed_cost")?;
        add(billed, get_currency(row)?, &sum)?;
    }
    Ok(())
}

fn add(billed: &mut Billed, currency: Currency, sum: &str) -> Result<(), StoreError> {
    let value = parse_decimal(sum).map_err(|_| unreadable("billed_cost", sum))?;
    let held = billed.sums.entry(currency).or_default();
    *held = exact_add(*held, value).ok_or_else(|| unreadable("billed_cost", sum))?;
    Ok(())
}
