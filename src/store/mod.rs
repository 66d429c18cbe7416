//! The books: the only door to their database.

pub mod accounts;
pub mod books;
pub mod error;
pub mod months;
pub mod overview;
pub mod posting;
pub mod prices;
pub mod read;
pub mod requests;
pub mod imports;
pub mod rollups;
mod rows;
mod states;
