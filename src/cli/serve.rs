//! `counterfoil serve`: runs the gateway until a signal ends it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, log_filter};
use crate::serve::{self, Running, ServeOptions};
use crate::telemetry;

/// Options of `serve`; they stand over the configuration.
#[derive(Args)]
pub(super) struct ServeArguments {
    /// The configuration file; see counterfoil.sample.toml.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The data folder.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where clients call, as ADDRESS:PORT.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where the dashboard answers, as ADDRESS:PORT.
    #[arg(long)]
    dashboard_listen: Option<SocketAddr>,
}

/// Runs until SIGTERM or SIGINT; a second one hurries.
pub(super) fn run(arguments: ServeArguments) -> ExitCode {
    telemetry::log::start(log_filter().as_deref());
    let ended = configured(arguments).map_err(|error| error.to_string()).and_then(serve);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn configured(arguments: ServeArguments) -> Result<Config, crate::config::error::ConfigError> {
    let mut config = Config::load(arguments.config.as_deref())?;
    if let Some(data) = arguments.data {
        config.data = data;
    }
    if let Some(listen) = arguments.listen {
        config.listen = listen;
    }
    if let Some(listen) = arguments.dashboard_listen {
        config.dashboard_listen = listen;
    }
    config.check()?;
    Ok(config)
}

#[tokio::main]
async fn serve(config: Config) -> Result<(), String> {
    let mut signals = Signals::listen().map_err(|error| error.to_string())?;
    let clock = serve::wall_clock();
    let options = ServeOptions { config, clock, banner: None };
    let running = serve::start(options).await.map_err(|error| error.to_string())?;
    announce(&running);
    let failure = tokio::select! {
        reason = running.failed() => Some(reason),
        () = signals.next() => None,
    };
    if let Some(reason) = &failure {
        tracing::error!(%reason, "the journal failed; this process ends, restart it to recover");
        return Err(format!("the journal failed: {reason}"));
    }
    tracing::info!("ending: no more calls are taken, those under way finish");
    running.shutdown(signals.next()).await.map_err(|error| error.to_string())
}

fn announce(running: &Running) {
    let url = running.proxy_url();
    let pages = running.dashboard_url();
    tracing::info!(
        "ready: OPENAI_BASE_URL={url}/openai/v1 ANTHROPIC_BASE_URL={url}/anthropic dashboard {pages}"
    );
    let opened = &running.opened;
    if opened.rescued > 0 {
        tracing::warn!(
            records = opened.rescued,
            "records the full journal of the earlier run could not take are in it now"
        );
    }
    if !opened.orphans.is_empty() {
        tracing::warn!(
            orphans = opened.orphans.len(),
            "attempts of an earlier run had no settlement; they are listed as orphans"
        );
    }
    if let Some(gap) = &opened.gap {
        let (from, to) = (gap.period.start, gap.period.end);
        tracing::warn!(%from, %to, "the earlier run did not end in order; a gap is on record");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
