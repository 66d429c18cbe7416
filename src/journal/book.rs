//! The journal as the rest of the house holds it: open, commit, wait for the sync, close.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::journal::checkpoint::Checkpointer;
use crate::journal::command::{Command, Pending, Retirement};
use crate::journal::connect;
use crate::journal::desk::Desk;
use crate::journal::error::JournalError;
use crate::journal::files::{self, Ballast, HeldFolder, JOURNAL_FILE, Marker, Unwritten};
use crate::journal::inbox::{Inbox, NotPut};
use crate::journal::lifeboat::{self, Lifeboat};
use crate::journal::recovery::{self, FromOutside, Recovered};
use crate::journal::scribe::{self, Draft, Scribe};
use crate::journal::spill::Spill;
use crate::journal::sync::Syncer;
use crate::journal::writer::{Counters, Limits, Writer};
use crate::ledger::entry::Entry;
use crate::ledger::gap::{CoverageGap, GapReason};
use crate::ledger::intent::Intent;
use crate::names::{Clock, new_id};
use crate::owner_only;
use crate::period::{ChargePeriod, Timestamp};

pub use crate::journal::command::Committed;

/// How long a full queue may hold a caller.
const QUEUE_WAIT: Duration = Duration::from_secs(2);
/// How often it is tried meanwhile.
const QUEUE_PAUSE: Duration = Duration::from_millis(10);

/// What may be set about a journal.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// Entries that may wait for the journal's thread.
    pub queue: usize,
    /// Records that may be committed and not yet synced: what a power cut can take at most.
    pub unsynced_limit: u32,
    /// Room set aside on the disk for settlements should it fill up, in bytes; 0 for none.
    pub ballast_bytes: u64,
    /// Room written beforehand for settlements that a full journal cannot take, so that the next
    /// start has them, in bytes; 0 for none.
    pub lifeboat_bytes: u64,
    /// Settlements kept in memory while the disk is full, in bytes.
    pub spill_bytes: usize,
    /// The largest the database may grow, in pages of 4 KiB; `None` leaves it to the disk.
    pub max_pages: Option<u32>,
    /// Whether calls may pass while the journal takes none: a kill then loses how many did.
    pub calls_may_pass_untracked: bool,
    /// Until when the books have records of a node on this machine, should the journal be gone.
    pub books_know_until: Option<Timestamp>,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            queue: 8_192,
            unsynced_limit: 2_048,
            ballast_bytes: 16 << 20,
            lifeboat_bytes: 4 << 20,
            spill_bytes: 64 << 20,
            max_pages: None,
            calls_may_pass_untracked: false,
            books_know_until: None,
        }
    }
}

/// What was found on opening.
#[derive(Clone, Debug)]
pub struct Opened {
    /// This journal's own id.
    pub node: String,
    /// Which start of this node it is, from 1.
    pub boot: i64,
    /// Whether the run before did not end in order.
    pub unclean: bool,
    /// Attempts of earlier runs that had no settlement; each has one now.
    pub orphans: Vec<Intent>,
    /// The coverage gap that was appended, if any.
    pub gap: Option<CoverageGap>,
    /// Records the run before found no room for, taken out of the lifeboat into the journal.
    pub rescued: usize,
}

/// How the journal does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalHealth {
    /// The last record a kill cannot take back.
    pub committed_n: u64,
    /// The last record a power cut cannot take back.
    pub synced_n: u64,
    /// Entries waiting for the journal's thread.
    pub queued: usize,
    /// Records in memory that wait for room on the disk; new intents are refused meanwhile.
    pub waiting_for_room: u64,
    /// Why it stopped for good, if it did.
    pub failed: Option<String>,
}

/// A handle on the open journal; clones are cheap and mean the same journal.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    desk: Arc<Desk>,
    syncer: Arc<Syncer>,
    counters: Arc<Counters>,
    node: String,
    boot: i64,
    path: PathBuf,
}

