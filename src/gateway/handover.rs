//! Usage that an answer brings for another call: it is handed over to that one, and settles it once.

use crate::dialect::endpoint::Purpose;
use crate::gateway::later::Awaited;
use crate::gateway::settle::{End, Placed, billing_class};
use crate::gateway::shared::Shared;
use crate::ledger::entry::{Correction, Entry};
use crate::ledger::settlement::Outcome;
use crate::metering::stream::StreamFacts;
use crate::names::ModelName;
use crate::usage::{ReportedUsage, UsageFlag, UsageSource};

/// An answer that another call ordered: its usage belongs there, and settles it once. A batch's
/// results are metered at their first whole reading and at no other.
pub(super) fn hand_over(
    shared: &Shared,
    placed: &Placed,
    facts: &mut StreamFacts,
) -> Option<Entry> {
    match &placed.route.purpose {
        Purpose::LaterReading { response_id } => {
            let none = ReportedUsage::none(UsageSource::NotMetered);
            let usage = std::mem::replace(&mut facts.usage, none);
            if usage.source == UsageSource::Awaiting || facts.error.is_some() && usage.raw.is_none()
            {
                return None;
            }
            let awaited = shared.later.take(&placed.provider, response_id)?;
            Some(correction(shared, awaited, usage, facts.model_served.as_ref()))
        }
        Purpose::BatchResults { id } => {
            let none = ReportedUsage::none(UsageSource::NotMetered);
            let usage = std::mem::replace(&mut facts.usage, none);
            let whole = usage.source == UsageSource::Reported;
            if !whole || !shared.later.first_results(&placed.provider, id) {
                return None;
            }
            let Some(awaited) = shared.later.take_order(&placed.provider, id) else {
                // Of a job that was not ordered here; a file of failures only bills nothing.
                if !usage.parts.is_empty() {
                    facts.usage = usage;
                }
                return None;
            };
            facts.usage.flags.push(UsageFlag::UsageElsewhere);
            Some(correction(shared, awaited, usage, None))
        }
        Purpose::BatchOrder if facts.response_id.is_some() && facts.error.is_none() => {
            facts.usage = ReportedUsage::none(UsageSource::Awaiting);
            None
        }
        Purpose::BatchState { .. } => {
            let error = facts.usage.flags.contains(&UsageFlag::ErrorInAnswer);
            facts.usage = ReportedUsage::none(UsageSource::NotMetered);
            facts.usage.flags.extend(error.then_some(UsageFlag::ErrorInAnswer));
            None
        }
        _ => None,
    }
}

fn correction(
    shared: &Shared,
    awaited: Awaited,
    usage: ReportedUsage,
    served: Option<&ModelName>,
) -> Entry {
    let Awaited { placed, mut settlement } = awaited;
    settlement.ended_at = shared.clock.now();
    settlement.model_served = served.cloned().or(settlement.model_served);
    let model = placed.model_priced(settlement.model_served.as_ref());
    settlement.valuation = shared.rate(&placed.provider, &model, placed.started_at, &usage);
    let status = settlement.status;
    settlement.billing_class =
        billing_class(&placed, End::Whole, status, Outcome::Completed, usage.source);
    settlement.usage = usage;
    Entry::Correction(Box::new(Correction {
        reason: "usage arrived later".to_owned(),
        actor: "gateway".to_owned(),
        settlement,
    }))
}
