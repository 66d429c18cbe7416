//! Where each request on a connection begins and ends, read strictly before hyper reads it.
//!
//! Hyper settles on one reading of a request that bears both a length and chunks, two lengths, or
//! lines without their carriage return. Another server before us may settle on another, and what
//! one takes for a body the other takes for a request. Such a request is spoiled at the first byte
//! that is wrong, so that hyper refuses it and closes; what stands behind it is never read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The largest head of a request, in bytes.
pub(super) const LARGEST_HEAD: usize = 64 * 1024;

/// No line of a chunk's size or of a trailer is longer than this.
const LONGEST_LINE: usize = 4 * 1024;

/// What hyper is given in place of the rest: no head, no trailer and no chunk may hold a zero
/// byte, and the blank line makes it look.
const SPOILT: &[u8] = b"\0\r\n\r\n";

/// A connection whose bytes are framed strictly.
#[derive(Debug)]
pub(super) struct Framed<S> {
    stream: S,
    framing: Framing,
}

/// How far the bytes of a connection have been read.
#[derive(Debug, Default)]
struct Framing {
    place: Place,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Bytes of the last step into the head.
    part: usize,
    head: Head,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// In the lines of a head.
    #[default]
    Head,
    /// In a body, or a chunk, with so many bytes to come.
    Body(u64),
    ChunkSize,
    Chunk(u64),
    /// Behind a chunk's bytes.
    ChunkEnd,
    Trailers,
    /// Something was wrong; so much of [`SPOILT`] was given.
    Wrong(usize),
}

/// What the head under way has said.
#[derive(Debug, Default)]
struct Head {
    bytes: usize,
    has_line: bool,
    length: Option<u64>,
    chunked: bool,
}

/// Something two parsers could read differently, or that is no HTTP.
#[derive(Debug)]
struct Wrong;

impl<S> Framed<S> {
    /// Frames what comes in on this.
    pub(super) fn new(stream: S) -> Self {
        Self { stream, framing: Framing::default() }
    }
}

impl Framing {
    /// Reads on; how many of the bytes hyper may see. All of them, unless something is wrong.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let step = match self.place {
                Place::Body(left) => Ok(self.skip(left, rest, Place::Head, Place::Body)),
                Place::Chunk(left) => Ok(self.skip(left, rest, Place::ChunkEnd, Place::Chunk)),
                Place::Wrong(_) => return at,
                _ => self.line(rest),
            };
            match step {
                Ok(step) => at += step,
                Err(Wrong) if self.head.bytes > LARGEST_HEAD => {
                    // Up to the limit: hyper then knows that it was reached, and says so.
                    self.place = Place::Wrong(SPOILT.len());
                    let before = self.head.bytes - self.part;
                    return at + LARGEST_HEAD.saturating_sub(before);
                }
                Err(Wrong) => {
                    self.place = Place::Wrong(0);
                    return at;
                }
            }
        }
        at
    }

    fn skip(&mut self, left: u64, rest: &[u8], then: Place, going: fn(u64) -> Place) -> usize {
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let left = left.saturating_sub(u64::try_from(step).unwrap_or(u64::MAX));
        self.place = if left == 0 { then } else { going(left) };
        step
    }

    /// Takes the next line, or what there is of it.
    fn line(&mut self, rest: &[u8]) -> Result<usize, Wrong> {
        let end = memchr(b'\n', rest).map(|at| at + 1);
        let step = end.unwrap_or(rest.len());
        let part = rest.get(..step).unwrap_or_default();
        if self.place == Place::Head {
            self.part = step;
            self.head.bytes += step;
            if self.head.bytes > LARGEST_HEAD {
                return Err(Wrong);
            }
        } else if self.line.len() + step > LONGEST_LINE {
            return Err(Wrong);
        }
        if end.is_none() {
            self.line.extend_from_slice(part);
            return Ok(step);
        }
        let mut begun = std::mem::take(&mut self.line);
        let whole = if begun.is_empty() {
            part
        } else {
            begun.extend_from_slice(part);
            &begun
        };
        // RFC 9112, 2.2 lets a recipient read a bare line feed as an end, and does not make it.
        let line = whole.strip_suffix(b"\r\n").ok_or(Wrong)?;
        self.place = self.after(line)?;
        Ok(step)
    }

    /// Where a whole line leads.
    fn after(&mut self, line: &[u8]) -> Result<Place, Wrong> {
        match self.place {
            Place::Head => {
                if !line.is_empty() {
                    self.head.read(line)?;
                    return Ok(Place::Head);
                }
                // Blank lines before a request are no end of it.
                if !self.head.has_line {
                    return Ok(Place::Head);
                }
                match std::mem::take(&mut self.head) {
                    Head { chunked: true, length: None, .. } => Ok(Place::ChunkSize),
                    Head { chunked: true, .. } => Err(Wrong),
                    Head { length: Some(length @ 1..), .. } => Ok(Place::Body(length)),
                    Head { .. } => Ok(Place::Head),
                }
            }
            Place::ChunkSize => match chunk_size(line)? {
                0 => Ok(Place::Trailers),
                size => Ok(Place::Chunk(size)),
            },
            Place::ChunkEnd if line.is_empty() => Ok(Place::ChunkSize),
            Place::Trailers if line.is_empty() => Ok(Place::Head),
            Place::Trailers => Ok(Place::Trailers),
            _ => Err(Wrong),
        }
    }
}

