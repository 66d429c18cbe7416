//! The sandbox itself: keys, clock, pacing, a prompt cache, and the book it bills from.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;

use crate::names::Clock;
use crate::period::{SECOND_US, Timestamp};
use crate::sandbox::book::{Book, SandboxKey, Served, Side};
use crate::sandbox::rates::SandboxModel;
use crate::sandbox::words;

/// A prompt prefix shorter than this is not cached, as at the real providers.
pub(crate) const CACHED_PREFIX_MIN: u64 = 1_024;
/// How long a cached prefix lives after its last use, in microseconds.
const CACHE_LIFETIME_US: i64 = 300 * SECOND_US;
/// The organization every answer names.
pub(crate) const ORGANIZATION: &str = "org-sandbox";

/// A provider that is none.
pub(crate) struct Sandbox {
    keys: Vec<SandboxKey>,
    clock: Clock,
    /// Microseconds between the chunks of a stream.
    pace_us: AtomicU64,
    cache: Mutex<HashMap<(String, String, u64), Timestamp>>,
    calls: AtomicU64,
    /// What it served.
    pub book: Book,
}

/// A prompt as the sandbox counted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CountedPrompt {
    /// All prompt tokens.
    pub total: u64,
    /// Of these, read from the cache.
    pub cache_read: u64,
    /// Of these, written to the cache.
    pub cache_write: u64,
}

impl Sandbox {
    /// A sandbox that accepts these keys and waits `pace` between the chunks of a stream.
    pub(crate) fn new(keys: Vec<SandboxKey>, clock: Clock, pace: Duration) -> Self {
        Self {
            keys,
            clock,
            pace_us: AtomicU64::new(u64::try_from(pace.as_micros()).unwrap_or(u64::MAX)),
            cache: Mutex::default(),
            calls: AtomicU64::new(0),
            book: Book::default(),
        }
    }

    /// The key a client sent, in `Authorization: Bearer` or `x-api-key`.
    pub(crate) fn key(&self, side: Side, headers: &HeaderMap) -> Option<&SandboxKey> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let secret = text("x-api-key")
            .or_else(|| text("authorization").and_then(|value| value.strip_prefix("Bearer ")))?;
        self.keys.iter().find(|key| key.side == side && key.secret == secret)
    }

    /// All keys, for the bill.
    pub(crate) fn keys(&self) -> &[SandboxKey] {
        &self.keys
    }

    /// The sandbox's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How long it waits between the chunks of a stream.
    pub(crate) fn pace(&self) -> Duration {
        Duration::from_micros(self.pace_us.load(Ordering::Relaxed))
    }

    /// Waits so long from now on.
    pub(crate) fn set_pace(&self, pace: Duration) {
        let micros = u64::try_from(pace.as_micros()).unwrap_or(u64::MAX);
        self.pace_us.store(micros, Ordering::Relaxed);
    }

    /// A number no other call of this sandbox got.
    pub(crate) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a prompt whose first `prefix` may be cached for this key and model.
    ///
    /// OpenAI caches by itself and writes for free; Anthropic writes where the caller asks.
    pub(crate) fn count_prompt(
        &self,
        key: &SandboxKey,
        model: &SandboxModel,
        prefix: Option<&str>,
        total: u64,
    ) -> CountedPrompt {
        let prefix_tokens = prefix.map_or(0, |text| model.tokens(words::count(text)));
        if prefix_tokens < CACHED_PREFIX_MIN {
            return CountedPrompt { total, ..CountedPrompt::default() };
        }
        let now = self.now();
        let place =
            (key.id.clone(), model.served.to_owned(), words::seed_of(prefix.unwrap_or_default()));
        let mut cache = match self.cache.lock() {
            Ok(cache) => cache,
            Err(poisoned) => poisoned.into_inner(),
        };
        let last_used = cache.insert(place, now);
        let is_warm = last_used
            .is_some_and(|last| now.micros().saturating_sub(last.micros()) < CACHE_LIFETIME_US);
        if is_warm {
            CountedPrompt { total, cache_read: prefix_tokens, cache_write: 0 }
        } else {
            CountedPrompt { total, cache_read: 0, cache_write: prefix_tokens }
        }
    }

    /// Books an answered call. `written` tells whether a cache write is charged apart.
    pub(crate) fn serve(
        &self,
        key: &SandboxKey,
        model: &str,
        started_at: Timestamp,
        prompt: CountedPrompt,
        output: u64,
    ) {
        let charged_write = if key.side == Side::Anthropic { prompt.cache_write } else { 0 };
        self.book.enter(Served {
            side: key.side,
            started_at,
            ended_at: self.now(),
            key: key.id.clone(),
            model: model.to_owned(),
            uncached: prompt.total - prompt.cache_read - charged_write,
            cache_read: prompt.cache_read,
            cache_write_5m: charged_write,
            output,
        });
    }
}
