//! What was used: usage out of a reply or stream, and the text for our own count.

pub mod reply;
pub mod reported;
pub mod stream;
pub mod text;
