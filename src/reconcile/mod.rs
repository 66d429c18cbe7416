//! Ours against theirs: matched cell by cell, bridged step by step, every cent named or left open.

pub(crate) mod aliases;
pub(crate) mod bill;
pub(crate) mod bridge;
pub(crate) mod causes;
pub(crate) mod coverage;
pub(crate) mod drill;
pub mod engine;
pub(crate) mod exact;
pub mod facts;
pub mod finding;
pub(crate) mod grain;
pub(crate) mod invariants;
pub(crate) mod matching;
pub(crate) mod owners;
pub(crate) mod quick_hash;
pub(crate) mod rates;
pub mod report;
pub(crate) mod sentences;
pub(crate) mod slots;
pub(crate) mod stubs;
pub(crate) mod ties;
pub mod verdict;
pub(crate) mod words;
pub(crate) mod worksheet;
pub(crate) mod write_up;
