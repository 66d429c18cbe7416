//! The commands: one file each, dispatched here.

mod arguments;
pub(crate) mod backup;
mod config_check;
mod demo;
mod forget;
mod import;
pub mod prices;
pub mod rate;
mod reconcile;
mod sandbox;
mod serve;
pub(crate) mod verify;

use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cli::arguments::{DataFolder, PriceFiles};
use crate::period::Timestamp;

/// An LLM gateway that keeps the stub of every request, and explains the provider's bill.
#[derive(Parser)]
#[command(name = "counterfoil", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A simulated month, reconciled: provider, gateway and dashboard on free ports.
    Demo(demo::DemoArguments),
    /// Run the gateway.
    Serve(serve::ServeArguments),
    /// Import a provider's exports: CSV, gzip or zip, as downloaded.
    Import(import::ImportArguments),
    /// Take an imported batch back; a reversal is appended, nothing is deleted.
    Withdraw(import::WithdrawArguments),
    /// Explain a provider's bill of a month against what passed through here.
    Reconcile(reconcile::ReconcileArguments),
    /// Check sequence, hashes, orphans and sums of journal and books.
    Verify {
        #[command(flatten)]
        data: DataFolder,
        /// Print a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Copy journal, books and fingerprint key, also while they are in use, and verify the copy.
    Backup {
        /// Where to; an empty or new folder.
        to: PathBuf,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Erase captured content before its time.
    Forget(forget::ForgetArguments),
    /// Look at the prices.
    Prices {
        #[command(subcommand)]
        command: PricesCommand,
    },
    /// Price recorded answers: NDJSON in, NDJSON out.
    Rate(PriceFiles),
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Run the simulated provider alone, to try clients against.
    Sandbox(sandbox::SandboxArguments),
}

#[derive(Subcommand)]
enum PricesCommand {
    /// Whether the price files are sound, and what they hold.
    Check(PriceFiles),
    /// What a model costs, with conditions, bands and sources.
    Show {
        /// The model, as a request or an answer spells it.
        model: String,
        /// An instant like 2026-10-01T00:00:00Z; without it, now.
        #[arg(long)]
        at: Option<Timestamp>,
        #[command(flatten)]
        files: PriceFiles,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the configuration in force, secrets hidden, or say what is wrong with it.
    Check {
        /// The file; without it, the defaults and the environment.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

/// Reads the command line and runs what it says.
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Withdraw(arguments) => import::withdraw(&arguments),
        Command::Reconcile(arguments) => reconcile::run(&arguments),
        Command::Verify { data, json } => arguments::block_on(verify::run(&data.folder(), json)),
        Command::Backup { to, data } => arguments::block_on(backup::run(&data.folder(), &to)),
        Command::Forget(arguments) => forget::run(&arguments),
        Command::Prices { command } => look_at_prices(command),
        Command::Rate(files) => arguments::finish(files.table().and_then(|table| {
            let input = BufReader::new(io::stdin().lock());
            rate::rate(input, io::stdout().lock(), &table).map_err(|error| error.to_string())
        })),
        Command::Config { command: ConfigCommand::Check { config } } => {
            config_check::run(config.as_deref())
        }
        Command::Sandbox(arguments) => sandbox::run(&arguments),
    }
}

fn look_at_prices(command: PricesCommand) -> ExitCode {
    let out = io::stdout().lock();
    let done = match command {
        PricesCommand::Check(files) => prices::check(&files.prices, out),
        PricesCommand::Show { model, at, files } => match files.table() {
            Ok(table) => {
                let at = at.unwrap_or_else(|| crate::serve::wall_clock().now());
                prices::show(&model, at, &table, out)
            }
            Err(error) => return arguments::finish(Err(error)),
        },
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => arguments::finish(Err(error.to_string())),
    }
}
