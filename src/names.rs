//! The names both sides must be able to say: providers, models, endpoints, ids, and the clock value.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::period::Timestamp;

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it stands.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, out)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    };
}

text_name! {
    /// Who is called and bills: `openai`, `anthropic`, or a name from the configuration.
    /// Lower case; the first segment of a native path.
    ProviderName
}
text_name! {
    /// A model as somebody spelled it. Asked for and answered are two fields, never one.
    ModelName
}
text_name! {
    /// The provider's account an export or a header speaks of: an organization, or what the user
    /// named it on import.
    AccountId
}
text_name! {
    /// A keyed fingerprint of a provider credential; never the credential.
    CredentialId
}

macro_rules! id_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// From a UUID, by convention version 7 so that ids sort by time.
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID.
            pub const fn uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), out)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id_name! {
    /// One client request; the id of the reply header `x-counterfoil-request-id`.
    RequestId
}
id_name! {
    /// One upstream HTTP call of a request.
    AttemptId
}

/// A UUIDv7 of an instant: ids of later instants sort later, and the rest of it is random.
pub fn new_id(at: Timestamp) -> Uuid {
    let micros = at.micros().max(0).unsigned_abs();
    // A remainder of microseconds is below 10⁹ nanoseconds.
    let nanos = u32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, micros / 1_000_000, nanos))
}

/// The kind of call, which decides where usage stands and which prices apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// OpenAI `/v1/chat/completions`.
    Chat,
    /// OpenAI `/v1/responses`.
    Responses,
    /// OpenAI legacy `/v1/completions`.
    Completions,
    /// OpenAI `/v1/embeddings`.
    Embeddings,
    /// OpenAI `/v1/images/...`.
    Images,
    /// OpenAI `/v1/audio/transcriptions` and `/translations`.
    Transcription,
    /// OpenAI `/v1/audio/speech`.
    Speech,
    /// OpenAI realtime `response.done` events.
    Realtime,
    /// OpenAI `/v1/moderations`.
    Moderations,
    /// Anthropic `/v1/messages`.
    Messages,
    /// Anthropic `/v1/messages/count_tokens`.
    CountTokens,
    /// OpenAI `/v1/batches...` and Anthropic `/v1/messages/batches...`.
    Batches,
    /// Anything else: passed through and recorded.
    Other,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: &[Self] = &[
        Self::Chat,
        Self::Responses,
        Self::Completions,
        Self::Embeddings,
        Self::Images,
        Self::Transcription,
        Self::Speech,
        Self::Realtime,
        Self::Moderations,
        Self::Messages,
        Self::CountTokens,
        Self::Batches,
        Self::Other,
    ];

    /// The name used in the books, in JSON and by `counterfoil rate`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Images => "images",
            Self::Transcription => "transcription",
            Self::Speech => "speech",
            Self::Realtime => "realtime",
            Self::Moderations => "moderations",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Batches => "batches",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an endpoint this version knows")]
pub struct UnknownEndpoint(pub String);

impl FromStr for Endpoint {
    type Err = UnknownEndpoint;

    fn from_str(text: &str) -> Result<Self, UnknownEndpoint> {
        let found = Self::ALL.iter().find(|endpoint| endpoint.as_str() == text);
        found.copied().ok_or_else(|| UnknownEndpoint(text.to_owned()))
    }
}

/// Where a call goes: which provider, and the model as it is to be spelled there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The provider.
    pub provider: ProviderName,
    /// The model, where the call names one.
    pub model: Option<ModelName>,
}

/// The time of day as a value, so that a story can be told at another time than now.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks this function.
    pub fn new(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The instant it shows.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Clock({})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_read_back_from_its_name_and_spelled_so_in_json() {
        for endpoint in Endpoint::ALL {
            assert_eq!(endpoint.as_str().parse::<Endpoint>().unwrap(), *endpoint);
            let json = serde_json::to_string(endpoint).unwrap();
            assert_eq!(json, format!("\"{endpoint}\""));
        }
    }
}
