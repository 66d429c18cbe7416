//! Who may speak to the pages: hosts on the allow-list, writers of the same origin; and the headers
//! every answer carries.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Host names, without port, the pages answer to besides loopback.
pub(crate) type AllowedHosts = Arc<[String]>;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'";

/// Lets a request through, or says why not; then sets the headers.
pub(crate) async fn guard(
    State(hosts): State<AllowedHosts>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match refuse(request.method(), request.headers(), &hosts) {
        Some(reason) => (StatusCode::FORBIDDEN, reason).into_response(),
        None => next.run(request).await,
    };
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Why a request may not pass, if it may not.
///
/// A foreign `Host` is a name rebound to our address: it may not even read. A write must prove that
/// it comes from our own page; a browser says so in `Sec-Fetch-Site` or `Origin`, a script can.
fn refuse(method: &Method, headers: &HeaderMap, hosts: &[String]) -> Option<&'static str> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text(&header::HOST) else { return Some("The Host header is missing.\n") };
    if !is_allowed(host, hosts) {
        return Some(
            "This host name is not one the dashboard answers to. Open it by its loopback address, \
             or add the name to the allowed hosts.\n",
        );
    }
    if method == Method::GET || method == Method::HEAD {
        return None;
    }
    let same_origin = match text(&HeaderName::from_static("sec-fetch-site")) {
        Some(site) => site == "same-origin",
        None => text(&header::ORIGIN).is_some_and(|origin| {
            origin.split_once("://").is_some_and(|(_, named)| named.eq_ignore_ascii_case(host))
        }),
    };
    if same_origin {
        return None;
    }
    Some(
        "Changes are taken only from the dashboard's own pages: send an Origin header that names \
          this host.\n",
    )
}

fn is_allowed(host: &str, hosts: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    ["127.0.0.1", "localhost", "::1"].contains(&name)
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(method: Method, pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        refuse(&method, &headers, &["books.example".to_owned()]).is_none()
    }

    #[test]
    fn a_rebound_host_name_reads_nothing() {
        assert!(judged(Method::GET, &[("host", "127.0.0.1:4181")]));
        assert!(judged(Method::GET, &[("host", "[::1]:4181")]));
        assert!(judged(Method::GET, &[("host", "books.example")]));
        assert!(!judged(Method::GET, &[("host", "evil.example:4181")]));
        assert!(!judged(Method::GET, &[]));
    }

    #[test]
    fn a_write_from_another_page_is_refused() {
        let host = ("host", "127.0.0.1:4181");
        assert!(judged(Method::POST, &[host, ("sec-fetch-site", "same-origin")]));
        assert!(judged(Method::POST, &[host, ("origin", "http://127.0.0.1:4181")]));
        assert!(!judged(Method::POST, &[host, ("origin", "http://127.0.0.1:9999")]));
        assert!(!judged(Method::POST, &[host, ("origin", "null")]));
        assert!(!judged(Method::POST, &[host, ("sec-fetch-site", "cross-site")]));
        assert!(!judged(
            Method::POST,
            &[host, ("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:4181")]
        ));
        assert!(!judged(Method::POST, &[host]));
    }
}
