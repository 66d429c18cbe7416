//! One attempt at a provider: which headers go, whose key pays, and the sending.

pub mod base_url;
pub mod body;
pub mod client;
pub mod fingerprint;
pub mod headers;
