//! The gateway from outside: real bytes in, real bytes out, and what the journal says of it.

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
mod recorded_traffic;
mod refusals;
mod smuggling;
mod streams;
mod upstream;
