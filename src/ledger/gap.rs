//! A coverage gap: a span in which traffic may have passed without a record.

use serde::{Deserialize, Serialize};

use crate::period::ChargePeriod;

/// Why a gap may exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The last run did not end in order; intents of the last sync may be lost with the power.
    UncleanStop,
    /// The node's journal was not there.
    JournalMissing,
    /// `on_journal_failure = "allow_untracked"` let requests pass.
    Untracked,
}

impl GapReason {
    /// The word in the journal.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::UncleanStop => "unclean_stop",
            Self::JournalMissing => "journal_missing",
            Self::Untracked => "untracked",
        }
    }
}

/// Appended when it is found, printed on every report that touches the span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageGap {
    /// The span.
    pub period: ChargePeriod,
    /// How many attempts can be missing at most, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u64>,
    /// Why.
    pub reason: GapReason,
}
