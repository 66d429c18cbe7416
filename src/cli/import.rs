//! `counterfoil import` and `withdraw`: exports into the books, and back out of sight.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::bookkeeping::import::{self, ImportError, ImportWish, Imported, Preview};
use crate::cli::arguments::{DataFolder, block_on, finish, print};
use crate::money::canonical_text;
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
    /// The filter they were exported with, where they hold only a part of the account.
    #[arg(long, default_value = "")]
    scope: String,
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
        let wish = ImportWish { account: arguments.account, scope: arguments.scope };
        let (mut listed, mut refused) = (Vec::new(), Vec::new());
        for file in &arguments.files {
            match import_file(&books, file, &key, &wish).await {
                Ok(imported) => {
                    for one in &imported {
                        if !arguments.json {
                            print(&in_words(one));
                        }
                        listed.push(as_json(one));
                    }
                }
                Err(error) => {
                    listed.push(refusal(file, &error));
                    refused.push(error.to_string());
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
        let books = match Books::open(&arguments.data.folder()).await {
            Ok(books) => books,
            Err(error) => return finish(Err(error.to_string())),
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

async fn import_file(
    books: &Books,
    path: &Path,
    key: &[u8],
    wish: &ImportWish,
) -> Result<Vec<Imported>, ImportError> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let file = File::open(path)
        .map_err(|source| ImportError::Unreadable { file: path.display().to_string(), source })?;
    import::import(books, &name, file, key, wish, &wall_clock()).await
}

fn in_words(imported: &Imported) -> String {
    let Preview { file, title, account, period, summary, replaces, still_missing, .. } =
        &imported.preview;
    let span =
        period.map_or("no days".to_owned(), |(first, last)| format!("{first} to {last} UTC"));
    let sums: Vec<String> = summary
        .sums
        .iter()
        .map(|(currency, sum)| format!("{currency} {}", canonical_text(*sum)))
        .collect();
    let rows = summary.rows;
    let mut text = format!(
        "{file}: {title}, account {}, {span}: {} money rows, {} usage rows, {} empty, {} totals; {}",
        account.as_deref().unwrap_or("?"),
        rows.billed_lines,
        rows.usage_rows,
        rows.empty_buckets,
        rows.totals,
        if sums.is_empty() { "no money".to_owned() } else { sums.join(", ") },
    );
    if imported.already_imported {
        text.push_str(&format!("\n  already imported as batch {}: nothing to do", imported.batch));
    } else {
        text.push_str(&format!("\n  batch {}", imported.batch));
    }
    for replaced in replaces {
        text.push_str(&format!("\n  replaces {} days of {}", replaced.days, replaced.file));
    }
    for warning in &summary.warnings {
        text.push_str(&format!("\n  note: {warning}"));
    }
    for missing in still_missing {
        text.push_str(&format!("\n  still missing: {missing}"));
    }
    text
}

fn as_json(imported: &Imported) -> Value {
    let preview = &imported.preview;
    let mut currencies = preview.summary.sums.iter();
    let only = currencies.next().filter(|_| currencies.next().is_none());
    json!({
        "file": preview.file,
        "batch": imported.batch,
        "already_imported": imported.already_imported,
        "format": preview.format,
        "account": preview.account,
        "period": preview.period.map(|(first, last)| json!({"first": first, "last": last})),
        "rows": preview.summary.rows,
        "sum": only.map(|(_, sum)| canonical_text(*sum)),
        "sums": preview.summary.sums.iter().map(|(currency, sum)| {
            (currency.to_string(), Value::from(canonical_text(*sum)))
        }).collect::<serde_json::Map<_, _>>(),
        "currency": only.map(|(currency, _)| currency),
        "grain": preview.summary.grain,
        "problems": preview.summary.problems,
        "warnings": preview.summary.warnings,
        "replaced": preview.replaces,
        "still_missing": preview.still_missing,
    })
}

fn refusal(file: &Path, error: &ImportError) -> Value {
    let (problems, rows) = match error {
        ImportError::Problems(preview) => {
            (json!(preview.summary.problems), json!(preview.summary.rows))
        }
        _ => (json!([{"reason": error.to_string()}]), Value::Null),
    };
    json!({
        "file": file.file_name().unwrap_or(file.as_os_str()).to_string_lossy(),
        "batch": null, "refused": error.to_string(), "problems": problems, "rows": rows,
    })
}
