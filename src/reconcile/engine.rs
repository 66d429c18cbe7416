//! The reconciliation in one breath: match, bridge, check, report.

use crate::reconcile::bill::BillError;
use crate::reconcile::bridge::{self, BridgeError};
use crate::reconcile::exact::Inexact;
use crate::reconcile::facts::Inputs;
use crate::reconcile::invariants::{self, BrokenInvariant};
use crate::reconcile::matching::{self, Matched};
use crate::reconcile::report::{self, Report};

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
    Ok(report::of(&matched)?)
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
