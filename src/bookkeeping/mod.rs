//! The story after the fact: what the journal holds is posted, verified, kept and let go.

pub mod backup;
mod candidates;
pub mod captures;
pub mod close;
pub mod exchange;
mod gather;
pub mod import;
pub mod post;
pub mod preview;
pub mod read_export;
pub mod retention;
pub mod ties;
pub mod verify;
pub mod whose;
