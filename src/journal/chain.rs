//! The hash chain: each record bears the hash of the one before, so that an edited row is found.

use sha2::{Digest, Sha256};

use crate::digest::hexadecimal;

/// Stands before the first record of a node.
pub(crate) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a record's hash covers, beside the hash of the record before it.
pub(crate) struct Link<'a> {
    pub(crate) n: i64,
    pub(crate) boot: i64,
    pub(crate) kind: &'a str,
    pub(crate) attempt: Option<&'a str>,
    pub(crate) at: i64,
    pub(crate) body: &'a str,
}

impl Link<'_> {
    /// SHA-256 in 64 digits. Fields are separated by line feeds and only the last one can
    /// contain any, so no two different records give the same input.
    pub(crate) fn hash(&self, prev_hash: &str) -> String {
        let mut digest = Sha256::new();
        let Self { n, boot, kind, at, .. } = self;
        let attempt = self.attempt.unwrap_or("");
        digest.update(format!("{prev_hash}\n{n}\n{boot}\n{kind}\n{attempt}\n{at}\n"));
        digest.update(self.body);
        hexadecimal(&digest.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_counts_into_the_hash() {
        let link = |n, boot, kind, attempt, at, body| {
            Link { n, boot, kind, attempt, at, body }.hash(GENESIS)
        };
        let first = link(1, 1, "intent", Some("a"), 5, "{}");
        assert_eq!(first.len(), 64);
        for other in [
            link(2, 1, "intent", Some("a"), 5, "{}"),
            link(1, 2, "intent", Some("a"), 5, "{}"),
            link(1, 1, "count", Some("a"), 5, "{}"),
            link(1, 1, "intent", None, 5, "{}"),
            link(1, 1, "intent", Some("a"), 6, "{}"),
            link(1, 1, "intent", Some("a"), 5, "{ }"),
        ] {
            assert_ne!(first, other);
        }
    }
}
