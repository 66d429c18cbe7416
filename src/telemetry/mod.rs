//! What a running gateway says of itself: its log, its clock, the room on its disk.

pub mod clock_jump;
pub mod free_space;
pub mod log;
