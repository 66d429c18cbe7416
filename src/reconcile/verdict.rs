//! What a report says first: the month's state, a verdict in plain words, and what to do.

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::reconcile::finding::Mover;

/// How far a month has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum MonthState {
    /// Nothing was imported.
    NoExport,
    /// Only some of its days are covered.
    Partial {
        /// First covered day.
        first: NaiveDate,
        /// Last covered day.
        last: NaiveDate,
        /// How many are covered.
        covered: u32,
        /// How many the month has.
        days: u32,
    },
    /// The newest 72 hours of it may still move.
    Provisional,
    /// The bill names no model: only totals can be compared.
    TotalOnly,
    /// Compared in full.
    Reconciled,
    /// A closed report that later records have overtaken; said by whoever keeps reports.
    Stale,
}

/// What a report says first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The month's state in words.
    pub state: String,
    /// Two sentences, and a third for the document; the words between `**` are those that count.
    pub sentences: Vec<String>,
    /// What to do, largest first.
    pub to_do: Vec<Action>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Whose move.
    pub mover: Mover,
    /// What.
    pub words: String,
    /// The finding it is about.
    pub finding: String,
}

impl MonthState {
    /// The state as a page says it.
    pub(crate) fn words(&self, unexplained: &str) -> String {
        match self {
            Self::NoExport => "no export".to_owned(),
            Self::Partial { first, last, covered, days }
                if i64::from(*covered) == (*last - *first).num_days() + 1 =>
            {
                format!("partial ({}–{} of {days})", first.day(), last.day())
            }
            Self::Partial { covered, days, .. } => format!("partial ({covered} of {days} days)"),
            Self::Provisional => "provisional (newest 72 h may move)".to_owned(),
            Self::TotalOnly => "total only".to_owned(),
            Self::Reconciled => format!("reconciled, {unexplained} unexplained"),
            Self::Stale => "stale".to_owned(),
        }
    }
}
