//! The one place where an error of ours becomes an HTTP reply, in the caller's own dialect.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use crate::dialect::endpoint::Dialect;
use crate::dialect::error::OwnError;
use crate::gateway::call::{ATTEMPTS, REQUEST_ID};
use crate::gateway::error::FailedCall;
use crate::names::RequestId;

/// An error that is answered before a call was placed.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// A stable short name.
    pub code: &'static str,
    /// What happened and what to do.
    pub message: String,
}

impl Refusal {
    /// In this dialect. Nothing was sent and nothing is on record; the id is in the log.
    pub(crate) fn reply(&self, dialect: Dialect, request: RequestId) -> Response {
        let request = request.to_string();
        let error = OwnError {
            status: self.status,
            code: self.code,
            message: &self.message,
            param: None,
            request_id: Some(&request),
        };
        let mut reply = json(self.status, error.to_json(dialect));
        put_request_id(&mut reply, &request);
        reply.headers_mut().insert(ATTEMPTS, HeaderValue::from_static("0"));
        reply
    }
}

/// A call that failed, in this dialect.
pub(crate) fn failed(dialect: Dialect, failed: &FailedCall) -> Response {
    let request = failed.request.to_string();
    let status = failed.error.status();
    let message = failed.error.to_string();
    let error = OwnError {
        status,
        code: failed.error.code(),
        message: &message,
        param: None,
        request_id: Some(&request),
    };
    let mut reply = json(status, error.to_json(dialect));
    put_request_id(&mut reply, &request);
    let headers = reply.headers_mut();
    headers.insert(ATTEMPTS, HeaderValue::from(failed.attempts));
    if let Some(seconds) = failed.error.retry_after_s() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}

fn put_request_id(reply: &mut Response, request: &str) {
    if let Ok(value) = HeaderValue::try_from(request) {
        reply.headers_mut().insert(REQUEST_ID, value);
    }
}

fn json(status: u16, body: String) -> Response {
    let mut reply = Response::new(Body::from(body));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}
