//! The writer: writes what waits in one transaction, keeps what finds no room, tells those who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::failpoint::{self, Failpoint};
use crate::journal::checkpoint::Checkpointer;
use crate::journal::command::{Closer, Command, Committed, Pending, Retirement, Waiter};
use crate::journal::error::JournalError;
use crate::journal::files::{Ballast, HeldFolder, Unwritten};
use crate::journal::open_attempts::OpenAttempts;
use crate::journal::scribe::{Draft, Scribe, WriteError};
use crate::journal::spill::Spill;
use crate::journal::sync::Syncer;
use crate::ledger::entry::EntryKind;
use crate::period::Timestamp;

/// The most records of one transaction.
const BATCH: usize = 1_000;
/// How often room for ballast and lifeboat is looked for.
const BALLAST_RETRY: Duration = Duration::from_secs(1);

/// The journal cannot go on; the syncer has the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalFailed;

/// What others may know of the writer.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) committed: AtomicU64,
    pub(crate) waiting_for_room: AtomicU64,
}

/// Bounds of the writer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(crate) unsynced: i64,
    /// Calls may pass while the journal takes none.
    pub(crate) untracked: bool,
}

/// Owns the write connection for as long as the journal is open.
pub(crate) struct Writer {
    pub(crate) counters: Arc<Counters>,
    scribe: Scribe,
    syncer: Arc<Syncer>,
    checkpointer: Checkpointer,
    ballast: Ballast,
    limits: Limits,
    spill: Spill,
    open: OpenAttempts,
    ballast_tried: Instant,
    /// Lets the sync thread end, however the writer does.
    _ending: StopSync,
    held: HeldFolder,
}

/// Stops the sync thread when dropped, also with a runtime that ends without closing the journal.
struct StopSync(Arc<Syncer>);

impl Drop for StopSync {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Writer {
    pub(crate) fn new(
        scribe: Scribe,
        syncer: Arc<Syncer>,
        checkpointer: Checkpointer,
        ballast: Ballast,
        spill: Spill,
        limits: Limits,
        held: HeldFolder,
    ) -> Self {
        let counters = Arc::new(Counters::default());
        let ending = StopSync(Arc::clone(&syncer));
        Self {
            scribe,
            syncer,
            checkpointer,
            counters,
            ballast,
            limits,
            spill,
            open: OpenAttempts::default(),
            ballast_tried: Instant::now(),
            _ending: ending,
            held,
        }
    }

    /// Whether everything that was handed over is on the disk and there is room for more.
    pub(crate) fn is_well(&self) -> bool {
        self.spill.is_clear() && self.ballast.is_held()
    }

    /// Whether a few records can be written without waiting for anything but the system's memory.
    pub(crate) fn writes_without_waiting(&self) -> bool {
        let unsynced = self.scribe.next_n - self.syncer.synced();
        let settled_in = self.is_well() && self.spill.has_lifeboat();
        settled_in && unsynced < self.limits.unsynced / 2
    }

    /// Does what the commands say. Returns who asked for the end, if somebody did; an error says
    /// that the journal has failed, and who asked.
    pub(crate) fn obey(
        &mut self,
        commands: &mut Vec<Command>,
    ) -> Result<Option<Closer>, Option<Closer>> {
        let mut batch = Vec::with_capacity(commands.len().min(BATCH));
        let (mut closer, mut retirement) = (None, None);
        let mut failed = false;
        for command in commands.drain(..) {
            match command {
                Command::Append(pending) => batch.push(pending),
                Command::Retire(asked) => retirement = Some(asked),
                Command::Close(waiter) => closer = Some(waiter),
            }
            if batch.len() == BATCH {
                failed |= self.take(std::mem::take(&mut batch)).is_err();
            }
        }
        // Also with nothing to write: what waits for room is tried again.
        failed |= self.take(batch).is_err();
        if failed {
            return Err(closer);
        }
        if let Some(Retirement { verified_n, before, waiter }) = retirement {
            drop(waiter.send(self.retire(verified_n, before)));
        }
        Ok(closer)
    }

    /// Stops the journal for good.
    pub(crate) fn fail(&self, reason: &str) {
        self.syncer.fail(reason);
    }

    /// Writes one entry without waiting for anybody who holds the database. What cannot be written
    /// so comes back, and the journal's thread, which may wait, tries again.
    pub(crate) fn write_at_once(&mut self, pending: Pending) -> Result<(), Pending> {
        if self.syncer.failure().is_some() {
            return Err(pending);
        }
        match self.scribe.write_at_once(&pending.draft) {
            Ok(first) => {
                self.tell(first, vec![pending]);
                Ok(())
            }
            Err(_) => Err(pending),
        }
    }

