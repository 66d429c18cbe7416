//! Usage that comes later: background answers and batch results settle what awaits them, once.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::dialect::endpoint::{Dialect, Purpose, Route, classify};
use crate::dialect::members::{Elements, member, string_text};
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
    /// Which awaited job a file holds the results of, as the job's state said.
    files: Mutex<HashMap<(ProviderName, String), String>>,
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

    /// Reads out of the state of batch jobs, of one or a list, where their results are.
    pub(crate) fn learn_files(&self, provider: &ProviderName, state: &[u8]) {
        let list = member(state, "data").and_then(|data| Elements::of(data).ok());
        for job in list.into_iter().flatten().map_while(Result::ok).chain([state]) {
            let text = |key| member(job, key).and_then(string_text);
            if let (Some(id), Some(file)) = (text("id"), text("output_file_id")) {
                self.learn_file(provider, &id, &file);
            }
        }
    }

    fn learn_file(&self, provider: &ProviderName, job: &str, file: &str) {
        let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        if awaited.contains_key(&(provider.clone(), job.to_owned())) {
            let key = (provider.clone(), file.to_owned());
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.insert(key, job.to_owned());
        }
    }

    /// Takes the order that awaits these results: by the job's id or by that of its file.
    pub(crate) fn take_order(&self, provider: &ProviderName, id: &str) -> Option<Awaited> {
        let key = (provider.clone(), id.to_owned());
        let job = self.files.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        self.take(provider, job.as_deref().unwrap_or(id))
    }

    /// Marks a batch's results as metered; false where they were already.
    pub(crate) fn first_results(&self, provider: &ProviderName, id: &str) -> bool {
        let key = (provider.clone(), id.to_owned());
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).insert(key)
    }
}
