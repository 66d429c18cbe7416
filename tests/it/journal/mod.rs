//! The record, against real files: durability, order, recovery, posting, proof.

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
