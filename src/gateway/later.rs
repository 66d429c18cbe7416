//! Usage that comes later: background answers and batch results settle what awaits them, once.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::dialect::endpoint::{Dialect, Purpose, Route, classify};
use crate::gateway::settle::Placed;
use crate::ledger::intent::CredentialKind;
use crate::ledger::settlement::{BillingClass, Settlement};
use crate::names::ProviderName;
use crate::period::{DAY_US, Timestamp};
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::later;

/// An attempt whose usage is awaited.
#[derive(Clone, Debug)]
pub(crate) struct Awaited {
    /// What was placed.
    pub placed: Placed,
    /// Its settlement so far.
    pub settlement: Settlement,
}

/// Everything that is awaited, and the batch results that were metered already.
#[derive(Debug, Default)]
pub(crate) struct LaterUsage {
    awaited: Mutex<HashMap<(ProviderName, String), Awaited>>,
    batches: Mutex<HashSet<(ProviderName, String)>>,
}

/// How long providers keep an answer or a batch to be fetched: 30 days, with a day to spare.
const KEPT: i64 = 31 * DAY_US;

impl LaterUsage {
    /// Remembers what earlier runs left, as far as it is posted.
    ///
    /// # Errors
    /// The books could not be read.
    pub(crate) async fn restored(books: &Books, now: Timestamp) -> Result<Self, StoreError> {
        let since = Timestamp::from_micros(now.micros().saturating_sub(KEPT));
        let restored = Self::default();
        for call in later::awaited(books, since).await? {
            let outside = call.settlement.billing_class == BillingClass::OutsideBill;
            let placed = Placed {
                attempt: call.settlement.attempt,
                started_at: call.started_at,
                provider: call.provider,
                route: Route { endpoint: call.endpoint, purpose: Purpose::Call },
                model_requested: call.model_requested,
                credential: outside.then_some(CredentialKind::Subscription),
            };
            restored.wait(Awaited { placed, settlement: call.settlement });
        }
        for (provider, path) in later::metered_batches(books, since).await? {
            // The dialect is not on record; an id is told apart by its path in either.
            for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
                if let Purpose::BatchResults { id } = classify(dialect, "GET", &path).purpose {
                    restored.first_results(&provider, &id);
                }
            }
        }
        Ok(restored)
    }

    /// An attempt begins to wait. Without an id in its answer nothing can ever settle it.
    pub(crate) fn wait(&self, awaited: Awaited) {
        if let Some(id) = awaited.settlement.provider_response_id.clone() {
            let key = (awaited.placed.provider.clone(), id);
            self.awaited.lock().unwrap_or_else(PoisonError::into_inner).insert(key, awaited);
        }
    }

    /// Takes the attempt that awaits this answer, so that nobody else settles it too.
    pub(crate) fn take(&self, provider: &ProviderName, response_id: &str) -> Option<Awaited> {
        let key = (provider.clone(), response_id.to_owned());
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).remove(&key)
    }

    /// Marks a batch's results as metered; false where they were already.
    pub(crate) fn first_results(&self, provider: &ProviderName, id: &str) -> bool {
        let key = (provider.clone(), id.to_owned());
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).insert(key)
    }
}
