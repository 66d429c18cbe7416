//! The story of one call: intent, send, headers back, and the answer on its way.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{HeaderName, HeaderValue, Method, Response};

use crate::failpoint::{self, Failpoint};
use crate::gateway::answer::Reading;
use crate::gateway::attempt::Attempt;
use crate::gateway::capture::Capture;
use crate::gateway::error::{CallError, FailedCall};
use crate::gateway::exchange::{Exchange, Piece};
use crate::gateway::incoming::{Call, CallBody};
use crate::gateway::outgoing::{self, Outgoing};
use crate::gateway::record::Tracked;
use crate::gateway::relay::{FaultWords, Passing, RelayBody};
use crate::gateway::settle::{End, Measured, Placed};
use crate::gateway::shared::Shared;
use crate::ledger::entry::Entry;
use crate::ledger::intent::{Credential, Intent};
use crate::names::{AttemptId, ProviderName, RequestId, new_id};
use crate::upstream::client::SendError;
use crate::upstream::fingerprint::hint;
use crate::upstream::headers::for_caller;

/// Places calls.
#[derive(Clone)]
pub(crate) struct Gateway {
    shared: Arc<Shared>,
}

/// A JSON answer up to this size is sent once it is settled, with its cost in a header.
const COSTED_REPLY: usize = 1024 * 1024;

/// The reply header that bears our id of the request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-counterfoil-request-id");
/// The reply header that says how many attempts were sent.
pub(crate) const ATTEMPTS: HeaderName = HeaderName::from_static("x-counterfoil-attempts");
const COST: HeaderName = HeaderName::from_static("x-counterfoil-cost");

impl Gateway {
    /// A gateway of these parts.
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What its calls share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// An id for a request that comes in now.
    pub(crate) fn new_request_id(&self) -> RequestId {
        RequestId::from_uuid(new_id(self.shared.clock.now()))
    }

    /// Places a call and returns the reply once the provider has answered.
    ///
    /// # Errors
    /// No answer of a provider can be passed on; every attempt that was sent is settled.
    pub(crate) async fn place(
        &self,
        call: Call,
        body: CallBody,
    ) -> Result<Response<RelayBody>, FailedCall> {
        let request = self.new_request_id();
        let mut attempts = 0;
        let placed = self.attempt(request, &call, body, &mut attempts).await;
        placed.map_err(|error| FailedCall { request, attempts, error })
    }

    /// Records a call that is answered here and not sent, such as an upgrade.
    pub(crate) async fn refuse(&self, call: Call, error: CallError) -> FailedCall {
        let request = self.new_request_id();
        let intent = self.intent(request, &call, 0);
        let attempt = self.new_attempt(&intent, &call, false, None);
        let mut exchange = Exchange::begin(Arc::clone(&self.shared), attempt);
        match self.shared.recorder.intent(&Entry::Intent(Box::new(intent))).await {
            Ok(tracked) => {
                exchange.recorded(tracked);
                exchange.settle_and_wait(End::Unsent).await;
            }
            Err(_) => exchange.forget(),
        }
        FailedCall { request, attempts: 0, error }
    }

    async fn attempt(
        &self,
        request: RequestId,
        call: &Call,
        body: CallBody,
        attempts: &mut u32,
    ) -> Result<Response<RelayBody>, CallError> {
        let shared = &self.shared;
        let length = body.length();
        let Outgoing { body, counted, injected } = outgoing::body(call, body);
        let outgoing = outgoing::request(call, body)?;
        let intent = self.intent(request, call, length);
        let attempt = self.new_attempt(&intent, call, injected, counted);
        failpoint::pass(Failpoint::BeforeIntent);
        let mut exchange = Exchange::begin(Arc::clone(shared), attempt);
        let entry = Entry::Intent(Box::new(intent));
        let tracked = match shared.recorder.intent(&entry).await {
            Ok(tracked) => tracked,
            Err(_) => {
                exchange.forget();
                return Err(CallError::JournalUnavailable);
            }
        };
        failpoint::pass(Failpoint::AfterIntent);
        *attempts += 1;
        exchange.recorded(tracked);
        exchange.sent(shared.client.send(outgoing));
        let synced = async {
            // The request goes out first; the sync has the time the provider thinks.
            tokio::task::yield_now().await;
            shared.recorder.synced(tracked).await
        };
        let head = self.head(&mut exchange, &call.provider.name);
        let (parts, synced) = tokio::join!(head, synced);
        let parts = parts?;
        failpoint::pass(Failpoint::AfterHeaders);
        if synced.is_err() {
            return Err(CallError::JournalUnavailable);
        }
        self.reply(request, exchange, parts, call).await
    }

