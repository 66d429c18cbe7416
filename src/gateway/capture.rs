//! Capture: a copy of what passes for a caller that is set to it, handed over off the call's way.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::names::{AttemptId, RequestId};
use crate::period::Timestamp;
use crate::store::captured::{CapturedCall, CapturedSide};

/// What is kept of each side of a call, in bytes.
pub(crate) const LARGEST_SIDE: usize = 256 * 1024;

/// Calls that may wait to be written: 32 MiB at most.
const QUEUE: usize = 64;

/// Hands captured calls to whoever writes them. Never waits.
#[derive(Debug)]
pub(crate) struct CaptureQueue {
    sender: mpsc::Sender<CapturedCall>,
    skipped: AtomicU64,
}

/// The copy of one attempt.
#[derive(Debug)]
pub(crate) struct Capture {
    request: RequestId,
    caller: String,
    days: u32,
    asked: CapturedSide,
    answer: CapturedSide,
}

impl CaptureQueue {
    /// A queue, and its other end.
    pub(crate) fn new() -> (Self, mpsc::Receiver<CapturedCall>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self { sender, skipped: AtomicU64::new(0) }, receiver)
    }

    /// Hands one over. Where the queue is full its content is not kept, and that is counted and
    /// said; the record of the call is another matter and complete.
    pub(crate) fn hand_over(&self, call: CapturedCall) {
        if call.asked.bytes == 0 && call.answer.bytes == 0 {
            return;
        }
        if let Err(error) = self.sender.try_send(call) {
            let skipped = self.skipped.fetch_add(1, Ordering::Relaxed) + 1;
            let why = match error {
                mpsc::error::TrySendError::Full(_) => "too many wait to be written",
                mpsc::error::TrySendError::Closed(_) => "nobody writes it any more",
            };
            tracing::warn!(skipped, why, "content of a call was not captured");
        }
    }
}

impl Capture {
    /// A copy for a caller that is set to it, beginning with what it asked, where that was read.
    pub(crate) fn begin(
        request: RequestId,
        caller: &str,
        days: u32,
        asked: Option<&Bytes>,
    ) -> Self {
        let mut capture = Self {
            request,
            caller: caller.to_owned(),
            days,
            asked: CapturedSide::default(),
            answer: CapturedSide::default(),
        };
        if let Some(asked) = asked {
            add(&mut capture.asked, asked);
        }
        capture
    }

    /// More of the answer.
    pub(crate) fn answered(&mut self, bytes: &[u8]) {
        add(&mut self.answer, bytes);
    }

    /// The whole copy, once the attempt is settled.
    pub(crate) fn end(self, attempt: AttemptId, at: Timestamp) -> CapturedCall {
        let Self { request, caller, days, asked, answer } = self;
        CapturedCall { attempt, request, caller, days, captured_at: at, asked, answer }
    }
}

fn add(side: &mut CapturedSide, bytes: &[u8]) {
    let room = LARGEST_SIDE.saturating_sub(side.beginning.len());
    side.beginning.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    side.bytes = side.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ASKED: Bytes = Bytes::from_static(b"{}");

    fn begun(asked: Option<&Bytes>) -> Capture {
        Capture::begin(RequestId::from_uuid(Uuid::from_u128(2)), "app", 30, asked)
    }

    fn ended(capture: Capture) -> CapturedCall {
        capture.end(AttemptId::from_uuid(Uuid::from_u128(1)), Timestamp::from_micros(0))
    }

    #[test]
    fn of_each_side_only_the_beginning_is_kept_and_its_whole_length() {
        let asked = Bytes::from(vec![b'a'; LARGEST_SIDE + 5]);
        let mut capture = begun(Some(&asked));
        for _ in 0..5 {
            capture.answered(&[b'b'; 100_000]);
        }
        let call = ended(capture);
        assert_eq!((call.asked.beginning.len(), call.asked.bytes), (LARGEST_SIDE, 262_149));
        assert_eq!((call.answer.beginning.len(), call.answer.bytes), (LARGEST_SIDE, 500_000));
    }

    #[test]
    fn a_full_queue_skips_the_content_and_counts_it() {
        let (queue, receiver) = CaptureQueue::new();
        for _ in 0..QUEUE + 3 {
            queue.hand_over(ended(begun(Some(&ASKED))));
        }
        assert_eq!((queue.skipped.load(Ordering::Relaxed), receiver.len()), (3, QUEUE));
        drop(receiver);
        queue.hand_over(ended(begun(Some(&ASKED))));
        assert_eq!(queue.skipped.load(Ordering::Relaxed), 4);
        queue.hand_over(ended(begun(None)));
        assert_eq!(queue.skipped.load(Ordering::Relaxed), 4, "nothing to keep");
    }
}
