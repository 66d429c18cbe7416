//! Where a call goes, and where next. Pure: no socket, no clock.

pub mod native;
pub mod plan;
