//! Places where a debug build can be told to die as if killed; a release build has none.

#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a process may be told to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// Nothing is written yet.
    BeforeIntent,
    /// The intent is committed, nothing was sent.
    AfterIntent,
    /// The provider answered; nothing went to the client.
    AfterHeaders,
    /// A piece of the answer came, and is not passed on yet.
    InAnswer,
    /// The answer is whole, its settlement not yet made.
    AfterAnswer,
    /// The settlement is handed to the journal.
    BeforeCommit,
    /// The settlement is committed, the last byte not sent.
    AfterCommit,
}

/// The armed failpoint, if any: `name`, or `name:n` for its n-th passing.
#[derive(Debug, Default)]
pub struct Failpoints {
    #[cfg(debug_assertions)]
    armed: Option<(String, u64)>,
    #[cfg(debug_assertions)]
    passed: AtomicU64,
}

impl Failpoints {
    /// Arms what the text names.
    #[cfg(debug_assertions)]
    pub fn armed(text: Option<&str>) -> Self {
        let armed = text.map(|text| {
            let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
            (name.to_owned(), nth.parse().unwrap_or(1))
        });
        Self { armed, passed: AtomicU64::new(0) }
    }

    /// Arms nothing.
    #[cfg(not(debug_assertions))]
    pub const fn armed(_text: Option<&str>) -> Self {
        Self {}
    }

    /// Dies here if told to: no destructor runs, nothing is flushed.
    #[cfg(debug_assertions)]
    pub fn pass(&self, point: Failpoint) {
        let Some((name, nth)) = &self.armed else { return };
        if name == point.name() && self.passed.fetch_add(1, Ordering::SeqCst) + 1 == *nth {
            std::process::abort();
        }
    }

    /// Does nothing.
    #[cfg(not(debug_assertions))]
    #[inline(always)]
    pub const fn pass(&self, _point: Failpoint) {}
}

impl Failpoint {
    /// Every one of them.
    pub const ALL: &[Self] = &[
        Self::BeforeIntent,
        Self::AfterIntent,
        Self::AfterHeaders,
        Self::InAnswer,
        Self::AfterAnswer,
        Self::BeforeCommit,
        Self::AfterCommit,
    ];

    /// The name that arms it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeIntent => "before_intent",
            Self::AfterIntent => "after_intent",
            Self::AfterHeaders => "after_headers",
            Self::InAnswer => "in_answer",
            Self::AfterAnswer => "after_answer",
            Self::BeforeCommit => "before_commit",
            Self::AfterCommit => "after_commit",
        }
    }
}
