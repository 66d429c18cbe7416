//! What is still running: a shutdown waits until the last exchange is settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts what runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running {
    calls: Arc<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    count: AtomicUsize,
    ended: Notify,
}

/// One running thing; it has ended when this is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    calls: Arc<Calls>,
}

impl Running {
    /// One more.
    pub(crate) fn begin(&self) -> InFlight {
        self.calls.count.fetch_add(1, Ordering::AcqRel);
        InFlight { calls: Arc::clone(&self.calls) }
    }

    /// How many run now.
    pub(crate) fn count(&self) -> usize {
        self.calls.count.load(Ordering::Acquire)
    }

    /// Waits until none runs.
    pub(crate) async fn idle(&self) {
        loop {
            let ended = self.calls.ended.notified();
            // Looked at only once the notice is awaited, so that none is missed.
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.calls.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.calls.ended.notify_waiters();
        }
    }
}
