//! What goes to the provider: the caller's body as it came, but for what metering must inject.

use bytes::Bytes;
use http::{Request, Uri};

use crate::dialect::endpoint::Purpose;
use crate::dialect::inject::{self, Injection};
use crate::dialect::request::BodyKind;
use crate::gateway::error::CallError;
use crate::gateway::incoming::{Call, CallBody};
use crate::upstream::body::UpstreamBody;
use crate::upstream::headers::for_provider;

/// A body on its way.
pub(crate) struct Outgoing {
    /// The body as it is sent.
    pub body: UpstreamBody,
    /// Its bytes for the count; `None` where nothing is counted.
    pub counted: Option<Bytes>,
    /// Whether usage was asked for on our own, which the caller must not see.
    pub injected: bool,
}

impl Outgoing {
    const fn as_it_is(body: UpstreamBody, counted: Option<Bytes>) -> Self {
        Self { body, counted, injected: false }
    }
}

/// Prepares a body, and makes a chat stream report its usage where its caller did not ask.
pub(crate) fn body(call: &Call, body: CallBody) -> Outgoing {
    let whole = match body {
        CallBody::Whole(bytes) => bytes,
        CallBody::Streamed(body, _) => {
            return Outgoing::as_it_is(UpstreamBody::Streamed(body), None);
        }
    };
    if call.route.purpose != Purpose::Call {
        return Outgoing::as_it_is(UpstreamBody::pieces([whole]), None);
    }
    let facts = &call.facts;
    let injects = facts.body == BodyKind::Json
        && inject::is_needed(call.provider.dialect, call.route.endpoint, facts);
    if injects && let Ok(Injection::Spliced(splice)) = inject::include_usage(&whole) {
        let body = UpstreamBody::pieces(splice.pieces());
        return Outgoing { body, counted: Some(whole), injected: true };
    }
    Outgoing::as_it_is(UpstreamBody::pieces([whole.clone()]), Some(whole))
}

/// The request as it is sent: absolute URL, allowed headers, the key that pays.
///
/// # Errors
/// Path or key make no request.
pub(crate) fn request(call: &Call, body: UpstreamBody) -> Result<Request<UpstreamBody>, CallError> {
    let unusable = || CallError::UnusablePath { provider: call.provider.name.clone() };
    let url = format!("{}{}", call.provider.base_url, call.path_and_query);
    let uri: Uri = url.parse().map_err(|_| unusable())?;
    let key = call.key.as_ref().map(|key| (key.placement, &key.secret));
    let headers = for_provider(&call.headers, key).map_err(|_| CallError::UnusableKey)?;
    let mut request = Request::new(body);
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}
