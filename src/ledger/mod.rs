//! What is written down: one attempt's intent, settlement, count and correction.

pub mod count;
pub mod entry;
pub mod gap;
pub mod intent;
pub mod orphan;
pub mod settlement;
