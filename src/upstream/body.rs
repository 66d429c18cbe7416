//! A request body on its way to a provider: bytes held, or a stream passed through.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

/// Any failure of a caller's body.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body passed through as it comes, unlimited and unbuffered.
pub(crate) type StreamedBody = Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send>>;

/// What is sent.
pub(crate) enum UpstreamBody {
    /// Pieces sent one after another; their sum is the content length.
    Pieces(VecDeque<Bytes>),
    /// Passed through as the caller sends it.
    Streamed(StreamedBody),
}

impl UpstreamBody {
    /// Pieces in order; empty ones are left out.
    pub(crate) fn pieces(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self::Pieces(pieces.into_iter().filter(|piece| !piece.is_empty()).collect())
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Pieces(pieces) => Poll::Ready(pieces.pop_front().map(Frame::data).map(Ok)),
            Self::Streamed(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Pieces(pieces) => pieces.is_empty(),
            Self::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Pieces(pieces) => {
                let length = pieces.iter().map(Buf::remaining).sum::<usize>();
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Streamed(body) => body.size_hint(),
        }
    }
}
