//! The durable local book of original entry: group commit, recovery, and what is not yet posted.
//!
//! An entry is *committed* when a kill of the process cannot take it back, and *synced* when a
//! power cut cannot. One writer task owns the one write connection; one thread syncs the WAL.

pub mod book;
mod chain;
mod checkpoint;
mod connect;
pub mod error;
mod files;
mod lifeboat;
pub mod reader;
mod recovery;
mod scribe;
mod sync;
mod writer;
