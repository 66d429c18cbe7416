//! `counterfoil backup DIR`: a copy of the data folder that verifies.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::bookkeeping::backup;
use crate::cli::verify;

/// Copies the data folder's books, journal and fingerprint key, also while they are in use, and verifies the copy.
pub(crate) async fn run(data: &Path, to: &Path) -> ExitCode {
    match backup::backup(data, to).await {
        Ok(found) => {
            let printed = verify::print_words(&found).and_then(|()| {
                let to = to.display();
                writeln!(
                    io::stdout(),
                    "backup written to {to}; to restore, stop counterfoil and put that folder \
                     where the data folder was. Configuration and price overlays are not in it."
                )
            });
            if found.is_sound() && printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            drop(writeln!(io::stderr(), "counterfoil backup: {error}"));
            ExitCode::FAILURE
        }
    }
}
