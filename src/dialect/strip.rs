//! Takes out of a stream what only our injection put in: usage the client did not ask for.
//!
//! Used only where `stream_options.include_usage` was injected. It drops the usage-only event
//! (empty `choices` and a usage object) and cuts the `"usage":null` member out of every other
//! chunk. All else passes byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use super::members::{Elements, Members};
use super::sse::field;

/// An event larger than this passes as it is; a chat chunk never comes near.
const LARGEST_EVENT: usize = 1024 * 1024;

/// The filter. Feed it the provider's bytes; what it returns goes to the client.
#[derive(Debug, Default)]
pub struct UsageStripper {
    pending: Vec<u8>,
    /// How much of `pending` is known to hold no end of an event.
    searched: usize,
    passing_overlong: bool,
}

impl UsageStripper {
    /// A filter at the start of a stream.
    pub const fn new() -> Self {
        Self { pending: Vec::new(), searched: 0, passing_overlong: false }
    }

    /// Takes the next bytes, returns what of the stream may go on. An event that is not complete
    /// yet is held back, since its end decides whether the client sees it.
    pub fn feed(&mut self, bytes: &Bytes) -> Bytes {
        if let Some(unchanged) = self.pass_whole(bytes) {
            return unchanged;
        }
        let given: Cow<'_, [u8]> = if self.pending.is_empty() {
            Cow::Borrowed(bytes)
        } else {
            self.pending.extend_from_slice(bytes);
            Cow::Owned(std::mem::take(&mut self.pending))
        };
        let mut out = Vec::new();
        let mut start = 0;
        while let Some(end) = event_end(&given, start, self.searched) {
            let event = given.get(start..end).unwrap_or_default();
            if std::mem::take(&mut self.passing_overlong) {
                out.extend_from_slice(event);
            } else {
                put_event(event, &mut out);
            }
            start = end;
            self.searched = end;
        }
        match given {
            Cow::Borrowed(given) => {
                self.pending.extend_from_slice(given.get(start..).unwrap_or_default());
            }
            Cow::Owned(mut given) => {
                given.drain(..start);
                self.pending = given;
            }
        }
        if self.pending.len() > LARGEST_EVENT || self.passing_overlong {
            self.pass_overlong(&mut out);
        }
        self.searched = self.pending.len().saturating_sub(3);
        out.into()
    }

    /// The stream is over: what was held back, judged as if its event were complete.
    pub fn finish(&mut self) -> Bytes {
        let mut out = Vec::with_capacity(self.pending.len());
        if self.passing_overlong {
            out.extend_from_slice(&self.pending);
        } else {
            put_event(&self.pending, &mut out);
        }
        self.pending.clear();
        out.into()
    }

    /// The common case without a copy: whole events, none of which speaks of usage.
    fn pass_whole(&self, bytes: &Bytes) -> Option<Bytes> {
        let between_events = self.pending.is_empty() && !self.passing_overlong;
        let whole = bytes.ends_with(b"\n\n") || bytes.ends_with(b"\r\n\r\n");
        (between_events && whole && memmem::find(bytes, b"\"usage\"").is_none())
            .then(|| bytes.clone())
    }

    /// Lets an event go that is too large to hold, but for the bytes its end may begin with.
    fn pass_overlong(&mut self, out: &mut Vec<u8>) {
        self.passing_overlong = true;
        let keep = self.pending.len().saturating_sub(3);
        out.extend(self.pending.drain(..keep));
    }
}

/// What becomes of a chunk.
enum Verdict {
    /// The client would not have got it.
    Drop,
    /// It would have come without these bytes.
    Cut(Range<usize>),
}

/// Where the event that begins at `start` ends, its blank line included.
fn event_end(bytes: &[u8], start: usize, searched: usize) -> Option<usize> {
    let mut at = start.max(searched);
    loop {
        at += memchr::memchr2(b'\n', b'\r', bytes.get(at..)?)?;
        let line_end = after_line_end(bytes, at)?;
        match bytes.get(line_end)? {
            b'\n' => return Some(line_end + 1),
            b'\r' => return after_line_end(bytes, line_end),
            _ => at = line_end,
        }
    }
}

