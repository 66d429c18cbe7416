//! Captured content is written beside the calls, and erased when its time is over.

use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::names::Clock;
use crate::store::captured::{Captured, CapturedCall};
use crate::store::error::StoreError;

/// Calls written in one transaction.
const BATCH: usize = 32;
/// How often content whose time is over is looked for.
const EVERY: Duration = Duration::from_secs(600);

/// The task that writes and erases.
#[derive(Debug)]
pub(crate) struct Capturing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Capturing {
    /// Starts it where calls are captured, or content of earlier runs waits for its end; content
    /// goes at its time also when nobody is set to it any more.
    ///
    /// # Errors
    /// The database does not open.
    pub(crate) async fn start(
        folder: &Path,
        calls: Option<mpsc::Receiver<CapturedCall>>,
        clock: Clock,
    ) -> Result<Option<Self>, StoreError> {
        let (captured, calls) = match calls {
            Some(calls) => (Captured::open(folder).await?, calls),
            None => match Captured::open_if_there(folder).await? {
                Some(captured) => (captured, mpsc::channel(1).1),
                None => return Ok(None),
            },
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(captured, calls, clock, stopped));
        Ok(Some(Self { stop, task }))
    }

    /// Writes what was handed over so far, and ends.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        drop(self.task.await);
    }
}

async fn run(
    captured: Captured,
    mut calls: mpsc::Receiver<CapturedCall>,
    clock: Clock,
    mut stopped: oneshot::Receiver<()>,
) {
    // At each start, however short the run.
    expire(&captured, &clock).await;
    let mut tick = tokio::time::interval_at(Instant::now() + EVERY, EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            _ = tick.tick() => expire(&captured, &clock).await,
            received = calls.recv_many(&mut batch, BATCH), if !calls.is_closed() || !calls.is_empty() => {
                if received > 0 {
                    keep(&captured, &mut batch).await;
                }
            }
        }
    }
    while let Ok(call) = calls.try_recv() {
        batch.push(call);
    }
    keep(&captured, &mut batch).await;
    captured.close().await;
}

async fn keep(captured: &Captured, batch: &mut Vec<CapturedCall>) {
    if let Err(error) = captured.keep(batch).await {
        let calls = batch.len();
        tracing::warn!(%error, calls, "content of calls was not captured");
    }
    batch.clear();
}

async fn expire(captured: &Captured, clock: &Clock) {
    match captured.expire(clock.now()).await {
        Ok(0) => {}
        Ok(calls) => tracing::info!(calls, "captured content whose time is over was erased"),
        Err(error) => tracing::error!(%error, "captured content whose time is over is still there"),
    }
}
