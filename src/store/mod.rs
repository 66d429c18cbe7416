//! The books, and captured content beside them: the only door to either database.

pub mod accounts;
pub mod attempt_sets;
pub mod billed;
pub mod books;
pub mod captured;
pub mod error;
pub mod facts;
pub mod imports;
pub mod later;
pub mod months;
pub mod overview;
pub mod posting;
pub mod prices;
pub mod projection;
pub mod read;
pub mod reports;
pub mod request;
pub mod requests;
pub mod rollups;
mod rows;
mod states;
pub mod verify;
