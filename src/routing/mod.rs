//! Where a call goes, and where next. Pure: no socket, no clock.

pub(crate) mod native;
pub(crate) mod plan;
