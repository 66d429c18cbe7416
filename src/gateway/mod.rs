//! The live story: a call is placed, relayed, settled and counted.

pub mod counting;
