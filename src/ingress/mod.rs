//! A client's request arrives: who is calling, what is asked, and the reply in the caller's dialect.

pub mod form;
mod framing;
pub mod labels;
pub mod listener;
pub mod native;
pub mod reply;
