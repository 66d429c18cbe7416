//! Counterfoil keeps the stub of every request to an LLM provider, and lays the stubs against the
//! provider's bill. `ARCHITECTURE.md` is the map of this house.

pub mod bookkeeping;
pub mod dashboard;
pub mod invoice;
pub mod journal;
pub mod ledger;
pub mod meter;
pub mod money;
pub mod names;
pub mod period;
pub mod pricing;
pub mod reconcile;
pub mod store;
pub mod usage;
