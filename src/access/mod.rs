//! May this caller call? Tokens and the one reader of credentials; nothing here knows a socket.

pub(crate) mod caller;
pub(crate) mod credential;
