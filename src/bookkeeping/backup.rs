//! Backup: a copy of books, journal and fingerprint key that verifies, made while they are in use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::bookkeeping::post::PostError;
use crate::bookkeeping::verify::{self, Verification, VerifyError};
use crate::journal::reader;
use crate::owner_only;
use crate::store::books;
use crate::upstream::fingerprint::{self, FingerprintError};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to copy.
    #[error("{0} holds no journal and no books; give the folder of a counterfoil with --data")]
    NothingThere(PathBuf),
    /// The target holds something already.
    #[error("{0} is not empty; a backup is written into a new or empty folder only")]
    NotEmpty(PathBuf),
    /// The target cannot be made or looked into.
    #[error("{path}: {source}")]
    Target {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Journal or books could not be copied.
    #[error(transparent)]
    Copying(#[from] PostError),
    /// The key that fingerprints credentials could not be copied.
    #[error(transparent)]
    Key(#[from] FingerprintError),
    /// The copy could not be looked over.
    #[error("the copy was written but cannot be verified: {0}")]
    Verifying(#[from] VerifyError),
}

/// Copies books, journal and fingerprint key of a data folder into a new or empty folder, and
/// verifies the copy. Works beside a running process. The folder written is a data folder: to restore, put it where
/// the old one was.
///
/// # Errors
/// [`BackupError`]; a folder that was begun is left for inspection.
pub async fn backup(folder: &Path, to: &Path) -> Result<Verification, BackupError> {
    if ![books::BOOKS_FILE, reader::JOURNAL_FILE].iter().any(|file| folder.join(file).exists()) {
        return Err(BackupError::NothingThere(folder.to_owned()));
    }
    make_empty(to)?;
    // Books first: the journal that is copied after them holds all they were posted from.
    if folder.join(books::BOOKS_FILE).exists() {
        books::copy(folder, to).await.map_err(PostError::from)?;
    }
    if folder.join(reader::JOURNAL_FILE).exists() {
        reader::copy(folder, to).await.map_err(PostError::from)?;
    }
    fingerprint::copy_key(folder, to)?;
    Ok(verify::verify(to).await?)
}

fn make_empty(to: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Target { path: to.to_owned(), source };
    owner_only::make_folder(to).map_err(failed)?;
    match fs::read_dir(to).map_err(failed)?.next() {
        None => Ok(()),
        Some(_) => Err(BackupError::NotEmpty(to.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::store::books::Books;
    use crate::upstream::fingerprint::Fingerprinter;

    #[tokio::test]
    async fn a_key_that_was_seen_before_the_backup_is_known_where_it_is_restored() {
        let (folder, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Books::open(folder.path()).await.unwrap().close().await;
        let secret = SecretString::from("sk-proj-abcdefghijklx4Qm");
        let seen = Fingerprinter::open(folder.path()).unwrap().fingerprint(&secret);
        backup(folder.path(), target.path()).await.unwrap();
        assert_eq!(Fingerprinter::open(target.path()).unwrap().fingerprint(&secret), seen);
    }

    #[tokio::test]
    async fn a_folder_without_books_is_said_to_be_none_and_nothing_is_written() {
        let nowhere = tempfile::tempdir().unwrap();
        let (folder, target) = (nowhere.path().join("dta"), nowhere.path().join("copy"));
        let refused = backup(&folder, &target).await.unwrap_err();
        assert!(matches!(&refused, BackupError::NothingThere(path) if *path == folder));
        assert!(!target.exists() && !folder.exists());
    }
}
