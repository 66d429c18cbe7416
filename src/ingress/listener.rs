//! A listener: accepts connections, bounds what a head may be, and lets calls finish at the end.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::ingress::framing::{Framed, LARGEST_HEAD};

/// How long a connection may sit without a request. Longer than SDKs keep theirs.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Accepts until told to stop, then lets open connections finish their request.
pub(crate) async fn listen(
    listener: TcpListener,
    routes: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let each = stopped.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, routes.clone(), each.clone()));
                }
                Err(error) => {
                    // Out of descriptors, or a client gone before it was accepted.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = told_to_stop(&mut stopped) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, routes: Router, mut stopped: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was not set");
    }
    let routes = routes.map_request(|request: Request<Incoming>| request);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(LARGEST_HEAD)
        .max_header_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(Framed::new(stream)), TowerToHyperService::new(routes));
    let mut served = pin!(served);
    tokio::select! {
        // A client that goes away is no event; its call settles when it is dropped.
        _ = served.as_mut() => return,
        () = told_to_stop(&mut stopped) => served.as_mut().graceful_shutdown(),
    }
    drop(served.await);
}

/// Resolves when the gateway is to end, or is gone.
pub(crate) async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|stop| *stop).await);
}
