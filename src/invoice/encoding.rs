//! Bytes into UTF-8, in a stream: byte order marks, UTF-16, and Windows-1252 only where it is safe.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::invoice::refusal::Refusal;

/// How a file's text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextEncoding {
    /// UTF-8 (ASCII included), with or without a byte order mark.
    Utf8,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// Not UTF-8, and nothing before said it was: read as Windows-1252, which is said.
    Windows1252,
}

/// The line that follows the last line of a file. A parser that sees it as a record of its own
/// has closed every quote; one that finds it inside a field has not.
pub const END_MARK: &str = "\u{1e}end of export\u{1e}";
/// Bytes a record may have: an unclosed quote must not gather the rest of the file in memory.
pub const RECORD_LIMIT: u64 = 1 << 20;

const CHUNK: usize = 1 << 16;

/// The text of a file as UTF-8, followed by [`END_MARK`] on a line of its own.
pub struct TextStream<R> {
    source: R,
    encoding: TextEncoding,
    decoder: Option<Decoder>,
    /// Bytes read and not yet decoded (an unfinished character).
    raw: Vec<u8>,
    /// Bytes of the file before `raw`.
    raw_position: u64,
    /// Text decoded and not yet handed out, from `handed` on.
    text: Vec<u8>,
    handed: usize,
    seen_multibyte: bool,
    seen_line_feed: bool,
    last_byte: u8,
    ended: bool,
    missing_line_end: bool,
    /// Bytes handed out in all, and since the last record ended.
    given: u64,
    given_since_record: u64,
    /// Where the end mark begins, once known.
    content_length: Option<u64>,
}

impl<R: Read> TextStream<R> {
    /// Looks at the first bytes for the encoding.
    ///
    /// # Errors
    /// A [`Refusal`] for UTF-32 and for what the source raises.
    pub fn open(source: R) -> Result<Self, Refusal> {
        let mut stream = Self {
            source,
            encoding: TextEncoding::Utf8,
            decoder: None,
            raw: Vec::with_capacity(CHUNK + 8),
            raw_position: 0,
            text: Vec::with_capacity(CHUNK * 2),
            handed: 0,
            seen_multibyte: false,
            seen_line_feed: false,
            last_byte: b'\n',
            ended: false,
            missing_line_end: false,
            given: 0,
            given_since_record: 0,
            content_length: None,
        };
        stream.read_chunk().map_err(Refusal::from_io)?;
        let (encoding, mark) = detect(&stream.raw)?;
        stream.encoding = encoding;
        stream.decoder = match encoding {
            TextEncoding::Utf16Le => Some(UTF_16LE.new_decoder_without_bom_handling()),
            TextEncoding::Utf16Be => Some(UTF_16BE.new_decoder_without_bom_handling()),
            TextEncoding::Utf8 | TextEncoding::Windows1252 => None,
        };
        stream.raw.drain(..mark);
        stream.raw_position = mark as u64;
        stream.decode(false).map_err(Refusal::from_io)?;
        Ok(stream)
    }

    /// The text at hand from the current position: at least `wanted` bytes unless it ends before.
    ///
    /// # Errors
    /// What the source or the encoding raises.
    pub fn peek(&mut self, wanted: usize) -> Result<&[u8], Refusal> {
        while self.text.len() - self.handed < wanted && !self.ended {
            self.refill().map_err(Refusal::from_io)?;
        }
        let end = match self.content_length {
            Some(_) => self.text.len() - END_MARK.len() - 1,
            None => self.text.len(),
        };
        Ok(self.text.get(self.handed..end).unwrap_or_default())
    }

    /// Passes over text that was peeked at.
    pub fn skip(&mut self, bytes: usize) {
        self.handed = (self.handed + bytes).min(self.text.len());
        self.content_length = self.content_length.map(|length| length.saturating_sub(bytes as u64));
    }

    /// Says that a record was completed.
    pub fn record_ended(&mut self) {
        self.given_since_record = 0;
    }

    /// Whether a parser that has read up to `position` has read everything, the end mark included.
    pub fn is_past_end(&self, position: u64) -> bool {
        self.content_length.is_some_and(|length| position > length)
    }

    /// Whether a parser that has read up to `position` has read the last record.
    pub fn is_last_record(&self, position: u64) -> bool {
        self.content_length.is_some_and(|length| position >= length)
    }

    /// Whether the last line of the file has no line end. Known at the end.
    pub fn missing_line_end(&self) -> bool {
        self.missing_line_end
    }

    /// How the text is written, as far as it was read.
    pub fn encoding(&self) -> TextEncoding {
        self.encoding
    }

    /// Whether a line feed was met: without one, lines cannot be counted by it.
    pub fn seen_line_feed(&self) -> bool {
        self.seen_line_feed
    }

    fn read_chunk(&mut self) -> io::Result<usize> {
        let before = self.raw.len();
        self.source
            .by_ref()
            .take(CHUNK as u64)
            .read_to_end(&mut self.raw)
            .map(|_| self.raw.len() - before)
    }

