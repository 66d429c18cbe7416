//! The one reader of what a caller presents as its key, whatever header it stands in.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// Which header a key stood in; a key that is passed through goes on in the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyHeader {
    /// `authorization: Bearer ...`
    Bearer,
    /// `x-api-key: ...`
    ApiKey,
}

/// What a caller presented. Its `Debug` hides the secret.
#[derive(Clone, Debug)]
pub(crate) struct Presented {
    /// Where it stood.
    pub header: KeyHeader,
    /// The key or token.
    pub secret: SecretString,
}

/// Why what was presented is no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CredentialError {
    /// Two that differ: whichever was taken, a check made on the other would be void.
    #[error("two different keys were sent, in `authorization` and `x-api-key`; send one")]
    Several,
    /// Another scheme than Bearer, or no text.
    #[error("the `authorization` header is not of the form `Bearer KEY`")]
    Unreadable,
}

const API_KEY: &str = "x-api-key";

/// Reads the caller's key from its headers; `None` where it sent none.
///
/// # Errors
/// More than one key, or one that cannot be read.
pub(crate) fn presented(headers: &HeaderMap) -> Result<Option<Presented>, CredentialError> {
    let mut found: Option<Presented> = None;
    let bearers = headers.get_all(AUTHORIZATION).iter().map(|value| (KeyHeader::Bearer, value));
    let keys = headers.get_all(API_KEY).iter().map(|value| (KeyHeader::ApiKey, value));
    for (header, value) in bearers.chain(keys) {
        let text = value.to_str().map_err(|_| CredentialError::Unreadable)?;
        let secret = match header {
            KeyHeader::Bearer => bearer_token(text).ok_or(CredentialError::Unreadable)?,
            KeyHeader::ApiKey => text.trim(),
        };
        if secret.is_empty() {
            continue;
        }
        match &found {
            None => found = Some(Presented { header, secret: SecretString::from(secret) }),
            Some(first) if same(first.secret.expose_secret(), secret) => {}
            Some(_) => return Err(CredentialError::Several),
        }
    }
    Ok(found)
}

fn bearer_token(text: &str) -> Option<&str> {
    let text = text.trim();
    if text.is_empty() {
        return Some(text);
    }
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        lines: &[(&'static str, &str)],
    ) -> Result<Option<(KeyHeader, String)>, CredentialError> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let found = presented(&headers)?;
        Ok(found.map(|found| (found.header, found.secret.expose_secret().to_owned())))
    }

    #[test]
    fn a_key_is_found_in_either_header() {
        assert_eq!(read(&[]).unwrap(), None);
        let bearer = read(&[("authorization", "bearer sk-1")]).unwrap();
        assert_eq!(bearer, Some((KeyHeader::Bearer, "sk-1".to_owned())));
        let key = read(&[("x-api-key", "sk-2")]).unwrap();
        assert_eq!(key, Some((KeyHeader::ApiKey, "sk-2".to_owned())));
    }

    #[test]
    fn two_keys_that_differ_are_refused_and_two_equal_ones_are_one() {
        let differ = [("authorization", "Bearer a"), ("x-api-key", "b")];
        assert_eq!(read(&differ), Err(CredentialError::Several));
        let twice = [("x-api-key", "a"), ("x-api-key", "b")];
        assert_eq!(read(&twice), Err(CredentialError::Several));
        assert!(read(&[("authorization", "Bearer a"), ("x-api-key", "a")]).unwrap().is_some());
    }

    #[test]
    fn another_scheme_is_refused_and_an_empty_key_is_none() {
        assert_eq!(read(&[("authorization", "Basic abc")]), Err(CredentialError::Unreadable));
        assert_eq!(read(&[("authorization", "Bearer ")]).unwrap(), None);
        assert_eq!(read(&[("x-api-key", "")]).unwrap(), None);
    }
}
