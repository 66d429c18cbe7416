//! Files and folders that only their owner can read: how each one of the data folder is made.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::path::Path;

/// Options that make a file readable by its owner only. One that is there keeps what it has.
pub(crate) fn options(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes a folder, with those above it, for its owner only, if it is not there.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes an empty file for its owner only, before SQLite would make one for everybody. Never opens
/// a file that is there: closing a descriptor on it would drop SQLite's locks.
pub(crate) fn make_file(path: &Path) -> io::Result<()> {
    match options(OpenOptions::new().write(true).create_new(true)).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
