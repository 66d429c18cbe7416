//! Who asked, as the path, the headers and the body say: claimed, unless a token proves it.

use http::HeaderMap;

use crate::access::caller::Caller;
use crate::ledger::intent::{LabelSource, Labels};
use crate::routing::native::NativePath;

/// Letters of one label.
const LONGEST: usize = 64;
/// Tags of one request.
const MOST_TAGS: usize = 32;

/// Reads the labels. A proved team stands over every claim; the path stands over the headers,
/// the headers over the body.
pub(crate) fn read(
    path: &NativePath<'_>,
    headers: &HeaderMap,
    body_user: Option<&str>,
    caller: Option<&Caller>,
) -> Labels {
    let mut labels = Labels::default();
    for text in header_texts(headers, "x-counterfoil-tags") {
        for word in text.split(',') {
            match word.split_once('=') {
                Some((key, value)) => take_pair(&mut labels, key.trim(), value),
                None => push_tag(&mut labels, word),
            }
        }
    }
    for text in header_texts(headers, "x-litellm-tags") {
        text.split(',').for_each(|word| push_tag(&mut labels, word));
    }
    if let Some(team) = path.team {
        labels.team = label(&decoded(team));
    }
    if let Some(app) = path.app {
        labels.app = label(&decoded(app));
    }
    if labels.user.is_none() {
        labels.user = body_user.and_then(label);
    }
    let claimed = labels != Labels::default();
    labels.source = if claimed { LabelSource::Claimed } else { LabelSource::None };
    if let Some(caller) = caller {
        labels.source = LabelSource::Proved;
        labels.app = Some(caller.name.clone());
        labels.team.clone_from(&caller.team);
    }
    labels
}

fn take_pair(labels: &mut Labels, key: &str, value: &str) {
    match key {
        "team" => labels.team = label(value),
        "app" => labels.app = label(value),
        "user" => labels.user = label(value),
        _ => push_tag(labels, &format!("{key}={}", value.trim())),
    }
}

fn push_tag(labels: &mut Labels, word: &str) {
    if labels.tags.len() < MOST_TAGS {
        labels.tags.extend(label(word));
    }
}

/// A label as it is written down: trimmed, without control characters, not too long.
fn label(text: &str) -> Option<String> {
    let plain = text.trim().chars().filter(|letter| !letter.is_control());
    let label: String = plain.take(LONGEST).collect();
    (!label.is_empty()).then_some(label)
}

fn header_texts<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// Percent-decoded text; what is no text after decoding stays as it was.
fn decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::native;

    fn read_labels(path: &str, headers: &[(&'static str, &str)], user: Option<&str>) -> Labels {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        read(&native::read(path).unwrap(), &map, user, None)
    }

    #[test]
    fn labels_come_from_path_headers_and_body_and_are_claimed() {
        let labels = read_labels(
            "/@search%20team:web/openai/v1/models",
            &[
                ("x-counterfoil-tags", "team=other, user=ann, experiment=b, nightly"),
                ("x-litellm-tags", "prod,eu"),
            ],
            Some("bob"),
        );
        assert_eq!(labels.team.as_deref(), Some("search team"));
        assert_eq!(labels.app.as_deref(), Some("web"));
        assert_eq!(labels.user.as_deref(), Some("ann"));
        assert_eq!(labels.tags, ["experiment=b", "nightly", "prod", "eu"]);
        assert_eq!(labels.source, LabelSource::Claimed);
        let none = read_labels("/openai/v1/models", &[], None);
        assert_eq!(none, Labels::default());
    }

    #[test]
    fn a_proved_team_stands_over_a_claim() {
        let team = Some("search".to_owned());
        let caller = Caller { name: "web".to_owned(), team, capture_days: None };
        let path = native::read("/@billing/openai/v1/models").unwrap();
        let labels = read(&path, &HeaderMap::new(), None, Some(&caller));
        assert_eq!(labels.team.as_deref(), Some("search"));
        assert_eq!(labels.source, LabelSource::Proved);
    }

    #[test]
    fn endless_labels_are_cut() {
        let long = "x".repeat(500);
        let labels = read_labels("/openai", &[("x-counterfoil-tags", &long)], None);
        assert_eq!(labels.tags[0].len(), LONGEST);
    }
}
