//! `counterfoil sandbox`: the simulated provider alone, to try clients against.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::cli::arguments::{block_on, finish, print};
use crate::sandbox::month;
use crate::sandbox::provider::Sandbox;
use crate::serve;

/// Options of `sandbox`.
#[derive(Args)]
pub(super) struct SandboxArguments {
    /// Where it answers; this machine only.
    #[arg(long, default_value = "127.0.0.1:4190")]
    listen: SocketAddr,
    /// Milliseconds between the chunks of a stream.
    #[arg(long, default_value_t = 15)]
    pace_ms: u64,
}

/// Serves until it is stopped.
pub(super) fn run(arguments: &SandboxArguments) -> ExitCode {
    if !arguments.listen.ip().is_loopback() {
        return finish(Err("the sandbox listens on 127.0.0.1 only".to_owned()));
    }
    block_on(async {
        let pace = Duration::from_millis(arguments.pace_ms);
        let sandbox = Arc::new(Sandbox::new(month::keys(), serve::wall_clock(), pace));
        let keys: Vec<String> = sandbox.keys().iter().map(|key| key.secret.clone()).collect();
        match serve::serve_sandbox(arguments.listen, sandbox).await {
            Ok(sandbox) => {
                print(&format!("sandbox provider at http://{}", sandbox.addr));
                print(&format!("its keys, all made up: {}", keys.join(" ")));
                sandbox.stopped().await;
                finish(Ok(()))
            }
            Err(error) => finish(Err(error.to_string())),
        }
    })
}
