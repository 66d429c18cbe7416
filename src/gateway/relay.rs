//! An answer on its way to the client: bytes as they come, the last one after the settlement.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::dialect::endpoint::Dialect;
use crate::dialect::error::OwnError;
use crate::gateway::error::CallError;
use crate::gateway::exchange::{Exchange, Piece};
use crate::gateway::settle::End;
use crate::names::{ProviderName, RequestId};
use crate::upstream::client::AnswerBody;

/// The body of a reply.
pub(crate) enum RelayBody {
    /// Already whole and settled.
    Whole(Option<Bytes>),
    /// Passing.
    Passing(Box<Passing>),
}

/// An answer that passes while the client reads it.
pub(crate) struct Passing {
    exchange: Exchange,
    /// Read before it was known that the answer is long.
    ahead: VecDeque<Bytes>,
    /// Bytes that wait for the settlement.
    last: Option<Bytes>,
    rest: Option<AnswerBody>,
    step: Step,
    /// Bytes still to come, where that is known.
    remaining: Option<u64>,
    idle: IdleLimit,
    fault: FaultWords,
}

/// How a fault in the middle is told to a client that has already begun to read.
pub(crate) struct FaultWords {
    /// The caller's dialect.
    pub dialect: Dialect,
    /// Who answered.
    pub provider: ProviderName,
    /// Our id.
    pub request: RequestId,
    /// Whether the client reads events.
    pub stream: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Reading,
    Settling(Option<Fault>),
    After(Option<Fault>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Cut,
    Idle,
}

/// The time between two pieces, watched with one timer for the whole answer.
struct IdleLimit {
    limit: std::time::Duration,
    last: Instant,
    timer: Pin<Box<Sleep>>,
    /// Whether the client could start anew at the next byte: a blank line has just passed.
    between_events: bool,
}

/// A reply that broke in the middle: the connection is closed without its end.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer broke in the middle")]
pub(crate) struct BrokenAnswer;

impl Passing {
    /// Relays what an exchange reads, after what was read ahead of it.
    pub(crate) fn new(
        exchange: Exchange,
        ahead: VecDeque<Bytes>,
        idle: std::time::Duration,
        fault: FaultWords,
    ) -> Self {
        let remaining = exchange.reading().and_then(|(reading, body)| {
            let ahead = ahead.iter().map(Buf::remaining).sum::<usize>();
            let length = body.size_hint().exact().filter(|_| !reading.strips())?;
            length.checked_add(u64::try_from(ahead).ok()?)
        });
        let now = Instant::now();
        let idle = IdleLimit {
            limit: idle,
            last: now,
            timer: Box::pin(tokio::time::sleep_until(now + idle)),
            between_events: true,
        };
        Self {
            exchange,
            ahead,
            last: None,
            rest: None,
            step: Step::Reading,
            remaining,
            idle,
            fault,
        }
    }

    fn poll_bytes(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenAnswer>>> {
        if let Some(bytes) = self.ahead.pop_front() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        loop {
            match self.step {
                Step::Reading => match self.exchange.poll_piece(context) {
                    Poll::Ready(Piece::Bytes(bytes)) => {
                        self.idle.passed(&bytes);
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    Poll::Ready(Piece::Last(bytes, rest)) => {
                        self.last = Some(bytes).filter(|bytes| !bytes.is_empty());
                        self.rest = rest;
                        self.step = Step::Settling(None);
                    }
                    Poll::Ready(Piece::Cut) => self.step = Step::Settling(Some(Fault::Cut)),
                    Poll::Pending => {
                        ready!(self.idle.poll(context));
                        drop(self.exchange.settle(End::Timeout));
                        self.step = Step::Settling(Some(Fault::Idle));
                    }
                },
                Step::Settling(fault) => {
                    ready!(self.exchange.poll_settled(context));
                    self.step = Step::After(fault);
                }
                Step::After(fault) => return self.poll_after(fault, context),
            }
        }
    }

    /// Once the attempt is settled: the last bytes, what the provider adds, or the fault.
    fn poll_after(
        &mut self,
        fault: Option<Fault>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenAnswer>>> {
        if let Some(bytes) = self.last.take() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        if let Some(fault) = fault {
            self.step = Step::After(None);
            if !(self.fault.stream && self.idle.between_events) {
                return Poll::Ready(Some(Err(BrokenAnswer)));
            }
            return Poll::Ready(Some(Ok(self.fault.event(fault, self.idle.limit.as_secs()))));
        }
        while let Some(rest) = &mut self.rest {
            match ready!(Pin::new(rest).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                // The dialect's last word has passed; how the connection ends says nothing more.
                Some(Err(_)) | None => self.rest = None,
            }
        }
        Poll::Ready(None)
    }
}

impl Body for RelayBody {
    type Data = Bytes;
    type Error = BrokenAnswer;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenAnswer>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Passing(passing) => {
                let bytes = ready!(passing.poll_bytes(context));
                if let (Some(remaining), Some(Ok(bytes))) = (&mut passing.remaining, &bytes) {
                    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    *remaining = remaining.saturating_sub(length);
                }
                Poll::Ready(bytes.map(|bytes| bytes.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Passing(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Passing(passing) => {
                passing.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
        }
    }
}

impl FaultWords {
    fn event(&self, fault: Fault, seconds: u64) -> Bytes {
        let provider = self.provider.clone();
        let error = match fault {
            Fault::Cut => CallError::AnswerCut { provider },
            Fault::Idle => CallError::IdleTimeout { provider, seconds },
        };
        let request = self.request.to_string();
        let own = OwnError {
            status: error.status(),
            code: error.code(),
            message: &error.to_string(),
            param: None,
            request_id: Some(&request),
        };
        own.to_event(self.dialect).into()
    }
}

impl IdleLimit {
    fn passed(&mut self, bytes: &Bytes) {
        self.last = Instant::now();
        self.between_events = [b"\n\n".as_slice(), b"\r\n\r\n", b"\r\r"]
            .iter()
            .any(|blank_line| bytes.ends_with(blank_line));
    }

    /// Ready once nothing came for the whole limit.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let due = self.last + self.limit;
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
    }
}
