//! Where the members of a JSON object stand in its bytes, without parsing what nobody asked for.
//!
//! The scan is shallow and iterative: it follows strings and brackets and leaves the rest to
//! whoever parses a value. A text that is no JSON may pass it; the provider will say so.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// How deep brackets may nest: as deep as the JSON parser that reads a value goes.
pub(crate) const DEPTH_LIMIT: usize = 128;

/// Why a text could not be scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedJson {
    /// Something else than the bracket the scan needs.
    #[error("no JSON object or array begins at byte {0}")]
    WrongStart(usize),
    /// A byte that cannot stand there.
    #[error("the JSON is broken at byte {0}")]
    Broken(usize),
    /// The text ends inside a value.
    #[error("the JSON ends inside a value, at byte {0}")]
    EndsEarly(usize),
    /// Nested deeper than [`DEPTH_LIMIT`].
    #[error("the JSON is nested deeper than {DEPTH_LIMIT} levels at byte {0}")]
    TooDeep(usize),
}

/// One member of an object: its key and where both stand in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    /// The key, unescaped.
    pub key: Cow<'a, str>,
    /// The value's text, without surrounding blanks.
    pub value: &'a [u8],
    /// From the key's opening quote to the value's end.
    pub span: Range<usize>,
    /// The value alone.
    pub value_span: Range<usize>,
}

/// The members of one object, in the order they stand. Stops after the first fault.
pub(crate) struct Members<'a> {
    text: &'a [u8],
    at: usize,
    state: ScanState,
}

/// The elements of one array, in the order they stand. Stops after the first fault.
pub(crate) struct Elements<'a> {
    text: &'a [u8],
    at: usize,
    state: ScanState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ScanState {
    First,
    Next,
    Done,
}

impl<'a> Members<'a> {
    /// Scans a text that should be one object.
    pub(crate) fn of(text: &'a [u8]) -> Result<Self, MalformedJson> {
        let at = after_opening(text, b'{')?;
        Ok(Self { text, at, state: ScanState::First })
    }

    fn read(&mut self) -> Result<Option<Member<'a>>, MalformedJson> {
        let Some(start) = next_item(self.text, self.at, self.state, b'}')? else {
            return Ok(None);
        };
        if self.text.get(start) != Some(&b'"') {
            return Err(MalformedJson::Broken(start));
        }
        let key_end = skip_string(self.text, start)?;
        let colon = skip_blanks(self.text, key_end);
        if self.text.get(colon) != Some(&b':') {
            return Err(MalformedJson::Broken(colon));
        }
        let value_start = skip_blanks(self.text, colon + 1);
        let value_end = skip_value(self.text, value_start)?;
        self.at = value_end;
        self.state = ScanState::Next;
        Ok(Some(Member {
            key: string_text(slice(self.text, start..key_end)).unwrap_or_default(),
            value: slice(self.text, value_start..value_end),
            span: start..value_end,
            value_span: value_start..value_end,
        }))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, MalformedJson>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == ScanState::Done {
            return None;
        }
        let read = self.read();
        if !matches!(read, Ok(Some(_))) {
            self.state = ScanState::Done;
        }
        read.transpose()
    }
}

impl<'a> Elements<'a> {
    /// Scans a text that should be one array.
    pub(crate) fn of(text: &'a [u8]) -> Result<Self, MalformedJson> {
        let at = after_opening(text, b'[')?;
        Ok(Self { text, at, state: ScanState::First })
    }

    fn read(&mut self) -> Result<Option<&'a [u8]>, MalformedJson> {
        let Some(start) = next_item(self.text, self.at, self.state, b']')? else {
            return Ok(None);
        };
        let end = skip_value(self.text, start)?;
        self.at = end;
        self.state = ScanState::Next;
        Ok(Some(slice(self.text, start..end)))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], MalformedJson>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == ScanState::Done {
            return None;
        }
        let read = self.read();
        if !matches!(read, Ok(Some(_))) {
            self.state = ScanState::Done;
        }
        read.transpose()
    }
}

/// The value of one member; of several equal keys the last, as JSON parsers read them.
/// `None` where the text is no object or has no such member.
pub(crate) fn member<'a>(text: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let members = Members::of(text).ok()?;
    members.map_while(Result::ok).filter(|member| member.key == key).last().map(|m| m.value)
}

/// The text of a JSON string, borrowed where nothing is escaped; `None` for anything else.
/// Bytes that are no UTF-8 are replaced, never refused: this text is only counted or compared.
pub(crate) fn string_text(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'\\', inner).is_none() {
        return Some(String::from_utf8_lossy(inner));
    }
    match serde_json::from_slice::<String>(value) {
        Ok(text) => Some(Cow::Owned(text)),
        Err(_) => Some(String::from_utf8_lossy(inner)),
    }
}

/// A JSON whole number that is not negative; `None` for anything else.
pub(crate) fn whole_number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn slice(text: &[u8], range: Range<usize>) -> &[u8] {
    text.get(range).unwrap_or_default()
}

fn after_opening(text: &[u8], bracket: u8) -> Result<usize, MalformedJson> {
    let start = skip_blanks(text, 0);
    if text.get(start) == Some(&bracket) {
        Ok(start + 1)
    } else {
        Err(MalformedJson::WrongStart(start))
    }
}

/// Where the next member or element begins, past its comma; `None` at the closing bracket.
fn next_item(
    text: &[u8],
    at: usize,
    state: ScanState,
    closing: u8,
) -> Result<Option<usize>, MalformedJson> {
    let at = skip_blanks(text, at);
    let found = *text.get(at).ok_or(MalformedJson::EndsEarly(at))?;
    match (found, state) {
        (found, _) if found == closing => Ok(None),
        (b',', ScanState::Next) => Ok(Some(skip_blanks(text, at + 1))),
        (_, ScanState::First) => Ok(Some(at)),
        _ => Err(MalformedJson::Broken(at)),
    }
}

fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// From a string's opening quote to just past its closing one.
fn skip_string(text: &[u8], start: usize) -> Result<usize, MalformedJson> {
    let mut at = start + 1;
    loop {
        // Most strings and stretches between escapes are short: the search costs more to start
        // than these few bytes do.
        let near = at + 24;
        while at < near {
            match text.get(at) {
                Some(b'"') => return Ok(at + 1),
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
                None => return Err(MalformedJson::EndsEarly(text.len())),
            }
        }
        let rest = text.get(at..).unwrap_or_default();
        let found = memchr2(b'"', b'\\', rest).ok_or(MalformedJson::EndsEarly(text.len()))?;
        at += found;
        if text.get(at) == Some(&b'"') {
            return Ok(at + 1);
        }
        at += 2;
    }
}

fn skip_value(text: &[u8], start: usize) -> Result<usize, MalformedJson> {
    match text.get(start).ok_or(MalformedJson::EndsEarly(start))? {
        b'"' => skip_string(text, start),
        b'{' | b'[' => skip_brackets(text, start),
        _ => skip_scalar(text, start),
    }
}

fn skip_brackets(text: &[u8], start: usize) -> Result<usize, MalformedJson> {
    let mut at = start;
    let mut depth = 0_usize;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = skip_string(text, at)?;
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth >= DEPTH_LIMIT {
                    return Err(MalformedJson::TooDeep(at));
                }
            }
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Ok(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    Err(MalformedJson::EndsEarly(text.len()))
}

fn skip_scalar(text: &[u8], start: usize) -> Result<usize, MalformedJson> {
    let rest = text.get(start..).unwrap_or_default();
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let length = rest.iter().take_while(|byte| allowed(byte)).count();
    if length == 0 {
        return Err(MalformedJson::Broken(start));
    }
    Ok(start + length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn keys(text: &str) -> Vec<(String, String)> {
        Members::of(text.as_bytes())
            .unwrap()
            .map(|member| {
                let member = member.unwrap();
                (member.key.into_owned(), String::from_utf8_lossy(member.value).into_owned())
            })
            .collect()
    }

    #[test]
    fn members_are_found_past_strings_that_look_like_structure() {
        let text = r#" { "a" : "}\"{,", "b":[1,{"a":"]"}] ,"c":null,"\u0064":-1.5e3 } "#;
        let expected =
            [("a", r#""}\"{,""#), ("b", r#"[1,{"a":"]"}]"#), ("c", "null"), ("d", "-1.5e3")];
        assert_eq!(keys(text), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn of_two_equal_keys_the_last_is_read() {
        assert_eq!(member(br#"{"n":1,"n":2}"#, "n"), Some(b"2".as_slice()));
        assert_eq!(member(b"[1]", "n"), None);
    }

    #[test]
    fn a_text_cut_anywhere_ends_in_a_named_fault() {
        let text = br#"{"a":"x\\","b":[{"c":1}],"d":true}"#;
        for cut in 1..text.len() {
            let fault = Members::of(&text[..cut]).unwrap().find_map(Result::err);
            assert!(fault.is_some(), "cut at {cut}");
        }
        assert!(Members::of(text).unwrap().all(|member| member.is_ok()));
    }

    #[test]
    fn nesting_beyond_the_limit_is_refused_without_recursion() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let fault = Members::of(deep.as_bytes()).unwrap().find_map(Result::err);
        assert!(matches!(fault, Some(MalformedJson::TooDeep(_))));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\\PC\"\\\\\n{}\\[\\],:]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map("\\PC{0,6}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_object_is_read_as_a_full_parser_reads_it(
            members in prop::collection::hash_map("[\\PC\"\\\\]{0,6}", any_json(), 0..6),
            pretty in any::<bool>(),
        ) {
            let object = Value::Object(members.into_iter().collect());
            let text = if pretty {
                serde_json::to_string_pretty(&object).unwrap()
            } else {
                object.to_string()
            };
            let read: serde_json::Map<String, Value> = Members::of(text.as_bytes())
                .unwrap()
                .map(|member| {
                    let member = member.unwrap();
                    let span = &text.as_bytes()[member.value_span.clone()];
                    assert_eq!(span, member.value);
                    (member.key.into_owned(), serde_json::from_slice(member.value).unwrap())
                })
                .collect();
            prop_assert_eq!(Value::Object(read), object);
        }

        #[test]
        fn no_bytes_at_all_make_the_scan_panic(bytes in prop::collection::vec(
            prop_oneof![Just(b'"'), Just(b'\\'), Just(b'{'), Just(b'}'), Just(b'['), Just(b':'),
                Just(b','), any::<u8>()], 0..60))
        {
            for text in [bytes.clone(), [b"{".as_slice(), &bytes].concat()] {
                let _ = Members::of(&text).map(Iterator::count);
                let _ = Elements::of(&text).map(Iterator::count);
                let _ = string_text(&text);
            }
        }
    }

    #[test]
    fn elements_are_read_in_order() {
        let elements: Vec<_> = Elements::of(b" [1, \"a,b\" ,{}] ").unwrap().flatten().collect();
        assert_eq!(elements, [b"1".as_slice(), b"\"a,b\"", b"{}"]);
        assert_eq!(Elements::of(b"[]").unwrap().count(), 0);
    }
}
