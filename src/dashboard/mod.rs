//! What a person sees: one file per page, same name as its template.

pub mod accounts;
pub mod assets;
pub mod attempt_row;
pub mod behind;
pub mod beside;
pub mod chart;
pub mod claim;
pub mod closing;
pub mod compare;
pub mod drops;
pub mod format;
pub mod guard;
pub mod invoices;
pub mod months;
pub mod opening;
pub mod overview;
pub mod overview_lines;
pub mod page;
pub mod price_list;
pub mod prices;
pub mod reconcile;
pub mod report;
pub mod report_empty;
pub mod report_parts;
pub mod request;
pub mod request_usage;
pub mod requests;
pub mod spend;
pub mod state;
pub mod ties;
pub mod upload;
pub mod view;

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
