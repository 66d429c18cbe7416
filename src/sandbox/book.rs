//! The sandbox's own counters: what it served, to whom, at which instant, in its own words.

use std::sync::Mutex;

use crate::period::Timestamp;

/// Which of the two dialects, and so which bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    /// OpenAI's paths and exports.
    OpenAi,
    /// Anthropic's paths and exports.
    Anthropic,
}

/// A key the sandbox accepts, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SandboxKey {
    /// Which side it opens.
    pub side: Side,
    /// The secret a client sends.
    pub secret: String,
    /// The id an export prints.
    pub id: String,
    /// The name an export prints.
    pub name: String,
    /// OpenAI: the project's id. Anthropic: the workspace's name.
    pub project: String,
}

/// One answered call, as the sandbox counted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// Which side.
    pub side: Side,
    /// When the call came in.
    pub started_at: Timestamp,
    /// When the answer was done; the sandbox books by this instant where a fault says so.
    pub ended_at: Timestamp,
    /// The key's id.
    pub key: String,
    /// The dated model that answered.
    pub model: String,
    /// Prompt tokens outside any cache.
    pub uncached: u64,
    /// Prompt tokens read from a cache.
    pub cache_read: u64,
    /// Prompt tokens written to a five-minute cache (Anthropic).
    pub cache_write_5m: u64,
    /// Answer tokens, reasoning included.
    pub output: u64,
}

/// Everything served, in order.
#[derive(Debug, Default)]
pub(crate) struct Book {
    served: Mutex<Vec<Served>>,
}

impl Book {
    /// Counts one answered call.
    pub(crate) fn enter(&self, served: Served) {
        match self.served.lock() {
            Ok(mut all) => all.push(served),
            // A panic elsewhere while counting leaves the list itself whole.
            Err(poisoned) => poisoned.into_inner().push(served),
        }
    }

    /// A copy of all that was served so far.
    pub(crate) fn all(&self) -> Vec<Served> {
        match self.served.lock() {
            Ok(all) => all.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }
}
