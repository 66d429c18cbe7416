//! Secrets of the configuration: written as a reference, read once, fit for an HTTP header.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use crate::config::error::ConfigError;

/// A secret or where it stands, as the file says it; never printed.
pub(super) fn secret<'de, D: Deserializer<'de>>(source: D) -> Result<SecretString, D::Error> {
    String::deserialize(source).map(SecretString::from)
}

/// The same where it may be left out.
pub(super) fn optional_secret<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<SecretString>, D::Error> {
    secret(source).map(Some)
}

/// Reads the secret a reference names: `env:NAME`, `file:PATH`, or the secret itself.
///
/// # Errors
/// What is wrong with the key of this name; never the secret.
pub(super) fn read_secret(
    key: &str,
    reference: &SecretString,
) -> Result<SecretString, ConfigError> {
    let text = reference.expose_secret();
    let unusable = |problem: String| ConfigError::Unusable { key: key.to_owned(), problem };
    let found = if let Some(name) = text.strip_prefix("env:") {
        std::env::var_os(name)
            .and_then(|value| value.into_string().ok())
            .ok_or_else(|| unusable(format!("names the variable {name}, which is not set")))?
    } else if let Some(path) = text.strip_prefix("file:") {
        std::fs::read_to_string(path)
            .map_err(|error| unusable(format!("names the file {path}: {error}")))?
    } else {
        text.to_owned()
    };
    let found = found.trim();
    if found.is_empty() {
        return Err(unusable("is empty".to_owned()));
    }
    if !found.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable("holds blanks or characters no HTTP header can carry".to_owned()));
    }
    Ok(SecretString::from(found))
}
