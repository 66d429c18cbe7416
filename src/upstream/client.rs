//! The HTTP client of the hot path: one pool for all providers, TLS by rustls.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::upstream::body::UpstreamBody;

/// Sends attempts. Cheap to share: it is built once.
#[derive(Clone)]
pub(crate) struct UpstreamClient {
    client: Client<HttpsConnector<HttpConnector>, UpstreamBody>,
}

/// Why an attempt had no answer. Never says a header or a body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// No connection: name, port, TLS.
    #[error("no connection to the provider: {0}")]
    Unreachable(String),
    /// The connection broke before an answer.
    #[error("the connection broke before the provider answered: {0}")]
    Broken(String),
}

/// The answer's body as the provider sends it.
pub(crate) type AnswerBody = Incoming;

/// An attempt that was sent and is not answered yet.
pub(crate) struct PendingAnswer(ResponseFuture);

/// Why the client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct ClientError(#[from] rustls::Error);

impl std::fmt::Debug for UpstreamClient {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("UpstreamClient(..)")
    }
}

impl UpstreamClient {
    /// Builds the pool. `connect` bounds the TCP connection, not the answer.
    ///
    /// # Errors
    /// The TLS library refuses its own settings.
    pub(crate) fn new(connect: Duration) -> Result<Self, ClientError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect));
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        let provider = rustls::crypto::ring::default_provider();
        let https = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(Arc::new(provider))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            // Below the keep-alive of the providers, so that a pooled connection is a live one.
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(1024)
            .pool_timer(TokioTimer::new())
            .retry_canceled_requests(true)
            .set_host(true)
            .build(https);
        Ok(Self { client })
    }

    /// Sends one attempt. The request's URI is absolute.
    pub(crate) fn send(&self, request: Request<UpstreamBody>) -> PendingAnswer {
        PendingAnswer(self.client.request(request))
    }
}

impl Future for PendingAnswer {
    type Output = Result<Response<AnswerBody>, SendError>;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let inner = std::pin::Pin::new(&mut self.get_mut().0);
        inner.poll(context).map_err(|error| described(&error))
    }
}

fn described(error: &hyper_util::client::legacy::Error) -> SendError {
    // The innermost cause is the one a person can act on.
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_connect() {
        SendError::Unreachable(cause.to_string())
    } else {
        SendError::Broken(cause.to_string())
    }
}