/// Just past the line end at `at`; `None` if a lone CR stands last and its LF may follow.
fn after_line_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) == Some(&b'\n') {
        return Some(at + 1);
    }
    match bytes.get(at + 1)? {
        b'\n' => Some(at + 2),
        _ => Some(at + 1),
    }
}

fn put_event(event: &[u8], out: &mut Vec<u8>) {
    if memmem::find(event, b"\"usage\"").is_none() {
        out.extend_from_slice(event);
        return;
    }
    let lines = data_lines(event);
    let values = lines.iter().filter_map(|line| event.get(line.clone()));
    let json: Cow<'_, [u8]> = match lines.as_slice() {
        [only] => Cow::Borrowed(event.get(only.clone()).unwrap_or_default()),
        _ => Cow::Owned(values.collect::<Vec<_>>().join(&b'\n')),
    };
    match judge(&json) {
        Some(Verdict::Drop) => {}
        Some(Verdict::Cut(cut)) => put_without(event, &lines, &cut, out),
        None => out.extend_from_slice(event),
    }
}

/// The event less a range of its data, which may go over several of its lines.
fn put_without(event: &[u8], lines: &[Range<usize>], cut: &Range<usize>, out: &mut Vec<u8>) {
    let (mut copied, mut data_start) = (0, 0);
    for line in lines {
        let in_event =
            |at: usize| line.start + at.clamp(data_start, data_start + line.len()) - data_start;
        out.extend_from_slice(event.get(copied..in_event(cut.start)).unwrap_or_default());
        copied = in_event(cut.end);
        data_start += line.len() + 1;
        if cut.end < data_start {
            break;
        }
    }
    out.extend_from_slice(event.get(copied..).unwrap_or_default());
}

/// Where an event's `data:` values stand.
fn data_lines(event: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::with_capacity(1);
    let mut start = 0;
    while let Some(rest) = event.get(start..).filter(|rest| !rest.is_empty()) {
        let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = rest.get(..length).unwrap_or_default();
        let line = line.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(line);
        if let Some(value) = field(line, b"data") {
            let end = start + length;
            found.push(end - value.len()..end);
        }
        start += length + 1;
    }
    found
}

