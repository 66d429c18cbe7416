//! The live story: a call is placed, relayed, settled and counted.

pub mod answer;
pub mod attempt;
pub mod batch;
pub mod call;
pub mod capture;
pub mod counting;
pub mod decode;
pub mod error;
pub mod exchange;
mod handover;
pub mod incoming;
pub mod later;
pub mod outgoing;
pub mod record;
pub mod relay;
pub mod running;
pub mod settle;
pub mod shared;
