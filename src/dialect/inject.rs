//! Asks an OpenAI stream for its usage by splicing one member into the request's own bytes.

use bytes::Bytes;

use super::endpoint::Dialect;
use super::members::{MalformedJson, Members};
use super::request::{IncludeUsage, RequestFacts};
use crate::names::Endpoint;

/// What a request body needs so that its stream reports usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Injection {
    /// Nothing: it asks already, or holds something the provider must answer for.
    AsItIs,
    /// One piece between two slices of the original.
    Spliced(Splice),
}

/// A body with one piece put in: `head`, `piece`, `tail`, sent one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// The original up to the piece.
    pub head: Bytes,
    /// What is put in.
    pub piece: Bytes,
    /// The original after it, less a value the piece replaces.
    pub tail: Bytes,
}

impl Splice {
    /// The pieces in the order they are sent.
    pub fn pieces(self) -> [Bytes; 3] {
        [self.head, self.piece, self.tail]
    }
}

/// Whether a stream would not report its usage unasked: OpenAI's chat and legacy completions.
/// Responses and Anthropic's messages always report. Where this is true and the body is spliced,
/// the answer goes through [`crate::dialect::strip::UsageStripper`].
pub(crate) fn is_needed(dialect: Dialect, endpoint: Endpoint, facts: &RequestFacts) -> bool {
    let reports_on_request = matches!(endpoint, Endpoint::Chat | Endpoint::Completions);
    dialect == Dialect::OpenAi
        && reports_on_request
        && facts.stream
        && facts.include_usage != IncludeUsage::Wanted
}

/// Makes a streaming chat or completions request ask for usage. Every other byte stays; nothing
/// is copied. Call it for requests that say `"stream":true` only: the provider refuses the
/// option elsewhere.
///
/// # Errors
/// The body is no JSON object that can be scanned; send it on as it is.
pub fn include_usage(body: &Bytes) -> Result<Injection, MalformedJson> {
    let mut first_key = None;
    let mut options = None;
    for found in Members::of(body)? {
        let found = found?;
        first_key.get_or_insert(found.span.start);
        if found.key == "stream_options" {
            options = Some(found.value_span);
        }
    }
    let Some(options) = options else {
        let member: &'static str = r#""stream_options":{"include_usage":true},"#;
        return Ok(match first_key {
            Some(at) => splice(body, at, at, member),
            None => Injection::AsItIs,
        });
    };
    let text = body.get(options.clone()).unwrap_or_default();
    if text == b"null" {
        return Ok(splice(body, options.start, options.end, r#"{"include_usage":true}"#));
    }
    let Ok(members) = Members::of(text) else {
        return Ok(Injection::AsItIs);
    };
    let mut first_key = None;
    for found in members {
        let found = found?;
        first_key.get_or_insert(found.span.start);
        if found.key == "include_usage" {
            let [start, end] = [found.value_span.start, found.value_span.end];
            return Ok(match found.value {
                b"true" => Injection::AsItIs,
                b"false" | b"null" => {
                    splice(body, options.start + start, options.start + end, "true")
                }
                _ => Injection::AsItIs,
            });
        }
    }
    Ok(match first_key {
        Some(at) => {
            let at = options.start + at;
            splice(body, at, at, r#""include_usage":true,"#)
        }
        None => splice(body, options.start + 1, options.start + 1, r#""include_usage":true"#),
    })
}

fn splice(body: &Bytes, start: usize, end: usize, piece: &'static str) -> Injection {
    Injection::Spliced(Splice {
        head: body.slice(..start),
        piece: Bytes::from_static(piece.as_bytes()),
        tail: body.slice(end..),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn injected(body: &str) -> Option<String> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        match include_usage(&body).unwrap() {
            Injection::AsItIs => None,
            Injection::Spliced(splice) => {
                let length = splice.head.len() + splice.piece.len() + splice.tail.len();
                let whole = splice.pieces().concat();
                assert_eq!(whole.len(), length);
                Some(String::from_utf8(whole).unwrap())
            }
        }
    }

    #[test]
    fn every_form_of_the_options_ends_up_asking() {
        let cases = [
            (r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
            (
                r#"{ "stream":true, "stream_options" : null }"#,
                r#"{ "stream":true, "stream_options" : {"include_usage":true} }"#,
            ),
            (
                r#"{"stream_options":{},"stream":true}"#,
                r#"{"stream_options":{"include_usage":true},"stream":true}"#,
            ),
            (
                r#"{"stream_options":{ },"stream":true}"#,
                r#"{"stream_options":{"include_usage":true },"stream":true}"#,
            ),
            (
                r#"{"stream_options":{ "include_obfuscation":false}}"#,
                r#"{"stream_options":{ "include_usage":true,"include_obfuscation":false}}"#,
            ),
            (
                r#"{"stream_options":{"a":1,"include_usage": false }}"#,
                r#"{"stream_options":{"a":1,"include_usage": true }}"#,
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(injected(body).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn what_asks_already_or_is_not_ours_to_mend_is_left() {
        assert_eq!(injected(r#"{"stream_options":{"include_usage":true}}"#), None);
        assert_eq!(injected(r#"{"stream_options":"yes"}"#), None);
        assert_eq!(injected("{}"), None);
        assert!(include_usage(&Bytes::from_static(b"[1]")).is_err());
        assert!(include_usage(&Bytes::from_static(b"{\"a\":")).is_err());
    }

    proptest::proptest! {
        #[test]
        fn but_for_the_one_member_the_request_stays_what_it_was(
            keys in proptest::collection::vec("[a-z\"\\\\é]{0,6}", 1..6),
            text in "\\PC{0,40}",
            options in 0_u8..5,
            place in 0_usize..6,
        ) {
            let mut members: Vec<String> = keys.iter().enumerate().map(|(index, key)| {
                format!("{}: {}", json!(format!("{key}{index}")), json!([text, {"n": index}]))
            }).collect();
            let options_value = match options {
                0 => None,
                1 => Some(json!(null)),
                2 => Some(json!({})),
                3 => Some(json!({"include_obfuscation": true})),
                _ => Some(json!({"x": {"include_usage": 1}, "include_usage": false})),
            };
            if let Some(value) = &options_value {
                let at = place.min(members.len());
                members.insert(at, format!("\"stream_options\" : {value}"));
            }
            let body = format!("{{ {} }}", members.join(" , "));
            let mut before: Value = serde_json::from_str(&body).unwrap();
            let mut after: Value = serde_json::from_str(&injected(&body).unwrap()).unwrap();
            proptest::prop_assert_eq!(&after["stream_options"]["include_usage"], &json!(true));
            let removed = after["stream_options"].as_object_mut().unwrap().remove("include_usage");
            proptest::prop_assert!(removed.is_some());
            match &mut before["stream_options"] {
                Value::Object(options) => { options.remove("include_usage"); }
                _ => { before["stream_options"] = json!({}); }
            }
            proptest::prop_assert_eq!(before, after);
        }
    }
}
