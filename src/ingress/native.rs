//! The proxy's routes: native paths of every provider, and the two that say how it does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, UPGRADE};
use http::request::Parts as Head;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::access::caller::{Caller, Callers};
use crate::access::credential::{KeyHeader, Presented, presented};
use crate::dialect::endpoint::{Dialect, Route, classify, has_doubled_version};
use crate::dialect::request::RequestFacts;
use crate::gateway::call::Gateway;
use crate::gateway::error::CallError;
use crate::gateway::incoming::{Call, CallBody, PayingKey, Provider};
use crate::ingress::reply::{Refusal, failed};
use crate::ingress::{form, labels};
use crate::ledger::intent::CredentialKind;
use crate::routing::native::{self, NativePath};
use crate::routing::plan;
use crate::upstream::body::BodyError;
use crate::upstream::headers::KeyPlacement;

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Ingress {
    parts: Arc<Parts>,
}

struct Parts {
    gateway: Gateway,
    providers: HashMap<String, Arc<Provider>>,
    callers: Callers,
    body_limit: usize,
    address: String,
    why_not_ready: Box<dyn Fn() -> Option<&'static str> + Send + Sync>,
}

/// What the routes are built of.
pub(crate) struct IngressOptions {
    /// Places the calls.
    pub gateway: Gateway,
    /// Who can be called.
    pub providers: Vec<Provider>,
    /// Who may call.
    pub callers: Callers,
    /// The largest metered body, in bytes.
    pub body_limit: usize,
    /// Where clients reach us, for hints: `http://127.0.0.1:4180`.
    pub address: String,
    /// Why calls should not come here now, if so.
    pub why_not_ready: Box<dyn Fn() -> Option<&'static str> + Send + Sync>,
}

/// How long a metered body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(600);

/// How much of a refused request is read on, in bytes.
const MOST_READ_ON: usize = 256 * 1024 * 1024;
/// How long its next piece is waited for.
const READ_ON_PATIENCE: Duration = Duration::from_secs(1);

/// The routes of the proxy.
pub(crate) fn router(options: IngressOptions) -> Router {
    let named = |provider: Provider| (provider.name.as_str().to_owned(), Arc::new(provider));
    let parts = Parts {
        gateway: options.gateway,
        providers: options.providers.into_iter().map(named).collect(),
        callers: options.callers,
        body_limit: options.body_limit,
        address: options.address,
        why_not_ready: options.why_not_ready,
    };
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .fallback(call)
        .with_state(Ingress { parts: Arc::new(parts) })
}

