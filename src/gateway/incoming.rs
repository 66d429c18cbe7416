//! A call that came in: what it asks of whom, who asks, and the key that pays.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use secrecy::SecretString;

use crate::dialect::endpoint::{Dialect, Route};
use crate::dialect::request::RequestFacts;
use crate::ledger::intent::{CredentialKind, Labels};
use crate::names::ProviderName;
use crate::routing::plan::Plan;
use crate::upstream::body::StreamedBody;
use crate::upstream::headers::KeyPlacement;

/// A provider as calls use it.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    /// Its name.
    pub name: ProviderName,
    /// Scheme, authority and path prefix.
    pub base_url: String,
    /// Its formats.
    pub dialect: Dialect,
    /// The configured key.
    pub key: Option<SecretString>,
}

/// A call that `ingress` understood and let in.
pub(crate) struct Call {
    /// Who is called.
    pub provider: Arc<Provider>,
    /// Where to, in order.
    pub plan: Plan,
    /// What its path is.
    pub route: Route,
    /// Its method.
    pub method: Method,
    /// Path and query at the provider.
    pub path_and_query: String,
    /// The caller's headers.
    pub headers: HeaderMap,
    /// The key that pays, how it is sent and how it came to be used.
    pub key: Option<PayingKey>,
    /// Who proved to be calling.
    pub caller: Option<String>,
    /// For how many days its content is kept, where that caller is set to it.
    pub capture_days: Option<u32>,
    /// Who is said to be asking.
    pub labels: Labels,
    /// What the body says.
    pub facts: RequestFacts,
}

/// The key of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct PayingKey {
    /// The key.
    pub secret: SecretString,
    /// The header it goes in.
    pub placement: KeyPlacement,
    /// How it came to be used.
    pub kind: CredentialKind,
}

/// A caller's body.
pub(crate) enum CallBody {
    /// Read whole: metered.
    Whole(Bytes),
    /// Passed through as it comes, of this length where the caller said it.
    Streamed(StreamedBody, Option<u64>),
}

impl CallBody {
    /// Its bytes, as far as they are known before it was sent.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Whole(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Streamed(_, length) => length.unwrap_or(0),
        }
    }
}
