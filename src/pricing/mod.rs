//! What it costs: dated prices, matching by name and instant, and rating.

pub mod charge;
