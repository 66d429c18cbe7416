//! The checkpointer: folds the WAL into the database beside the writer, so that it stays small.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::journal::connect;
use crate::journal::error::JournalError;

/// After so many bytes of records the WAL is folded without disturbing the writer.
const FOLD_AFTER: usize = 4 << 20;
/// Frames (4 KiB each) beyond which the writer is held for the moment it takes to start the WAL
/// anew: 64 MiB. A reader that never ends can still hold it up.
const RESTART_AFTER: i64 = 16_384;

/// Counts what was written, and pokes the task that folds.
pub(crate) struct Checkpointer {
    written: usize,
    poke: Arc<Notify>,
    stopping: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Checkpointer {
    /// Starts on its own connection; that one syncs the WAL before it writes to the database, so
    /// nothing is folded that is not safe.
    pub(crate) async fn start(path: PathBuf) -> Result<Self, JournalError> {
        let connection = connect::writer(&path).await?;
        let (poke, stopping) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let task = tokio::spawn(run(connection, Arc::clone(&poke), Arc::clone(&stopping)));
        Ok(Self { written: 0, poke, stopping, task })
    }

    /// Notes bytes of records.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= FOLD_AFTER {
            self.written = 0;
            self.poke.notify_one();
        }
    }

    /// Ends the task and waits until its connection is closed.
    pub(crate) async fn stop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.poke.notify_one();
        if let Err(error) = (&mut self.task).await {
            tracing::warn!(%error, "the journal's checkpointer ended badly");
        }
    }
}

async fn run(mut connection: SqliteConnection, poke: Arc<Notify>, stopping: Arc<AtomicBool>) {
    loop {
        poke.notified().await;
        if stopping.load(Ordering::Acquire) {
            break;
        }
        if let Err(error) = fold(&mut connection).await {
            // The WAL keeps what could not be folded; the next round tries again.
            tracing::warn!(%error, "folding the journal's WAL failed");
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "closing the journal's checkpoint connection failed");
    }
}

async fn fold(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let row = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut *connection).await?;
    let frames: i64 = row.try_get(1)?;
    if frames > RESTART_AFTER {
        sqlx::query("PRAGMA wal_checkpoint(RESTART)").fetch_one(connection).await?;
    }
    Ok(())
}
