//! Which attempts of this boot have an intent and no settlement yet.

use std::collections::HashMap;

use crate::journal::scribe::Draft;
use crate::ledger::entry::EntryKind;

/// Open attempts, each with the number of its intent.
#[derive(Debug, Default)]
pub(crate) struct OpenAttempts {
    intents: HashMap<String, i64>,
}

impl OpenAttempts {
    /// Record `n` is written: an intent opens its attempt, a settlement ends it.
    pub(crate) fn note(&mut self, n: i64, draft: &Draft) {
        match (draft.kind, draft.attempt.as_ref()) {
            (EntryKind::Intent, Some(attempt)) => drop(self.intents.insert(attempt.clone(), n)),
            (EntryKind::Settlement, Some(attempt)) => drop(self.intents.remove(attempt)),
            _ => {}
        }
    }

    /// The number of the oldest intent without a settlement.
    pub(crate) fn first_n(&self) -> Option<i64> {
        self.intents.values().min().copied()
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.intents.len()
    }
}
