//! Personal columns leave no name behind: a keyed hash stands where the cell stood.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::digest::hexadecimal;

/// Cells remembered so that a column of one person is hashed once.
const REMEMBERED: usize = 1_024;

/// Replaces personal cells by a hash under a key that stays with the books.
#[derive(Debug)]
pub(crate) struct PersonalHash {
    keyed: Hmac<Sha256>,
    known: HashMap<String, String>,
}

impl PersonalHash {
    /// Takes the key of these books; any length.
    pub(crate) fn new(key: &[u8]) -> Self {
        // A key longer than a block is hashed first, as RFC 2104 does it; both ways cannot fail.
        let keyed = match Hmac::<Sha256>::new_from_slice(key) {
            Ok(keyed) => keyed,
            Err(_) => Hmac::<Sha256>::new(&hmac::digest::Key::<Hmac<Sha256>>::default()),
        };
        Self { keyed, known: HashMap::new() }
    }

    /// `personal:` and 32 hexadecimal digits; the same person reads the same in every import.
    pub(crate) fn replace(&mut self, cell: &str) -> &str {
        if !self.known.contains_key(cell) {
            if self.known.len() >= REMEMBERED {
                self.known.clear();
            }
            let mut keyed = self.keyed.clone();
            keyed.update(cell.as_bytes());
            let digest = keyed.finalize().into_bytes();
            let replaced = format!("personal:{}", hexadecimal(&digest[..16]));
            self.known.insert(cell.to_owned(), replaced);
        }
        self.known.get(cell).map_or("personal:", String::as_str)
    }
}

/// Whether a (normalized) column names a person: e-mail addresses, user ids, user names.
pub(crate) fn is_personal(column: &str) -> bool {
    const WORDS: &[&str] = &["email", "e_mail", "user", "member", "actor", "owner"];
    WORDS.iter().any(|word| column.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_person_reads_the_same_under_one_key_and_otherwise_under_another() {
        let (mut ours, mut again) = (PersonalHash::new(b"key"), PersonalHash::new(b"key"));
        let mut other = PersonalHash::new(b"another");
        let hashed = ours.replace("a@example.com").to_owned();
        assert_eq!(hashed.len(), "personal:".len() + 32);
        assert_eq!(hashed, again.replace("a@example.com"));
        assert_ne!(hashed, other.replace("a@example.com"));
        assert_ne!(hashed, again.replace("b@example.com"));
    }
}
