//! Retention: a journal record goes when it is posted, found in the books, and old enough.

use std::future::Future;
use std::time::Duration;

use crate::bookkeeping::post::{PostError, offer};
use crate::journal::book::Journal;
use crate::journal::reader::JournalReader;
use crate::names::Clock;
use crate::period::{DAY_US, Timestamp};
use crate::store::books::Books;
use crate::store::{posting, verify};

/// For how many days a record stays in the journal at least, unless the configuration says otherwise.
pub(crate) const DEFAULT_DAYS: u32 = 7;
/// How often old records are looked for.
const EVERY: Duration = Duration::from_secs(3_600);
/// Records compared together.
const BATCH: u32 = 1_000;

/// What a round of retention did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// Everything up to here is in the books, row by row as the journal says.
    pub verified_n: i64,
    /// Records that went.
    pub gone: u64,
    /// Rows of the books that differ; from the first of them on nothing goes.
    pub differing: Vec<String>,
}

/// Lets go of what may go, once an hour, until `stop` resolves.
pub(crate) async fn run(
    journal: Journal,
    books: Books,
    clock: Clock,
    days: u32,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    while tokio::time::timeout(EVERY, stop.as_mut()).await.is_err() {
        match retire(&journal, &books, clock.now(), days).await {
            Ok(Retired { differing, .. }) if !differing.is_empty() => {
                let rows = differing.len();
                tracing::error!(rows, first = %differing[0], "the books differ from the journal");
            }
            Ok(Retired { gone, .. }) => tracing::debug!(gone, "journal records were let go"),
            Err(error) => tracing::warn!(%error, "the journal keeps its old records"),
        }
    }
}

/// Compares what may go with the books, then lets it go. Beyond the retention only; everything
/// younger is not even read.
///
/// # Errors
/// [`PostError`]; what went until then was rightly let go.
pub async fn retire(
    journal: &Journal,
    books: &Books,
    now: Timestamp,
    days: u32,
) -> Result<Retired, PostError> {
    let before = now.plus_micros(-DAY_US.saturating_mul(i64::from(days)));
    let mut reader = JournalReader::open_file(journal.path()).await?;
    let head = reader.head().await?;
    let cursor = posting::cursor(books, journal.node()).await?;
    let posted_n = cursor.map_or(0, |cursor| cursor.posted_n);
    let mut retired = Retired { verified_n: head.verified_n, ..Retired::default() };
    let mut after = head.first_n.saturating_sub(1).max(head.verified_n);
    while retired.differing.is_empty() && after < posted_n {
        let records = reader.after(after, posted_n, BATCH).await?;
        let old = records.iter().take_while(|record| record.at < before).count();
        let Some(last) = records[..old].last().map(|record| record.n) else { break };
        let offered = records.into_iter().take(old).map(offer).collect::<Result<Vec<_>, _>>()?;
        retired.differing = verify::differing(books, journal.node(), &offered).await?;
        if retired.differing.is_empty() {
            retired.verified_n = last;
        }
        after = last;
    }
    reader.close().await?;
    loop {
        let gone = journal.retire(retired.verified_n, before).await?;
        retired.gone += gone;
        if gone == 0 {
            break;
        }
    }
    Ok(retired)
}
