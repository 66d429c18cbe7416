//! Everything that is tested against the library as a whole, in one binary, room by room in the
//! order of the story: a call passes, is metered, priced and written down; a bill is read and
//! imported; the two are explained; a person looks at it.
//!
//! `cargo test --test it reconcile::` runs one room. What several rooms need stands beside this file.
#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on should fail loudly, one that compares nothing should say so"
)]

mod wire;

mod metering;
mod pricing;

mod journal;

mod bookkeeping;
mod invoices;
mod reconcile;

mod pages;

mod calls;
mod invoice_files;
mod recorded;
mod small_disk;
