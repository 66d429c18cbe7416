//! The desk: one writes at a time, the journal's thread or a lone call for itself.
//!
//! Under load the thread writes what came meanwhile in one go. A call that comes alone would wait
//! for two threads to wake, which takes longer than the writing; it writes on its own thread, some
//! tens of microseconds, if nobody is before it.

use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use crate::journal::command::Pending;
use crate::journal::inbox::{Arrival, Inbox};
use crate::journal::writer::Writer;

/// How often a journal that cannot write tries again.
const RETRY: Duration = Duration::from_millis(250);

/// After so long without a commit the next one counts as a lone one.
const LONE_AFTER: Duration = Duration::from_micros(500);

/// Where the writer sits, until the journal ends.
pub(crate) struct Desk {
    seat: Mutex<Option<Seat>>,
    inbox: Inbox,
}

struct Seat {
    writer: Writer,
    last_commit: Instant,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Desk").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

impl Desk {
    pub(crate) fn new(writer: Writer, inbox: Inbox) -> Self {
        let seat = Seat { writer, last_commit: Instant::now() };
        Self { seat: Mutex::new(Some(seat)), inbox }
    }

    /// What waits for the thread.
    pub(crate) const fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Writes an entry at once if it is a lone one and nothing is in its way; else it comes back
    /// and belongs into the inbox.
    pub(crate) fn write_alone(&self, pending: Pending) -> Result<(), Pending> {
        let mut seat = match self.seat.try_lock() {
            Ok(seat) => seat,
            // Of a panic under the lock the thread knows what to make.
            Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => return Err(pending),
        };
        let Some(seat) = &mut *seat else { return Err(pending) };
        let is_lone = seat.last_commit.elapsed() >= LONE_AFTER && self.inbox.len() == 0;
        if !is_lone || !seat.writer.writes_without_waiting() {
            return Err(pending);
        }
        let written = seat.writer.write_at_once(pending);
        seat.last_commit = Instant::now();
        written
    }

    /// Runs until the journal is closed, fails, or nobody holds it any more. Blocks its thread.
    pub(crate) fn run(&self) {
        let mut commands = Vec::new();
        let mut patience = None;
        let closer = loop {
            if self.inbox.wait(patience) == Arrival::Never {
                break None;
            }
            let mut seat = self.seat();
            let Some(seat) = &mut *seat else { return };
            // Taken once the seat is free, so that nothing overtakes.
            self.inbox.drain(&mut commands);
            let obeyed = seat.writer.obey(&mut commands);
            seat.last_commit = Instant::now();
            patience = (!seat.writer.is_well()).then_some(RETRY);
            match obeyed {
                Ok(None) => {}
                Ok(closer) | Err(closer) => break closer,
            }
        };
        self.inbox.close();
        // Whoever came after the last batch finds its waiter gone.
        self.inbox.drain(&mut commands);
        drop(commands);
        let writer = self.seat().take().map(|seat| seat.writer);
        let ended = writer.map_or(Ok(()), |writer| writer.end(closer.is_some()));
        if let Some(waiter) = closer {
            drop(waiter.send(ended));
        }
    }

    /// The seat. After a panic under its lock nobody knows what was written: the journal stops.
    fn seat(&self) -> MutexGuard<'_, Option<Seat>> {
        self.seat.lock().unwrap_or_else(|poisoned| {
            let seat = poisoned.into_inner();
            if let Some(seat) = &*seat {
                seat.writer.fail("a record was being written when its thread panicked");
            }
            seat
        })
    }
}
