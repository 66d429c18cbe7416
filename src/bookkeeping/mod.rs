//! The story after the fact: what the journal holds is posted, verified, kept and let go.

pub mod import;
pub mod post;
pub mod preview;
