//! What the journal's writer is told, and who waits to hear what came of it.

use tokio::sync::oneshot;

use crate::journal::error::JournalError;
use crate::journal::scribe::Draft;
use crate::period::Timestamp;

/// Where an entry stands in the journal once a kill of the process cannot take it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its number on this node.
    pub n: i64,
}

/// Who waits for an entry.
pub(crate) type Waiter = oneshot::Sender<Result<Committed, JournalError>>;

/// Who waits for the end.
pub(crate) type Closer = oneshot::Sender<Result<(), JournalError>>;

/// An entry on its way, and who waits for it.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) draft: Draft,
    pub(crate) waiter: Option<Waiter>,
}

/// What the writer is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Write this.
    Append(Pending),
    /// Let go of what the books hold.
    Retire(Retirement),
    /// Write all that came before, mark the boot clean, end.
    Close(Closer),
}

/// What may go, and who waits to hear how much went.
#[derive(Debug)]
pub(crate) struct Retirement {
    pub(crate) verified_n: i64,
    pub(crate) before: Timestamp,
    pub(crate) waiter: oneshot::Sender<Result<u64, JournalError>>,
}
