//! What several commands share on the command line, and how a command ends.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::prices::with_overlays;
use crate::pricing::table::PriceTable;
use crate::store::books::BOOKS_FILE;

/// The data folder a command works on.
#[derive(Args)]
pub(super) struct DataFolder {
    /// The data folder; without it, `data` in this folder.
    #[arg(long)]
    data: Option<PathBuf>,
}

impl DataFolder {
    /// The folder.
    pub(super) fn folder(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| PathBuf::from("data"))
    }

    /// The folder, where it holds books already: for commands that would find nothing in new ones,
    /// and must not make a folder of a mistyped name.
    ///
    /// # Errors
    /// What to do, in words, where there are no books.
    pub(super) fn with_books(&self) -> Result<PathBuf, String> {
        let folder = self.folder();
        if folder.join(BOOKS_FILE).is_file() {
            return Ok(folder);
        }
        let shown = folder.display();
        Err(format!("{shown} holds no books; give the folder of a counterfoil with --data DIR"))
    }
}

/// Price files over the built-in ones.
#[derive(Args)]
pub(super) struct PriceFiles {
    /// A price file of your own over the built-in prices; may be given several times.
    #[arg(long = "prices", value_name = "FILE")]
    pub(super) prices: Vec<PathBuf>,
}

impl PriceFiles {
    /// All of them as one table, or what is wrong in words.
    pub(super) fn table(&self) -> Result<PriceTable, String> {
        with_overlays(&self.prices).map_err(|error| error.to_string())
    }
}

/// Says what went wrong on the terminal, and what that means for the exit code.
pub(super) fn finish(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed terminal is no reason to fail differently.
            drop(writeln!(io::stderr(), "counterfoil: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints to the terminal; a reader that went away ends nothing.
pub(super) fn print(text: &str) {
    drop(writeln!(io::stdout(), "{text}"));
}

/// Runs a command that waits on files and databases.
pub(super) fn block_on(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => finish(Err(format!("no threads to run on: {error}"))),
    }
}
