//! Everything after the fact, by the command line and by the library: exports imported whole or not
//! at all, months explained, keys tied, and what bad input, crashes and full disks leave behind.
#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on should fail loudly, one that compares nothing should say so"
)]

#[path = "bookkeeping/calls.rs"]
mod calls;
#[path = "bookkeeping/exports.rs"]
mod exports;
#[path = "bookkeeping/hostile.rs"]
mod hostile;
#[path = "bookkeeping/house.rs"]
mod house;
#[path = "bookkeeping/interrupted.rs"]
mod interrupted;
#[path = "bookkeeping/many.rs"]
mod many;
#[path = "bookkeeping/misuse.rs"]
mod misuse;
#[path = "bookkeeping/months.rs"]
mod months;
#[path = "bookkeeping/packings.rs"]
mod packings;
#[path = "bookkeeping/replaced.rs"]
mod replaced;
#[path = "bookkeeping/spans.rs"]
mod spans;
#[path = "bookkeeping/ties.rs"]
mod ties;