impl Journal {
    /// Opens the journal of a data folder, makes it if there is none, and settles what earlier runs
    /// left behind. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`JournalError::InUse`], [`JournalError::NewerSchema`], [`JournalError::Damaged`],
    /// [`JournalError::File`]: nothing was changed beyond an empty folder or a begun boot.
    pub async fn open(
        folder: &Path,
        clock: Clock,
        options: JournalOptions,
    ) -> Result<(Self, Opened), JournalError> {
        owner_only::make_folder(folder).map_err(|error| files::file_error(folder, &error))?;
        let lock = files::lock(folder)?;
        let path = folder.join(JOURNAL_FILE);
        let marker = files::read_marker(folder)?;
        owner_only::make_file(&path).map_err(|error| files::file_error(&path, &error))?;
        connect::prepare(&path).await?;
        let connection = connect::writer(&path)?;
        if let Some(pages) = options.max_pages {
            scribe::limit_pages(&connection, pages, &path)?;
        }
        let head = recovery::read_head(&connection, &path)?;
        let missing = missing_journal(head.before.is_none(), marker.as_ref(), &options, &clock);
        let rescued = lifeboat::aboard(folder)?;
        let outside = FromOutside { missing, marker, rescued };
        let node = head.node.clone().unwrap_or_else(|| new_id(clock.now()).to_string());
        let boot = head.last_boot + 1;
        let machine_boot = files::machine_boot();
        let mut scribe =
            Scribe { connection, boot, next_n: head.next_n, prev_hash: head.prev_hash, clock };
        let limit = i64::from(options.unsynced_limit.max(1));
        recovery::begin_boot(&scribe, &path, &node, machine_boot.as_deref(), limit)?;
        let wal = open_wal(&path)?;
        let recovered =
            recovery::recover(&mut scribe, &path, head.before, machine_boot.as_deref(), outside)?;
        sync_start(&wal, folder, &path)?;
        let last_seen = scribe.clock.now();
        let unwritten = Unwritten::Nothing;
        let marker = Marker { node, boot, last_seen, unwritten };
        files::write_marker(folder, &marker)?;
        // What was aboard is in the journal now, and synced.
        let lifeboat = Lifeboat::hold(folder, options.lifeboat_bytes);
        let held = HeldFolder { path: folder.to_owned(), marker, _lock: lock };
        let journal = Self::start(scribe, wal, &options, held, lifeboat)?;
        let opened = journal.opened(recovered);
        Ok((journal, opened))
    }

    fn start(
        scribe: Scribe,
        wal: File,
        options: &JournalOptions,
        held: HeldFolder,
        lifeboat: Lifeboat,
    ) -> Result<Self, JournalError> {
        let path = held.path.join(JOURNAL_FILE);
        let node = held.marker.node.clone();
        let boot = scribe.boot;
        let synced = scribe.next_n - 1;
        let syncer =
            Syncer::start(wal, synced).map_err(|error| files::file_error(&path, &error))?;
        let checkpointer = Checkpointer::start(path.clone())?;
        let ballast = Ballast::hold(&held.path, options.ballast_bytes);
        let limits = Limits {
            unsynced: i64::from(options.unsynced_limit.max(1)),
            untracked: options.calls_may_pass_untracked,
        };
        let spill = Spill::new(options.spill_bytes, lifeboat);
        let writer =
            Writer::new(scribe, Arc::clone(&syncer), checkpointer, ballast, spill, limits, held);
        let counters = Arc::clone(&writer.counters);
        counters.committed.store(u64::try_from(synced).unwrap_or(0), Ordering::Relaxed);
        let desk = Arc::new(Desk::new(writer, Inbox::new(options.queue)));
        let own = Arc::clone(&desk);
        let thread = thread::Builder::new().name("journal".to_owned());
        let started = thread.spawn(move || own.run());
        started.map_err(|error| files::file_error(&path, &error))?;
        let shared = Shared { desk, syncer, counters, node, boot, path };
        Ok(Self { shared: Arc::new(shared) })
    }

    fn opened(&self, recovered: Recovered) -> Opened {
        Opened {
            node: self.shared.node.clone(),
            boot: self.shared.boot,
            unclean: recovered.unclean,
            orphans: recovered.orphans,
            gap: recovered.gap,
            rescued: recovered.rescued,
        }
    }

    /// Appends an entry. When this returns, a kill of the process cannot take it back; await
    /// [`Self::synced`] with its number for what a power cut must not take back.
    ///
    /// # Errors
    /// [`JournalError::Busy`] and [`JournalError::Unavailable`]: not written.
    /// [`JournalError::Deferred`]: kept aside and written later; intents never are.
    /// [`JournalError::Failed`]: the process has to end.
    pub async fn commit(&self, entry: &Entry) -> Result<Committed, JournalError> {
        let (waiter, answer) = oneshot::channel();
        let pending = Pending { draft: Draft::of(entry)?, waiter: Some(waiter) };
        if let Err(pending) = self.shared.desk.write_alone(pending) {
            self.put(Command::Append(pending)).await?;
        }
        answer.await.map_err(|_| self.why_closed())?
    }

    /// Puts a command into the inbox, and waits a little where that is full.
    async fn put(&self, mut command: Command) -> Result<(), JournalError> {
        let mut waited = Duration::ZERO;
        loop {
            command = match self.shared.desk.inbox().put(command) {
                Ok(()) => return Ok(()),
                Err(NotPut::Closed) => return Err(self.why_closed()),
                Err(NotPut::Full(_)) if waited >= QUEUE_WAIT => return Err(JournalError::Busy),
                Err(NotPut::Full(command)) => command,
            };
            tokio::time::sleep(QUEUE_PAUSE).await;
            waited += QUEUE_PAUSE;
        }
    }

