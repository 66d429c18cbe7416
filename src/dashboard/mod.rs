//! What a person sees: one file per page, same name as its template.

pub(crate) mod accounts;
pub(crate) mod assets;
pub(crate) mod attempt_row;
pub(crate) mod behind;
pub(crate) mod beside;
pub(crate) mod chart;
pub(crate) mod claim;
pub(crate) mod closing;
pub(crate) mod compare;
pub mod drops;
pub(crate) mod estimate;
pub(crate) mod format;
pub(crate) mod guard;
pub(crate) mod invoices;
pub(crate) mod months;
pub(crate) mod one_month;
pub(crate) mod opening;
pub(crate) mod overview;
pub(crate) mod overview_lines;
pub(crate) mod page;
pub(crate) mod price_list;
pub(crate) mod prices;
pub(crate) mod reconcile;
pub(crate) mod report;
pub(crate) mod report_empty;
pub(crate) mod report_parts;
pub(crate) mod request;
pub(crate) mod request_usage;
pub(crate) mod requests;
pub(crate) mod spend;
pub mod state;
pub(crate) mod ties;
pub(crate) mod upload;
pub(crate) mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::dashboard::guard::AllowedHosts;
use crate::dashboard::state::DashboardState;

/// Every page over this state, behind the guard.
pub fn router(state: DashboardState) -> Router {
    let hosts: AllowedHosts = state.allowed_hosts.clone().into();
    Router::new()
        .route("/", get(overview::show))
        .route("/overview.json", get(overview::show))
        .route("/overview.csv", get(overview::show))
        .route("/requests", get(requests::show))
        .route("/requests.json", get(requests::show))
        .route("/requests.csv", get(requests::show))
        .route("/requests/{id}", get(request::show))
        .route("/invoices", get(invoices::show))
        .route("/invoices.json", get(invoices::show))
        .route("/invoices.csv", get(invoices::show))
        .route("/invoices/preview", post(upload::upload))
        .route("/invoices/import", post(upload::import_upload))
        .route("/invoices/withdraw", post(invoices::withdraw))
        .route("/accounts", get(accounts::show))
        .route("/accounts.json", get(accounts::show))
        .route("/accounts.csv", get(accounts::show))
        .route("/accounts/remark", post(accounts::remark))
        .route("/accounts/tie", post(ties::tie))
        .route("/prices", get(prices::show))
        .route("/prices.json", get(prices::show))
        .route("/prices.csv", get(prices::show))
        .route("/reconcile", get(reconcile::show))
        .route("/reconcile.json", get(reconcile::show))
        .route("/reconcile.csv", get(reconcile::show))
        .route("/reconcile/{provider}/{period}", get(report::show))
        .route("/reconcile/{provider}/{period}/compare", post(compare::compare))
        .route("/reconcile/{provider}/{period}/requests", get(behind::show))
        .route("/reconcile/{provider}/{period}/close", post(closing::close))
        .route("/reconcile/{provider}/{period}/claim", get(claim::show))
        .route("/assets/{name}", get(assets::asset))
        .fallback(overview::nothing_here)
        .layer(DefaultBodyLimit::max(drops::UPLOAD_LIMIT))
        .layer(from_fn_with_state(hosts, guard::guard))
        .with_state(Arc::new(state))
}
