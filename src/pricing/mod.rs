//! What it costs: a dated price table, matching by name and instant, and exact rating.

pub mod charge;
pub mod load;
pub mod name_match;
pub mod price;
pub mod problem;
pub mod rate;
pub mod rows;
pub mod schema;
pub mod select;
pub mod table;
pub mod version;
