//! What it costs: a dated price table, matching by name and instant, and exact rating.

pub mod charge;
pub(crate) mod load;
pub(crate) mod name_match;
pub(crate) mod price;
pub(crate) mod problem;
pub mod rate;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod select;
pub mod table;
pub(crate) mod version;