    /// Writes a batch, or what of it can be written. With an error the journal has failed, and
    /// everybody who waits has been told.
    pub(crate) fn take(&mut self, batch: Vec<Pending>) -> Result<(), JournalFailed> {
        self.write(batch).map_err(|reason| {
            self.syncer.fail(&reason);
            JournalFailed
        })
    }

    /// Writes a batch, or what of it can be written. An error is for the whole journal.
    fn write(&mut self, batch: Vec<Pending>) -> Result<(), String> {
        if let Some(reason) = self.syncer.failure() {
            fail_all(batch, &reason);
            return Err(reason.to_string());
        }
        self.make_room_again()?;
        if batch.is_empty() {
            return Ok(());
        }
        if !self.is_well() {
            let reason = "the disk is nearly full, what room is left is for settlements";
            return self.take_what_must_be_kept(batch, reason);
        }
        if let Err(reason) = self.wait_for_sync(batch.len()) {
            fail_all(batch, &reason);
            return Err(reason.to_string());
        }
        let drafts: Vec<&Draft> = batch.iter().map(|pending| &pending.draft).collect();
        match self.scribe.write(&drafts) {
            Ok(first) => {
                if !self.spill.has_lost() {
                    self.held.say_unwritten(Unwritten::Nothing);
                }
                self.tell(first, batch);
                Ok(())
            }
            Err(WriteError::Fatal(reason)) => {
                fail_all(batch, &reason);
                Err(reason)
            }
            Err(WriteError::Held(reason)) => self.take_what_must_be_kept(batch, &reason),
            Err(WriteError::Full(reason)) => {
                self.ballast.release();
                self.take_what_must_be_kept(batch, &reason)
            }
        }
    }

    /// Refuses intents, and keeps what happened already: in the journal if there is room again,
    /// else in memory and, as far as it holds, in the lifeboat.
    fn take_what_must_be_kept(&mut self, batch: Vec<Pending>, reason: &str) -> Result<(), String> {
        // From here on a kill may take what passes untracked.
        if self.limits.untracked {
            self.say_waiting();
        }
        let (intents, kept): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|pending| pending.draft.kind == EntryKind::Intent);
        for pending in intents {
            answer(pending.waiter, Err(JournalError::Unavailable(reason.to_owned())));
        }
        if self.spill.is_empty() && !kept.is_empty() {
            let drafts: Vec<&Draft> = kept.iter().map(|pending| &pending.draft).collect();
            match self.scribe.write(&drafts) {
                Ok(first) => {
                    self.tell(first, kept);
                    return Ok(());
                }
                Err(WriteError::Fatal(reason)) => {
                    fail_all(kept, &reason);
                    return Err(reason);
                }
                Err(WriteError::Full(_) | WriteError::Held(_)) => {}
            }
        }
        let mut waiters = Vec::with_capacity(kept.len());
        for Pending { draft, waiter } in kept {
            if self.spill.put(draft) {
                waiters.push(waiter);
            } else {
                answer(waiter, Err(JournalError::Unavailable(reason.to_owned())));
            }
        }
        self.spill.board();
        if self.spill.is_at_risk() {
            self.say_waiting();
        }
        self.count_spill();
        for waiter in waiters {
            answer(waiter, Err(JournalError::Deferred(reason.to_owned())));
        }
        Ok(())
    }

    /// Writes what waits, then makes lifeboat and ballast ready again.
    fn make_room_again(&mut self) -> Result<(), String> {
        self.write_spill()?;
        if self.spill.can_be_cleared() {
            let synced = self.syncer.reached_blocking(self.scribe.next_n - 1);
            synced.map_err(|reason| reason.to_string())?;
            self.spill.clear();
        }
        let wanting = !self.ballast.is_held() || !self.spill.has_lifeboat();
        if wanting && self.ballast_tried.elapsed() >= BALLAST_RETRY {
            self.ballast_tried = Instant::now();
            self.spill.make_ready();
            self.ballast.take_back();
        }
        Ok(())
    }

