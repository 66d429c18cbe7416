//! The wire formats, known once: where calls go, what they ask, how answers stream and fail.

pub mod endpoint;
pub(crate) mod error;
pub(crate) mod form_watch;
pub mod inject;
pub(crate) mod members;
pub(crate) mod multipart;
pub(crate) mod outline;
pub mod request;
pub(crate) mod sse;
pub mod strip;
