//! The record, against real files: durability, order, recovery, posting, proof.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should fail loudly"
)]

mod append_only;
mod crash;
mod disk;
mod house;
mod interrupted;
mod lifeboat;
mod posting;
mod proof;
mod recovery;
mod samples;
mod sums;
