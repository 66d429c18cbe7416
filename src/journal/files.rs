//! The files of a data folder beside the database: the lock, the node's marker, the ballast.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::journal::error::JournalError;
use crate::owner_only;
use crate::period::Timestamp;

/// Name of the journal's database in the data folder.
pub(crate) const JOURNAL_FILE: &str = "journal.db";
/// Name of the marker that says which node keeps its journal here.
const MARKER_FILE: &str = "node.json";
/// Name of the file whose room is given back when the disk is full.
const BALLAST_FILE: &str = "ballast";
/// Name of the lock file.
const LOCK_FILE: &str = "lock";
/// How often the lock is tried, and the pause between.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Says that a journal was kept here, and until when at least, should the journal itself be gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    pub(crate) node: String,
    pub(crate) boot: i64,
    pub(crate) last_seen: Timestamp,
    /// What this boot had to write and found no room for.
    #[serde(default)]
    pub(crate) unwritten: Unwritten,
}

/// Records a boot could not write, should it not end in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unwritten {
    /// Everything is in the journal.
    #[default]
    Nothing,
    /// The journal is full; what waits in memory only, or passes untracked, goes with the process.
    Waiting,
    /// So many attempts lost a record when the process ended.
    Attempts(u64),
}

/// The data folder while this process has it.
#[derive(Debug)]
pub(crate) struct HeldFolder {
    pub(crate) path: PathBuf,
    pub(crate) marker: Marker,
    /// Keeps other processes out until the connection is closed.
    pub(crate) _lock: File,
}

impl HeldFolder {
    /// Says in the marker what is not written. Where that fails too the log says so.
    pub(crate) fn say_unwritten(&mut self, unwritten: Unwritten) {
        if self.marker.unwritten == unwritten {
            return;
        }
        self.marker.unwritten = unwritten;
        if let Err(error) = write_marker(&self.path, &self.marker) {
            tracing::error!(%error, ?unwritten, "the marker does not say what is not written");
        }
    }
}

/// An error about one file.
pub(crate) fn file_error(path: &Path, error: &io::Error) -> JournalError {
    JournalError::File { path: path.to_owned(), reason: error.to_string() }
}

/// Takes the folder for this process; the lock goes with the returned file. Who only looks whether
/// it is taken holds it for a moment, hence a few tries.
pub(crate) fn lock(folder: &Path) -> Result<File, JournalError> {
    let path = folder.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file =
        owner_only::options(&mut options).open(&path).map_err(|error| file_error(&path, &error))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(file_error(&path, &error)),
        }
    }
    Err(JournalError::InUse(folder.to_owned()))
}

/// Syncs a folder, so that names made in it survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), JournalError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| file_error(folder, &error))
}

/// The write-ahead log beside a database.
pub(crate) fn wal_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Reads the marker; `None` if no journal was ever kept here.
pub(crate) fn read_marker(folder: &Path) -> Result<Option<Marker>, JournalError> {
    let path = folder.join(MARKER_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error(&path, &error)),
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| JournalError::Damaged { path, reason: error.to_string() })
}

/// Copies the marker beside a copy of the journal.
pub(crate) fn copy_marker(folder: &Path, target: &Path) -> Result<(), JournalError> {
    match read_marker(folder)? {
        Some(marker) => write_marker(target, &marker),
        None => Ok(()),
    }
}

/// Syncs one file. Never one that SQLite has open in this process.
pub(crate) fn sync_file(path: &Path) -> Result<(), JournalError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| file_error(path, &error))
}

/// Replaces the marker as a whole: what stands there is the old one or the new one.
pub(crate) fn write_marker(folder: &Path, marker: &Marker) -> Result<(), JournalError> {
    let path = folder.join(MARKER_FILE);
    let next = folder.join(format!("{MARKER_FILE}.new"));
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let mut file = owner_only::options(&mut options).open(&next)?;
        serde_json::to_writer(&mut file, marker)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&next, &path)
    };
    write().map_err(|error| file_error(&path, &error))?;
    sync_folder(folder)
}

/// Room set aside on the disk, to be given back when settlements have nowhere else to go.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
    held: bool,
}

impl Ballast {
    /// Sets the room aside if it is not there yet. Without room there is no ballast, and that is no
    /// reason to refuse a start.
    pub(crate) fn hold(folder: &Path, bytes: u64) -> Self {
        let mut ballast = Self { path: folder.join(BALLAST_FILE), bytes, held: false };
        ballast.take_back();
        ballast
    }

    /// Whether room is set aside now.
    pub(crate) const fn is_held(&self) -> bool {
        self.held || self.bytes == 0
    }

    /// Gives the room back to the disk. Says whether that freed anything.
    pub(crate) fn release(&mut self) -> bool {
        let freed = self.held && fs::remove_file(&self.path).is_ok();
        self.held = false;
        freed
    }

    /// Tries to set the room aside again.
    pub(crate) fn take_back(&mut self) -> bool {
        if self.bytes == 0 || fs::metadata(&self.path).is_ok_and(|it| it.len() >= self.bytes) {
            self.held = self.bytes > 0;
            return true;
        }
        self.held = self.fill().is_ok();
        if !self.held {
            // Half a ballast would only take the room it is meant to keep.
            drop(fs::remove_file(&self.path));
        }
        self.held
    }

    fn fill(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        fill_with_zeros(&mut owner_only::options(&mut options).open(&self.path)?, self.bytes)
    }
}

/// Takes real room on the disk for a new file, which a hole would not.
pub(crate) fn fill_with_zeros(file: &mut File, bytes: u64) -> io::Result<()> {
    let zeros = [0_u8; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all(&zeros[..part])?;
        left -= part as u64;
    }
    file.sync_all()
}

/// The kernel's own boot id, where the system has one.
pub(crate) fn machine_boot() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}
