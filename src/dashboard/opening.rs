//! Which span the overview opens on where its address names none.

use std::collections::BTreeSet;

use crate::dashboard::page::PageError;
use crate::dashboard::view::{Query, month_text};
use crate::period::{BillingPeriod, DAY_US, Timestamp};
use crate::store::books::Books;
use crate::store::overview::{self, Dimension};
use crate::store::read::AttemptFilter;

/// With traffic on fewer days than these, a month says little beside the one before.
const TELLING_DAYS: usize = 3;

/// What the overview opens on.
#[derive(Debug)]
pub(crate) struct Opening {
    /// The parameters, with a range where one was chosen here.
    pub(crate) query: Query,
    /// Why the span is not the current month, where it is not.
    pub(crate) why: Option<String>,
}

/// The span that was asked for; else this month, or the month before while this one has traffic on
/// hardly a day and that one on more.
///
/// # Errors
/// [`PageError::Books`] where the books do not answer.
pub(crate) async fn opening(
    books: &Books,
    query: &Query,
    now: Timestamp,
) -> Result<Opening, PageError> {
    let said = |name: &&str| query.get(*name).is_some_and(|value| !value.trim().is_empty());
    let as_asked = || Opening { query: query.clone(), why: None };
    if ["range", "from", "to"].iter().any(said) {
        return Ok(as_asked());
    }
    let month = BillingPeriod::containing(now);
    let days = days_with_traffic(books, month).await?;
    if days >= TELLING_DAYS || days_with_traffic(books, month.previous()).await? <= days {
        return Ok(as_asked());
    }
    let mut query = query.clone();
    query.insert("range".to_owned(), "last-month".to_owned());
    let why = format!(
        "{} is shown: {} has traffic on {} so far.",
        month_text(month.previous()),
        month_text(month),
        match days {
            0 => "no day".to_owned(),
            1 => "one day".to_owned(),
            days => format!("{days} days"),
        }
    );
    Ok(Opening { query, why: Some(why) })
}

async fn days_with_traffic(books: &Books, month: BillingPeriod) -> Result<usize, PageError> {
    let filter = AttemptFilter::over(month.span());
    let cells = overview::spend(books, &filter, Dimension::Provider, DAY_US).await?;
    Ok(cells.iter().map(|cell| cell.bucket).collect::<BTreeSet<Timestamp>>().len())
}
