//! What of a provider's usage object may be kept: numbers and short names, never text.

use serde_json::{Map, Value};

use crate::dialect::error::is_short_name;

/// The usage object's text if it holds only numbers and short names, as every real one does; else
/// the object without what is longer or deeper than a usage object has reason to be.
pub(crate) fn keep(text: &str, object: &Map<String, Value>) -> Option<String> {
    const LONGEST: usize = 16 * 1024;
    if text.len() <= LONGEST && is_plain_object(object, 0) {
        return Some(text.to_owned());
    }
    let kept = Value::Object(plain_object(object, 0)).to_string();
    (kept.len() <= LONGEST).then_some(kept)
}

/// Deeper than any usage object seen.
const DEEPEST: usize = 8;

fn is_plain(value: &Value, depth: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.is_empty() || is_short_name(text),
        Value::Array(values) => depth < DEEPEST && values.iter().all(|v| is_plain(v, depth + 1)),
        Value::Object(members) => depth < DEEPEST && is_plain_object(members, depth),
    }
}

fn is_plain_object(members: &Map<String, Value>, depth: usize) -> bool {
    members.iter().all(|(key, value)| is_key(key) && is_plain(value, depth + 1))
}

fn plain_part(value: &Value, depth: usize) -> Option<Value> {
    match value {
        Value::Array(values) if depth < DEEPEST => {
            Some(values.iter().filter_map(|value| plain_part(value, depth + 1)).collect())
        }
        Value::Object(members) if depth < DEEPEST => {
            Some(Value::Object(plain_object(members, depth)))
        }
        value => is_plain(value, depth).then(|| value.clone()),
    }
}

fn plain_object(members: &Map<String, Value>, depth: usize) -> Map<String, Value> {
    let plain = members.iter().filter(|(key, _)| is_key(key));
    plain.filter_map(|(key, value)| Some((key.clone(), plain_part(value, depth + 1)?))).collect()
}

fn is_key(key: &str) -> bool {
    // Model names are keys in some breakdowns, and hold a slash.
    key.len() <= 64
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_short_names_are_kept_as_they_were_written() {
        let text = r#"{ "input_tokens": 3, "service_tier":"standard","cost":0.10 }"#;
        assert_eq!(
            keep(text, serde_json::from_str::<Value>(text).unwrap().as_object().unwrap())
                .as_deref(),
            Some(text)
        );
    }

    #[test]
    fn text_that_may_quote_a_prompt_is_left_out() {
        let object = json!({"n": 1, "note": "what is my secret?", "x": [{"key with blanks": 2}]});
        let kept = keep(&object.to_string(), object.as_object().unwrap()).unwrap();
        assert_eq!(kept, r#"{"n":1,"x":[{}]}"#);
    }

    #[test]
    fn an_object_nested_without_end_is_cut() {
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!({ "a": deep });
        }
        assert!(keep(&deep.to_string(), deep.as_object().unwrap()).unwrap().len() < 60);
    }
}
