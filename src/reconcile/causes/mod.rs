//! One file per family of causes; each tests its own hypothesis and books only what it can show.

pub(crate) mod alias;
pub(crate) mod class;
pub(crate) mod discount;
pub(crate) mod lines;
pub(crate) mod population;
pub(crate) mod price;
pub(crate) mod quantity;
pub(crate) mod repeats;
pub(crate) mod series;
pub(crate) mod stale_discount;
pub(crate) mod timing;
pub(crate) mod unbilled;
