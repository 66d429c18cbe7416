//! What standing imports bill for a span of days, without reading rows where a sum will do.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::money::{Currency, exact_add, parse_decimal};
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::imports;
use crate::store::read::unreadable;

/// Billed money of a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Billed {
    /// Sums by currency.
    pub sums: BTreeMap<Currency, Decimal>,
    /// Days some cost export speaks for.
    pub days: BTreeSet<NaiveDate>,
}

/// What the cost exports that speak for `[from, until)` bill, of one provider or of all: from the
/// sums by day their seals hold, so that no row is read.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub(crate) async fn billed(
    books: &Books,
    provider: Option<&str>,
    from: NaiveDate,
    until: NaiveDate,
) -> Result<Billed, StoreError> {
    let batches: BTreeMap<String, Value> = imports::batches(books)
        .await?
        .into_iter()
        .map(|record| (record.head.batch, record.summary))
        .collect();
    let mut billed = Billed::default();
    for day in imports::speaking_days(books, from, until).await? {
        let wanted = provider.is_none_or(|wanted| wanted == day.provider);
        if !wanted || !day.format.contains("cost") {
            continue;
        }
        let by_day = batches.get(&day.batch).and_then(|summary| summary.get("sum_by_day"));
        let sums = by_day.and_then(|by_day| by_day.get(day.day.to_string()));
        for (currency, sum) in sums.and_then(Value::as_object).into_iter().flatten() {
            let currency = currency.parse().map_err(|_| unreadable("currency", currency))?;
            add(&mut billed, currency, sum.as_str().unwrap_or_default())?;
        }
        billed.days.insert(day.day);
    }
    Ok(billed)
}

fn add(billed: &mut Billed, currency: Currency, sum: &str) -> Result<(), StoreError> {
    let value = parse_decimal(sum).map_err(|_| unreadable("billed_cost", sum))?;
    let held = billed.sums.entry(currency).or_default();
    *held = exact_add(*held, value).ok_or_else(|| unreadable("billed_cost", sum))?;
    Ok(())
}
