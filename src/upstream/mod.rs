//! One attempt at a provider: which headers go, whose key pays, and the sending.

pub(crate) mod base_url;
pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod fingerprint;
pub(crate) mod headers;
