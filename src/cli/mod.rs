//! What a person can type: one file per command.

pub mod prices;
pub mod rate;
