//! How a provider key is written down: a keyed fingerprint and the last four characters.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::digest::hexadecimal;
use crate::names::CredentialId;
use crate::owner_only;

/// Makes fingerprints that mean nothing without the data folder's own key.
pub(crate) struct Fingerprinter {
    keyed: Hmac<Sha256>,
}

/// Why the key could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum FingerprintError {
    /// The file.
    #[error("cannot use the fingerprint key {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what was once written.
    #[error(
        "the fingerprint key {0} does not hold 32 bytes; restore it from a backup, or remove it \
         and accept that every credential will look new"
    )]
    Damaged(PathBuf),
    /// No randomness.
    #[error("the machine gives no random bytes: {0}")]
    NoRandomness(std::io::Error),
}

const KEY_BYTES: usize = 32;
const KEY_FILE: &str = "fingerprint.key";

impl std::fmt::Debug for Fingerprinter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Fingerprinter(..)")
    }
}

impl Fingerprinter {
    /// Reads the key of a data folder, or makes one there that only its owner can read.
    ///
    /// # Errors
    /// The file cannot be read or written, or was damaged.
    pub(crate) fn open(data: &Path) -> Result<Self, FingerprintError> {
        let path = data.join(KEY_FILE);
        let failed = |source| FingerprintError::File { path: path.clone(), source };
        match std::fs::read(&path) {
            Ok(key) if key.len() == KEY_BYTES => Ok(Self::with_key(&key)),
            Ok(_) => Err(FingerprintError::Damaged(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = random_key()?;
                write_private(&path, &key).map_err(failed)?;
                Ok(Self::with_key(&key))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// With a key at hand. Any length serves.
    pub(crate) fn with_key(key: &[u8]) -> Self {
        match Hmac::new_from_slice(key) {
            Ok(keyed) => Self { keyed },
            // HMAC takes keys of any length; the type of the constructor cannot say so.
            Err(_) => Self { keyed: Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()) },
        }
    }

    /// A key of its own for the personal cells of imported exports, derived so that neither use
    /// tells anything about the other.
    pub(crate) fn personal_key(&self) -> Vec<u8> {
        let mut mac = self.keyed.clone();
        mac.update(b"counterfoil: personal cells of exports");
        mac.finalize().into_bytes().to_vec()
    }

    /// The fingerprint: 16 hexadecimal digits, equal for equal keys, telling nothing else.
    pub(crate) fn fingerprint(&self, secret: &SecretString) -> CredentialId {
        let mut mac = self.keyed.clone();
        mac.update(secret.expose_secret().as_bytes());
        let digest = mac.finalize().into_bytes();
        CredentialId::new(hexadecimal(&digest[..8]))
    }
}

/// Copies a data folder's key into another folder that has none: under another key every credential
/// would look new, and what was said of it would be lost. Nothing happens where there is no key yet.
///
/// # Errors
/// The file cannot be read or written.
pub(crate) fn copy_key(data: &Path, to: &Path) -> Result<(), FingerprintError> {
    let failed = |path: PathBuf| |source| FingerprintError::File { path, source };
    let (path, copy) = (data.join(KEY_FILE), to.join(KEY_FILE));
    match std::fs::read(&path) {
        Ok(key) => write_private(&copy, &key).map_err(failed(copy)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(path)(error)),
    }
}

/// The last four characters, as providers show keys; fewer where the key is short, so that the
/// hint never gives away more than a third of it.
pub(crate) fn hint(secret: &SecretString) -> String {
    let text = secret.expose_secret();
    let shown = (text.chars().count() / 3).min(4);
    let skipped = text.chars().count() - shown;
    text.chars().skip(skipped).collect()
}

fn random_key() -> Result<[u8; KEY_BYTES], FingerprintError> {
    let mut key = [0_u8; KEY_BYTES];
    let mut source = std::fs::File::open("/dev/urandom").map_err(FingerprintError::NoRandomness)?;
    source.read_exact(&mut key).map_err(FingerprintError::NoRandomness)?;
    Ok(key)
}

fn write_private(path: &Path, key: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = owner_only::options(&mut options).open(path)?;
    file.write_all(key)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_stays_the_same_over_restarts_of_one_folder_and_differs_in_another() {
        let folder = tempfile::tempdir().unwrap();
        let secret = SecretString::from("sk-proj-abcdefghijklx4Qm");
        let first = Fingerprinter::open(folder.path()).unwrap().fingerprint(&secret);
        let again = Fingerprinter::open(folder.path()).unwrap().fingerprint(&secret);
        assert_eq!(first, again);
        assert_eq!(first.as_str().len(), 16);
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Fingerprinter::open(elsewhere.path()).unwrap().fingerprint(&secret);
        assert_ne!(first, other);
        assert_eq!(hint(&secret), "x4Qm");
        assert_eq!(hint(&SecretString::from("abc")), "c");
    }

    #[test]
    fn a_damaged_key_is_named_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(KEY_FILE), b"short").unwrap();
        let error = Fingerprinter::open(folder.path()).unwrap_err();
        assert!(matches!(error, FingerprintError::Damaged(_)));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_key() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        Fingerprinter::open(folder.path()).unwrap();
        let mode = std::fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
