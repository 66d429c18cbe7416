//! The orphan: an intent whose attempt a crash left without a settlement, and what bounds it.

use crate::ledger::intent::{CredentialKind, Intent};
use crate::ledger::settlement::{BillingClass, Outcome, PayingAccount, Settlement};
use crate::money::Currency;
use crate::period::Timestamp;
use crate::pricing::charge::{Valuation, ValuationStatus};
use crate::usage::{ReportedUsage, UsageSource};

/// The engine named by a valuation that rated nothing.
pub(crate) const UNRATED: &str = "unrated";

/// The most an orphan can have used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrphanBound {
    /// Input tokens: a token is never less than a byte of the request.
    pub input_at_most: u64,
    /// Output tokens the request allowed; `None` where it set no limit, so none is known.
    pub output_at_most: Option<u64>,
}

/// What bounds the use of an attempt of which only the intent is known.
pub fn bound(intent: &Intent) -> OrphanBound {
    OrphanBound { input_at_most: intent.request_bytes, output_at_most: intent.max_output }
}

/// The settlement of an orphan: it was sent, nothing more is known. `last_seen` is the last sign of
/// life of the process that sent it, so the end is a bound, not an observation.
pub(crate) fn settle(intent: &Intent, last_seen: Timestamp) -> Settlement {
    let ended_at = last_seen.max(intent.started_at);
    let lived = ended_at.micros().saturating_sub(intent.started_at.micros());
    let outside =
        intent.credential.as_ref().is_some_and(|it| it.kind == CredentialKind::Subscription);
    Settlement {
        attempt: intent.attempt,
        ended_at,
        outcome: Outcome::Orphaned,
        status: None,
        error: None,
        first_byte_us: None,
        duration_us: u64::try_from(lived).unwrap_or(0),
        response_bytes: 0,
        model_served: None,
        provider_request_id: None,
        provider_response_id: None,
        account: PayingAccount::default(),
        usage: ReportedUsage::none(UsageSource::Absent),
        billing_class: if outside { BillingClass::OutsideBill } else { BillingClass::Uncertain },
        valuation: Valuation {
            status: ValuationStatus::NoUsage,
            charges: Vec::new(),
            unpriced: Vec::new(),
            total: None,
            currency: Currency::USD,
            price_version: intent.price_version.clone(),
            engine: UNRATED.to_owned(),
        },
    }
}
