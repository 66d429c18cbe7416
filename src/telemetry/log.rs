//! The log: one line an event, on standard error, without bodies, headers, queries or keys.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging. `filter` is in `EnvFilter`'s syntax; nothing happens where a log runs already.
pub(crate) fn start(filter: Option<&str>) {
    let filter = EnvFilter::try_new(filter.unwrap_or("warn,counterfoil=info"))
        .unwrap_or_else(|_| EnvFilter::new("warn,counterfoil=info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colors are for people at a terminal, not for files.
    let log = log.with_ansi(std::io::stderr().is_terminal());
    // A test may have started one before.
    drop(log.with_target(false).try_init());
}
