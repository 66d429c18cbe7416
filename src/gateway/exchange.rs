//! One attempt from its intent to its settlement. Whoever drops it early, it settles all the same.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::response::Parts;
use http_body::Body as _;

use crate::dialect::endpoint::Purpose;
use crate::failpoint::{self, Failpoint};
use crate::gateway::answer::{Asked, Reading};
use crate::gateway::attempt::{Attempt, Closed, close};
use crate::gateway::record::Tracked;
use crate::gateway::running::InFlight;
use crate::gateway::settle::End;
use crate::gateway::shared::Shared;
use crate::upstream::client::{AnswerBody, PendingAnswer, SendError};
use crate::upstream::headers::answer_facts;

/// An attempt under way.
pub(crate) struct Exchange {
    shared: Arc<Shared>,
    state: State,
    /// What it cost, once settled and where every meter was priced.
    cost: Option<String>,
    /// Already reading on without a client; dropped again, it settles with what it has.
    drained: bool,
    _running: InFlight,
}

enum State {
    Intending(Box<Attempt>),
    Waiting(Box<Attempt>, PendingAnswer),
    Reading(Box<Attempt>, AnswerBody, Reading),
    Committing(Commit),
    Committed,
    Settled,
}

type Commit = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What reading an answer gave.
pub(crate) enum Piece {
    /// Bytes for the client.
    Bytes(Bytes),
    /// The answer is whole and its settlement under way; these are its last bytes. Where the
    /// provider's connection is still open, what it may yet send goes on too.
    Last(Bytes, Option<AnswerBody>),
    /// The answer broke; its settlement is under way.
    Cut,
}

impl Exchange {
    /// An attempt whose intent is about to be committed.
    pub(crate) fn begin(shared: Arc<Shared>, attempt: Box<Attempt>) -> Self {
        let running = shared.running.begin();
        let state = State::Intending(attempt);
        Self { shared, state, cost: None, drained: false, _running: running }
    }

    /// Its intent is where this says.
    pub(crate) fn recorded(&mut self, at: Tracked) {
        if let State::Intending(attempt) = &mut self.state {
            attempt.tracked = at;
        }
    }

    /// Sends it.
    pub(crate) fn sent(&mut self, answer: PendingAnswer) {
        if let State::Intending(mut attempt) = std::mem::replace(&mut self.state, State::Settled) {
            attempt.sent = Instant::now();
            self.state = State::Waiting(attempt, answer);
        }
    }

    /// It is not sent after all, and has no intent.
    pub(crate) fn forget(&mut self) {
        self.state = State::Settled;
    }

    /// Waits for the provider's status and headers.
    pub(crate) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Parts, SendError>> {
        let State::Waiting(attempt, pending) = &mut self.state else {
            return Poll::Pending;
        };
        let polled = Pin::new(pending).poll(context);
        if polled.is_pending() {
            failpoint::pass(Failpoint::AfterSend);
        }
        let answer = ready!(polled)?;
        let (parts, body) = answer.into_parts();
        attempt.measured.status = Some(parts.status.as_u16());
        attempt.measured.head = answer_facts(&parts.headers);
        let asked = Asked {
            dialect: attempt.dialect,
            route: &attempt.placed.route,
            injected: attempt.injected,
            stream: attempt.facts.stream,
        };
        let reading = Reading::choose(asked, parts.status.as_u16(), &parts.headers);
        if let State::Waiting(attempt, _) = std::mem::replace(&mut self.state, State::Settled) {
            self.state = State::Reading(attempt, body, reading);
        }
        Poll::Ready(Ok(parts))
    }

    /// How the answer is read, and how long it says it is.
    pub(crate) fn reading(&self) -> Option<(&Reading, &AnswerBody)> {
        match &self.state {
            State::Reading(_, body, reading) => Some((reading, body)),
            _ => None,
        }
    }

    /// Whether the answer has no body, or none that is left.
    pub(crate) fn is_read(&self) -> bool {
        self.reading().is_none_or(|(_, body)| body.is_end_stream())
    }