    /// Waits for status and headers; where they do not come, the attempt is settled.
    async fn head(
        &self,
        exchange: &mut Exchange,
        provider: &ProviderName,
    ) -> Result<Parts, CallError> {
        let limit = self.shared.limits.headers;
        let head = tokio::time::timeout(limit, poll_fn(|context| exchange.poll_head(context)));
        let provider = provider.clone();
        let (end, error) = match head.await {
            Ok(Ok(parts)) => return Ok(parts),
            Ok(Err(SendError::Unreachable(cause))) => {
                (End::Unreachable, CallError::Unreachable { provider, cause })
            }
            Ok(Err(SendError::Broken(cause))) => (End::Cut, CallError::Broken { provider, cause }),
            Err(_) => {
                let seconds = limit.as_secs();
                (End::Timeout, CallError::HeadersTimeout { provider, seconds })
            }
        };
        exchange.settle_and_wait(end).await;
        Err(error)
    }

    /// The reply: whole and with its cost where the answer is a short JSON body, else passing.
    async fn reply(
        &self,
        request: RequestId,
        mut exchange: Exchange,
        parts: Parts,
        call: &Call,
    ) -> Result<Response<RelayBody>, CallError> {
        let mut headers = for_caller(&parts.headers);
        headers.insert(ATTEMPTS, HeaderValue::from_static("1"));
        if let Ok(value) = HeaderValue::try_from(request.to_string()) {
            headers.insert(REQUEST_ID, value);
        }
        if call.method == Method::HEAD
            && let Some(length) = parts.headers.get(CONTENT_LENGTH)
        {
            // That of the body a GET would have; there is none here to tell it by.
            headers.insert(CONTENT_LENGTH, length.clone());
        }
        let provider = call.provider.name.clone();
        let body = if call.method == Method::HEAD || exchange.is_read() {
            exchange.settle_and_wait(End::Whole).await;
            RelayBody::Whole(None)
        } else {
            let collected = if is_short(&exchange) {
                self.collect(&mut exchange, &provider).await?
            } else {
                Collected::Long(VecDeque::new())
            };
            match collected {
                Collected::Whole(bytes, cost) => {
                    let cost = cost.and_then(|cost| HeaderValue::try_from(cost).ok());
                    if let Some(cost) = cost {
                        headers.insert(COST, cost);
                    }
                    RelayBody::Whole(Some(bytes))
                }
                Collected::Long(ahead) => {
                    let stream = exchange.reading().is_some_and(|(reading, _)| reading.is_stream());
                    let dialect = call.provider.dialect;
                    let fault = FaultWords { dialect, provider, request, stream };
                    let idle = self.shared.limits.idle;
                    RelayBody::Passing(Box::new(Passing::new(exchange, ahead, idle, fault)))
                }
            }
        };
        let mut reply = Response::new(body);
        *reply.status_mut() = parts.status;
        *reply.headers_mut() = headers;
        Ok(reply)
    }

