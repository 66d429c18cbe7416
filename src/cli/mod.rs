//! The commands: one file each, dispatched here.

mod config_check;
pub mod prices;
mod prices_command;
pub mod rate;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An LLM gateway that keeps the stub of every request, and explains the provider's bill.
#[derive(Parser)]
#[command(name = "counterfoil", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(serve::ServeArguments),
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look at the prices.
    Prices {
        #[command(subcommand)]
        command: prices_command::PricesCommand,
    },
    /// Price answers: one JSON object a line in, one a line out.
    Rate {
        /// Price files laid over the built-in ones.
        #[arg(long)]
        overlay: Vec<PathBuf>,
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
        Command::Serve(arguments) => serve::run(arguments),
        Command::Config { command: ConfigCommand::Check { config } } => {
            config_check::run(config.as_deref())
        }
        Command::Prices { command } => prices_command::run(command),
        Command::Rate { overlay } => prices_command::rate_lines(&overlay),
    }
}
//! What a person can type: one file per command.

pub mod prices;
pub mod rate;
//! The commands: one file each.

pub mod backup;
pub mod verify;
