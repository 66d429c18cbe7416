//! What may be the base URL of a provider. It comes from the configuration, never from a caller.

use http::Uri;

/// Why a text is no base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BaseUrlError {
    /// It does not parse.
    #[error("is no URL")]
    NoUrl,
    /// Such as `https://`.
    #[error("names no host")]
    NoHost,
    /// `https://user:password@host`.
    #[error("carries a user or password; use api_key")]
    Credentials,
    /// Something after `?`.
    #[error("carries a query")]
    Query,
    /// The client's path brings the version.
    #[error("ends in /v1; leave that off, the client's path brings it")]
    Version,
    /// Another scheme.
    #[error("begins with neither https:// nor http://")]
    Scheme,
    /// Plain HTTP over a network.
    #[error(
        "sends keys and prompts in clear; use https, or set allow_http = true for this provider if \
         the network in between is yours"
    )]
    InClear,
}

/// Checks a base URL and takes the slash off its end.
///
/// # Errors
/// It cannot be meant; the text says why, to stand after the key's name.
pub(crate) fn checked(given: &str, allow_http: bool) -> Result<String, BaseUrlError> {
    let base = given.trim_end_matches('/');
    let uri: Uri = base.parse().map_err(|_| BaseUrlError::NoUrl)?;
    let host = uri.host().ok_or(BaseUrlError::NoHost)?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(BaseUrlError::Credentials);
    }
    if uri.query().is_some() {
        return Err(BaseUrlError::Query);
    }
    if base.ends_with("/v1") {
        return Err(BaseUrlError::Version);
    }
    match uri.scheme_str() {
        Some("https") => Ok(base.to_owned()),
        Some("http") if allow_http || is_this_machine(host) => Ok(base.to_owned()),
        Some("http") => Err(BaseUrlError::InClear),
        _ => Err(BaseUrlError::Scheme),
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_or_meant() {
        for url in ["http://127.0.0.1:9/", "http://localhost:11434", "http://[::1]:1"] {
            assert!(checked(url, false).is_ok(), "{url}");
        }
        for url in ["http://10.0.0.5:8000", "http://localhost.example.com", "http://0.0.0.0"] {
            assert_eq!(checked(url, false), Err(BaseUrlError::InClear), "{url}");
            assert!(checked(url, true).is_ok(), "{url}");
        }
        assert_eq!(checked("https://host/tenant/", false).unwrap(), "https://host/tenant");
    }
}
