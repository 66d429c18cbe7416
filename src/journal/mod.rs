//! The durable local book of original entry: group commit, recovery, and what is not yet posted.
//!
//! An entry is *committed* when a kill of the process cannot take it back, and *synced* when a
//! power cut cannot. Records have one write connection, used by one at a time: the journal's thread,
//! or a lone call on its own. One thread syncs the WAL and one folds it into the database. What
//! writes calls SQLite itself: an asynchronous layer between would be one more thread to cross.

pub mod book;
mod chain;
mod checkpoint;
mod command;
mod connect;
mod desk;
pub mod error;
mod files;
mod inbox;
mod lifeboat;
mod open_attempts;
pub mod reader;
mod recovery;
mod scribe;
mod spill;
mod sync;
mod writer;
