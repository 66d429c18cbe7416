//! The lifeboat: room written beforehand, into which records go that a full journal cannot take.
//!
//! A record that happened must not be lost because the disk is full. The file is filled with zeros
//! while there is room, so that writing into it in place needs no new block; each record goes there
//! the moment it is put aside, and the next start takes it into the journal before anything else.
//! A file system that never writes in place may refuse even that; what it refuses is left to a gap.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
#[cfg(unix)]
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::journal::error::JournalError;
use crate::journal::files::{file_error, fill_with_zeros};
use crate::journal::scribe::Draft;
use crate::ledger::entry::Entry;
use crate::names::new_id;
use crate::owner_only;
use crate::period::Timestamp;

/// Name of the file in the data folder.
const LIFEBOAT_FILE: &str = "lifeboat";
/// Stands at the beginning while records are aboard.
const MAGIC: &[u8; 8] = b"stubs v1";
/// The voyage's own number follows the magic. It seeds the checks, so that what an earlier voyage
/// left in the file is never taken for a record of this one.
const HEADER: usize = 8 + CHECK;
/// Before each record: its length in four bytes, low one first, and its check.
const FRAME: usize = 4 + CHECK;
/// Bytes of SHA-256 that are kept.
const CHECK: usize = 16;

type Check = [u8; CHECK];

/// The file while this process has it; without room there is none, and that is no reason to
/// refuse a start.
#[derive(Debug, Default)]
pub(crate) struct Lifeboat {
    file: Option<File>,
    path: PathBuf,
    /// Its whole length; 0 where none is wanted.
    bytes: u64,
    /// Where the next record goes.
    end: u64,
    /// The check of the last record, or the seed.
    last: Check,
    loaded: bool,
}

/// The records an earlier run left, in the order they were put aside. What a kill or a power cut
/// tore is the end of them: never a record that was not written whole.
///
/// # Errors
/// [`JournalError::File`], [`JournalError::Unreadable`] for a record of a later version.
pub(crate) fn aboard(folder: &Path) -> Result<Vec<Draft>, JournalError> {
    let path = folder.join(LIFEBOAT_FILE);
    match fs::read(&path) {
        Ok(bytes) => records(&bytes).map(draft).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(file_error(&path, &error)),
    }
}

impl Lifeboat {
    /// Makes it ready and empty. To be called once what was aboard is safe in the journal.
    pub(crate) fn hold(folder: &Path, bytes: u64) -> Self {
        let mut boat = Self { path: folder.join(LIFEBOAT_FILE), bytes, ..Self::default() };
        boat.make_ready();
        boat
    }

    /// Makes one where there was no room for it until now.
    pub(crate) fn make_ready(&mut self) {
        if self.file.is_some() || self.loaded {
            return;
        }
        match ready(&self.path, self.bytes) {
            Ok(file) => self.file = file,
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "there is no lifeboat");
                // Half of one would only take the room it is meant to keep.
                drop(fs::remove_file(&self.path));
            }
        }
    }

    /// Whether it may take records, or is not wanted.
    pub(crate) const fn is_ready(&self) -> bool {
        self.file.is_some() || self.bytes == 0
    }

    /// Whether records are aboard.
    pub(crate) const fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Takes as many as there is room for, in order, and returns how many. When this returns,
    /// neither a kill nor a power cut can take them back.
    pub(crate) fn take<'d>(&mut self, drafts: impl Iterator<Item = &'d Draft>) -> usize {
        let Some(file) = &self.file else { return 0 };
        let (mut bytes, mut last, start) = if self.loaded {
            (Vec::new(), self.last, self.end)
        } else {
            // Only its random bits matter.
            let seed: Check = new_id(Timestamp::from_micros(0)).into_bytes();
            ([MAGIC.as_slice(), &seed].concat(), seed, 0)
        };
        let room = self.bytes.saturating_sub(start);
        let mut count = 0;
        for draft in drafts {
            let next = check(&last, draft.body.as_bytes());
            let Ok(length) = u32::try_from(draft.body.len()) else { break };
            let whole = bytes.len() + FRAME + draft.body.len();
            if u64::try_from(whole).map_or(true, |whole| whole > room) {
                break;
            }
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&next);
            bytes.extend_from_slice(draft.body.as_bytes());
            last = next;
            count += 1;
        }
        if count == 0 {
            return 0;
        }
        if let Err(error) = write_at(file, &bytes, start).and_then(|()| file.sync_data()) {
            tracing::error!(path = %self.path.display(), %error, "the lifeboat takes no records");
            // What it holds stays readable; nothing more is trusted to it.
            self.file = None;
            return 0;
        }
        self.end = start + u64::try_from(bytes.len()).unwrap_or(0);
        self.last = last;
        self.loaded = true;
        count
    }

    /// Empties it: what was aboard is in the journal, and synced.
    pub(crate) fn clear(&mut self) {
        self.loaded = false;
        self.end = 0;
        let emptied = match &self.file {
            Some(file) => unload(file),
            None => fs::remove_file(&self.path),
        };
        if let Err(error) = emptied {
            // The next start finds the records in the journal already and writes none twice.
            tracing::warn!(path = %self.path.display(), %error, "the lifeboat was not emptied");
        }
    }
}

