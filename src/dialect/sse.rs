//! Reads server-sent events out of bytes that pass by in any slices, without touching them.

/// An event larger than this is counted and skipped: no stream may fill the memory.
pub(crate) const LARGEST_EVENT: usize = 32 * 1024 * 1024;

/// What one event said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// The `event:` field; empty where there was none.
    pub name: &'a [u8],
    /// The `data:` lines, joined by line feeds.
    pub data: &'a [u8],
}

/// Finds events in a stream cut anywhere, even inside a character or between CR and LF. A part of
/// a line is kept only until its rest arrives.
#[derive(Debug)]
pub(crate) struct EventScanner {
    limit: usize,
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    after_carriage_return: bool,
    at_start: bool,
    overlong: bool,
    skipped: u64,
}

impl Default for EventScanner {
    fn default() -> Self {
        Self::new(LARGEST_EVENT)
    }
}

impl EventScanner {
    /// A scanner that keeps at most `limit` bytes of one event.
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_carriage_return: false,
            at_start: true,
            overlong: false,
            skipped: 0,
        }
    }

    /// How many events were too large to be read.
    pub(crate) const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Takes the next bytes and calls `on_event` for each event they complete.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut on_event: impl FnMut(Event<'_>)) {
        if self.after_carriage_return && !bytes.is_empty() {
            self.after_carriage_return = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) {
            let (line, rest) = bytes.split_at(end);
            self.end_line(line, &mut on_event);
            bytes = match rest {
                [b'\r'] => {
                    self.after_carriage_return = true;
                    &[]
                }
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
                [] => &[],
            };
        }
        self.keep(bytes);
    }

    /// The stream is over: an event whose closing blank line never came is given as it stands,
    /// since some servers leave it out and a cut stream's last words count.
    pub(crate) fn finish(&mut self, mut on_event: impl FnMut(Event<'_>)) {
        if !self.line.is_empty() {
            self.end_line(&[], &mut on_event);
        }
        self.dispatch(&mut on_event);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.line.len() + self.data.len() + bytes.len() > self.limit {
            self.overlong = true;
            self.line.clear();
            // A mark that the line is not empty, so that its end is not read as a blank line.
            self.line.push(b':');
        } else if !self.overlong || self.line.is_empty() {
            self.line.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, rest: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        if self.line.is_empty() {
            self.take_line(rest, on_event);
        } else {
            self.keep(rest);
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, on_event);
            self.line = line;
            self.line.clear();
        }
    }

    fn take_line(&mut self, line: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        let line = match (self.at_start, line) {
            (true, [0xEF, 0xBB, 0xBF, line @ ..]) => line,
            (_, line) => line,
        };
        self.at_start = false;
        if line.is_empty() {
            self.dispatch(on_event);
        } else if let Some(value) = field(line, b"data") {
            if self.data.len() + value.len() > self.limit {
                self.overlong = true;
                return;
            }
            if self.has_data {
                self.data.push(b'\n');
            }
            self.has_data = true;
            self.data.extend_from_slice(value);
        } else if let Some(value) = field(line, b"event") {
            self.name.clear();
            self.name.extend_from_slice(value.get(..value.len().min(256)).unwrap_or_default());
        }
    }

    fn dispatch(&mut self, on_event: &mut impl FnMut(Event<'_>)) {
        if self.overlong {
            self.skipped += 1;
        } else if self.has_data {
            on_event(Event { name: &self.name, data: &self.data });
        }
        self.overlong = false;
        self.has_data = false;
        self.name.clear();
        self.data.clear();
        // One large event must not hold its memory for the life of the stream.
        self.data.shrink_to(64 * 1024);
        self.line.shrink_to(64 * 1024);
    }
}

/// The value of a line's field if it has that name, less the one blank after the colon.
pub(crate) fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = Vec<(String, String)>;

    fn scan(slices: &[&[u8]], limit: usize) -> (Read, u64) {
        let mut read = Vec::new();
        let mut scanner = EventScanner::new(limit);
        let mut take = |event: Event<'_>| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            read.push((text(event.name), text(event.data)));
        };
        for slice in slices {
            scanner.feed(slice, &mut take);
        }
        scanner.finish(&mut take);
        (read, scanner.skipped())
    }

    const STREAM: &str = "\u{feff}event: a\ndata: one\ndata:two\n\n: comment\r\n\r\nid: 1\r\n\
        data:  é🦀\r\n\r\nretry: 5\rdata\r\r\revent:b\ndata: {\"x\":1}\n\ndata: [DONE]\n";

    #[test]
    fn all_line_ends_comments_and_joined_lines_are_understood() {
        let (read, skipped) = scan(&[STREAM.as_bytes()], 1_000);
        let expected =
            [("a", "one\ntwo"), ("", " é🦀"), ("", ""), ("b", "{\"x\":1}"), ("", "[DONE]")];
        assert_eq!(read, expected.map(|(n, d)| (n.to_owned(), d.to_owned())));
        assert_eq!(skipped, 0);
    }

    #[test]
    fn an_event_beyond_the_limit_is_skipped_and_the_next_is_read() {
        let text = format!("data: {}\n\ndata: small\n\n", "x".repeat(500));
        for step in [1, 7, 99, text.len()] {
            let slices: Vec<&[u8]> = text.as_bytes().chunks(step).collect();
            let (read, skipped) = scan(&slices, 100);
            assert_eq!(read, [(String::new(), "small".to_owned())], "step {step}");
            assert_eq!(skipped, 1);
        }
    }

    proptest::proptest! {
        #[test]
        fn events_do_not_depend_on_where_the_stream_is_cut(
            cuts in proptest::collection::vec(0..STREAM.len(), 0..20)
        ) {
            let whole = scan(&[STREAM.as_bytes()], 1_000);
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut slices = Vec::new();
            let mut from = 0;
            for cut in cuts {
                slices.push(&STREAM.as_bytes()[from..cut]);
                from = cut;
            }
            slices.push(&STREAM.as_bytes()[from..]);
            proptest::prop_assert_eq!(scan(&slices, 1_000), whole);
        }
    }
}