/// What of a chunk is there only because usage was asked for; `None` if nothing is.
fn judge(json: &[u8]) -> Option<Verdict> {
    let mut choices = None;
    let mut usage: Option<(&[u8], Range<usize>)> = None;
    let mut previous_end = None;
    let mut after_usage = None;
    for found in Members::of(json).ok()? {
        let found = found.ok()?;
        if usage.is_some() {
            after_usage.get_or_insert(found.span.start);
        }
        match &*found.key {
            "choices" => choices = Some(found.value),
            "usage" => {
                // With the comma before it, or the one after where it stands first.
                let start = previous_end.unwrap_or(found.span.start);
                after_usage = previous_end.map(|_| found.span.end);
                usage = Some((found.value, start..found.span.end));
            }
            _ => {}
        }
        previous_end = Some(found.span.end);
    }
    let (value, span) = usage?;
    if value == b"null" {
        return Some(Verdict::Cut(span.start..after_usage.unwrap_or(span.end)));
    }
    let no_choices = Elements::of(choices?).ok()?.next().is_none();
    (no_choices && value.starts_with(b"{")).then_some(Verdict::Drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(slices: &[&[u8]]) -> String {
        let mut stripper = UsageStripper::new();
        let mut out = Vec::new();
        for slice in slices {
            out.extend_from_slice(&stripper.feed(&Bytes::copy_from_slice(slice)));
        }
        out.extend_from_slice(&stripper.finish());
        String::from_utf8(out).unwrap()
    }

    const GIVEN: &str = concat!(
        ": hello\n\n",
        "data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null é\"}}],",
        "\"usage\":null,\"obfuscation\":\"x\"}\n\n",
        "data: {\"usage\" : null , \"choices\":[{}]}\r\n\r\n",
        "event: e\rdata: {\"choices\":[{}], \"usage\":null}\r\r",
        "data: {\"usage\":null}\n\n",
        "data: {\"choices\":[{\"usage\":null}]}\n\n",
        "data: {\"choices\":[{}],\"usage\":{\"total_tokens\":1}}\n\n",
        "data: {\"error\":\ndata: {\"usage\":null}}\n\n",
        "data: {\"id\":\"1\",\r\ndata:\"choices\":[{}],\r\ndata: \"usage\":\r\ndata: null,\"x\":1}\r\n\r\n",
        "data: {\"choices\":[],\nid: 7\ndata: \"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: {\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}\n\n",
        "data: {\"id\":\"1\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: {\"choices\": [ ],\"usage\":{\"prompt_tokens\":1}}\r\n\r\n",
        "data: not json \"usage\":null\n\n",
        "data: [DONE]\n\n",
    );

    const EXPECTED: &str = concat!(
        ": hello\n\n",
        "data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null é\"}}],",
        "\"obfuscation\":\"x\"}\n\n",
        "data: {\"choices\":[{}]}\r\n\r\n",
        "event: e\rdata: {\"choices\":[{}]}\r\r",
        "data: {}\n\n",
        "data: {\"choices\":[{\"usage\":null}]}\n\n",
        "data: {\"choices\":[{}],\"usage\":{\"total_tokens\":1}}\n\n",
        "data: {\"error\":\ndata: {\"usage\":null}}\n\n",
        "data: {\"id\":\"1\",\r\ndata:\"choices\":[{}]\r\ndata: \r\ndata: ,\"x\":1}\r\n\r\n",
        "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n",
        "data: not json \"usage\":null\n\n",
        "data: [DONE]\n\n",
    );

    #[test]
    fn only_what_injection_added_is_taken_out() {
        assert_eq!(strip(&[GIVEN.as_bytes()]), EXPECTED);
    }

    #[test]
    fn the_result_is_the_same_cut_at_every_byte() {
        for cut in 0..=GIVEN.len() {
            let (head, tail) = GIVEN.as_bytes().split_at(cut);
            assert_eq!(strip(&[head, tail]), EXPECTED, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = GIVEN.as_bytes().chunks(1).collect();
        assert_eq!(strip(&bytes), EXPECTED);
    }

    #[test]
    fn a_stream_cut_off_upstream_gives_what_it_had() {
        assert_eq!(strip(&[b"data: {\"choices\":[{\"delta\""]), "data: {\"choices\":[{\"delta\"");
        assert_eq!(strip(&[b"data: {\"choices\":[],\"usage\":{}}\n"]), "");
    }

    #[test]
    fn an_event_too_large_to_hold_passes_and_the_next_is_filtered_again() {
        let large =
            format!("data: {{\"x\":\"{}\",\"usage\":null}}\n\n", "y".repeat(2 * LARGEST_EVENT));
        let text = format!("{large}data: {{\"a\":1,\"usage\":null}}\n\n");
        for step in [1_000, 65_537] {
            let slices: Vec<&[u8]> = text.as_bytes().chunks(step).collect();
            assert_eq!(strip(&slices), format!("{large}data: {{\"a\":1}}\n\n"), "step {step}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_chunk_keeps_every_member_but_the_null_usage(
            before in proptest::collection::vec("[a-z]{1,5}", 0..4),
            after in proptest::collection::vec("[a-z]{1,5}", 0..4),
            text in "\\PC{0,30}",
            cut in 0_usize..400,
        ) {
            let value = serde_json::json!(text);
            let list = |keys: &[String], mark: char| -> Vec<String> {
                keys.iter().enumerate().map(|(n, key)| format!("\"{mark}{key}{n}\" :{value}")).collect()
            };
            let mut with = list(&before, 'b');
            let mut without = with.clone();
            with.push("\"usage\": null".to_owned());
            with.extend(list(&after, 'a'));
            without.extend(list(&after, 'a'));
            let given = format!("data: {{{}}}\n\n", with.join(" , "));
            let cut = cut.min(given.len());
            let stripped = strip(&[&given.as_bytes()[..cut], &given.as_bytes()[cut..]]);
            let json = stripped.strip_prefix("data: ").unwrap();
            let read: serde_json::Value = serde_json::from_str(json).unwrap();
            let expected: serde_json::Value =
                serde_json::from_str(&format!("{{{}}}", without.join(","))).unwrap();
            proptest::prop_assert_eq!(read, expected);
        }
    }
}
