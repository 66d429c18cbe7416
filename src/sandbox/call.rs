//! What a call has to show before either side serves it: a key, JSON, and a model of that side.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::period::Timestamp;
use crate::sandbox::book::{SandboxKey, Side};
use crate::sandbox::provider::Sandbox;
use crate::sandbox::rates::{self, SandboxModel};

/// A call that may be served.
pub(crate) struct Call<'a> {
    /// Whose it is.
    pub key: &'a SandboxKey,
    /// What it asks for.
    pub model: &'static SandboxModel,
    /// The body as it was sent.
    pub body: Value,
    /// When it came.
    pub started_at: Timestamp,
    /// Its number at this sandbox.
    pub number: u64,
}

/// What was wrong with a call; each side has its own words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No key of this side was sent.
    UnknownKey,
    /// The body is not JSON.
    NotJson,
    /// This side has no such model.
    UnknownModel,
}

impl<'a> Call<'a> {
    /// Checks them in the order of the real providers.
    ///
    /// # Errors
    /// What was wrong first.
    pub(crate) fn open(
        sandbox: &'a Sandbox,
        side: Side,
        number: u64,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Self, Refused> {
        let key = sandbox.key(side, headers).ok_or(Refused::UnknownKey)?;
        let body: Value = serde_json::from_slice(body).map_err(|_| Refused::NotJson)?;
        let name = body["model"].as_str().unwrap_or_default();
        let model = rates::find(name).filter(|model| model.side() == side);
        let model = model.ok_or(Refused::UnknownModel)?;
        Ok(Self { key, model, body, started_at: sandbox.now(), number })
    }
}