    async fn collect(
        &self,
        exchange: &mut Exchange,
        provider: &ProviderName,
    ) -> Result<Collected, CallError> {
        let idle = self.shared.limits.idle;
        let mut pieces = VecDeque::new();
        let mut length = 0;
        loop {
            let piece = poll_fn(|context| exchange.poll_piece(context));
            let piece = match tokio::time::timeout(idle, piece).await {
                Ok(piece) => piece,
                Err(_) => {
                    exchange.settle_and_wait(End::Timeout).await;
                    let seconds = idle.as_secs();
                    return Err(CallError::IdleTimeout { provider: provider.clone(), seconds });
                }
            };
            match piece {
                Piece::Bytes(bytes) => {
                    length += bytes.len();
                    pieces.push_back(bytes);
                    if length > COSTED_REPLY {
                        return Ok(Collected::Long(pieces));
                    }
                }
                Piece::Last(bytes, _) => {
                    if !bytes.is_empty() {
                        pieces.push_back(bytes);
                    }
                    exchange.settled().await;
                    return Ok(Collected::Whole(one(pieces), exchange.cost()));
                }
                Piece::Cut => {
                    exchange.settled().await;
                    return Err(CallError::AnswerCut { provider: provider.clone() });
                }
            }
        }
    }

    fn new_attempt(
        &self,
        intent: &Intent,
        call: &Call,
        injected: bool,
        request: Option<Bytes>,
    ) -> Box<Attempt> {
        Box::new(Attempt {
            placed: Placed::of(intent, call.route.clone()),
            capture: capture(call, intent.request, request.as_ref()),
            facts: call.facts.clone(),
            dialect: call.provider.dialect,
            injected,
            request,
            // Until the journal has said so: a caller that leaves meanwhile leaves an intent.
            tracked: Tracked::As(0),
            sent: Instant::now(),
            measured: Measured::default(),
        })
    }

    fn intent(&self, request: RequestId, call: &Call, request_bytes: u64) -> Intent {
        let started_at = self.shared.clock.now();
        let credential = call.key.as_ref().map(|key| Credential {
            id: self.shared.fingerprinter.fingerprint(&key.secret),
            hint: hint(&key.secret),
            kind: key.kind,
        });
        let path = call.path_and_query.split('?').next().unwrap_or_default();
        Intent {
            attempt: AttemptId::from_uuid(new_id(started_at)),
            request,
            ordinal: 1,
            started_at,
            provider: call.plan.first.provider.clone(),
            endpoint: call.route.endpoint,
            method: call.method.to_string(),
            path: path.to_owned(),
            model_requested: call.plan.first.model.clone(),
            stream: call.facts.stream,
            credential,
            caller: call.caller.clone(),
            labels: call.labels.clone(),
            max_output: call.facts.max_output_tokens,
            request_bytes,
            price_version: self.shared.prices.load().version().to_owned(),
            reservation: None,
        }
    }
}

/// The copy of a metered call, where its caller is set to it.
fn capture(call: &Call, request: RequestId, asked: Option<&Bytes>) -> Option<Box<Capture>> {
    let days = call.capture_days?;
    let caller = call.caller.as_deref()?;
    call.route.is_metered().then(|| Box::new(Capture::begin(request, caller, days, asked)))
}

enum Collected {
    Whole(Bytes, Option<String>),
    Long(VecDeque<Bytes>),
}

/// A JSON body that is short, or may be.
fn is_short(exchange: &Exchange) -> bool {
    let limit = u64::try_from(COSTED_REPLY).unwrap_or(u64::MAX);
    exchange.reading().is_some_and(|(reading, body)| {
        let length = http_body::Body::size_hint(body).exact();
        matches!(reading, Reading::Reply(_)) && length.is_none_or(|length| length <= limit)
    })
}

fn one(mut pieces: VecDeque<Bytes>) -> Bytes {
    match (pieces.pop_front(), pieces.is_empty()) {
        (None, _) => Bytes::new(),
        (Some(only), true) => only,
        (Some(first), false) => {
            let mut all = first.to_vec();
            pieces.iter().for_each(|piece| all.extend_from_slice(piece));
            all.into()
        }
    }
}
