//! What is still running: a shutdown waits until the last exchange is settled.

use std::sync::Arc;

use tokio::sync::watch;

/// Counts what runs.
#[derive(Clone, Debug)]
pub struct Running {
    count: Arc<watch::Sender<usize>>,
}

/// One running thing; it has ended when this is dropped.
#[derive(Debug)]
pub struct InFlight {
    count: Arc<watch::Sender<usize>>,
}

impl Default for Running {
    fn default() -> Self {
        Self { count: Arc::new(watch::Sender::new(0)) }
    }
}

impl Running {
    /// One more.
    pub fn begin(&self) -> InFlight {
        self.count.send_modify(|count| *count += 1);
        InFlight { count: Arc::clone(&self.count) }
    }

    /// How many run now.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until none runs.
    pub async fn idle(&self) {
        let mut seen = self.count.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        drop(seen.wait_for(|count| *count == 0).await);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.count.send_modify(|count| *count = count.saturating_sub(1));
    }
}
