//! Mistakes a provider's billing can make, planted on purpose, each on its own model and key.

use crate::sandbox::rates::SandboxModel;

/// One mistake, or one agreement, between what was served and what is billed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Tokens read from the cache are billed as if they had not been.
    CachedBilledAsUncached {
        /// The served model it happens to.
        model: &'static str,
    },
    /// A price that no longer holds is billed.
    StalePrice {
        /// The same model with the old prices.
        old: SandboxModel,
    },
    /// Calls are booked when the answer is done, so many seconds after they came in.
    BookedWhenDone {
        /// The served model it happens to.
        model: &'static str,
        /// Seconds an answer takes.
        after_s: i64,
    },
    /// Anthropic's customer pays this many thousandths of the list price.
    Discount {
        /// 900 is ten per cent off.
        pay_permille: u32,
    },
}
