//! The inbox: what waits for the journal's thread, which takes all of it each time it looks.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::journal::command::Command;

/// A bounded queue with many who put and one who takes.
#[derive(Debug)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    commands: Vec<Command>,
    /// The writer sleeps; only then does waking it cost a system call.
    asleep: bool,
    closed: bool,
}

/// Why a command was not taken in.
#[derive(Debug)]
pub(crate) enum NotPut {
    /// The writer is behind. The command comes back.
    Full(Command),
    /// The journal is closed.
    Closed,
}

/// What waiting at the inbox came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Something arrived, or the time is up.
    Perhaps,
    /// Nothing is there, and nothing will come any more.
    Never,
}

impl Inbox {
    pub(crate) fn new(capacity: usize) -> Self {
        let waiting = Mutex::new(Waiting::default());
        Self { waiting, arrived: Condvar::new(), capacity: capacity.max(1) }
    }

    /// Puts a command behind the others. Never waits. For the end of the journal there is always
    /// room.
    pub(crate) fn put(&self, command: Command) -> Result<(), NotPut> {
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(NotPut::Closed);
        }
        let is_full = waiting.commands.len() >= self.capacity;
        if is_full && !matches!(command, Command::Close(_)) {
            return Err(NotPut::Full(command));
        }
        waiting.commands.push(command);
        let asleep = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if asleep {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits until commands are there, or for so long.
    pub(crate) fn wait(&self, patience: Option<Duration>) -> Arrival {
        let mut waiting = self.waiting();
        while waiting.commands.is_empty() {
            if waiting.closed {
                return Arrival::Never;
            }
            waiting.asleep = true;
            let Some(patience) = patience else {
                waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited = self.arrived.wait_timeout(waiting, patience);
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            waiting = next;
            if timeout.timed_out() {
                waiting.asleep = false;
                break;
            }
        }
        Arrival::Perhaps
    }

    /// Moves all there are into an empty `taken`, in their order.
    pub(crate) fn drain(&self, taken: &mut Vec<Command>) {
        std::mem::swap(&mut self.waiting().commands, taken);
    }

    /// Takes nothing in any more; what waits is still there to be taken.
    pub(crate) fn close(&self) {
        self.waiting().closed = true;
        self.arrived.notify_one();
    }

    /// How many commands wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting().commands.len()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
