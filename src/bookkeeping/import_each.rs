//! Several files in one command: each is imported by itself, those that can name their account first.

use std::collections::BTreeMap;

use tokio::task::spawn_blocking;

use crate::bookkeeping::export_file::{ExportFile, ImportChoice, ImportError};
use crate::bookkeeping::import::{Imported, import};
use crate::invoice::export::Export;
use crate::invoice::format::ExportFormat;
use crate::names::Clock;
use crate::store::books::Books;

/// Imports the files of one command, each whole or not at all; what became of each, in their order.
///
/// Those that can name their account go first, so that the others find it, however a shell sorted
/// the names.
pub(crate) async fn import_each(
    books: &Books,
    files: &[ExportFile],
    choice: &ImportChoice,
    clock: &Clock,
) -> Vec<Result<Vec<Imported>, ImportError>> {
    let mut order = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let nameless = files.len() > 1 && is_nameless(file, choice).await;
        order.push((nameless, index));
    }
    order.sort_unstable();
    let mut done = BTreeMap::new();
    for (_, index) in order {
        done.insert(index, import(books, &files[index], choice, clock.now()).await);
    }
    done.into_values().collect()
}

/// Whether a file is of exports that never name an account. What cannot be read is refused by its
/// own import.
async fn is_nameless(file: &ExportFile, choice: &ImportChoice) -> bool {
    let (file, key) = (file.clone(), choice.personal_key.clone());
    let read = spawn_blocking(move || {
        let mut export = Export::open(&file.name, file.open().ok()?, &key).ok()?;
        let parts = 0..export.parts().len();
        Some(
            parts
                .map(|part| export.read(part).map(|rows| rows.format()))
                .all(|format| format.is_ok_and(|format| format != ExportFormat::OpenAiCost)),
        )
    });
    read.await.ok().flatten().unwrap_or(false)
}
