//! The gateway from outside: real bytes in, real bytes out, and what the journal says of it.
#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on should fail loudly"
)]

mod captured;
mod client;
mod crash;
mod faulty_disk;
mod forms;
mod hang_ups;
mod house;
mod journal_away;
mod json_calls;
mod later;
mod low_disk;
mod process;
#[path = "../support/recorded.rs"]
mod recorded;
mod recorded_traffic;
mod refusals;
mod smuggling;
mod streams;
mod upstream;
