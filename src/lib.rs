//! Counterfoil keeps the stub of every request to an LLM provider, and lays the stubs against the
//! provider's bill. `ARCHITECTURE.md` is the map of this house.

pub mod access;
pub mod bookkeeping;
pub mod cli;
pub mod config;
pub mod dashboard;
pub mod dialect;
pub mod digest;
pub mod failpoint;
pub mod gateway;
pub mod ingress;
pub mod invoice;
pub mod journal;
pub mod ledger;
pub mod meter;
pub mod metering;
pub mod money;
pub mod names;
pub mod period;
pub mod pricing;
pub mod reconcile;
pub mod routing;
pub mod sandbox;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod usage;
