//! Why a configuration cannot be used, told so that a person can mend it.

use std::path::PathBuf;

/// Why a configuration cannot be used. Says the key and what to do; never a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file or an override is not what the sample describes.
    #[error("{origin}: {message}")]
    Malformed {
        /// The file, or the environment.
        origin: String,
        /// Where and what; taken from the parser.
        message: String,
    },
    /// A value that cannot be meant.
    #[error("{key}: {problem}")]
    Unusable {
        /// The key in the file.
        key: String,
        /// What is wrong and what to write instead.
        problem: String,
    },
}
