//! The story after the fact: post, import, close.

pub mod close;
pub mod import;
pub mod backup;
pub mod post;
pub mod retention;
pub mod verify;
