//! The books: the only door to their database.

pub mod books;
pub mod error;
pub mod imports;
pub mod posting;
pub mod rollups;
mod rows;
mod states;
