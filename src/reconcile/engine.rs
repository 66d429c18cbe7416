//! The reconciliation in one breath: match, bridge, check, report; and all that is behind a finding.

use std::collections::BTreeMap;

use crate::names::AttemptId;
use crate::reconcile::bill::BillError;
use crate::reconcile::bridge::{self, BridgeError};
use crate::reconcile::drill;
use crate::reconcile::exact::Inexact;
use crate::reconcile::facts::Inputs;
use crate::reconcile::finding::RowRef;
use crate::reconcile::invariants::{self, BrokenInvariant};
use crate::reconcile::matching::{self, Matched};
use crate::reconcile::report::Report;
use crate::reconcile::write_up;

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReconcileError {
    /// The bill cannot be laid beside the books.
    #[error(transparent)]
    Bill(#[from] BillError),
    /// Figures cannot be kept exactly.
    #[error(transparent)]
    Inexact(#[from] Inexact),
    /// The parts do not add up, or not to what they were made of.
    #[error(transparent)]
    Invariant(#[from] BrokenInvariant),
    /// A finding was asked for that the report does not have.
    #[error("the report has no finding {0:?}")]
    NoSuchFinding(String),
}

impl From<BridgeError> for ReconcileError {
    fn from(error: BridgeError) -> Self {
        match error {
            BridgeError::Inexact(error) => Self::Inexact(error),
            BridgeError::Invariant(error) => Self::Invariant(error),
        }
    }
}

/// Explains a bill by the books. Pure: the same inputs, in any order, give the same report.
///
/// # Errors
/// [`ReconcileError`]: rather no report than one whose parts do not add up to the last digit.
pub fn reconcile(inputs: &Inputs) -> Result<Report, ReconcileError> {
    let matched = worked_out(inputs)?;
    Ok(write_up::of(&matched)?)
}

/// Both sides matched and bridged, every invariant checked.
///
/// # Errors
/// As [`reconcile`].
pub(crate) fn worked_out(inputs: &Inputs) -> Result<Matched<'_>, ReconcileError> {
    let mut matched = matching::lay_out(inputs)?;
    bridge::build(&mut matched)?;
    invariants::hold(&matched)?;
    Ok(matched)
}

/// Every attempt behind a finding, by id.
///
/// # Errors
/// [`ReconcileError`] as the reconciliation itself, or for an id the report does not have.
pub fn attempts_behind(inputs: &Inputs, finding: &str) -> Result<Vec<AttemptId>, ReconcileError> {
    let matched = worked_out(inputs)?;
    let note = note_of(&matched, finding)?;
    let indexes = drill::behind(&matched, note, &drill::cells_of(&matched, note));
    let id = |index: &u32| inputs.attempts[*index as usize].attempt;
    let mut found: Vec<AttemptId> = indexes.iter().map(id).collect();
    found.sort_unstable();
    Ok(found)
}

/// Every row of the bill behind each of these findings, by batch and row. An id the report does not
/// have is not in the answer.
///
/// # Errors
/// As [`reconcile`].
pub fn rows_behind(
    inputs: &Inputs,
    findings: &[String],
) -> Result<BTreeMap<String, Vec<RowRef>>, ReconcileError> {
    let matched = worked_out(inputs)?;
    let ids = drill::finding_ids(&matched).into_iter().enumerate();
    let rows_of = |note| {
        let rows = drill::rows(&matched, note, &drill::cells_of(&matched, note));
        rows.iter().map(|index| drill::row_ref(&matched, *index)).collect()
    };
    Ok(ids.filter(|(_, id)| findings.contains(id)).map(|(note, id)| (id, rows_of(note))).collect())
}

fn note_of(matched: &Matched<'_>, finding: &str) -> Result<usize, ReconcileError> {
    let note = drill::finding_ids(matched).iter().position(|id| id == finding);
    note.ok_or_else(|| ReconcileError::NoSuchFinding(finding.to_owned()))
}
