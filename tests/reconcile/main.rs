//! The reconciliation, from outside: worked examples, planted months, simulations, properties.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail loudly")]

mod case;
mod coarse_bills;
mod planted_month;
mod properties;
mod report;
mod simulator;
mod worked_examples;