    /// Writes what waits for room, as much of it as finds some.
    fn write_spill(&mut self) -> Result<(), String> {
        while !self.spill.is_empty() {
            let drafts = self.spill.front(BATCH);
            let count = drafts.len();
            let written = match self.scribe.write(&drafts) {
                Err(WriteError::Full(_)) if self.ballast.release() => self.scribe.write(&drafts),
                other => other,
            };
            match written {
                Ok(first) => {
                    for (n, draft) in (first..).zip(self.spill.take(count)) {
                        self.open.note(n, &draft);
                    }
                    self.committed(first, count);
                }
                Err(WriteError::Fatal(reason)) => return Err(reason),
                Err(WriteError::Full(_) | WriteError::Held(_)) => break,
            }
            self.count_spill();
        }
        Ok(())
    }

    /// Says that a kill may now take what is nowhere else.
    fn say_waiting(&mut self) {
        if !self.spill.has_lost() {
            self.held.say_unwritten(Unwritten::Waiting);
        }
    }

    /// Keeps what a power cut can take back within the bound that a coverage gap names.
    fn wait_for_sync(&self, more: usize) -> Result<(), Arc<str>> {
        let last = self.scribe.next_n - 1 + i64::try_from(more).unwrap_or(i64::MAX);
        let floor = last.saturating_sub(self.limits.unsynced);
        if self.syncer.synced() >= floor {
            return Ok(());
        }
        self.syncer.reached_blocking(floor)
    }

    /// Tells each waiter its number.
    fn tell(&mut self, first: i64, batch: Vec<Pending>) {
        let count = batch.len();
        for (n, Pending { draft, waiter }) in (first..).zip(batch) {
            if draft.kind == EntryKind::Settlement {
                failpoint::pass(Failpoint::AfterCommit);
            }
            answer(waiter, Ok(Committed { n }));
            self.open.note(n, &draft);
            self.checkpointer.wrote(draft.body.len());
        }
        self.committed(first, count);
    }

    fn committed(&self, first: i64, count: usize) {
        let last = first + i64::try_from(count).unwrap_or(0) - 1;
        self.syncer.committed(last);
        self.counters.committed.store(u64::try_from(last).unwrap_or(0), Ordering::Relaxed);
    }

    fn count_spill(&self) {
        let waiting = u64::try_from(self.spill.len()).unwrap_or(u64::MAX);
        self.counters.waiting_for_room.store(waiting, Ordering::Relaxed);
    }

    /// Lets records go, but none from an open intent on: a crash must still find that one.
    fn retire(&mut self, verified_n: i64, before: Timestamp) -> Result<u64, JournalError> {
        let first_open = self.open.first_n().unwrap_or(i64::MAX);
        self.scribe.retire(verified_n.min(first_open.saturating_sub(1)), before)
    }

    /// Syncs and closes the connection, after the checkpointer closed its. The boot is clean only
    /// if somebody asked for the end.
    pub(crate) fn end(mut self, asked: bool) -> Result<(), JournalError> {
        self.checkpointer.stop();
        if !self.spill.is_empty() {
            self.make_room_again().map_err(JournalError::Failed)?;
        }
        let last = self.scribe.next_n - 1;
        let synced = self.syncer.reached_blocking(last);
        self.syncer.stop();
        synced.map_err(|reason| JournalError::Failed(reason.to_string()))?;
        let attempts = self.spill.attempts_at_risk();
        let aboard = self.spill.aboard();
        if aboard > 0 {
            tracing::warn!(records = aboard, "records wait in the lifeboat for the next start");
        }
        if attempts > 0 {
            self.held.say_unwritten(Unwritten::Attempts(attempts));
            let reason = format!(
                "records of {attempts} attempts found no room on the disk; the next start lists them"
            );
            return Err(JournalError::Unavailable(reason));
        }
        if !asked {
            return self.scribe.close();
        }
        // What waits in the lifeboat is open still: the next start looks what it settles.
        let left_open = i64::try_from(self.open.len()).unwrap_or(i64::MAX);
        match self.scribe.end_boot(left_open) {
            Err(error) if aboard > 0 => {
                tracing::warn!(%error, "the full journal could not be marked as ended in order");
                Ok(())
            }
            ended => ended,
        }
    }
}

fn answer(waiter: Option<Waiter>, result: Result<Committed, JournalError>) {
    // Who stopped waiting does not need to know.
    if let Some(waiter) = waiter {
        drop(waiter.send(result));
    }
}

fn fail_all(batch: Vec<Pending>, reason: &str) {
    for pending in batch {
        answer(pending.waiter, Err(JournalError::Failed(reason.to_owned())));
    }
}
