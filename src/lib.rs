//! Counterfoil keeps the stub of every request to an LLM provider, and lays the stubs against the
//! provider's bill. `ARCHITECTURE.md` is the map of this house.

mod access;
pub mod bookkeeping;
pub mod cli;
pub mod config;
pub mod dashboard;
pub mod dialect;
mod digest;
pub mod failpoint;
pub mod gateway;
mod ingress;
pub mod invoice;
pub mod journal;
pub mod ledger;
pub mod meter;
pub mod metering;
pub mod money;
pub mod names;
mod owner_only;
pub mod period;
pub mod pricing;
pub mod reconcile;
mod routing;
mod sandbox;
pub mod serve;
pub mod store;
mod telemetry;
mod upstream;
pub mod usage;
