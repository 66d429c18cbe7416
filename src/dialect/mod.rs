//! The wire formats, known once: where calls go, what they ask, how answers stream and fail.

pub mod endpoint;
pub mod error;
pub mod form_watch;
pub mod inject;
pub mod members;
pub mod multipart;
pub mod outline;
pub mod request;
pub mod sse;
pub mod strip;
