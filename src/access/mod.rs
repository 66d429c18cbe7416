//! May this caller call? Tokens and the one reader of credentials; nothing here knows a socket.

pub mod caller;
pub mod credential;
