//! Errors on the wire: ours in the caller's own dialect, and the little we keep of theirs.

use serde_json::json;

use super::endpoint::Dialect;
use super::members::{member, string_text};

/// An error of ours, to be said in any dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnError<'a> {
    /// The HTTP status it travels with; decides the dialect's own word for its kind.
    pub status: u16,
    /// A stable short name, such as `journal_unavailable`.
    pub code: &'a str,
    /// What happened and what to do, for a person.
    pub message: &'a str,
    /// The request's field at fault, if one is.
    pub param: Option<&'a str>,
    /// Our id of the request.
    pub request_id: Option<&'a str>,
}

/// What is kept of a provider's error. Never its message: that may quote the prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFacts {
    /// The provider's word for the kind of error.
    pub error_type: Option<String>,
    /// The provider's code.
    pub code: Option<String>,
}

impl OwnError<'_> {
    /// The body of a JSON answer.
    pub(crate) fn to_json(&self, dialect: Dialect) -> String {
        let body = match dialect {
            Dialect::OpenAi => json!({"error": {
                "message": self.message,
                "type": openai_type(self.status),
                "param": self.param,
                "code": self.code,
            }}),
            Dialect::Anthropic => json!({
                "type": "error",
                "error": {
                    "type": anthropic_type(self.status),
                    "message": format!("{} ({})", self.message, self.code),
                },
                "request_id": self.request_id,
            }),
        };
        body.to_string()
    }

    /// The event that says it inside a stream which has already begun.
    pub(crate) fn to_event(&self, dialect: Dialect) -> String {
        let body = self.to_json(dialect);
        match dialect {
            Dialect::OpenAi => format!("data: {body}\n\n"),
            Dialect::Anthropic => format!("event: error\ndata: {body}\n\n"),
        }
    }
}

/// The facts of an error object, or of a bare string, which may be a message and is not kept.
pub(crate) fn error_facts(error: &[u8]) -> ErrorFacts {
    ErrorFacts {
        error_type: member(error, "type").and_then(short_name),
        code: member(error, "code").and_then(short_name),
    }
}

/// A short name or number as text; longer or odder strings may carry content and are dropped.
pub(crate) fn short_name(value: &[u8]) -> Option<String> {
    let text = match string_text(value) {
        Some(text) => text,
        None => std::str::from_utf8(value).ok().filter(|text| *text != "null")?.into(),
    };
    is_short_name(&text).then(|| text.into_owned())
}

/// Whether a text is a name a program chose: at most 64 letters, digits and `_ . : -`.
pub(crate) fn is_short_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(allowed)
}

fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: OwnError<'_> = OwnError {
        status: 503,
        code: "journal_unavailable",
        message: "The journal cannot take this request; try again in 2 s.",
        param: None,
        request_id: Some("0199"),
    };

    #[test]
    fn each_dialect_hears_an_error_in_its_own_words() {
        let openai: serde_json::Value =
            serde_json::from_str(&ERROR.to_json(Dialect::OpenAi)).unwrap();
        assert_eq!(openai["error"]["type"], "server_error");
        assert_eq!(openai["error"]["code"], "journal_unavailable");
        assert!(openai["error"]["param"].is_null());
        let anthropic: serde_json::Value =
            serde_json::from_str(&ERROR.to_json(Dialect::Anthropic)).unwrap();
        assert_eq!(anthropic["type"], "error");
        assert_eq!(anthropic["error"]["type"], "overloaded_error");
        assert_eq!(anthropic["request_id"], "0199");
        assert!(ERROR.to_event(Dialect::Anthropic).starts_with("event: error\ndata: {"));
        assert!(ERROR.to_event(Dialect::OpenAi).ends_with("}\n\n"));
    }

    #[test]
    fn a_providers_message_is_not_kept() {
        let error = br#"{"message":"you said: secret","type":"invalid_request_error",
            "code":"context_length_exceeded"}"#;
        let facts = error_facts(error);
        assert_eq!(facts.error_type.as_deref(), Some("invalid_request_error"));
        assert_eq!(facts.code.as_deref(), Some("context_length_exceeded"));
        let facts = error_facts(br#"{"type":"you said: a secret","code":502}"#);
        assert_eq!((facts.error_type, facts.code.as_deref()), (None, Some("502")));
    }
}
