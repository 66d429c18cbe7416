//! The story after the fact: post, import, close.

pub mod backup;
pub mod close;
pub mod import;
pub mod post;
pub mod retention;
pub mod verify;
