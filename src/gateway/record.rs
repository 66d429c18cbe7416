//! The gateway's hand on the journal: intents that may fail a call, settlements that may not be lost.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::journal::book::Journal;
use crate::journal::error::JournalError;
use crate::ledger::count::Count;
use crate::ledger::entry::Entry;
use crate::ledger::gap::{CoverageGap, GapReason};
use crate::metering::counted::CountedTokens;
use crate::names::{AttemptId, Clock};
use crate::period::{ChargePeriod, Timestamp};

/// Writes an exchange's records.
#[derive(Debug)]
pub(crate) struct Recorder {
    journal: Journal,
    clock: Clock,
    allow_untracked: bool,
    untracked: Mutex<Option<UntrackedSpan>>,
}

/// Whether an attempt is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracked {
    /// Its intent is committed under this number.
    As(i64),
    /// It passes without a record, as `on_journal_failure = "allow_untracked"` permits.
    Not,
}

/// Calls that passed without a record since the journal failed.
#[derive(Clone, Copy, Debug)]
struct UntrackedSpan {
    first: Timestamp,
    last: Timestamp,
    attempts: u64,
}

impl Recorder {
    /// A hand on this journal.
    pub(crate) const fn new(journal: Journal, clock: Clock, allow_untracked: bool) -> Self {
        Self { journal, clock, allow_untracked, untracked: Mutex::new(None) }
    }

    /// Commits an intent, after which its attempt may be sent.
    ///
    /// # Errors
    /// The journal did not take it and calls are not to pass untracked.
    pub(crate) async fn intent(&self, entry: &Entry) -> Result<Tracked, JournalError> {
        match self.journal.commit(entry).await {
            Ok(committed) => {
                self.close_untracked_span();
                Ok(Tracked::As(committed.n))
            }
            Err(error) if self.allow_untracked => {
                self.count_untracked(&error);
                Ok(Tracked::Not)
            }
            Err(error) => {
                tracing::error!(%error, "a call was refused: the journal takes no intent");
                Err(error)
            }
        }
    }

    /// Waits until an intent survives a power cut. Where it never will, the process is about to
    /// end, and the answer is not passed on.
    ///
    /// # Errors
    /// The journal failed for good.
    pub(crate) async fn synced(&self, tracked: Tracked) -> Result<(), JournalError> {
        match tracked {
            Tracked::As(n) => self.journal.synced(n).await,
            Tracked::Not => Ok(()),
        }
    }

    /// Commits a settlement or correction, however long the queue.
    pub(crate) async fn settle(&self, entry: &Entry) {
        loop {
            match self.journal.commit(entry).await {
                Ok(_) => return,
                Err(JournalError::Busy) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error @ JournalError::Deferred(_)) => {
                    tracing::warn!(%error, "a settlement waits for the journal");
                    return;
                }
                Err(error @ (JournalError::Failed(_) | JournalError::Closed)) => {
                    let attempt = entry.attempt().map(|id| id.to_string());
                    tracing::error!(%error, ?attempt, "a settlement is not in the journal");
                    // The process is about to end, and the next start lists an orphan. Whoever
                    // waits here must not be sent the last byte of a settled answer.
                    return std::future::pending().await;
                }
                Err(error) => {
                    let attempt = entry.attempt().map(|id| id.to_string());
                    tracing::error!(%error, ?attempt, "a settlement is not in the journal");
                    return;
                }
            }
        }
    }

    /// Hands over an entry nobody waits for. Says in the log when it is dropped.
    pub(crate) fn later(&self, entry: &Entry) {
        if let Err(error) = self.journal.append_later(entry) {
            let attempt = entry.attempt().map(|id| id.to_string());
            tracing::error!(%error, kind = entry.kind().as_str(), ?attempt, "a record was dropped");
        }
    }

    fn count_untracked(&self, error: &JournalError) {
        let now = self.clock.now();
        let mut span = self.untracked.lock().unwrap_or_else(PoisonError::into_inner);
        let known = span.get_or_insert(UntrackedSpan { first: now, last: now, attempts: 0 });
        known.attempts += 1;
        known.last = known.last.max(now);
        let attempts = known.attempts;
        tracing::error!(%error, attempts, "a call passes WITHOUT A RECORD (allow_untracked)");
    }

    /// The journal is back, or the process ends: what passed meanwhile is written down as a gap.
    pub(crate) fn close_untracked_span(&self) {
        let ended = self.untracked.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(span) = ended {
            let end = Timestamp::from_micros(span.last.micros() + 1);
            self.later(&Entry::Gap(CoverageGap {
                period: ChargePeriod { start: span.first, end },
                at_most: Some(span.attempts),
                reason: GapReason::Untracked,
            }));
        }
    }
}

/// A count as the journal has it: the words of `metering` as text, which the ledger need not know.
pub(crate) fn counted_entry(
    attempt: AttemptId,
    counted_at: Timestamp,
    counted: CountedTokens,
) -> Entry {
    let word = |json: Result<serde_json::Value, serde_json::Error>| match json {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    };
    Entry::Count(Box::new(Count {
        attempt,
        counted_at,
        input: counted.input,
        output: counted.output,
        method: word(serde_json::to_value(counted.method)),
        encoding: counted.encoding.map_or_else(String::new, |it| word(serde_json::to_value(it))),
        basis: counted.basis.map_or_else(String::new, |it| word(serde_json::to_value(it))),
        estimated_parts: counted
            .estimated_parts
            .iter()
            .map(|part| word(serde_json::to_value(part)))
            .chain(counted.not_counted.map(|why| word(serde_json::to_value(why))))
            .collect(),
    }))
}
