//! The count: our own tokens for an attempt, written whenever they are ready.

use serde::{Deserialize, Serialize};

use crate::names::AttemptId;
use crate::period::Timestamp;

/// What the counting threads found for an attempt. The payload is `metering`'s own type, kept as
/// JSON text so that the ledger need not know how tokens are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The attempt.
    pub attempt: AttemptId,
    /// When the count was made.
    pub counted_at: Timestamp,
    /// Input tokens, `None` where not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<u64>,
    /// Output tokens, `None` where not counted. Reasoning is never in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// How: `exact`, `sampled`, `skipped_busy` ...
    pub method: String,
    /// With whose vocabulary.
    pub encoding: String,
    /// Why that vocabulary: `model_map`, `configured`, `assumed`, `other_tokenizer`.
    pub basis: String,
    /// Parts that could only be estimated: `tools`, `image` ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub estimated_parts: Vec<String>,
}
