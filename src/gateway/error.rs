//! Why a call got no answer of a provider; `ingress` says it in the caller's dialect.

use crate::names::{ProviderName, RequestId};

/// A failed call: our id of it, how many attempts were made, and why.
#[derive(Debug, thiserror::Error)]
#[error("request {request}: {error}")]
pub(crate) struct FailedCall {
    /// The id of the reply header.
    pub request: RequestId,
    /// Attempts that were sent.
    pub attempts: u32,
    /// Why.
    pub error: CallError,
}

/// Why. The text is for the caller; it names no key, no header and no body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The journal took no intent, so nothing was sent.
    #[error(
        "the gateway's journal cannot take a record of this request now, so it was not sent; try \
         again in {RETRY_AFTER_S} s. The gateway's log says why"
    )]
    JournalUnavailable,
    /// No connection.
    #[error("provider {provider} cannot be reached: {cause}")]
    Unreachable {
        /// Which.
        provider: ProviderName,
        /// The system's words.
        cause: String,
    },
    /// The connection broke before an answer; whether the provider worked is not known.
    #[error("the connection to {provider} broke before it answered: {cause}")]
    Broken {
        /// Which.
        provider: ProviderName,
        /// The system's words.
        cause: String,
    },
    /// No answer in time.
    #[error("{provider} sent no answer within {seconds} s (timeouts.headers_s)")]
    HeadersTimeout {
        /// Which.
        provider: ProviderName,
        /// The limit.
        seconds: u64,
    },
    /// The answer stopped in the middle.
    #[error("{provider} sent nothing more for {seconds} s in the middle of its answer")]
    IdleTimeout {
        /// Which.
        provider: ProviderName,
        /// The limit.
        seconds: u64,
    },
    /// The answer broke in the middle.
    #[error("the connection to {provider} broke in the middle of its answer")]
    AnswerCut {
        /// Which.
        provider: ProviderName,
    },
    /// The key holds characters no header can carry.
    #[error("the API key holds characters no HTTP header can carry")]
    UnusableKey,
    /// Base URL and path make no URL.
    #[error("the path cannot be sent to {provider}: it makes no URL")]
    UnusablePath {
        /// Which.
        provider: ProviderName,
    },
    /// Web sockets.
    #[error(
        "WebSocket connections are not supported by this gateway yet; use the HTTP streaming \
         endpoint, or connect to the provider directly"
    )]
    UpgradeUnsupported,
}

/// Seconds a client is asked to wait when the journal takes nothing.
pub(crate) const RETRY_AFTER_S: u32 = 2;

impl CallError {
    /// The HTTP status it travels with.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::JournalUnavailable => 503,
            Self::Unreachable { .. } | Self::Broken { .. } | Self::AnswerCut { .. } => 502,
            Self::HeadersTimeout { .. } | Self::IdleTimeout { .. } => 504,
            Self::UnusableKey | Self::UnusablePath { .. } => 400,
            Self::UpgradeUnsupported => 501,
        }
    }

    /// A stable short name.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::JournalUnavailable => "journal_unavailable",
            Self::Unreachable { .. } => "provider_unreachable",
            Self::Broken { .. } => "provider_connection_broken",
            Self::HeadersTimeout { .. } => "provider_timeout",
            Self::IdleTimeout { .. } => "provider_idle",
            Self::AnswerCut { .. } => "provider_answer_cut",
            Self::UnusableKey => "unusable_key",
            Self::UnusablePath { .. } => "unusable_path",
            Self::UpgradeUnsupported => "upgrade_unsupported",
        }
    }

    /// Seconds after which another try may help.
    pub(crate) const fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::JournalUnavailable => Some(RETRY_AFTER_S),
            _ => None,
        }
    }
}
