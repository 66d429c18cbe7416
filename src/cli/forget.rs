//! `counterfoil forget`: captured content is erased before its time.

use std::process::ExitCode;

use clap::Args;

use crate::cli::arguments::{DataFolder, block_on, finish, print};
use crate::store::captured::Captured;

/// What to erase the content of. The records of the calls stay: they hold no content.
#[derive(Args)]
pub(super) struct ForgetArguments {
    /// Requests by their id, as `x-counterfoil-request-id` told it.
    #[arg(required_unless_present = "caller")]
    requests: Vec<String>,
    /// Everything of this caller.
    #[arg(long, conflicts_with = "requests")]
    caller: Option<String>,
    #[command(flatten)]
    data: DataFolder,
}

/// Erases, and says how much.
pub(super) fn run(arguments: &ForgetArguments) -> ExitCode {
    block_on(async { finish(forget(arguments).await.map(|words| print(&words))) })
}

async fn forget(arguments: &ForgetArguments) -> Result<String, String> {
    let folder = arguments.data.folder();
    let words = |error: crate::store::error::StoreError| error.to_string();
    let Some(captured) = Captured::open_if_there(&folder).await.map_err(words)? else {
        return Ok(format!("{} holds no captured content", folder.display()));
    };
    let mut gone = 0;
    if let Some(caller) = &arguments.caller {
        gone = captured.forget_caller(caller).await.map_err(words)?;
    }
    for request in &arguments.requests {
        gone += captured.forget_request(request).await.map_err(words)?;
    }
    captured.close().await;
    Ok(format!("erased the captured content of {gone} attempts; their records stay"))
}
