//! One file per family of causes; each tests its own hypothesis and books only what it can show.

pub mod alias;
pub mod class;
pub mod discount;
pub mod lines;
pub mod population;
pub mod price;
pub mod quantity;
pub mod repeats;
pub mod stale_discount;
pub mod timing;
pub mod unbilled;