impl Head {
    /// Notes what a line says of the body's end.
    fn read(&mut self, line: &[u8]) -> Result<(), Wrong> {
        if !std::mem::replace(&mut self.has_line, true) {
            return Ok(());
        }
        let colon = memchr(b':', line).ok_or(Wrong)?;
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = decimal(value).filter(|_| self.length.is_none()).ok_or(Wrong)?;
            self.length = Some(length);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Wrong);
            }
            self.chunked = true;
        }
        Ok(())
    }
}

/// Digits and nothing else: no sign, no list, no second number.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// A chunk's size; what extensions follow it is of no meaning to anybody here.
fn chunk_size(line: &[u8]) -> Result<u64, Wrong> {
    let end = memchr(b';', line).unwrap_or(line.len());
    let digits = line.get(..end).unwrap_or_default().trim_ascii_end();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Wrong);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Wrong)?;
    u64::from_str_radix(digits, 16).map_err(|_| Wrong)
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, framing } = self.get_mut();
        if !matches!(framing.place, Place::Wrong(_)) {
            let before = buffer.filled().len();
            ready!(Pin::new(stream).poll_read(context, buffer))?;
            let came = buffer.filled().get(before..).unwrap_or_default();
            let passed = framing.pass(came);
            buffer.set_filled(before + passed);
        }
        if let Place::Wrong(given) = &mut framing.place {
            let left = SPOILT.get(*given..).unwrap_or_default();
            let part = left.get(..left.len().min(buffer.remaining())).unwrap_or_default();
            buffer.put_slice(part);
            *given += part.len();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    const CHUNKS: &str = "POST /b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
        5;x=\"y\"\r\na\nb\r\n\r\nA \r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n";

    /// What hyper is given of these bytes, however they are cut.
    fn given(bytes: &[u8], cuts: usize) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut out = Vec::new();
        let mut framed = Framed::new(io::Cursor::new(bytes.to_vec()));
        runtime.block_on(async {
            let mut piece = vec![0; cuts.max(1)];
            loop {
                let length = framed.read(&mut piece).await.unwrap();
                if length == 0 {
                    break;
                }
                out.extend_from_slice(&piece[..length]);
            }
        });
        out
    }

    fn passes(text: &str) {
        for cuts in [1, 2, 3, 7, 1 << 20] {
            assert_eq!(given(text.as_bytes(), cuts), text.as_bytes(), "{text:?} by {cuts}");
        }
    }

    fn is_spoilt(text: &str) {
        for cuts in [1, 2, 3, 7, 1 << 20] {
            let given = given(text.as_bytes(), cuts);
            assert!(given.ends_with(SPOILT), "{text:?} by {cuts}: {given:?}");
        }
    }

    #[test]
    fn requests_one_after_another_pass_whatever_their_bodies_hold() {
        let plain = "POST /a HTTP/1.1\r\nContent-Length: 8\r\n\r\n\n\n\r\n\r\n\0\0";
        passes(plain);
        passes(&format!("{plain}\r\n\r\n{CHUNKS}GET / HTTP/1.1\r\n\r\n{plain}"));
        passes("GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_spoilt() {
        let post = "POST /a HTTP/1.1\r\n";
        for fields in [
            "content-length: 1\r\ncontent-length: 1\r\n",
            "content-length: 1, 1\r\n",
            "content-length: +1\r\n",
            "content-length:\r\n",
            "content-length: 1\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 1\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: identity\r\n",
            "x-a: 1\n",
            "no colon\r\n",
        ] {
            is_spoilt(&format!("{post}{fields}\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"));
        }
        is_spoilt("GET / HTTP/1.1\n\n");
        is_spoilt("\nGET / HTTP/1.1\r\n\r\n");
        let chunked = format!("{post}transfer-encoding: chunked\r\n\r\n");
        for body in
            ["x\r\n", "1\nx\r\n", "2\r\nabc\r\n", "1;a\nb\r\n", "\r\n", "-1\r\n", "0\r\nx\n"]
        {
            is_spoilt(&format!("{chunked}{body}"));
        }
    }

    #[test]
    fn a_head_of_the_largest_size_passes_and_one_of_a_byte_more_has_no_end() {
        let head = |size: usize| {
            let start = "GET / HTTP/1.1\r\nx-a: ";
            format!("{start}{}\r\n\r\n", "a".repeat(size - start.len() - 4))
        };
        passes(&head(LARGEST_HEAD));
        let large = head(LARGEST_HEAD + 1);
        for cuts in [1, 2, 3, 7, 1 << 20] {
            let given = given(large.as_bytes(), cuts);
            assert_eq!(given, &large.as_bytes()[..LARGEST_HEAD], "by {cuts}");
        }
    }

    proptest! {
        #[test]
        fn what_hyper_is_given_is_a_beginning_of_what_came_and_is_spoilt_however_it_is_cut(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("POST /a HTTP/1.1\r\n"), Just("\r\n"), Just("\n"), Just("x: y\r\n"),
                    Just("content-length: 3\r\n"), Just("transfer-encoding: chunked\r\n"),
                    Just("3\r\n"), Just("abc"), Just("0\r\n"), Just("\r"), Just("é"),
                ],
                0..14,
            ),
            cuts in 1..9_usize,
        ) {
            let text = pieces.concat();
            let (whole, cut) = (given(text.as_bytes(), 1 << 20), given(text.as_bytes(), cuts));
            prop_assert_eq!(whole.ends_with(SPOILT), cut.ends_with(SPOILT));
            for given in [whole, cut] {
                let passed = given.strip_suffix(SPOILT).unwrap_or(&given);
                prop_assert!(text.as_bytes().starts_with(passed));
            }
        }
    }
}
