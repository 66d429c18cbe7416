//! Ours against theirs: matched cell by cell, bridged step by step, every cent named or left open.

pub mod aliases;
pub mod bill;
pub mod bridge;
pub mod causes;
pub mod coverage;
pub mod drill;
pub mod engine;
pub mod exact;
pub mod facts;
pub mod finding;
pub mod grain;
pub mod invariants;
pub mod matching;
pub mod owners;
pub mod quick_hash;
pub mod rates;
pub mod report;
pub mod slots;
pub mod stubs;
pub mod ties;
pub mod verdict;
pub mod worksheet;
