//! How an attempt ended, as its one settlement record says it.

use std::time::Duration;

use crate::dialect::endpoint::{Purpose, Route};
use crate::ledger::intent::{CredentialKind, Intent};
use crate::ledger::settlement::{BillingClass, Outcome, PayingAccount, Settlement};
use crate::metering::stream::StreamFacts;
use crate::names::{AttemptId, ModelName, ProviderName};
use crate::period::Timestamp;
use crate::pricing::charge::Valuation;
use crate::upstream::headers::AnswerFacts;
use crate::usage::{ReportedUsage, UsageFlag, UsageSource};

/// What of an intent its settlement needs.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// The attempt.
    pub attempt: AttemptId,
    /// When it was sent.
    pub started_at: Timestamp,
    /// Where to.
    pub provider: ProviderName,
    /// The kind of call, and what it does with usage.
    pub route: Route,
    /// The model asked for.
    pub model_requested: Option<ModelName>,
    /// How the key came to be used.
    pub credential: Option<CredentialKind>,
}

impl Placed {
    /// From the intent and what its path is.
    pub(crate) fn of(intent: &Intent, route: Route) -> Self {
        Self {
            attempt: intent.attempt,
            started_at: intent.started_at,
            provider: intent.provider.clone(),
            route,
            model_requested: intent.model_requested.clone(),
            credential: intent.credential.as_ref().map(|credential| credential.kind),
        }
    }

    /// The model prices are taken for.
    pub(crate) fn model_priced(&self, served: Option<&ModelName>) -> ModelName {
        let known = served.or(self.model_requested.as_ref());
        known.cloned().unwrap_or_else(|| ModelName::from(""))
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The provider's answer came whole.
    Whole,
    /// The client had gone, and the answer was read to its end all the same.
    Drained,
    /// The client had gone, and the rest was not waited for.
    Abandoned,
    /// The provider's connection broke in the answer or before it.
    Cut,
    /// Nothing came in time.
    Timeout,
    /// No connection.
    Unreachable,
    /// It was never sent.
    Unsent,
}

/// What was measured of an exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// The provider's status, where it answered.
    pub status: Option<u16>,
    /// From sending to the first byte of the body.
    pub first_byte: Option<Duration>,
    /// From sending to the end.
    pub duration: Duration,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// What its headers said.
    pub head: AnswerFacts,
}

/// Writes the settlement. `facts` is what the answer told, `None` where there was none; `rate`
/// prices usage for a model.
pub(crate) fn settlement(
    placed: &Placed,
    end: End,
    measured: Measured,
    facts: Option<&mut StreamFacts>,
    ended_at: Timestamp,
    rate: impl FnOnce(&ModelName, &ReportedUsage) -> Valuation,
) -> Settlement {
    let (usage, served, response_id, error) = match facts {
        Some(facts) => {
            let usage =
                std::mem::replace(&mut facts.usage, ReportedUsage::none(UsageSource::Absent));
            let error = facts.error.take().map(|error| {
                let words = [error.error_type, error.code];
                let words: Vec<_> = words.into_iter().flatten().collect();
                if words.is_empty() { "unnamed".to_owned() } else { words.join("/") }
            });
            (usage, facts.model_served.clone(), facts.response_id.take(), error)
        }
        None => (ReportedUsage::none(unanswered(placed, end)), None, None, None),
    };
    let outcome = outcome(end, measured.status, error.is_some() || is_flagged(&usage));
    let valuation = rate(&placed.model_priced(served.as_ref()), &usage);
    Settlement {
        attempt: placed.attempt,
        ended_at,
        outcome,
        status: measured.status,
        error,
        first_byte_us: measured.first_byte.map(micros),
        duration_us: micros(measured.duration),
        response_bytes: measured.bytes,
        model_served: served,
        provider_request_id: measured.head.request_id,
        provider_response_id: response_id,
        account: PayingAccount {
            organization: measured.head.organization,
            project: measured.head.project,
            workspace: measured.head.workspace,
        },
        billing_class: billing_class(placed, end, measured.status, outcome, usage.source),
        usage,
        valuation,
    }
}

/// Whether the provider bills this, as far as its rules are known
/// (`reference/usage-and-pricing.md` 2.5).
pub(crate) fn billing_class(
    placed: &Placed,
    end: End,
    status: Option<u16>,
    outcome: Outcome,
    source: UsageSource,
) -> BillingClass {
    if placed.credential == Some(CredentialKind::Subscription) && source != UsageSource::NotMetered
    {
        return BillingClass::OutsideBill;
    }
    match (end, source) {
        (End::Unsent | End::Unreachable, _) | (_, UsageSource::NotMetered) => {
            BillingClass::NotBilled
        }
        (End::Whole | End::Drained, UsageSource::Reported) => BillingClass::Billed,
        (End::Whole, _) if outcome == Outcome::ProviderError => BillingClass::NotBilled,
        // No model was asked where the answer sends elsewhere or says that nothing changed.
        (End::Whole, UsageSource::Absent | UsageSource::Counted | UsageSource::Awaiting)
            if status.is_some_and(|status| (300..400).contains(&status)) =>
        {
            BillingClass::NotBilled
        }
        // An answer without a body may still have cost something; no rule of a provider says.
        (End::Whole, UsageSource::Absent | UsageSource::Counted) if status == Some(204) => {
            BillingClass::Uncertain
        }
        (End::Whole, UsageSource::Awaiting) => BillingClass::Billed,
        (End::Whole, UsageSource::Absent | UsageSource::Counted)
            if outcome == Outcome::Completed =>
        {
            BillingClass::Billed
        }
        _ => BillingClass::Uncertain,
    }
}

fn outcome(end: End, status: Option<u16>, has_error: bool) -> Outcome {
    match end {
        End::Whole if status.is_some_and(|status| status >= 400) => Outcome::ProviderError,
        End::Whole if has_error => Outcome::ErrorInAnswer,
        End::Whole => Outcome::Completed,
        End::Drained | End::Abandoned => Outcome::ClientGone,
        End::Cut => Outcome::UpstreamCut,
        End::Timeout => Outcome::Timeout,
        End::Unreachable => Outcome::Unreachable,
        End::Unsent => Outcome::Refused,
    }
}

/// What is known of the usage of a call that had no answer.
fn unanswered(placed: &Placed, end: End) -> UsageSource {
    match (end, &placed.route.purpose) {
        (End::Unsent | End::Unreachable, _) => UsageSource::NotMetered,
        (_, Purpose::Call | Purpose::BatchOrder) => UsageSource::Absent,
        _ => UsageSource::NotMetered,
    }
}

fn is_flagged(usage: &ReportedUsage) -> bool {
    usage.flags.contains(&UsageFlag::ErrorInAnswer)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
