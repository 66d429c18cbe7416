//! The story after the fact: what the journal holds is posted, verified, kept and let go.

pub mod backup;
mod candidates;
pub(crate) mod captures;
pub mod close;
pub(crate) mod exchange;
pub mod export_file;
mod gather;
pub mod import;
pub(crate) mod import_each;
pub mod month;
pub mod post;
pub mod preview;
pub(crate) mod read_export;
pub mod retention;
pub mod ties;
pub mod verify;
pub(crate) mod whose;
