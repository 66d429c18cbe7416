//! Places where a debug build can be told to die as if killed; a release build has none.

#[cfg(debug_assertions)]
use std::sync::OnceLock;
#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a process may be told to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// Nothing is written yet.
    BeforeIntent,
    /// The intent is committed, nothing was sent.
    AfterIntent,
    /// The call is on its way, nothing was answered.
    AfterSend,
    /// The provider answered; nothing went to the client.
    AfterHeaders,
    /// The first piece of the answer came, and is not passed on yet.
    FirstByte,
    /// A later piece of the answer came, and is not passed on yet.
    InAnswer,
    /// The answer and its usage are whole, its settlement not yet made.
    AfterUsage,
    /// The settlement is handed to the journal.
    BeforeCommit,
    /// The settlement is committed, nobody was told.
    AfterCommit,
    /// The settlement is committed, the last byte not sent.
    BeforeLastByte,
    /// Rows are in the books' transaction, their sums are not.
    DuringPosting,
    /// Orphans are settled, the boot is not open for traffic yet.
    DuringRecovery,
}

impl Failpoint {
    /// Every one of them.
    pub const ALL: &[Self] = &[
        Self::BeforeIntent,
        Self::AfterIntent,
        Self::AfterSend,
        Self::AfterHeaders,
        Self::FirstByte,
        Self::InAnswer,
        Self::AfterUsage,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::BeforeLastByte,
        Self::DuringPosting,
        Self::DuringRecovery,
    ];

    /// The name that arms it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeIntent => "before_intent",
            Self::AfterIntent => "after_intent",
            Self::AfterSend => "after_send",
            Self::AfterHeaders => "after_headers",
            Self::FirstByte => "first_byte",
            Self::InAnswer => "in_answer",
            Self::AfterUsage => "after_usage",
            Self::BeforeCommit => "before_commit",
            Self::AfterCommit => "after_commit",
            Self::BeforeLastByte => "before_last_byte",
            Self::DuringPosting => "during_posting",
            Self::DuringRecovery => "during_recovery",
        }
    }
}

/// The armed failpoint; there is one process to die, so there is one of these.
#[cfg(debug_assertions)]
static ARMED: OnceLock<Armed> = OnceLock::new();

#[cfg(debug_assertions)]
struct Armed {
    name: String,
    nth: u64,
    passed: AtomicU64,
}

/// Arms what the text names, `name` or `name:n` for its n-th passing. The first arming stays.
#[cfg(debug_assertions)]
pub(crate) fn arm(text: Option<&str>) {
    if let Some(text) = text {
        let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
        let nth = nth.parse().unwrap_or(1);
        ARMED.get_or_init(|| Armed { name: name.to_owned(), nth, passed: AtomicU64::new(0) });
    }
}

/// Arms nothing.
#[cfg(not(debug_assertions))]
pub(crate) const fn arm(_text: Option<&str>) {}

/// Dies here if told to: no destructor runs, nothing is flushed.
#[cfg(debug_assertions)]
pub(crate) fn pass(point: Failpoint) {
    let Some(armed) = ARMED.get() else { return };
    if armed.name == point.name() && armed.passed.fetch_add(1, Ordering::SeqCst) + 1 == armed.nth {
        std::process::abort();
    }
}

/// Does nothing.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) const fn pass(_point: Failpoint) {}
