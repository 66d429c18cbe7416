//! The checkpointer: folds the WAL into the database beside the writer, so that it stays small.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use crate::journal::connect;
use crate::journal::error::JournalError;
use crate::journal::files;

/// After so many bytes of records the WAL is folded without disturbing the writer.
const FOLD_AFTER: usize = 4 << 20;
/// Frames (4 KiB each) beyond which the writer is held for the moment it takes to start the WAL
/// anew: 64 MiB. A reader that never ends can still hold it up.
const RESTART_AFTER: i64 = 16_384;

/// Counts what was written, and pokes the thread that folds.
pub(crate) struct Checkpointer {
    written: usize,
    poke: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts on its own connection; that one syncs the WAL before it writes to the database, so
    /// nothing is folded that is not safe.
    pub(crate) fn start(path: PathBuf) -> Result<Self, JournalError> {
        let connection = connect::writer(&path)?;
        // One poke that waits says as much as many.
        let (poke, pokes) = sync_channel(1);
        let thread = thread::Builder::new().name("journal-fold".to_owned());
        let thread = thread.spawn(move || run(connection, &pokes));
        let thread = thread.map_err(|error| files::file_error(&path, &error))?;
        Ok(Self { written: 0, poke: Some(poke), thread: Some(thread) })
    }

    /// Notes bytes of records.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= FOLD_AFTER
            && let Some(poke) = &self.poke
        {
            self.written = 0;
            // One that waits already says the same.
            let _waits_already = poke.try_send(());
        }
    }

    /// Ends the thread and waits until its connection is closed.
    pub(crate) fn stop(&mut self) {
        self.poke = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::warn!("the journal's checkpointer ended badly");
        }
    }
}

fn run(connection: Connection, pokes: &Receiver<()>) {
    while pokes.recv().is_ok() {
        if let Err(error) = fold(&connection) {
            // The WAL keeps what could not be folded; the next round tries again.
            tracing::warn!(%error, "folding the journal's WAL failed");
        }
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "closing the journal's checkpoint connection failed");
    }
}

fn fold(connection: &Connection) -> rusqlite::Result<()> {
    let frames: i64 =
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |row| row.get(1))?;
    if frames > RESTART_AFTER {
        connection.query_row("PRAGMA wal_checkpoint(RESTART)", (), |_| Ok(()))?;
    }
    Ok(())
}
