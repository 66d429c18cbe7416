//! Bytes into UTF-8, in a stream: byte order marks, UTF-16, and Windows-1252 only where it is safe.

use std::io::{self, Read};

use csv::{ByteRecord, StringRecord};
use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::invoice::refusal::Refusal;

/// How a file's text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextEncoding {
    /// UTF-8 (ASCII included) or a single-byte encoding; the records tell them apart.
    Bytes,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
}

/// Which text the bytes of a file's records are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Letters {
    /// Nothing but ASCII so far, which every encoding shares.
    #[default]
    Ascii,
    /// UTF-8.
    Utf8,
    /// Not UTF-8, and nothing before said it was: read as Windows-1252, which is said.
    Windows1252,
}

/// The line that follows the last line of a file. A parser that sees it as a record of its own
/// has closed every quote; one that finds it inside a field has not.
pub(crate) const END_MARK: &str = "\u{1e}end of export\u{1e}";
/// Bytes a record may have: an unclosed quote must not gather the rest of the file in memory.
pub(crate) const RECORD_LIMIT: u64 = 1 << 20;

const CHUNK: usize = 1 << 16;

/// The text of a file without byte order mark and out of UTF-16, followed by [`END_MARK`] on a line
/// of its own. Other bytes pass through as they are, straight into the parser's buffer.
pub(crate) struct TextStream<R> {
    source: R,
    decoder: Option<Decoder>,
    /// UTF-16 read and not yet decoded (an unfinished character), and the bytes before it.
    raw: Vec<u8>,
    raw_position: u64,
    /// Text at hand and not yet handed out, from `handed` on.
    text: Vec<u8>,
    handed: usize,
    seen_line_feed: bool,
    last_byte: u8,
    missing_line_end: bool,
    /// Bytes handed out in all, and since the last record ended.
    given: u64,
    given_since_record: u64,
    /// Where the end mark begins, once the source has ended.
    content_length: Option<u64>,
}

impl<R: Read> TextStream<R> {
    /// Looks at the first bytes for the encoding.
    ///
    /// # Errors
    /// A [`Refusal`] for UTF-32 and for what the source raises.
    pub(crate) fn open(mut source: R) -> Result<Self, Refusal> {
        let mut raw = Vec::with_capacity(CHUNK);
        source.by_ref().take(CHUNK as u64).read_to_end(&mut raw).map_err(Refusal::from_io)?;
        let (encoding, mark) = detect(&raw)?;
        raw.drain(..mark);
        let decoder = match encoding {
            TextEncoding::Utf16Le => Some(UTF_16LE.new_decoder_without_bom_handling()),
            TextEncoding::Utf16Be => Some(UTF_16BE.new_decoder_without_bom_handling()),
            TextEncoding::Bytes => None,
        };
        let text = if decoder.is_none() { std::mem::take(&mut raw) } else { Vec::new() };
        let mut stream = Self {
            source,
            decoder,
            raw,
            raw_position: mark as u64,
            text,
            handed: 0,
            seen_line_feed: false,
            last_byte: b'\n',
            missing_line_end: false,
            given: 0,
            given_since_record: 0,
            content_length: None,
        };
        if stream.decoder.is_some() {
            stream.decode_utf16(false)?;
        }
        Ok(stream)
    }

    /// The text at hand from the current position: at least `wanted` bytes unless it ends before.
    ///
    /// # Errors
    /// What the source or the encoding raises.
    pub(crate) fn peek(&mut self, wanted: usize) -> Result<&[u8], Refusal> {
        while self.text.len() - self.handed < wanted {
            let before = self.text.len();
            self.refill()?;
            if self.text.len() == before {
                break;
            }
        }
        Ok(self.text.get(self.handed..).unwrap_or_default())
    }

