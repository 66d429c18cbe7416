//! Which headers cross the gateway, by allow-list in both directions, and what an answer's
//! headers say about who pays.

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue,
};
use secrecy::{ExposeSecret, SecretString};

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyPlacement {
    /// `authorization: Bearer KEY`
    Bearer,
    /// `x-api-key: KEY`
    ApiKey,
}

/// What an answer's headers say about the account and the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AnswerFacts {
    /// `openai-organization`, `anthropic-organization-id`.
    pub organization: Option<String>,
    /// `openai-project`.
    pub project: Option<String>,
    /// `anthropic-workspace-id`.
    pub workspace: Option<String>,
    /// `x-request-id`, `request-id`.
    pub request_id: Option<String>,
}

const REQUEST_NAMES: &[&str] = &[
    "accept",
    "accept-language",
    "content-type",
    "content-encoding",
    "content-language",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "range",
    "user-agent",
    "x-app",
    "x-client-request-id",
];

const REQUEST_FAMILIES: &[&str] = &["anthropic-", "openai-", "x-stainless-"];

const ANSWER_NAMES: &[&str] = &[
    "accept-ranges",
    "cache-control",
    "cf-ray",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-range",
    "content-type",
    "etag",
    "expires",
    "last-modified",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "server-timing",
    "vary",
    "www-authenticate",
    "x-envoy-upstream-service-time",
    "x-request-id",
    "x-should-retry",
];

const ANSWER_FAMILIES: &[&str] = &["anthropic-", "openai-", "ratelimit-", "x-ratelimit-"];

/// The headers of an attempt: what of the caller's may pass, and the key that pays.
/// What the caller named in `Connection` is meant for us alone and does not pass.
pub(crate) fn for_provider(
    caller: &HeaderMap,
    key: Option<(KeyPlacement, &SecretString)>,
) -> Result<HeaderMap, UnusableKey> {
    let connection = connection_names(caller);
    let mut headers = HeaderMap::with_capacity(caller.len());
    for (name, value) in caller {
        let text = name.as_str();
        if is_listed(text, REQUEST_NAMES, REQUEST_FAMILIES) && !connection.iter().any(|c| c == text)
        {
            headers.append(name, value.clone());
        }
    }
    // Bytes that are to be read on their way must not be compressed; a provider that does so
    // all the same is answered by `gateway`, which decodes a copy.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some((placement, secret)) = key {
        let secret = secret.expose_secret();
        let (name, text) = match placement {
            KeyPlacement::Bearer => (AUTHORIZATION, format!("Bearer {secret}")),
            KeyPlacement::ApiKey => (HeaderName::from_static("x-api-key"), secret.to_owned()),
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| UnusableKey)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// A key that holds characters no header can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key holds characters no HTTP header can carry")]
pub(crate) struct UnusableKey;

/// The headers of an answer that go back to the caller.
pub(crate) fn for_caller(answer: &HeaderMap) -> HeaderMap {
    let connection = connection_names(answer);
    let mut headers = HeaderMap::with_capacity(answer.len() + 3);
    for (name, value) in answer {
        let text = name.as_str();
        if is_listed(text, ANSWER_NAMES, ANSWER_FAMILIES) && !connection.iter().any(|c| c == text) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// Reads account and request id from an answer's headers.
pub(crate) fn answer_facts(answer: &HeaderMap) -> AnswerFacts {
    let text = |names: &[&str]| {
        names.iter().find_map(|name| {
            let value = answer.get(*name)?.to_str().ok()?.trim();
            // A header longer than any id may be anything; it is not written down.
            (!value.is_empty() && value.len() <= 256).then(|| value.to_owned())
        })
    };
    AnswerFacts {
        organization: text(&["openai-organization", "anthropic-organization-id"]),
        project: text(&["openai-project"]),
        workspace: text(&["anthropic-workspace-id"]),
        request_id: text(&["x-request-id", "request-id"]),
    }
}

/// The media type of a message without its parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// How a body is compressed, if it is; `identity` is not.
pub(crate) fn content_encoding(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_ENCODING)?.to_str().ok()?.trim().to_ascii_lowercase();
    (!text.is_empty() && text != "identity").then_some(text)
}

fn is_listed(name: &str, names: &[&str], families: &[&str]) -> bool {
    names.contains(&name) || families.iter().any(|family| name.starts_with(family))
}

fn connection_names(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all("connection").iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let names = texts.flat_map(|text| text.split(','));
    names.map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn only_listed_headers_reach_the_provider_and_the_key_is_ours_to_place() {
        let caller = headers(&[
            ("authorization", "Bearer gateway-token"),
            ("x-api-key", "gateway-token"),
            ("cookie", "a=b"),
            ("host", "127.0.0.1"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("connection", "keep-alive, anthropic-beta"),
            ("transfer-encoding", "chunked"),
            ("accept-encoding", "gzip, br"),
            ("x-counterfoil-tags", "team=search"),
            ("openai-project", "proj_1"),
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "named-in-connection"),
            ("content-type", "application/json"),
        ]);
        let secret = SecretString::from("sk-real");
        let sent = for_provider(&caller, Some((KeyPlacement::ApiKey, &secret))).unwrap();
        let mut lines: Vec<_> =
            sent.iter().map(|(k, v)| format!("{k}: {}", v.to_str().unwrap())).collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "accept-encoding: identity",
                "anthropic-version: 2023-06-01",
                "content-type: application/json",
                "openai-project: proj_1",
                "x-api-key: sk-real",
            ]
        );
        assert!(!format!("{sent:?}").contains("sk-real"));
    }

    #[test]
    fn account_request_id_and_rate_limit_headers_come_back_and_cookies_do_not() {
        let answer = headers(&[
            ("set-cookie", "x=1"),
            ("openai-organization", "org-1"),
            ("x-request-id", "req_1"),
            ("x-ratelimit-remaining-tokens", "7"),
            ("retry-after", "3"),
            ("alt-svc", "h3"),
            ("transfer-encoding", "chunked"),
        ]);
        let back = for_caller(&answer);
        let mut names: Vec<_> = back.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected =
            ["openai-organization", "retry-after", "x-ratelimit-remaining-tokens", "x-request-id"];
        assert_eq!(names, expected);
        let facts = answer_facts(&answer);
        assert_eq!(facts.organization.as_deref(), Some("org-1"));
        assert_eq!(facts.request_id.as_deref(), Some("req_1"));
        assert_eq!(facts.project, None);
    }
}
