//! Posting: the journal's synced records move into the books, within a second and exactly once.

use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::journal::book::Journal;
use crate::journal::error::JournalError;
use crate::journal::reader::{JournalReader, Record};
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::posting;
use crate::store::projection::PostingRecord;

/// Records of one transaction.
const BATCH: u32 = 500;
/// How often new records are looked for.
const EVERY: Duration = Duration::from_millis(200);
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
}

impl Poster {
    /// Opens its own reading connection to the journal.
    ///
    /// # Errors
    /// [`PostError::Journal`].
    pub async fn new(journal: Journal, books: Books) -> Result<Self, PostError> {
        let reader = JournalReader::open_file(journal.path()).await?;
        Ok(Self { journal, reader, books })
    }

    /// Posts everything that is synced by now. Only synced records: what a power cut could take
    /// back from the journal must not stand in the books.
    ///
    /// # Errors
    /// [`PostError`]; batches before the failing one are posted.
    pub async fn post_once(&mut self) -> Result<Posted, PostError> {
        let synced = i64::try_from(self.journal.health().synced_n).unwrap_or(i64::MAX);
        let node = self.journal.node();
        let cursor = posting::cursor(&self.books, node).await?;
        let mut posted =
            Posted { posted_n: cursor.map_or(0, |it| it.posted_n), ..Posted::default() };
        while posted.posted_n < synced {
            let records = self.reader.after(posted.posted_n, synced, BATCH).await?;
            let Some(last) = records.last().map(|record| record.n) else { break };
            let batch = records.into_iter().map(offer).collect::<Result<Vec<_>, _>>()?;
            let done = posting::post(&self.books, node, &batch).await?;
            posted.records += done.records;
            posted.conflicts += done.conflicts;
            posted.posted_n = last;
        }
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
            wait = match self.post_once().await {
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

/// A journal's record as the books take it.
pub(crate) fn offer(record: Record) -> Result<PostingRecord, JournalError> {
    let entry = record.entry()?;
    let Record { n, boot, body, prev_hash, hash, .. } = record;
    Ok(PostingRecord { n, boot, entry, body, prev_hash, hash })
}
