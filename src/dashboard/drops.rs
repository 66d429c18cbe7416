//! Files that were uploaded and previewed, kept in memory until they are imported or forgotten.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bookkeeping::export_file::ExportFile;
use crate::period::{SECOND_US, Timestamp};

/// Bytes of one upload, all files together: 50 MiB.
pub(crate) const UPLOAD_LIMIT: usize = 50 << 20;
/// Uploads kept; the oldest is forgotten.
const KEPT: usize = 4;
/// How long an upload waits for its import.
const WAIT_US: i64 = 3_600 * SECOND_US;

/// The uploads that wait. Clones mean the same ones.
#[derive(Clone, Debug, Default)]
pub struct Drops(Arc<Mutex<VecDeque<Drop>>>);

#[derive(Debug)]
struct Drop {
    id: String,
    at: Timestamp,
    files: Vec<ExportFile>,
}

impl Drops {
    /// Keeps files under an id.
    pub(crate) fn keep(&self, id: String, files: Vec<ExportFile>, now: Timestamp) {
        let mut drops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drops.retain(|drop| now.micros() - drop.at.micros() < WAIT_US);
        while drops.len() >= KEPT {
            drops.pop_front();
        }
        drops.push_back(Drop { id, at: now, files });
    }

    /// The files of an id, where they are still kept.
    pub(crate) fn find(&self, id: &str, now: Timestamp) -> Option<Vec<ExportFile>> {
        let drops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |drop: &&Drop| drop.id == id && now.micros() - drop.at.micros() < WAIT_US;
        drops.iter().find(fresh).map(|drop| drop.files.clone())
    }

    /// Forgets an id.
    pub(crate) fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|drop| drop.id != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_uploads_are_kept_and_not_for_long() {
        let drops = Drops::default();
        let now = Timestamp::from_micros(0);
        for n in 0..=KEPT {
            drops.keep(n.to_string(), Vec::new(), now);
        }
        assert!(drops.find("0", now).is_none());
        assert!(drops.find("1", now).is_some());
        assert!(drops.find("1", now.plus_micros(WAIT_US)).is_none());
        drops.forget("1");
        assert!(drops.find("1", now).is_none());
    }
}
