//! The commands: one file each.

pub mod backup;
pub mod verify;
