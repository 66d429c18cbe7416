//! `counterfoil config check`: the configuration in force, secrets hidden.

use std::path::Path;
use std::process::ExitCode;

use crate::config::Config;

/// Prints it, or what is wrong with it.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command answers on its terminal")]
pub(super) fn run(file: Option<&Path>) -> ExitCode {
    match Config::load(file).and_then(|config| config.describe()) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("counterfoil: {error}");
            ExitCode::FAILURE
        }
    }
}
