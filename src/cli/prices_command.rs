//! `counterfoil prices` and `counterfoil rate` on a terminal.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::{prices, rate};
use crate::period::Timestamp;
use crate::serve::wall_clock;

#[derive(Subcommand)]
pub(super) enum PricesCommand {
    /// Check the built-in prices and your files over them.
    Check {
        /// Price files laid over the built-in ones.
        #[arg(long)]
        overlay: Vec<PathBuf>,
    },
    /// Print what a model costs.
    Show {
        /// The model, as a provider spells it.
        model: String,
        /// The instant, as 2026-10-01T00:00:00Z; now by default.
        #[arg(long)]
        at: Option<Timestamp>,
        /// Price files laid over the built-in ones.
        #[arg(long)]
        overlay: Vec<PathBuf>,
    },
}

/// Checks or shows.
pub(super) fn run(command: PricesCommand) -> ExitCode {
    let output = io::stdout().lock();
    let done = match command {
        PricesCommand::Check { overlay } => prices::check(&overlay, output),
        PricesCommand::Show { model, at, overlay } => {
            let at = at.unwrap_or_else(|| wall_clock().now());
            match prices::with_overlays(&overlay) {
                Ok(table) => prices::show(&model, at, &table, output),
                Err(error) => return fail(&error),
            }
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

/// Rates standard input.
pub(super) fn rate_lines(overlay: &[PathBuf]) -> ExitCode {
    let table = match prices::with_overlays(overlay) {
        Ok(table) => table,
        Err(error) => return fail(&error),
    };
    let mut output = BufWriter::new(io::stdout().lock());
    let rated = rate::rate(io::stdin().lock(), &mut output, &table);
    match rated.and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a command answers on its terminal")]
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("counterfoil: {error}");
    ExitCode::FAILURE
}
