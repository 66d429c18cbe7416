//! A form with files: what its beginning tells is read, and the whole passes through as it comes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use crate::dialect::form_watch::FormWatch;
use crate::dialect::multipart::boundary;
use crate::dialect::request::RequestFacts;
use crate::gateway::incoming::CallBody;
use crate::ingress::reply::Refusal;
use crate::upstream::body::BodyError;

/// How much of a form is looked at. SDKs send the short fields before the file or right after a
/// small one; behind a large file the model is known from the answer, or not at all.
const BEGINNING: usize = 64 * 1024;

/// How long the beginning may take; a slower form goes on with what has come.
const PATIENCE: Duration = Duration::from_secs(5);

/// New bytes that are worth another look, so that a body in tiny pieces is no work for nothing.
const WORTH_A_LOOK: usize = 1_024;

/// Frames read ahead, then the rest as it comes.
struct Resumed {
    ahead: VecDeque<Frame<Bytes>>,
    rest: Body,
    watch: Option<FormWatch>,
}

/// Whether the body is a form that may hold files.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    content_type(headers).trim_start().to_ascii_lowercase().starts_with("multipart/")
}

/// Reads the beginning of a form; the body that is handed on is byte for byte the caller's.
///
/// # Errors
/// The body ended before its announced length, or has a field twice that may stand once. Where the
/// second one comes later the body that is handed on breaks there.
pub(crate) async fn begin(
    headers: &HeaderMap,
    mut body: Body,
) -> Result<(CallBody, RequestFacts), Refusal> {
    let media = content_type(headers);
    let read =
        |beginning: &[u8]| RequestFacts::read_beginning(media, beginning).unwrap_or_default();
    let deadline = Instant::now() + PATIENCE;
    let mut ahead = VecDeque::new();
    let mut beginning = Vec::new();
    let mut facts = RequestFacts::default();
    let mut looked_at = 0;
    let mut watch = boundary(media).map(|boundary| FormWatch::new(&boundary));
    while beginning.len() < BEGINNING && facts.model.is_none() {
        let Ok(next) = timeout_at(deadline, body.frame()).await else { break };
        let Some(frame) = next else { break };
        let frame = frame.map_err(|_| Refusal {
            status: 400,
            code: "body_cut",
            message: "the request body ended before its announced length".to_owned(),
        })?;
        if let Some(bytes) = frame.data_ref() {
            if let Some(watch) = &mut watch {
                watch.feed(bytes).map_err(|error| Refusal {
                    status: 400,
                    code: "duplicate_member",
                    message: error.to_string(),
                })?;
            }
            let room = BEGINNING - beginning.len();
            beginning.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            if beginning.len() >= looked_at + WORTH_A_LOOK {
                looked_at = beginning.len();
                facts = read(&beginning);
            }
        }
        ahead.push_back(frame);
    }
    if looked_at < beginning.len() {
        facts = read(&beginning);
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = Resumed { ahead, rest: body, watch };
    Ok((CallBody::Streamed(Box::pin(body), length), facts))
}

impl http_body::Body for Resumed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(frame) = this.ahead.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        let next = ready!(Pin::new(&mut this.rest).poll_frame(context));
        if let (Some(Ok(frame)), Some(watch)) = (&next, &mut this.watch)
            && let Some(bytes) = frame.data_ref()
        {
            watch.feed(bytes)?;
        }
        Poll::Ready(next.map(|frame| frame.map_err(BodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead.iter().filter_map(Frame::data_ref).map(Bytes::len).sum::<usize>();
        let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint.set_lower(rest.lower().saturating_add(ahead));
        hint
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
