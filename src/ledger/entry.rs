//! The entry: every kind of record the journal holds, in one type.

use serde::{Deserialize, Serialize};

use crate::ledger::count::Count;
use crate::ledger::gap::CoverageGap;
use crate::ledger::intent::Intent;
use crate::ledger::settlement::Settlement;
use crate::names::AttemptId;

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// Before an attempt was sent.
    Intent(Box<Intent>),
    /// After it ended.
    Settlement(Box<Settlement>),
    /// Our own token count, later.
    Count(Box<Count>),
    /// Replaces what an earlier settlement said, and names why.
    Correction(Box<Correction>),
    /// A span that may hold unrecorded traffic.
    Gap(CoverageGap),
}

/// Which kind of record an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// [`Entry::Intent`].
    Intent,
    /// [`Entry::Settlement`].
    Settlement,
    /// [`Entry::Count`].
    Count,
    /// [`Entry::Correction`].
    Correction,
    /// [`Entry::Gap`].
    Gap,
}

/// A new settlement for an attempt that has one, with the reason. The old one stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// Why: `usage arrived later`, `late price`, `contract` ...
    pub reason: String,
    /// Who or what appended it.
    pub actor: String,
    /// The settlement that holds from now on.
    pub settlement: Settlement,
}

impl EntryKind {
    const ALL: [Self; 5] =
        [Self::Intent, Self::Settlement, Self::Count, Self::Correction, Self::Gap];

    /// The word in the journal's `kind` column, and the tag of the entry's JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Settlement => "settlement",
            Self::Count => "count",
            Self::Correction => "correction",
            Self::Gap => "gap",
        }
    }

    /// The kind a word names; `None` for one of a later version.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl Entry {
    /// Which kind this is.
    pub(crate) const fn kind(&self) -> EntryKind {
        match self {
            Self::Intent(_) => EntryKind::Intent,
            Self::Settlement(_) => EntryKind::Settlement,
            Self::Count(_) => EntryKind::Count,
            Self::Correction(_) => EntryKind::Correction,
            Self::Gap(_) => EntryKind::Gap,
        }
    }

    /// The attempt this is about, if it is about one.
    pub(crate) const fn attempt(&self) -> Option<AttemptId> {
        match self {
            Self::Intent(intent) => Some(intent.attempt),
            Self::Settlement(settlement) => Some(settlement.attempt),
            Self::Count(count) => Some(count.attempt),
            Self::Correction(correction) => Some(correction.settlement.attempt),
            Self::Gap(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::gap::GapReason;
    use crate::period::{ChargePeriod, Timestamp};

    #[test]
    fn the_kind_in_the_column_is_the_tag_in_the_body() {
        let [start, end] = [1, 2].map(Timestamp::from_micros);
        let period = ChargePeriod { start, end };
        for reason in [GapReason::UncleanStop, GapReason::JournalMissing, GapReason::Untracked] {
            let gap = Entry::Gap(CoverageGap { period, at_most: None, reason });
            let body = serde_json::to_value(&gap).unwrap();
            assert_eq!(body["kind"], gap.kind().as_str());
            assert_eq!(body["reason"], reason.as_str());
        }
        for kind in EntryKind::ALL {
            assert_eq!(EntryKind::named(kind.as_str()), Some(kind));
            // No kind of ours is unknown to the reader of bodies.
            let told =
                serde_json::from_value::<Entry>(serde_json::json!({ "kind": kind.as_str() }));
            assert!(!told.unwrap_err().to_string().contains("unknown variant"));
        }
        assert_eq!(EntryKind::named("later"), None);
    }
}
