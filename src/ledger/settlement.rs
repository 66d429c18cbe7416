//! The settlement: how an attempt ended, what it used and what that costs, in one record.

use serde::{Deserialize, Serialize};

use crate::names::{AttemptId, ModelName};
use crate::period::Timestamp;
use crate::pricing::charge::Valuation;
use crate::usage::ReportedUsage;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The whole answer came and was a success.
    Completed,
    /// The provider answered with an error status.
    ProviderError,
    /// An error inside a successful answer (a stream that turned into an error).
    ErrorInAnswer,
    /// The client hung up; the rest was cancelled or drained as the provider's rule says.
    ClientGone,
    /// The provider's connection broke in the answer.
    UpstreamCut,
    /// The provider did not answer in time.
    Timeout,
    /// No connection, or none that answered.
    Unreachable,
    /// The gateway refused or stopped the attempt after the intent.
    Refused,
    /// Answered from the gateway's cache.
    CacheHit,
    /// Found without a settlement after a crash.
    Orphaned,
}

/// Whether the provider will bill this attempt, as far as its rules are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BillingClass {
    /// It will.
    Billed,
    /// It will not.
    NotBilled,
    /// No rule tells: a hang-up, a cut, a crash.
    Uncertain,
    /// Paid by a seat or a subscription, outside the bill.
    OutsideBill,
}

/// The provider's account an answer names in its headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PayingAccount {
    /// `openai-organization`, `anthropic-organization-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// `openai-project`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// `anthropic-workspace-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
}

/// Written once, when an attempt has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// The attempt.
    pub attempt: AttemptId,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// The provider's HTTP status, where it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's error type and code, never its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Microseconds from sending to the first byte of the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_us: Option<u64>,
    /// Microseconds from sending to the end.
    pub duration_us: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_served: Option<ModelName>,
    /// The provider's request id from its headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_request_id: Option<String>,
    /// The id in the answer's body; repeated or missing as the provider likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_response_id: Option<String>,
    /// The paying account as the answer's headers name it.
    #[serde(default)]
    pub account: PayingAccount,
    /// What was used.
    pub usage: ReportedUsage,
    /// Whether it is billed.
    pub billing_class: BillingClass,
    /// What that costs at the prices held at settlement, for the instant of sending.
    pub valuation: Valuation,
}
