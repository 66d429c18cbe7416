//! The reconciliation, from outside: worked examples, planted months, simulations, properties.

mod case;
mod coarse_bills;
mod gaps;
mod planted_month;
mod properties;
mod report;
mod said;
mod scope_ties;
mod simulator;
mod unseen_fees;
mod worked_examples;
