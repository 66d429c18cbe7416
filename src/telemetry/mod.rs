//! What a running gateway says of itself: its log, its clock, the room on its disk.

pub(crate) mod clock_jump;
pub(crate) mod free_space;
pub(crate) mod log;
