//! The callers that may call, and the check of their tokens in constant time.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::access::credential::Presented;

/// Who proved to be calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name in the configuration.
    pub name: String,
    /// The team their calls belong to.
    pub team: Option<String>,
    /// For how many days the content of their calls is kept; `None`, as by default, for not at all.
    pub capture_days: Option<u32>,
}

/// All callers by the digest of their token. Empty: anyone who reaches the listener may call.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    entries: Vec<(TokenDigest, Caller)>,
}

struct TokenDigest([u8; 32]);

/// Why a call is not let in. Says the same for an unknown and a missing token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this gateway asks for one of its own tokens as the API key, and none of them was sent")]
pub(crate) struct NotAdmitted;

impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TokenDigest(..)")
    }
}

impl Callers {
    /// Takes the callers of a configuration.
    pub(crate) fn new(callers: impl IntoIterator<Item = (Caller, SecretString)>) -> Self {
        let digested = |(caller, token): (Caller, SecretString)| {
            (TokenDigest(Sha256::digest(token.expose_secret().as_bytes()).into()), caller)
        };
        Self { entries: callers.into_iter().map(digested).collect() }
    }

    /// Whether nobody has to prove anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the content of somebody's calls is kept.
    pub(crate) fn any_captured(&self) -> bool {
        self.entries.iter().any(|(_, caller)| caller.capture_days.is_some())
    }

    /// Lets a caller in: `None` where no tokens are asked for.
    ///
    /// # Errors
    /// Tokens are asked for and none of them was presented.
    pub(crate) fn admit(
        &self,
        presented: Option<&Presented>,
    ) -> Result<Option<&Caller>, NotAdmitted> {
        if self.entries.is_empty() {
            return Ok(None);
        }
        let presented = presented.ok_or(NotAdmitted)?;
        let digest: [u8; 32] = Sha256::digest(presented.secret.expose_secret().as_bytes()).into();
        // Every entry is compared, whichever fits, so that time tells nothing.
        let mut found = u32::MAX;
        for (index, (entry, _)) in (0_u32..).zip(&self.entries) {
            found.conditional_assign(&index, entry.0.ct_eq(&digest));
        }
        let entry = usize::try_from(found).ok().and_then(|index| self.entries.get(index));
        entry.map(|(_, caller)| Some(caller)).ok_or(NotAdmitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::credential::KeyHeader;

    fn caller(name: &str) -> Caller {
        Caller { name: name.to_owned(), team: Some("search".to_owned()), capture_days: None }
    }

    fn presented(secret: &str) -> Presented {
        Presented { header: KeyHeader::Bearer, secret: SecretString::from(secret) }
    }

    #[test]
    fn a_token_lets_its_caller_in_and_nobody_else() {
        let callers = Callers::new([
            (caller("a"), SecretString::from("token-a")),
            (caller("b"), SecretString::from("token-b")),
        ]);
        assert_eq!(callers.admit(Some(&presented("token-b"))).unwrap(), Some(&caller("b")));
        assert_eq!(callers.admit(Some(&presented("token-c"))), Err(NotAdmitted));
        assert_eq!(callers.admit(Some(&presented("token-"))), Err(NotAdmitted));
        assert_eq!(callers.admit(None), Err(NotAdmitted));
    }

    #[test]
    fn without_callers_anyone_is_let_in_as_nobody() {
        assert_eq!(Callers::default().admit(None).unwrap(), None);
    }
}
