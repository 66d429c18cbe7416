//! One attempt besides its bytes: what was placed and measured, and what it comes to at its end.

use std::time::Instant;

use bytes::Bytes;

use crate::dialect::endpoint::{Dialect, Purpose};
use crate::dialect::request::RequestFacts;
use crate::gateway::answer::Reading;
use crate::gateway::capture::Capture;
use crate::gateway::counting::CountingJob;
use crate::gateway::handover::hand_over;
use crate::gateway::later::Awaited;
use crate::gateway::record::Tracked;
use crate::gateway::settle::{End, Measured, Placed, settlement};
use crate::gateway::shared::Shared;
use crate::ledger::entry::Entry;
use crate::ledger::settlement::Settlement;
use crate::metering::stream::StreamEnd;
use crate::pricing::charge::ValuationStatus;
use crate::usage::{Conditions, UsageSource};

/// What is known of an attempt besides the bytes.
pub(crate) struct Attempt {
    /// What was placed.
    pub placed: Placed,
    /// What the request said.
    pub facts: RequestFacts,
    /// The formats.
    pub dialect: Dialect,
    /// Whether usage was injected that the caller must not see.
    pub injected: bool,
    /// The body as the provider got it, for the count; `None` where nothing is counted.
    pub request: Option<Bytes>,
    /// The copy of its content, where its caller is set to that.
    pub capture: Option<Box<Capture>>,
    /// Whether it is on record.
    pub tracked: Tracked,
    /// When it was sent, for durations.
    pub sent: Instant,
    /// What was measured so far.
    pub measured: Measured,
}

/// What an attempt came to.
pub(crate) struct Closed {
    /// Its cost in decimal text, where every meter was priced.
    pub cost: Option<String>,
    /// What is to be written, in this order.
    pub entries: Vec<Entry>,
    /// What is to be counted, where anything is.
    pub counting: Option<CountingJob>,
}

impl Attempt {
    /// Notes bytes of its answer.
    pub(crate) fn take(&mut self, bytes: &Bytes) {
        if let Some(capture) = &mut self.capture {
            capture.answered(bytes);
        }
        if self.measured.first_byte.is_none() {
            self.measured.first_byte = Some(self.sent.elapsed());
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.measured.bytes = self.measured.bytes.saturating_add(length);
    }
}

/// Writes what an attempt came to: its settlement, and the correction of another attempt whose
/// usage its answer brought.
pub(crate) fn close(
    shared: &Shared,
    attempt: Attempt,
    reading: Option<Reading>,
    end: End,
) -> Closed {
    let Attempt { placed, facts: asked, request, capture, tracked, sent, mut measured, .. } =
        attempt;
    measured.duration = sent.elapsed();
    let stream_end = match end {
        End::Whole | End::Drained => StreamEnd::Complete,
        End::Abandoned => StreamEnd::ClientGone,
        _ => StreamEnd::UpstreamCut,
    };
    if let (Purpose::BatchState { .. }, Some(reading)) = (&placed.route.purpose, &reading) {
        shared.later.learn_files(&placed.provider, reading.json());
    }
    let context = Conditions::default();
    let mut facts = reading.map(|reading| reading.finish(stream_end, Some(&asked), &context));
    let mut entries = Vec::with_capacity(2);
    if let Some(facts) = &mut facts {
        entries.extend(hand_over(shared, &placed, facts));
    }
    let now = shared.clock.now();
    let settlement = settlement(&placed, end, measured, facts.as_mut(), now, |model, usage| {
        shared.rate(&placed.provider, model, placed.started_at, usage)
    });
    let cost = cost(&settlement);
    if tracked == Tracked::Not {
        return Closed { cost, entries, counting: None };
    }
    if settlement.usage.source == UsageSource::Awaiting {
        let awaited = Awaited { placed: placed.clone(), settlement: settlement.clone() };
        shared.later.wait(awaited);
    }
    if let Some((queue, capture)) = shared.captures.as_ref().zip(capture) {
        queue.hand_over(capture.end(placed.attempt, now));
    }
    let counting = request.map(|request| CountingJob {
        attempt: placed.attempt,
        endpoint: placed.route.endpoint,
        model: placed.model_priced(settlement.model_served.as_ref()),
        configured: None,
        request,
        answer: facts.map(|facts| facts.text),
    });
    entries.insert(0, Entry::Settlement(Box::new(settlement)));
    Closed { cost, entries, counting }
}

fn cost(settlement: &Settlement) -> Option<String> {
    let valuation = &settlement.valuation;
    if valuation.status != ValuationStatus::Priced {
        return None;
    }
    valuation.total.map(|total| total.to_string())
}
