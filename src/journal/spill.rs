//! The spill: what happened and finds no room in the journal, kept until there is some.

use std::collections::VecDeque;

use crate::journal::lifeboat::Lifeboat;
use crate::journal::scribe::Draft;
use crate::ledger::entry::Entry;

/// Records put aside, in order: all of them in memory, and from the front as many in the lifeboat
/// as it holds.
#[derive(Debug)]
pub(crate) struct Spill {
    drafts: VecDeque<Draft>,
    bytes: usize,
    limit_bytes: usize,
    /// How many, from the front, are in the lifeboat too.
    aboard: usize,
    lifeboat: Lifeboat,
    /// Attempts of which a record is lost: there was no room, in memory either.
    lost: u64,
}

impl Spill {
    pub(crate) const fn new(limit_bytes: usize, lifeboat: Lifeboat) -> Self {
        Self { drafts: VecDeque::new(), bytes: 0, limit_bytes, aboard: 0, lifeboat, lost: 0 }
    }

    /// Whether nothing waits in memory. The lifeboat may still be loaded with what was written
    /// into the journal since, and is not synced.
    pub(crate) fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// Whether nothing waits anywhere.
    pub(crate) fn is_clear(&self) -> bool {
        self.is_empty() && !self.lifeboat.is_loaded()
    }

    /// Whether the lifeboat may take records, or is not wanted.
    pub(crate) const fn has_lifeboat(&self) -> bool {
        self.lifeboat.is_ready()
    }

    /// How many records wait.
    pub(crate) fn len(&self) -> usize {
        self.drafts.len()
    }

    /// How many of them a kill cannot take.
    pub(crate) const fn aboard(&self) -> usize {
        self.aboard
    }

    /// Whether a kill now takes records that are nowhere else.
    pub(crate) fn is_at_risk(&self) -> bool {
        self.aboard < self.drafts.len()
    }

    /// Whether a record found no room in memory either.
    pub(crate) const fn has_lost(&self) -> bool {
        self.lost > 0
    }

    /// Attempts of which a record goes with the process.
    pub(crate) fn attempts_at_risk(&self) -> u64 {
        let in_memory_only = self.drafts.iter().skip(self.aboard).map(attempts_of);
        in_memory_only.fold(self.lost, u64::saturating_add)
    }

    /// Puts a record aside; false where there is no room for it, and it is lost.
    pub(crate) fn put(&mut self, draft: Draft) -> bool {
        let bytes = self.bytes + draft.body.len();
        if bytes > self.limit_bytes {
            self.lost = self.lost.saturating_add(attempts_of(&draft));
            return false;
        }
        self.bytes = bytes;
        self.drafts.push_back(draft);
        true
    }

    /// Brings into the lifeboat what is not aboard yet, as far as it holds.
    pub(crate) fn board(&mut self) {
        self.aboard += self.lifeboat.take(self.drafts.iter().skip(self.aboard));
    }

    /// The next so many, at most.
    pub(crate) fn front(&self, most: usize) -> Vec<&Draft> {
        self.drafts.iter().take(most).collect()
    }

    /// Takes the first so many out: they are in the journal.
    pub(crate) fn take(&mut self, count: usize) -> impl Iterator<Item = Draft> {
        self.aboard = self.aboard.saturating_sub(count);
        let Self { drafts, bytes, .. } = self;
        drafts.drain(..count).inspect(|draft| *bytes -= draft.body.len())
    }

    /// Whether the lifeboat bears records that all are in the journal.
    pub(crate) fn can_be_cleared(&self) -> bool {
        self.is_empty() && self.lifeboat.is_loaded()
    }

    /// Empties the lifeboat: what was aboard is in the journal, and synced.
    pub(crate) fn clear(&mut self) {
        self.lifeboat.clear();
    }

    /// Makes a lifeboat where there was no room for one until now.
    pub(crate) fn make_ready(&mut self) {
        self.lifeboat.make_ready();
    }
}

/// How many attempts a record speaks of.
fn attempts_of(draft: &Draft) -> u64 {
    match serde_json::from_str(&draft.body) {
        Ok(Entry::Gap(gap)) => gap.at_most.unwrap_or(1),
        _ => 1,
    }
}
