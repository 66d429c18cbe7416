//! `counterfoil import` and `withdraw`: exports into the books, and back out of sight.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::bookkeeping::export_file::{ExportBytes, ExportFile, ImportChoice, ImportError};
use crate::bookkeeping::import::Imported;
use crate::bookkeeping::import_each::import_each;
use crate::cli::arguments::{DataFolder, block_on, finish, print};
use crate::serve::wall_clock;
use crate::store::books::Books;
use crate::store::imports as stored;
use crate::upstream::fingerprint::Fingerprinter;

/// Options of `import`.
#[derive(Args)]
pub(super) struct ImportArguments {
    /// Exports as downloaded: CSV, gzip or zip.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The account they are of, where the files do not say and there are several.
    #[arg(long)]
    account: Option<String>,
    #[command(flatten)]
    data: DataFolder,
    /// Print a JSON list, one object a file.
    #[arg(long)]
    json: bool,
}

/// Options of `withdraw`.
#[derive(Args)]
pub(super) struct WithdrawArguments {
    /// The batch, as `import` named it.
    batch: String,
    /// Why.
    #[arg(long, default_value = "withdrawn by hand")]
    reason: String,
    #[command(flatten)]
    data: DataFolder,
}

/// Imports every file, each whole or not at all. Succeeds if all of them went in.
pub(super) fn run(arguments: ImportArguments) -> ExitCode {
    block_on(async move {
        let folder = arguments.data.folder();
        let (books, key) = match open(&folder).await {
            Ok(open) => open,
            Err(error) => return finish(Err(error)),
        };
        let choice = ImportChoice { account: arguments.account, personal_key: key };
        let (mut listed, mut refused) = (Vec::new(), Vec::new());
        let files: Vec<ExportFile> = arguments.files.iter().map(|path| export_file(path)).collect();
        let done = import_each(&books, &files, &choice, &wall_clock()).await;
        for (file, done) in arguments.files.iter().zip(done) {
            match done {
                Ok(imported) => {
                    for one in &imported {
                        if !arguments.json {
                            print(&in_words(one));
                        }
                        listed.push(json!(one));
                    }
                }
                Err(error) => {
                    let words = in_words_of_error(file, &error);
                    listed.push(refusal(file, &error, &words));
                    refused.push(words);
                }
            }
        }
        books.close().await;
        if arguments.json {
            print(&serde_json::to_string_pretty(&listed).unwrap_or_default());
        }
        finish(if refused.is_empty() { Ok(()) } else { Err(refused.join("\n")) })
    })
}

/// Takes a batch back.
pub(super) fn withdraw(arguments: &WithdrawArguments) -> ExitCode {
    block_on(async {
        let books = match arguments.data.with_books() {
            Ok(folder) => Books::open(&folder).await.map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        let books = match books {
            Ok(books) => books,
            Err(error) => return finish(Err(error)),
        };
        let now = wall_clock().now();
        let done = stored::withdraw(&books, &arguments.batch, now, "cli", &arguments.reason).await;
        books.close().await;
        let batch = &arguments.batch;
        finish(match done {
            Ok(true) => {
                print(&format!("{batch} is withdrawn; what it replaced speaks again"));
                Ok(())
            }
            Ok(false) => {
                Err(format!("{batch} is no batch in these books, or was withdrawn before"))
            }
            Err(error) => Err(error.to_string()),
        })
    })
}

/// Opens books and the key personal cells are hashed with.
pub(super) async fn open(folder: &Path) -> Result<(Books, Vec<u8>), String> {
    let books = Books::open(folder).await.map_err(|error| error.to_string())?;
    let key = Fingerprinter::open(folder).map_err(|error| error.to_string())?.personal_key();
    Ok((books, key))
}

fn export_file(path: &Path) -> ExportFile {
    ExportFile { name: base_name(path), bytes: ExportBytes::Path(path.to_owned()) }
}

fn in_words(imported: &Imported) -> String {
    let span = imported
        .period
        .map_or("no days".to_owned(), |(first, last)| format!("{first} to {last} UTC"));
    let sums: Vec<String> =
        imported.sums.iter().map(|(currency, sum)| format!("{currency} {sum}")).collect();
    let rows = imported.rows;
    let mut text = format!(
        "{}: {}, account {}, {span}: {} money rows, {} usage rows, {} empty, {} totals; {}",
        imported.file,
        imported.format,
        imported.account,
        rows.billed_lines,
        rows.usage_rows,
        rows.empty_buckets,
        rows.totals,
        if sums.is_empty() { "no money".to_owned() } else { sums.join(", ") },
    );
    let batch = &imported.batch;
    if imported.unchanged {
        text.push_str(&format!("\n  already imported as batch {batch}: nothing to do"));
        if let Some(overruled) = &imported.overruled {
            text.push_str(&format!("\n  {overruled}"));
        }
    } else {
        text.push_str(&format!("\n  batch {batch}"));
    }
    for replaced in &imported.replaced {
        let (days, earlier) = (replaced.days.len(), &replaced.batch);
        text.push_str(&format!("\n  speaks for {days} days of batch {earlier}"));
        if !(replaced.before.is_empty() && replaced.after.is_empty()) {
            let (before, after) = (either(&replaced.before), either(&replaced.after));
            text.push_str(&format!(": {before} before, {after} now"));
        }
    }
    for warning in &imported.warnings {
        text.push_str(&format!("\n  note: {warning}"));
    }
    text
}

fn either(sums: &[String]) -> String {
    if sums.is_empty() { "nothing".to_owned() } else { sums.join(" and ") }
}

/// Every reason names its file.
fn in_words_of_error(path: &Path, error: &ImportError) -> String {
    match error {
        ImportError::Store(source) => {
            format!("{}: nothing of it was imported: {source}", base_name(path))
        }
        named => named.to_string(),
    }
}

fn base_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The same shape as an imported file, with nothing in it but the reason.
fn refusal(path: &Path, error: &ImportError, words: &str) -> Value {
    let problems = match error {
        ImportError::Problems { problems, .. } => json!(problems),
        _ => json!([{ "row": null, "column": null, "reason": words }]),
    };
    json!({
        "file": base_name(path), "batch": null, "format": null, "provider": null, "account": null,
        "period": null, "rows": null, "sum": null, "currency": null, "sums": {},
        "problems": problems, "replaced": [], "unchanged": false, "warnings": [],
        "refused": words,
    })
}
