//! The simulated provider: it serves both dialects, counts by its own counters and bills from them.
//!
//! It shares no code with metering, pricing or the books, so that what it reports and bills is
//! evidence against them.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::sandbox::provider::Sandbox;

pub(crate) mod answer;
pub(crate) mod anthropic;
pub(crate) mod bill;
pub(crate) mod book;
pub(crate) mod call;
pub(crate) mod faults;
pub(crate) mod month;
pub(crate) mod openai;
pub(crate) mod provider;
pub(crate) mod rates;
pub(crate) mod script;
pub(crate) mod words;

/// Both dialects at one address: OpenAI's paths and Anthropic's.
pub(crate) fn router(sandbox: Arc<Sandbox>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(openai::chat))
        .route("/v1/responses", post(openai::responses))
        .route("/v1/embeddings", post(openai::embeddings))
        .route("/v1/models", get(openai::models))
        .route("/v1/messages", post(anthropic::messages))
        .route("/v1/messages/count_tokens", post(anthropic::count_tokens))
        .fallback(openai::no_such_path)
        .with_state(sandbox)
}
