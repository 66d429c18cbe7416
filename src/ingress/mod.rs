//! A client's request arrives: who is calling, what is asked, and the reply in the caller's dialect.

pub(crate) mod form;
mod framing;
pub(crate) mod labels;
pub(crate) mod listener;
pub(crate) mod native;
pub(crate) mod reply;
