//! Posting: the journal's synced records move into the books, within a second and exactly once.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::journal::book::Journal;
use crate::journal::error::JournalError;
use crate::journal::reader::{JournalReader, Record};
use crate::ledger::entry::Entry;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::posting;
use crate::store::projection::PostingRecord;

/// Records of one transaction.
const BATCH: u32 = 500;
/// How often new records are looked for.
const EVERY: Duration = Duration::from_millis(200);
/// How long an intent waits for its settlement, so that an answered call does not stand in the
/// books as one under way.
const SETTLING: Duration = Duration::from_millis(600);
/// The longest wait between two tries while the books do not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What a round of posting came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Posted {
    /// Records posted in this round.
    pub records: u64,
    /// Second settlements that differ from the first; kept apart, never merged.
    pub conflicts: u64,
    /// Up to where the journal is in the books now.
    pub posted_n: i64,
}

/// Why a round of posting did nothing. The journal keeps everything until the next.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The books did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no thread to post on.
    #[error("posting cannot start: {0}")]
    Thread(std::io::Error),
}

/// Moves one node's journal into the books.
#[derive(Debug)]
pub struct Poster {
    journal: Journal,
    reader: JournalReader,
    books: Books,
    /// When intents without a settlement were first seen, by their number.
    unsettled: BTreeMap<i64, Instant>,
}

impl Poster {
    /// Opens its own reading connection to the journal.
    ///
    /// # Errors
    /// [`PostError::Journal`].
    pub async fn new(journal: Journal, books: Books) -> Result<Self, PostError> {
        let reader = JournalReader::open_file(journal.path()).await?;
        Ok(Self { journal, reader, books, unsettled: BTreeMap::new() })
    }

    /// Posts everything that is synced by now. Only synced records: what a power cut could take
    /// back from the journal must not stand in the books.
    ///
    /// # Errors
    /// [`PostError`]; batches before the failing one are posted.
    pub async fn post_once(&mut self) -> Result<Posted, PostError> {
        self.post(Duration::ZERO).await
    }

    /// Posts what is synced, up to the first intent that is younger than this and not settled.
    async fn post(&mut self, settling: Duration) -> Result<Posted, PostError> {
        let synced = i64::try_from(self.journal.health().synced_n).unwrap_or(i64::MAX);
        let node = self.journal.node();
        let cursor = posting::cursor(&self.books, node).await?;
        let mut posted =
            Posted { posted_n: cursor.map_or(0, |it| it.posted_n), ..Posted::default() };
        while posted.posted_n < synced {
            let records = self.reader.after(posted.posted_n, synced, BATCH).await?;
            let is_last = records.last().is_some_and(|record| record.n == synced);
            let mut batch = records.into_iter().map(offer).collect::<Result<Vec<_>, _>>()?;
            if is_last {
                batch.truncate(settled_part(&batch, &mut self.unsettled, settling));
            }
            let Some(last) = batch.last().map(|record| record.n) else { break };
            let done = posting::post(&self.books, node, &batch).await?;
            posted.records += done.records;
            posted.conflicts += done.conflicts;
            posted.posted_n = last;
        }
        self.unsettled = self.unsettled.split_off(&(posted.posted_n + 1));
        Ok(posted)
    }

    /// Runs on a thread of its own, so that a batch never holds up a call; the receiver resolves
    /// once it has ended.
    ///
    /// # Errors
    /// The machine gives no thread.
    pub(crate) fn run_apart(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<oneshot::Receiver<()>> {
        let (ended, has_ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        std::thread::Builder::new().name("posting".to_owned()).spawn(move || {
            runtime.block_on(self.run(stop));
            drop(ended);
        })?;
        Ok(has_ended)
    }

    /// Posts until `stop` resolves, and once more then. While the books are away the journal grows
    /// and nothing else happens; tries get rarer, up to half a minute apart.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut wait = EVERY;
        loop {
            let stopping = tokio::time::timeout(wait, stop.as_mut()).await.is_ok();
            let settling = if stopping { Duration::ZERO } else { SETTLING };
            wait = match self.post(settling).await {
                Ok(posted) => {
                    if posted.conflicts > 0 {
                        let conflicts = posted.conflicts;
                        tracing::warn!(conflicts, "attempts were settled twice, differently");
                    }
                    EVERY
                }
                Err(error) => {
                    let next = (wait * 2).min(LONGEST_WAIT);
                    tracing::warn!(%error, ?next, "posting to the books failed; the journal keeps on");
                    next
                }
            };
            if stopping {
                break;
            }
        }
        if let Err(error) = self.reader.close().await {
            tracing::warn!(%error, "closing the journal's reading connection failed");
        }
    }
}

/// How many of the newest records stand before the first intent that may be settled any moment.
/// `unsettled` says since when each is known.
fn settled_part(
    newest: &[PostingRecord],
    unsettled: &mut BTreeMap<i64, Instant>,
    settling: Duration,
) -> usize {
    let settled = newest.iter().filter_map(|record| match &record.entry {
        Entry::Settlement(settlement) => Some(settlement.attempt),
        _ => None,
    });
    let settled: HashSet<_> = settled.collect();
    let now = Instant::now();
    let mut part = newest.len();
    for (at, record) in newest.iter().enumerate() {
        let Entry::Intent(intent) = &record.entry else { continue };
        if !settled.contains(&intent.attempt) {
            let since = *unsettled.entry(record.n).or_insert(now);
            if now.duration_since(since) < settling {
                part = part.min(at);
            }
        }
    }
    part
}

/// A journal's record as the books take it.
pub(crate) fn offer(record: Record) -> Result<PostingRecord, JournalError> {
    let entry = record.entry()?;
    let Record { n, boot, body, prev_hash, hash, .. } = record;
    Ok(PostingRecord { n, boot, entry, body, prev_hash, hash })
}
