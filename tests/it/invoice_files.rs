//! Where the invoice files stand that are read whole and imported.

use std::path::{Path, PathBuf};

/// Those of the checkout.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/invoices")
}

/// The shared folder of invoices beside the checkout, where it stands.
pub fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/invoices");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("absent: ../shared/invoices; the files of tests/fixtures/invoices stand in");
    None
}

/// Every file under a folder, in order.
pub fn every_file(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(every_file(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}