/// The file, of this length and empty; none for a length of zero.
fn ready(path: &Path, bytes: u64) -> io::Result<Option<File>> {
    if bytes == 0 {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(None),
        };
    }
    if fs::metadata(path).is_ok_and(|it| it.len() == bytes) {
        let file = OpenOptions::new().write(true).open(path)?;
        unload(&file)?;
        return Ok(Some(file));
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let mut file = owner_only::options(&mut options).open(path)?;
    fill_with_zeros(&mut file, bytes)?;
    Ok(Some(file))
}

fn unload(file: &File) -> io::Result<()> {
    write_at(file, &[0; HEADER], 0)?;
    file.sync_data()
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(at))?;
    file.write_all(bytes)
}

/// Each record's text, up to the first that does not check.
fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let seeded = bytes.split_first_chunk::<8>().filter(|(magic, _)| *magic == MAGIC);
    let mut left = seeded.and_then(|(_, rest)| rest.split_first_chunk::<CHECK>());
    std::iter::from_fn(move || {
        let (last, rest) = left.take()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (said, rest) = rest.split_first_chunk::<CHECK>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (body, rest) = rest.split_at_checked(length)?;
        let holds = *said == check(last, body);
        left = holds.then_some((said, rest));
        holds.then_some(body)
    })
}

fn check(before: &Check, body: &[u8]) -> Check {
    let digest: [u8; 32] = Sha256::new().chain_update(before).chain_update(body).finalize().into();
    std::array::from_fn(|index| digest[index])
}

fn draft(body: &[u8]) -> Result<Draft, JournalError> {
    let unreadable = |why: String| JournalError::Unreadable(format!("in the lifeboat: {why}"));
    let body = String::from_utf8(body.to_vec()).map_err(|error| unreadable(error.to_string()))?;
    let entry: Entry =
        serde_json::from_str(&body).map_err(|error| unreadable(error.to_string()))?;
    let attempt = entry.attempt().map(|attempt| attempt.to_string());
    Ok(Draft { kind: entry.kind(), attempt, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::gap::{CoverageGap, GapReason};
    use crate::period::ChargePeriod;

    fn gap(number: i64) -> Draft {
        let [start, end] = [number, number + 1].map(Timestamp::from_micros);
        let period = ChargePeriod { start, end };
        let reason = GapReason::Untracked;
        Draft::of(&Entry::Gap(CoverageGap { period, at_most: Some(1), reason })).unwrap()
    }

    fn bodies(drafts: &[Draft]) -> Vec<&str> {
        drafts.iter().map(|draft| draft.body.as_str()).collect()
    }

    #[test]
    fn what_is_taken_is_there_for_the_next_run_until_it_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let drafts: Vec<Draft> = (0..5).map(gap).collect();
        let mut boat = Lifeboat::hold(folder.path(), 10_000);
        assert_eq!(boat.take(drafts[..2].iter()), 2);
        assert_eq!(boat.take(drafts[2..].iter()), 3);
        assert_eq!(bodies(&aboard(folder.path()).unwrap()), bodies(&drafts));
        boat.clear();
        assert!(aboard(folder.path()).unwrap().is_empty());
        // What the voyage before left in the file is not taken for records of this one.
        assert_eq!(boat.take(drafts[4..].iter()), 1);
        assert_eq!(bodies(&aboard(folder.path()).unwrap()), bodies(&drafts[4..]));
    }

    #[test]
    fn it_takes_what_it_has_room_for_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let one = u64::try_from(FRAME + gap(1).body.len()).unwrap();
        let mut boat = Lifeboat::hold(folder.path(), HEADER as u64 + 2 * one);
        let drafts: Vec<Draft> = (1..4).map(gap).collect();
        assert_eq!(boat.take(drafts.iter()), 2);
        assert_eq!(boat.take(drafts[2..].iter()), 0);
        assert_eq!(bodies(&aboard(folder.path()).unwrap()), bodies(&drafts[..2]));
        assert_eq!(Lifeboat::hold(folder.path(), 0).take(drafts.iter()), 0);
        assert!(!folder.path().join(LIFEBOAT_FILE).exists());
    }

    #[test]
    fn cut_or_flipped_anywhere_it_yields_whole_records_from_the_first_on() {
        let folder = tempfile::tempdir().unwrap();
        let drafts: Vec<Draft> = (0..4).map(gap).collect();
        let mut boat = Lifeboat::hold(folder.path(), 2_000);
        assert_eq!(boat.take(drafts.iter()), 4);
        let path = folder.path().join(LIFEBOAT_FILE);
        let whole = fs::read(&path).unwrap();
        let mut most = 0;
        for at in 0..whole.len() {
            for flipped in [false, true] {
                let mut bytes = whole.clone();
                if flipped {
                    bytes[at] ^= 4;
                } else {
                    bytes.truncate(at);
                }
                fs::write(&path, bytes).unwrap();
                let found = aboard(folder.path()).unwrap();
                assert_eq!(bodies(&found), bodies(&drafts[..found.len()]), "{at} {flipped}");
                most = most.max(found.len());
            }
        }
        assert_eq!(most, 4);
    }
}
