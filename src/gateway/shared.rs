//! What every call shares: the journal, the way out, the prices, the threads that count.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::gateway::capture::CaptureQueue;
use crate::gateway::counting::{CountingJob, CountingPool};
use crate::gateway::later::LaterUsage;
use crate::gateway::record::Recorder;
use crate::gateway::running::Running;
use crate::names::{Clock, ModelName, ProviderName};
use crate::period::Timestamp;
use crate::pricing::charge::Valuation;
use crate::pricing::rate::rate;
use crate::pricing::table::PriceTable;
use crate::upstream::client::UpstreamClient;
use crate::upstream::fingerprint::Fingerprinter;
use crate::usage::ReportedUsage;

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallLimits {
    /// To the provider's headers.
    pub headers: Duration,
    /// Between two pieces.
    pub idle: Duration,
    /// For the rest of an answer nobody waits for.
    pub drain: Duration,
}

/// What every call shares.
pub(crate) struct Shared {
    /// The hand on the journal.
    pub recorder: Recorder,
    /// The way out.
    pub client: UpstreamClient,
    /// The prices.
    pub prices: ArcSwap<PriceTable>,
    /// The counting threads.
    pub counting: RwLock<Option<CountingPool>>,
    /// The time of day.
    pub clock: Clock,
    /// How keys are written down.
    pub fingerprinter: Fingerprinter,
    /// How long things may take.
    pub limits: CallLimits,
    /// Usage that comes later.
    pub later: LaterUsage,
    /// Where captured content goes; `None` where no caller is set to it.
    pub captures: Option<CaptureQueue>,
    /// What is under way.
    pub running: Running,
    /// Where the rest of an exchange goes on when its client is gone.
    pub runtime: tokio::runtime::Handle,
}

impl Shared {
    /// Hands a job to the counting threads, unless they have been stopped.
    pub(crate) fn count(&self, job: CountingJob) {
        let counting = self.counting.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counting) = &*counting {
            counting.try_submit(job);
        }
    }

    /// Takes the counting threads, to stop them.
    pub(crate) fn take_counting(&self) -> Option<CountingPool> {
        self.counting.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Prices usage with the table held at this moment, for an instant.
    pub(crate) fn rate(
        &self,
        provider: &ProviderName,
        model: &ModelName,
        at: Timestamp,
        usage: &ReportedUsage,
    ) -> Valuation {
        rate(&self.prices.load(), provider, model, at, usage)
    }
}
