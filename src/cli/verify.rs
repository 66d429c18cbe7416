//! `counterfoil verify`: does the record still say what was written?

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::bookkeeping::verify::{self, Verification};

/// Verifies a data folder and prints what was found, as a JSON object or in words. Succeeds if the
/// record is sound.
pub(crate) async fn run(data: &Path, json: bool) -> ExitCode {
    let found = match verify::verify(data).await {
        Ok(found) => found,
        Err(error) => {
            drop(writeln!(io::stderr(), "counterfoil verify: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let printed = if json { print_json(&found) } else { print_words(&found) };
    if found.is_sound() && printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_json(found: &Verification) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, found)?;
    writeln!(out)
}

/// Prints what was found, for people.
pub(super) fn print_words(found: &Verification) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Verification { records, last_n, posted_n, .. } = found;
    writeln!(
        out,
        "journal   {records} records kept, the newest is {last_n}, posted to {posted_n}"
    )?;
    if let Some(root) = &found.root_hash {
        writeln!(out, "root      {root}")?;
    }
    writeln!(out, "settled   {}", found.settled)?;
    writeln!(out, "orphans   {}", found.orphans)?;
    if found.running {
        writeln!(out, "under way {}", found.in_flight)?;
    }
    writeln!(out, "conflicts {}", found.conflicts)?;
    writeln!(out, "gaps      {}", found.gaps)?;
    writeln!(out, "sums      {}", if found.rollups_equal { "equal" } else { "DIFFER" })?;
    for problem in &found.problems {
        writeln!(out, "problem   {problem}")?;
    }
    let untold = found.problem_count.saturating_sub(found.problems.len() as u64);
    if untold > 0 {
        writeln!(out, "and {untold} problems more")?;
    }
    writeln!(out, "{}", if found.is_sound() { "sound" } else { "NOT SOUND" })
}
