//! The intent: what is written before an attempt is sent, who asked and who pays.

use serde::{Deserialize, Serialize};

use crate::names::{AttemptId, CredentialId, Endpoint, ModelName, ProviderName, RequestId};
use crate::period::Timestamp;

/// How far the labels of a caller may be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelSource {
    /// Nothing was said.
    #[default]
    None,
    /// Said by the caller in path, header or body.
    Claimed,
    /// Proved by a gateway token.
    Proved,
}

/// Who asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Labels {
    /// The team, from a gateway token, the path (`/@team/...`) or a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The end user the request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Free tags, in the order given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How far team and app may be believed.
    #[serde(default)]
    pub source: LabelSource,
}

/// Who pays: the provider key an attempt uses, as far as it may be written down.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Credential {
    /// Keyed fingerprint.
    pub id: CredentialId,
    /// The last four characters.
    pub hint: String,
    /// `configured`, `passed_through` or `subscription` (a seat-paid token, outside the bill).
    pub kind: CredentialKind,
}

/// How the gateway came to use a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// From the gateway's configuration.
    Configured,
    /// The caller's own, handed through.
    PassedThrough,
    /// A seat-paid subscription token: priced as it would have cost, outside the bill.
    Subscription,
}

/// Written before the first upstream byte of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// This attempt.
    pub attempt: AttemptId,
    /// The client request it serves.
    pub request: RequestId,
    /// 1 for the first attempt of the request.
    pub ordinal: u32,
    /// When it was sent; the instant prices are taken at.
    pub started_at: Timestamp,
    /// Where it goes.
    pub provider: ProviderName,
    /// The kind of call.
    pub endpoint: Endpoint,
    /// `POST`, `GET` ...
    pub method: String,
    /// Path at the provider, without query.
    pub path: String,
    /// The model asked for, where the call names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_requested: Option<ModelName>,
    /// Whether the caller asked for a stream.
    pub stream: bool,
    /// Which key pays, where one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// The configured caller, where one proved itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// Who asked.
    pub labels: Labels,
    /// The most output tokens the request allows, which bounds an orphan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// Bytes of the request body; tokens never exceed them.
    pub request_bytes: u64,
    /// Price-table version in force.
    pub price_version: String,
    /// The budget hold this attempt drew on, once there are budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
}