    /// Passes over text that was peeked at.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.handed = (self.handed + bytes).min(self.text.len());
    }

    /// Says that a record was completed.
    pub(crate) fn record_ended(&mut self) {
        self.given_since_record = 0;
    }

    /// Reads on, so that the end is known where it comes next.
    ///
    /// # Errors
    /// What the source or the encoding raises.
    pub(crate) fn look_ahead(&mut self) -> Result<(), Refusal> {
        if self.content_length.is_none() && self.handed == self.text.len() {
            self.refill()?;
            if self.text.is_empty() && self.decoder.is_none() {
                self.end();
            }
        }
        Ok(())
    }

    /// Whether a parser that has read up to `position` has read everything, the end mark included.
    pub(crate) fn is_past_end(&self, position: u64) -> bool {
        self.content_length.is_some_and(|length| position > length)
    }

    /// Whether a parser that has read up to `position` has read the last record; it may not have
    /// taken the second byte of a `\r\n` yet.
    pub(crate) fn is_last_record(&self, position: u64) -> bool {
        self.content_length.is_some_and(|length| position + 1 >= length)
    }

    /// Whether the last line of the file has no line end. Known at the end.
    pub(crate) fn missing_line_end(&self) -> bool {
        self.missing_line_end
    }

    /// Whether a line feed was met: without one, lines cannot be counted by it.
    pub(crate) fn seen_line_feed(&self) -> bool {
        self.seen_line_feed
    }

    /// Gets one more chunk behind the text that was not handed out yet; nothing at the end.
    fn refill(&mut self) -> Result<(), Refusal> {
        self.text.drain(..self.handed);
        self.handed = 0;
        let target = if self.decoder.is_some() { &mut self.raw } else { &mut self.text };
        let before = target.len();
        self.source.by_ref().take(CHUNK as u64).read_to_end(target).map_err(Refusal::from_io)?;
        let read = target.len() - before;
        if self.decoder.is_some() {
            self.decode_utf16(read == 0)?;
        }
        Ok(())
    }

    fn decode_utf16(&mut self, last: bool) -> Result<(), Refusal> {
        let Some(decoder) = self.decoder.as_mut() else { return Ok(()) };
        let start = self.text.len();
        // Two bytes of UTF-16 become at most three of UTF-8.
        self.text.resize(start + self.raw.len() * 2 + 16, 0);
        let target = self.text.get_mut(start..).unwrap_or_default();
        let (result, read, written) =
            decoder.decode_to_utf8_without_replacement(&self.raw, target, last);
        self.text.truncate(start + written);
        self.raw.drain(..read);
        self.raw_position += read as u64;
        if last {
            self.decoder = None;
        }
        match result {
            DecoderResult::InputEmpty => Ok(()),
            DecoderResult::OutputFull | DecoderResult::Malformed(..) => Err(Refusal::Encoding {
                position: self.raw_position,
                reason: "half a UTF-16 character; the file is cut off or damaged, export it again"
                    .into(),
            }),
        }
    }

    /// Puts the end mark behind the last line.
    fn end(&mut self) {
        if self.content_length.is_some() {
            return;
        }
        self.missing_line_end = !matches!(self.last_byte, b'\n' | b'\r');
        if self.missing_line_end {
            self.text.push(b'\n');
        }
        self.content_length = Some(self.given + u64::from(self.missing_line_end));
        self.text.extend_from_slice(END_MARK.as_bytes());
        self.text.push(b'\n');
    }

    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.handed == self.text.len() && self.decoder.is_some() {
            self.refill().map_err(Refusal::into_io)?;
        }
        if self.handed == self.text.len() && self.decoder.is_none() && self.content_length.is_none()
        {
            let read = self.source.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            self.text.clear();
            self.handed = 0;
            self.end();
        }
        let rest = self.text.get(self.handed..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        let (Some(target), Some(source)) = (buffer.get_mut(..count), rest.get(..count)) else {
            return Ok(0);
        };
        target.copy_from_slice(source);
        self.handed += count;
        Ok(count)
    }
}

impl<R: Read> Read for TextStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given_since_record > RECORD_LIMIT {
            let refusal = Refusal::RecordTooLong { row: 0, limit: RECORD_LIMIT };
            return Err(refusal.into_io());
        }
        let count = self.read_content(buffer)?;
        let given = buffer.get(..count).unwrap_or_default();
        if let Some(byte) = given.last() {
            self.last_byte = *byte;
        }
        self.seen_line_feed = self.seen_line_feed || memchr::memchr(b'\n', given).is_some();
        self.given += count as u64;
        self.given_since_record += count as u64;
        Ok(count)
    }
}

