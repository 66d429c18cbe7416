//! What the pages are handed.

use std::sync::Arc;

use crate::dashboard::drops::Drops;
use crate::names::Clock;
use crate::pricing::table::PriceTable;
use crate::store::books::Books;

/// Everything a page may use.
#[derive(Clone, Debug)]
pub struct DashboardState {
    /// The books.
    pub books: Books,
    /// What time it is.
    pub clock: Clock,
    /// Where clients send their requests, such as `http://127.0.0.1:4180`; without a slash at the
    /// end.
    pub proxy_base_url: String,
    /// A line above every page.
    pub banner: Option<String>,
    /// Host names besides loopback the pages answer to, without port.
    pub allowed_hosts: Vec<String>,
    /// The prices a month is compared with, and the price page shows.
    pub prices: Arc<PriceTable>,
    /// Key under which personal columns of exports are hashed before storage.
    pub personal_key: Vec<u8>,
    /// Uploads between preview and import.
    pub drops: Drops,
}
