//! A client's request arrives: who is calling, what is asked, and the reply in the caller's dialect.

pub mod labels;
pub mod native;
pub mod reply;
