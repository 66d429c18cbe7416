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

impl Entry {
    /// The word in the journal's `kind` column.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Intent(_) => "intent",
            Self::Settlement(_) => "settlement",
            Self::Count(_) => "count",
            Self::Correction(_) => "correction",
            Self::Gap(_) => "gap",
        }
    }

    /// The attempt this is about, if it is about one.
    pub const fn attempt(&self) -> Option<AttemptId> {
        match self {
            Self::Intent(intent) => Some(intent.attempt),
            Self::Settlement(settlement) => Some(settlement.attempt),
            Self::Count(count) => Some(count.attempt),
            Self::Correction(correction) => Some(correction.settlement.attempt),
            Self::Gap(_) => None,
        }
    }
}
