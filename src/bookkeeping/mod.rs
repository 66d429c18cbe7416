//! The story after the fact: post, import, close.

pub mod import;
pub mod post;
