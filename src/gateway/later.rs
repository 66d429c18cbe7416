//! Usage that comes later: background answers and batch results settle what awaits them, once.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::gateway::settle::Placed;
use crate::ledger::settlement::Settlement;
use crate::names::ProviderName;

/// An attempt whose usage is awaited.
#[derive(Clone, Debug)]
pub struct Awaited {
    /// What was placed.
    pub placed: Placed,
    /// Its settlement so far.
    pub settlement: Settlement,
}

/// Everything that is awaited, and the batch results that were metered already.
#[derive(Debug, Default)]
pub struct LaterUsage {
    awaited: Mutex<HashMap<(ProviderName, String), Awaited>>,
    batches: Mutex<HashSet<(ProviderName, String)>>,
}

impl LaterUsage {
    /// An attempt begins to wait. Without an id in its answer nothing can ever settle it.
    pub fn wait(&self, awaited: Awaited) {
        if let Some(id) = awaited.settlement.provider_response_id.clone() {
            let key = (awaited.placed.provider.clone(), id);
            self.awaited.lock().unwrap_or_else(PoisonError::into_inner).insert(key, awaited);
        }
    }

    /// Takes the attempt that awaits this answer, so that nobody else settles it too.
    pub fn take(&self, provider: &ProviderName, response_id: &str) -> Option<Awaited> {
        let key = (provider.clone(), response_id.to_owned());
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).remove(&key)
    }

    /// How many are awaited.
    pub fn awaited(&self) -> usize {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Marks a batch's results as metered; false where they were already.
    pub fn first_results(&self, provider: &ProviderName, id: &str) -> bool {
        let key = (provider.clone(), id.to_owned());
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).insert(key)
    }
}