    /// Decodes one more chunk behind the text that was not handed out yet.
    fn refill(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        self.text.drain(..self.handed);
        self.handed = 0;
        let read = self.read_chunk()?;
        self.decode(read == 0)?;
        if read == 0 {
            self.ended = true;
            self.missing_line_end = !matches!(self.last_byte, b'\n' | b'\r');
            if self.missing_line_end {
                self.text.push(b'\n');
            }
            self.content_length = Some(self.given + self.text.len() as u64);
            self.text.extend_from_slice(END_MARK.as_bytes());
            self.text.push(b'\n');
        }
        Ok(())
    }

    fn decode(&mut self, last: bool) -> io::Result<()> {
        let before = self.text.len();
        match self.encoding {
            TextEncoding::Utf8 => self.decode_utf8(last),
            TextEncoding::Windows1252 => self.decode_windows_1252(),
            TextEncoding::Utf16Le | TextEncoding::Utf16Be => self.decode_utf16(last),
        }
        .map_err(Refusal::into_io)?;
        let added = self.text.get(before..).unwrap_or_default();
        if let Some(byte) = added.last() {
            self.last_byte = *byte;
        }
        self.seen_line_feed = self.seen_line_feed || memchr::memchr(b'\n', added).is_some();
        Ok(())
    }

    fn take_raw(&mut self, bytes: usize) {
        self.raw.drain(..bytes);
        self.raw_position += bytes as u64;
    }

    fn decode_utf8(&mut self, last: bool) -> Result<(), Refusal> {
        if self.raw.is_ascii() {
            self.text.extend_from_slice(&self.raw);
            self.take_raw(self.raw.len());
            return Ok(());
        }
        let (valid, invalid) = match std::str::from_utf8(&self.raw) {
            Ok(text) => (text.len(), None),
            Err(error) => (error.valid_up_to(), Some(error.error_len())),
        };
        let good = self.raw.get(..valid).unwrap_or_default();
        self.seen_multibyte = self.seen_multibyte || !good.is_ascii();
        self.text.extend_from_slice(good);
        self.take_raw(valid);
        match invalid {
            None => Ok(()),
            Some(None) if !last => Ok(()),
            Some(None) if self.seen_multibyte => Err(Refusal::Encoding {
                position: self.raw_position,
                reason: "the file ends inside a character; it is cut off, export it again".into(),
            }),
            Some(_) if self.seen_multibyte => Err(Refusal::Encoding {
                position: self.raw_position,
                reason: "a byte that is no UTF-8 in a file that was UTF-8 up to there; export it \
                         again, or save it in one encoding"
                    .into(),
            }),
            Some(_) => {
                // Everything before was ASCII, which both encodings share, so nothing read so far
                // changes its meaning.
                self.encoding = TextEncoding::Windows1252;
                self.decode_windows_1252()
            }
        }
    }

    fn decode_windows_1252(&mut self) -> Result<(), Refusal> {
        if let Some(at) = self.raw.iter().position(|byte| is_undefined_1252(*byte)) {
            return Err(Refusal::Encoding {
                position: self.raw_position + at as u64,
                reason: "a byte that is neither UTF-8 nor Windows-1252; save the file as UTF-8"
                    .into(),
            });
        }
        let mut start = 0;
        for run in self.raw.chunk_by(|left, right| left.is_ascii() == right.is_ascii()) {
            if !run.is_ascii() && std::str::from_utf8(run).is_ok() {
                return Err(Refusal::Encoding {
                    position: self.raw_position + start as u64,
                    reason: "UTF-8 and single-byte text in one file; save it in one encoding"
                        .into(),
                });
            }
            start += run.len();
        }
        let (text, _) = WINDOWS_1252.decode_without_bom_handling(&self.raw);
        self.text.extend_from_slice(text.as_bytes());
        self.take_raw(self.raw.len());
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
        self.take_raw(read);
        match result {
            DecoderResult::InputEmpty => Ok(()),
            DecoderResult::OutputFull | DecoderResult::Malformed(..) => Err(Refusal::Encoding {
                position: self.raw_position,
                reason: "half a UTF-16 character; the file is cut off or damaged, export it again"
                    .into(),
            }),
        }
    }
}

impl<R: Read> Read for TextStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.handed == self.text.len() && !self.ended {
            self.refill()?;
        }
        if self.given_since_record > RECORD_LIMIT {
            let refusal = Refusal::RecordTooLong { row: 0, limit: RECORD_LIMIT };
            return Err(refusal.into_io());
        }
        let rest = self.text.get(self.handed..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        let (Some(target), Some(source)) = (buffer.get_mut(..count), rest.get(..count)) else {
            return Ok(0);
        };
        target.copy_from_slice(source);
        self.handed += count;
        self.given += count as u64;
        self.given_since_record += count as u64;
        Ok(count)
    }
}

/// The encoding and the length of its byte order mark.
fn detect(bytes: &[u8]) -> Result<(TextEncoding, usize), Refusal> {
    if bytes.starts_with(&[0xff, 0xfe, 0, 0]) || bytes.starts_with(&[0, 0, 0xfe, 0xff]) {
        let reason = "the file is UTF-32; save it as UTF-8".into();
        return Err(Refusal::Encoding { position: 0, reason });
    }
    Ok(match bytes {
        [0xef, 0xbb, 0xbf, ..] => (TextEncoding::Utf8, 3),
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
        TextEncoding::Utf8
    }
}

const fn is_undefined_1252(byte: u8) -> bool {
    matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d)
}