/// What the letters of a record are, seen in one pass over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Glance {
    /// Nothing but ASCII.
    pub is_ascii: bool,
    /// No control character, quote or backslash: nothing JSON writes otherwise.
    pub is_plain: bool,
}

impl Glance {
    /// Looks at every byte. Without a branch in it, many are looked at at once.
    pub(crate) fn at(bytes: &[u8]) -> Self {
        let (mut all, mut special) = (0, false);
        for byte in bytes {
            all |= *byte;
            special |= (*byte < b' ') | (*byte == b'"') | (*byte == b'\\');
        }
        Self { is_ascii: all < 0x80, is_plain: !special }
    }
}

impl Letters {
    /// Turns a record into text, and learns what the file's letters are.
    ///
    /// # Errors
    /// A sentence for a record that is neither what the records before were nor readable as
    /// Windows-1252: nothing is guessed once a file has shown what it is.
    pub(crate) fn read(
        &mut self,
        bytes: ByteRecord,
        seen: Glance,
    ) -> Result<StringRecord, (ByteRecord, &'static str)> {
        let bytes = match (StringRecord::from_byte_record(bytes), *self) {
            (Ok(text), Self::Utf8) => return Ok(text),
            (Ok(text), letters) => {
                if seen.is_ascii {
                    return Ok(text);
                }
                if letters == Self::Windows1252 {
                    return Err((text.into_byte_record(), MIXED));
                }
                *self = Self::Utf8;
                return Ok(text);
            }
            (Err(error), _) => error.into_byte_record(),
        };
        if *self == Self::Utf8 {
            return Err((bytes, HALF));
        }
        if bytes.as_slice().iter().any(|byte| is_undefined_1252(*byte)) {
            return Err((bytes, UNREADABLE));
        }
        *self = Self::Windows1252;
        let mut text = StringRecord::with_capacity(bytes.as_slice().len() * 2, bytes.len());
        text.set_position(bytes.position().cloned());
        for cell in &bytes {
            text.push_field(&WINDOWS_1252.decode_without_bom_handling(cell).0);
        }
        Ok(text)
    }
}

const MIXED: &str = "UTF-8 in a file that was single-byte text up to here: save it in one encoding";
const HALF: &str = "bytes that are no UTF-8 in a file that was UTF-8 up to here: the file is cut off \
                    inside a character, damaged, or joined of two encodings; export it again";
const UNREADABLE: &str = "a byte that is neither UTF-8 nor Windows-1252: save the file as UTF-8";

/// The encoding and the length of its byte order mark.
fn detect(bytes: &[u8]) -> Result<(TextEncoding, usize), Refusal> {
    if bytes.starts_with(&[0xff, 0xfe, 0, 0]) || bytes.starts_with(&[0, 0, 0xfe, 0xff]) {
        let reason = "the file is UTF-32; save it as UTF-8".into();
        return Err(Refusal::Encoding { position: 0, reason });
    }
    Ok(match bytes {
        [0xef, 0xbb, 0xbf, ..] => (TextEncoding::Bytes, 3),
        [0xff, 0xfe, ..] => (TextEncoding::Utf16Le, 2),
        [0xfe, 0xff, ..] => (TextEncoding::Utf16Be, 2),
        _ => (without_mark(bytes), 0),
    })
}

/// A header is ASCII, so every second byte of its UTF-16 form is zero; which one tells the order.
fn without_mark(bytes: &[u8]) -> TextEncoding {
    let head = bytes.get(..bytes.len().min(64)).unwrap_or_default();
    let zeros = |odd: usize| {
        head.iter().enumerate().filter(|(at, byte)| at % 2 == odd && **byte == 0).count()
    };
    let pairs = head.len() / 2;
    let (even, odd) = (zeros(0), zeros(1));
    if pairs >= 8 && even * 10 >= pairs * 9 && odd == 0 {
        TextEncoding::Utf16Be
    } else if pairs >= 8 && odd * 10 >= pairs * 9 && even == 0 {
        TextEncoding::Utf16Le
    } else {
        TextEncoding::Bytes
    }
}

const fn is_undefined_1252(byte: u8) -> bool {
    matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d)
}