    /// Waits until record `n` and all before it survive a power cut.
    ///
    /// # Errors
    /// [`JournalError::Failed`] if it never will.
    pub async fn synced(&self, n: i64) -> Result<(), JournalError> {
        let reached = self.shared.syncer.reached(n).await;
        reached.map_err(|reason| JournalError::Failed(reason.to_string()))
    }

    /// Hands over an entry nobody waits for, such as a count. Never blocks.
    ///
    /// # Errors
    /// [`JournalError::Busy`] if the queue is full: the entry is dropped and the caller knows.
    pub fn append_later(&self, entry: &Entry) -> Result<(), JournalError> {
        let pending = Pending { draft: Draft::of(entry)?, waiter: None };
        self.shared.desk.inbox().put(Command::Append(pending)).map_err(|error| match error {
            NotPut::Full(_) => JournalError::Busy,
            NotPut::Closed => self.why_closed(),
        })
    }

    /// Lets go of some records: those the books were found to hold up to `verified_n`, appended
    /// before an instant. Returns how many went; call again until none do.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] with the database's words; nothing went then.
    pub(crate) async fn retire(
        &self,
        verified_n: i64,
        before: Timestamp,
    ) -> Result<u64, JournalError> {
        let (waiter, answer) = oneshot::channel();
        let command = Command::Retire(Retirement { verified_n, before, waiter });
        self.put(command).await?;
        answer.await.map_err(|_| self.why_closed())?
    }

    /// Writes and syncs everything handed over so far, marks the run as ended in order and closes.
    /// Handles that remain get [`JournalError::Closed`].
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] if settled records found no room on the disk,
    /// [`JournalError::Failed`] as everywhere.
    pub async fn close(&self) -> Result<(), JournalError> {
        let (waiter, answer) = oneshot::channel();
        self.put(Command::Close(waiter)).await?;
        answer.await.map_err(|_| self.why_closed())?
    }

    /// Resolves with the reason once the journal cannot go on; the process has to stop accepting
    /// requests and end with an error.
    pub(crate) async fn failed(&self) -> String {
        let mut failure = self.shared.syncer.watch_failure();
        // The sender lives as long as this handle, so waiting cannot fail.
        let seen = failure.wait_for(Option::is_some).await;
        let reason = seen.ok().and_then(|it| it.clone());
        reason.map_or_else(String::new, |reason| reason.to_string())
    }

    /// How the journal does.
    pub fn health(&self) -> JournalHealth {
        JournalHealth {
            committed_n: self.shared.counters.committed.load(Ordering::Relaxed),
            synced_n: u64::try_from(self.shared.syncer.synced()).unwrap_or(0),
            queued: self.shared.desk.inbox().len(),
            waiting_for_room: self.shared.counters.waiting_for_room.load(Ordering::Relaxed),
            failed: self.shared.syncer.failure().map(|reason| reason.to_string()),
        }
    }

    /// This journal's own id.
    pub fn node(&self) -> &str {
        &self.shared.node
    }

    /// The database's file, for those who read it beside the writer.
    pub(crate) fn path(&self) -> &Path {
        &self.shared.path
    }

    fn why_closed(&self) -> JournalError {
        match self.shared.syncer.failure() {
            Some(reason) => JournalError::Failed(reason.to_string()),
            None => JournalError::Closed,
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.desk.inbox().close();
    }
}

/// A gap if this folder or the books remember a journal that is not there any more.
fn missing_journal(
    new: bool,
    marker: Option<&Marker>,
    options: &JournalOptions,
    clock: &Clock,
) -> Option<CoverageGap> {
    let marked = marker.map(|marker| marker.last_seen);
    let since = marked.max(options.books_know_until).filter(|_| new)?;
    let end = clock.now().max(since.plus_micros(1));
    let period = ChargePeriod { start: since, end };
    Some(CoverageGap { period, at_most: None, reason: GapReason::JournalMissing })
}

/// A descriptor on the WAL only; one on the database would drop SQLite's locks when it closes.
fn open_wal(database: &Path) -> Result<File, JournalError> {
    let path = files::wal_of(database);
    let opened = OpenOptions::new().write(true).open(&path);
    opened.map_err(|error| files::file_error(&path, &error))
}

/// The boot, and what recovery wrote, survive a power cut before the first intent is taken.
fn sync_start(wal: &File, folder: &Path, database: &Path) -> Result<(), JournalError> {
    files::sync_folder(folder)?;
    wal.sync_all().map_err(|error| files::file_error(&files::wal_of(database), &error))
}
