//! The live story: a call is placed, relayed, settled and counted.

pub(crate) mod answer;
pub(crate) mod attempt;
pub(crate) mod batch;
pub(crate) mod call;
pub(crate) mod capture;
pub mod counting;
pub(crate) mod decode;
pub(crate) mod error;
pub(crate) mod exchange;
mod handover;
pub(crate) mod incoming;
pub(crate) mod later;
pub(crate) mod outgoing;
pub(crate) mod record;
pub(crate) mod relay;
pub(crate) mod running;
pub(crate) mod settle;
pub(crate) mod shared;