    /// Reads on. After [`Piece::Last`] or [`Piece::Cut`] await [`Self::settled`].
    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        loop {
            let State::Reading(attempt, body, reading) = &mut self.state else {
                return Poll::Ready(Piece::Last(Bytes::new(), None));
            };
            let frame = ready!(Pin::new(&mut *body).poll_frame(context));
            let Some(frame) = frame else {
                let held = reading.held_back();
                self.settle(End::Whole);
                return Poll::Ready(Piece::Last(held, None));
            };
            let Ok(frame) = frame else {
                self.settle(End::Cut);
                return Poll::Ready(Piece::Cut);
            };
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            let first = attempt.measured.first_byte.is_none();
            attempt.take(&bytes);
            let out = reading.feed(bytes);
            failpoint::pass(if first { Failpoint::FirstByte } else { Failpoint::InAnswer });
            let ended = body.is_end_stream();
            if ended || reading.saw_end() {
                let out = join(out, reading.held_back());
                let rest = self.settle(End::Whole);
                return Poll::Ready(Piece::Last(out, rest.filter(|_| !ended)));
            }
            if !out.is_empty() {
                return Poll::Ready(Piece::Bytes(out));
            }
        }
    }

    /// Ready once the settlement is committed.
    pub(crate) fn poll_settled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Committing(commit) => ready!(commit.as_mut().poll(context)),
            State::Committed => {}
            _ => return Poll::Ready(()),
        }
        self.state = State::Settled;
        failpoint::pass(Failpoint::BeforeLastByte);
        Poll::Ready(())
    }

    /// Waits until the settlement is committed.
    pub(crate) async fn settled(&mut self) {
        poll_fn(|context| self.poll_settled(context)).await;
    }

    /// Settles with what is there, and waits until that is committed.
    pub(crate) async fn settle_and_wait(&mut self, end: End) {
        drop(self.settle(end));
        self.settled().await;
    }

    /// Settles with what is there, and hands out what is left of the answer's body.
    /// The settlement is on its way to the journal when this returns.
    pub(crate) fn settle(&mut self, end: End) -> Option<AnswerBody> {
        failpoint::pass(Failpoint::AfterUsage);
        let (attempt, body, reading) = match std::mem::replace(&mut self.state, State::Settled) {
            State::Intending(attempt) | State::Waiting(attempt, _) => (attempt, None, None),
            State::Reading(attempt, body, reading) => (attempt, Some(body), Some(reading)),
            other => {
                self.state = other;
                return None;
            }
        };
        let Closed { cost, entries, counting } = close(&self.shared, *attempt, reading, end);
        let shared = Arc::clone(&self.shared);
        let mut commit: Commit = Box::pin(async move {
            for entry in &entries {
                shared.recorder.settle(entry).await;
            }
        });
        failpoint::pass(Failpoint::BeforeCommit);
        // Polled once here, so that it is in the journal or in its queue, whatever happens to its
        // waiter.
        let mut nobody = Context::from_waker(std::task::Waker::noop());
        self.state = match commit.as_mut().poll(&mut nobody) {
            Poll::Ready(()) => State::Committed,
            Poll::Pending => State::Committing(commit),
        };
        // Not before: the counting threads would compete with those that write the settlement.
        if let Some(job) = counting {
            self.shared.count(job);
        }
        self.cost = cost;
        body
    }

    /// What it cost in decimal text, once it is settled and where every meter was priced.
    pub(crate) fn cost(&mut self) -> Option<String> {
        self.cost.take()
    }

    /// Reads on without a client until the end or the cap, and settles.
    async fn drain(mut self) {
        self.drained = true;
        let cap = self.shared.limits.drain;
        let read = tokio::time::timeout(cap, async {
            if matches!(self.state, State::Waiting(..)) {
                let head = poll_fn(|context| self.poll_head(context)).await;
                if head.is_err() {
                    return End::Cut;
                }
            }
            poll_fn(|context| self.poll_drained(context)).await
        });
        let end = read.await.unwrap_or(End::Abandoned);
        self.settle_and_wait(end).await;
    }

    fn poll_drained(&mut self, context: &mut Context<'_>) -> Poll<End> {
        loop {
            let State::Reading(attempt, body, reading) = &mut self.state else {
                return Poll::Ready(End::Drained);
            };
            if !reading.is_drained() {
                return Poll::Ready(End::Abandoned);
            }
            match ready!(Pin::new(&mut *body).poll_frame(context)) {
                None => return Poll::Ready(End::Drained),
                Some(Err(_)) => return Poll::Ready(End::Cut),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        attempt.take(&bytes);
                        drop(reading.feed(bytes));
                    }
                }
            }
        }
    }

    /// Whether what the provider does goes on costing money that only its answer tells of.
    fn is_worth_draining(&self) -> bool {
        match &self.state {
            State::Waiting(attempt, _) => {
                let streamed = attempt.facts.stream && !attempt.facts.background;
                let route = &attempt.placed.route;
                // The answer to an order names the job by which the results will find it.
                route.is_metered() && !streamed || route.purpose == Purpose::BatchOrder
            }
            State::Reading(_, body, reading) => reading.is_drained() && !body.is_end_stream(),
            _ => false,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Settled);
        if matches!(state, State::Committed | State::Settled) {
            return;
        }
        // The runtime may drop what is spawned here when it ends; then there is no third chance.
        let again = self.drained;
        let shared = Arc::clone(&self.shared);
        let _in_runtime = shared.runtime.enter();
        let running = shared.running.begin();
        let mut onward = Self {
            shared: Arc::clone(&shared),
            state,
            cost: None,
            drained: true,
            _running: running,
        };
        if !again && onward.is_worth_draining() {
            shared.runtime.spawn(onward.drain());
            return;
        }
        match &onward.state {
            State::Committing(_) | State::Committed | State::Settled => {}
            State::Intending(_) => drop(onward.settle(End::Unsent)),
            State::Reading(_, body, _) if body.is_end_stream() => {
                drop(onward.settle(End::Drained));
            }
            State::Reading(..) | State::Waiting(..) => drop(onward.settle(End::Abandoned)),
        }
        if again {
            // It is in the journal or in its queue already.
            onward.state = State::Settled;
        } else {
            shared.runtime.spawn(async move {
                onward.settled().await;
            });
        }
    }
}

/// Two pieces as one; a copy only where both hold something.
fn join(first: Bytes, second: Bytes) -> Bytes {
    if second.is_empty() {
        return first;
    }
    if first.is_empty() {
        return second;
    }
    [first, second].concat().into()
}
