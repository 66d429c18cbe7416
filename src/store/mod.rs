//! The books, and captured content beside them: the only door to either database.

pub mod accounts;
pub(crate) mod attempt_sets;
pub(crate) mod billed;
pub mod books;
pub mod captured;
pub mod error;
pub mod facts;
pub mod imports;
pub(crate) mod later;
pub(crate) mod months;
pub mod overview;
pub mod posting;
pub(crate) mod prices;
pub mod projection;
pub mod read;
pub mod reports;
pub mod request;
pub(crate) mod requests;
pub mod rollups;
mod rows;
mod states;
pub(crate) mod verify;