async fn ready(State(ingress): State<Ingress>) -> Response {
    match (ingress.parts.why_not_ready)() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn call(State(ingress): State<Ingress>, request: Request<Body>) -> Response {
    let guessed = guess_dialect(request.uri().path(), request.headers());
    let waits_for_leave = request.headers().contains_key(EXPECT);
    let parts = &*ingress.parts;
    let (head, mut body) = request.into_parts();
    match parts.call(head, &mut body).await {
        Ok(reply) => reply,
        Err((dialect, refusal)) => {
            let request = parts.gateway.new_request_id();
            tracing::info!(%request, code = refusal.code, "a request was refused");
            if !waits_for_leave {
                read_on(body).await;
            }
            refusal.reply(dialect.unwrap_or(guessed), request)
        }
    }
}

/// Reads what a refused client still sends, within bounds: most clients read no answer before
/// they have sent their whole request, and one whose connection ends under its hands never sees it.
async fn read_on(mut body: Body) {
    let mut read = 0;
    while read < MOST_READ_ON {
        match tokio::time::timeout(READ_ON_PATIENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => read += frame.data_ref().map_or(0, Bytes::len),
            _ => return,
        }
    }
}

type Refused = (Option<Dialect>, Refusal);

impl Parts {
    async fn call(&self, head: Head, body: &mut Body) -> Result<Response, Refused> {
        let path = head.uri.path();
        let native = native::read(path)
            .map_err(|error| (None, refusal(400, "unusable_path", error.to_string())))?;
        let Some(provider) = self.providers.get(native.provider) else {
            return Err((None, self.unknown_path(&native)));
        };
        let dialect = provider.dialect;
        let refused = |refusal: Refusal| (Some(dialect), refusal);
        self.check_rest(provider, &native).map_err(refused)?;
        let presented = presented(&head.headers)
            .map_err(|error| refused(refusal(400, "unusable_credentials", error.to_string())))?;
        let caller = self
            .callers
            .admit(presented.as_ref())
            .map_err(|error| refused(refusal(401, "not_admitted", error.to_string())))?;
        let key = self.paying_key(provider, presented).map_err(refused)?;
        let route = classify(dialect, head.method.as_str(), native.rest);
        let metered = is_metered(&route, &head.headers);
        let (body, facts) = if metered {
            let bytes = self.collect(&head.headers, body).await.map_err(refused)?;
            let content_type = text_header(&head.headers, CONTENT_TYPE.as_str());
            let facts = RequestFacts::read(content_type, &bytes)
                .map_err(|error| refused(refusal(400, "duplicate_member", error.to_string())))?;
            (CallBody::Whole(bytes), facts)
        } else if carries_form(&route, &head.headers) {
            let (body, facts) =
                form::begin(&head.headers, std::mem::take(body)).await.map_err(refused)?;
            (body, facts)
        } else {
            (
                self.streamed(&head.method, &head.headers, std::mem::take(body)),
                RequestFacts::default(),
            )
        };
        let labels = labels::read(&native, &head.headers, facts.claimed_user.as_deref(), caller);
        let query = head.uri.query().map_or_else(String::new, |query| format!("?{query}"));
        let path_and_query = format!("{}{query}", native.rest);
        let is_web_socket = asks_for_web_socket(&head.headers);
        let call = Call {
            plan: plan::native(provider.name.clone(), facts.model.clone()),
            provider: Arc::clone(provider),
            route,
            method: head.method,
            path_and_query,
            headers: head.headers,
            key,
            caller: caller.map(|caller: &Caller| caller.name.clone()),
            capture_days: caller.and_then(|caller| caller.capture_days),
            labels,
            facts,
        };
        if is_web_socket {
            let refused = self.gateway.refuse(call, CallError::UpgradeUnsupported).await;
            return Ok(failed(dialect, &refused));
        }
        Ok(match self.gateway.place(call, body).await {
            Ok(reply) => reply.map(Body::new),
            Err(error) => {
                tracing::warn!(%error, "a call failed");
                failed(dialect, &error)
            }
        })
    }

    fn check_rest(&self, provider: &Provider, native: &NativePath<'_>) -> Result<(), Refusal> {
        let base = self.base_url(provider);
        if has_doubled_version(native.rest) {
            let message = format!(
                "the path has /v1 twice: the SDK adds it and the base URL ends in it. Use \
                 {base} as the base URL"
            );
            return Err(refusal(404, "doubled_version", message));
        }
        if native.rest.is_empty() || native.rest == "/" {
            let message = format!(
                "this is the base of {}; point the SDK's base URL at {base} and call an endpoint \
                 below it",
                provider.name
            );
            return Err(refusal(404, "no_endpoint", message));
        }
        Ok(())
    }

    /// The base URL an SDK of the provider's dialect is given: OpenAI's ends in `/v1`,
    /// Anthropic's does not.
    fn base_url(&self, provider: &Provider) -> String {
        let version = match provider.dialect {
            Dialect::OpenAi => "/v1",
            Dialect::Anthropic => "",
        };
        format!("{}/{}{version}", self.address, provider.name)
    }

    fn unknown_path(&self, native: &NativePath<'_>) -> Refusal {
        let mut bases: Vec<_> = self.providers.values().map(|each| self.base_url(each)).collect();
        bases.sort();
        let bases = bases.join(" or ");
        let message = if native.provider.is_empty() {
            format!("nothing is here; use {bases} as the base URL")
        } else {
            format!(
                "no provider has the first segment of this path as its name; use {bases} as the \
                 base URL"
            )
        };
        refusal(404, "unknown_path", message)
    }

    /// The key that pays: the provider's configured one, else the caller's own. A gateway token is
    /// never sent on.
    fn paying_key(
        &self,
        provider: &Provider,
        presented: Option<Presented>,
    ) -> Result<Option<PayingKey>, Refusal> {
        if let Some(secret) = &provider.key {
            let placement = match provider.dialect {
                Dialect::OpenAi => KeyPlacement::Bearer,
                Dialect::Anthropic => KeyPlacement::ApiKey,
            };
            let kind = kind_of(provider, secret, CredentialKind::Configured);
            return Ok(Some(PayingKey { secret: secret.clone(), placement, kind }));
        }
        if !self.callers.is_empty() {
            let message = format!(
                "this gateway has no key for {}; its operator sets providers.{}.api_key",
                provider.name, provider.name
            );
            return Err(refusal(500, "provider_key_missing", message));
        }
        Ok(presented.map(|Presented { header, secret }| {
            let placement = match header {
                KeyHeader::Bearer => KeyPlacement::Bearer,
                KeyHeader::ApiKey => KeyPlacement::ApiKey,
            };
            let kind = kind_of(provider, &secret, CredentialKind::PassedThrough);
            PayingKey { secret, placement, kind }
        }))
    }

    async fn collect(&self, headers: &HeaderMap, body: &mut Body) -> Result<Bytes, Refusal> {
        let limit = self.body_limit;
        let too_large = || {
            let mib = limit / (1024 * 1024);
            let message = format!(
                "the request body is larger than {mib} MiB, the most this gateway meters \
                 (limits.body_mib); upload large files and refer to them instead"
            );
            refusal(413, "body_too_large", message)
        };
        let said = text_header(headers, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
        if said.is_some_and(|length: usize| length > limit) {
            return Err(too_large());
        }
        let whole = Limited::new(body, limit).collect();
        match tokio::time::timeout(BODY_PATIENCE, whole).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(_) => {
                let seconds = BODY_PATIENCE.as_secs();
                let message = format!("the request body did not arrive within {seconds} s");
                Err(refusal(408, "body_too_slow", message))
            }
            Ok(Err(_)) => {
                let message = "the request body ended before its announced length".to_owned();
                Err(refusal(400, "body_cut", message))
            }
        }
    }

    fn streamed(&self, method: &Method, headers: &HeaderMap, body: Body) -> CallBody {
        let length = text_header(headers, CONTENT_LENGTH.as_str());
        let chunked = headers.contains_key("transfer-encoding");
        if length.is_none() && !chunked || method == Method::HEAD {
            return CallBody::Whole(Bytes::new());
        }
        let length = length.and_then(|text| text.parse().ok());
        CallBody::Streamed(Box::pin(body.map_err(BodyError::from)), length)
    }
}

/// Whether the body is read whole: a call that is billed by its answer, unless it uploads files.
fn is_metered(route: &Route, headers: &HeaderMap) -> bool {
    route.is_metered() && !form::is_form(headers)
}

/// A billed call that uploads files: its beginning is read, and it passes through.
fn carries_form(route: &Route, headers: &HeaderMap) -> bool {
    route.is_metered() && form::is_form(headers)
}

/// Whether the connection is to become a WebSocket. Any other protocol may be offered and is not
/// taken up, as HTTP has it: clients that would rather speak HTTP/2 send `h2c` with every call.
fn asks_for_web_socket(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    let mut protocols = offers.flat_map(|offer| offer.split(',')).map(str::trim);
    protocols.any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// A seat-paid token of Anthropic's: what passes on it is outside the bill.
fn kind_of(
    provider: &Provider,
    secret: &secrecy::SecretString,
    otherwise: CredentialKind,
) -> CredentialKind {
    use secrecy::ExposeSecret as _;
    let seat = secret.expose_secret().starts_with("sk-ant-oat");
    if seat && provider.dialect == Dialect::Anthropic {
        return CredentialKind::Subscription;
    }
    otherwise
}

/// The dialect of a caller whose path tells nothing.
fn guess_dialect(path: &str, headers: &HeaderMap) -> Dialect {
    let says_anthropic =
        headers.contains_key("anthropic-version") || headers.contains_key("x-api-key");
    if says_anthropic || path.contains("/anthropic/") || path.ends_with("/messages") {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    }
}

fn text_header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

const fn refusal(status: u16, code: &'static str, message: String) -> Refusal {
    Refusal { status, code, message }
}
