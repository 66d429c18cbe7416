//! Importing an export: read whole and judged first, then stored under a seal, or not at all.

use std::collections::BTreeSet;
use std::io::{Read, Seek};

use chrono::NaiveDate;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::invoice::export::Export;
use crate::invoice::format::{ExportFormat, ExportSide};
use crate::invoice::refusal::Refusal;
use crate::invoice::rows::{Row, Rows};
use crate::invoice::summary::Summary;
use crate::names::{Clock, new_id};
use crate::period::HOUR_US;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::imports::{self, BatchHead, SealedBatch, StoredRow};

/// Rows stored in one transaction.
const CHUNK: usize = 1_000;
/// Chunks read ahead of the books.
const CHUNKS_AHEAD: usize = 4;
/// An unsealed batch older than this is the rest of an import that died.
const STALE_AFTER_US: i64 = HOUR_US;
/// The account of a provider of whom no other account is known.
pub const ONLY_ACCOUNT: &str = "default";

/// What a person says of a file besides the file.
#[derive(Clone, Debug, Default)]
pub struct ImportWish {
    /// The account it is of, where the file does not say or there are several.
    pub account: Option<String>,
    /// The filter it was exported with; empty for none.
    pub scope: String,
}

/// One file, judged but not stored.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The file's name, without folders.
    pub file: String,
    /// What it is, in the books' words.
    pub format: String,
    /// What it is, in a person's words.
    pub title: String,
    /// Who billed.
    pub provider: String,
    /// The account it will be booked under; `None`: one must be named.
    pub account: Option<String>,
    /// Accounts to choose from, where one must be named.
    pub account_choices: BTreeSet<String>,
    /// First and last day it speaks of.
    pub period: Option<(NaiveDate, NaiveDate)>,
    /// Everything it came to.
    pub summary: Summary,
    /// Days whose money may still move.
    pub open_days: Vec<NaiveDate>,
    /// Earlier batches some of whose days it replaces.
    pub replaces: Vec<Replaced>,
    /// The batch that already holds the same content.
    pub already: Option<String>,
    /// Other exports of the same month that a reconciliation wants.
    pub still_missing: Vec<String>,
    /// Hash over header and cells.
    #[serde(skip)]
    pub content_sha256: String,
    /// What it replaces and is replaced by: `cost`, or the format of a usage export.
    #[serde(skip)]
    pub kind: &'static str,
}

/// What an import does to an earlier batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replaced {
    /// The earlier batch.
    pub batch: String,
    /// Its file.
    pub file: String,
    /// How many of its days now speak through the new batch.
    pub days: usize,
}

/// One imported file.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// The new batch, or the one that already held the same content.
    pub batch: String,
    /// Whether it was there before, so that nothing was stored.
    pub already_imported: bool,
    /// What was seen on reading.
    #[serde(flatten)]
    pub preview: Preview,
}

/// Why a file was not imported. Nothing of it is in the books.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is not what can be imported.
    #[error("{file}: {source}")]
    Refused {
        /// The file, and the part of an archive.
        file: String,
        /// Why.
        source: Refusal,
    },
    /// The file cannot be opened.
    #[error("{file} cannot be opened: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// Rows could not be placed.
    #[error("{}: {} of its rows could not be read; nothing was imported. {}", .0.file, .0.summary.rows.problems, first_problem(.0))]
    Problems(Box<Preview>),
    /// Several accounts are possible.
    #[error("{file} does not say which account it is of; name one: --account NAME{}", choices(.known))]
    WhichAccount {
        /// The file.
        file: String,
        /// Accounts known for the provider.
        known: BTreeSet<String>,
    },
    /// The books did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reading task did not end in order.
    #[error("reading {0} was interrupted; nothing was imported, try again")]
    Interrupted(String),
}

/// Judges a dropped file, every part of it, and stores nothing.
///
/// # Errors
/// [`ImportError`] for the archive as a whole or the first part that is no export.
pub async fn preview<R: Read + Seek + Send + 'static>(
    books: &Books,
    file: &str,
    source: R,
    personal_key: &[u8],
    wish: &ImportWish,
    clock: &Clock,
) -> Result<Vec<Preview>, ImportError> {
    let (_, judged) = judge(file.to_owned(), source, personal_key.to_vec()).await?;
    let mut previews = Vec::new();
    for part in judged {
        previews.push(place(books, part, wish, clock).await?);
    }
    Ok(previews)
}

/// Imports a dropped file: all of its parts are judged before the first is stored.
///
/// # Errors
/// [`ImportError`]; parts of an archive sealed before a failing one stay, and are named by a
/// second import as already there.
pub async fn import<R: Read + Seek + Send + 'static>(
    books: &Books,
    file: &str,
    source: R,
    personal_key: &[u8],
    wish: &ImportWish,
    clock: &Clock,
) -> Result<Vec<Imported>, ImportError> {
    imports::sweep_unsealed(books, clock.now().plus_micros(-STALE_AFTER_US)).await?;
    let (mut export, judged) = judge(file.to_owned(), source, personal_key.to_vec()).await?;
    let mut placed = Vec::new();
    for (part, judged) in judged.into_iter().enumerate() {
        let preview = place(books, judged, wish, clock).await?;
        if !preview.summary.is_clean() {
            return Err(ImportError::Problems(Box::new(preview)));
        }
        if preview.account.is_none() && preview.already.is_none() {
            let known = preview.account_choices;
            return Err(ImportError::WhichAccount { file: preview.file, known });
        }
        placed.push((part, preview));
    }
    let mut imported = Vec::new();
    for (part, preview) in placed {
        if let Some(batch) = preview.already.clone() {
            imported.push(Imported { batch, already_imported: true, preview });
            continue;
        }
        let (returned, batch) = store(books, export, part, &preview, wish, clock).await?;
        export = returned;
        imported.push(Imported { batch, already_imported: false, preview });
    }
    Ok(imported)
}

/// What reading a part found.
struct Judged {
    file: String,
    format: ExportFormat,
    summary: Summary,
    content_sha256: String,
}

async fn judge<R: Read + Seek + Send + 'static>(
    file: String,
    source: R,
    personal_key: Vec<u8>,
) -> Result<(Export<R>, Vec<Judged>), ImportError> {
    let interrupted = ImportError::Interrupted(file.clone());
    let reading = move || {
        let refused = |part: &str| {
            let file = if part.is_empty() { file.clone() } else { format!("{file}: {part}") };
            move |source| ImportError::Refused { file, source }
        };
        let mut export = Export::open(&file, source, &personal_key).map_err(refused(""))?;
        let mut judged = Vec::new();
        for part in 0..export.parts().len() {
            let name = export.parts().get(part).cloned().unwrap_or_default();
            let within = if name == file { "" } else { name.as_str() };
            let mut rows = export.read(part).map_err(refused(within))?;
            let mut hash = Sha256::new();
            hash.update(cells_json(&rows.header().spelled));
            while let Some(placed) = rows.next_row().map_err(refused(within))? {
                hash.update(cells_json(&placed.cells));
            }
            let format = rows.format();
            let summary = rows.finish().map_err(refused(within))?;
            let content_sha256 = hex(&hash.finalize());
            judged.push(Judged { file: name, format, summary, content_sha256 });
        }
        Ok((export, judged))
    };
    tokio::task::spawn_blocking(reading).await.map_err(|_| interrupted)?
}

/// Finds the account, what is replaced, and what is still missing.
async fn place(
    books: &Books,
    judged: Judged,
    wish: &ImportWish,
    clock: &Clock,
) -> Result<Preview, ImportError> {
    let provider = judged.format.provider();
    let batches = imports::sealed_batches(books).await?;
    let standing: Vec<&SealedBatch> = batches
        .iter()
        .filter(|batch| batch.provider == provider && batch.withdrawn.is_none())
        .collect();
    let known: BTreeSet<String> = standing.iter().map(|batch| batch.account.clone()).collect();
    let account = choose_account(wish, &judged.summary, &known);
    let already = standing
        .iter()
        .find(|batch| {
            batch.content_sha256 == judged.content_sha256
                && account.as_ref().is_none_or(|account| *account == batch.account)
        })
        .map(|batch| batch.batch.clone());
    let period = judged.summary.first_day().zip(judged.summary.last_day());
    let mut replaced = Vec::new();
    let mut present: BTreeSet<String> = BTreeSet::from([replaces(judged.format).to_owned()]);
    if let (Some(account), Some((first, last))) = (&account, period) {
        let until = last.succ_opt().unwrap_or(last);
        for (batch, days) in imports::speaking(books, provider, account, first, until).await? {
            present.insert(batch.replaces.clone());
            let days = days.intersection(&judged.summary.days).count();
            let same_kind = batch.replaces == replaces(judged.format) && batch.scope == wish.scope;
            if same_kind && days > 0 && Some(&batch.batch) != already.as_ref() {
                replaced.push(Replaced { batch: batch.batch, file: batch.file_name, days });
            }
        }
    }
    Ok(Preview {
        file: judged.file,
        format: judged.format.as_str().to_owned(),
        title: judged.format.to_string(),
        provider: provider.to_owned(),
        account_choices: known.union(&judged.summary.accounts).cloned().collect(),
        account,
        period,
        open_days: judged.summary.open_days(clock.now()).collect(),
        summary: judged.summary,
        replaces: replaced,
        already,
        still_missing: still_missing(provider, &present),
        content_sha256: judged.content_sha256,
        kind: replaces(judged.format),
    })
}

/// The account named by the person, else by the file, else the only one there is.
fn choose_account(
    wish: &ImportWish,
    summary: &Summary,
    known: &BTreeSet<String>,
) -> Option<String> {
    let only = |set: &BTreeSet<String>| if set.len() == 1 { set.first().cloned() } else { None };
    wish.account
        .clone()
        .or_else(|| only(&summary.accounts))
        .or_else(|| only(known))
        .or_else(|| known.is_empty().then(|| ONLY_ACCOUNT.to_owned()))
}

/// What an export replaces and is replaced by.
fn replaces(format: ExportFormat) -> &'static str {
    match format.side() {
        ExportSide::Cost | ExportSide::Either => "cost",
        ExportSide::Usage => format.as_str(),
    }
}

fn still_missing(provider: &str, present: &BTreeSet<String>) -> Vec<String> {
    let wanted: &[(&str, &str)] = match provider {
        "openai" => &[
            ("cost", "OpenAI: Costs, grouped by line item"),
            ("openai.usage_csv.completions", "OpenAI: Usage (optional, adds request counts)"),
        ],
        _ => &[
            ("cost", "Anthropic: Cost"),
            ("anthropic.tokens_csv", "Anthropic: Tokens (Cost alone has no quantities)"),
        ],
    };
    let missing = wanted.iter().filter(|(kind, _)| !present.contains(*kind));
    missing.map(|(_, advice)| (*advice).to_owned()).collect()
}

/// Reads a part a second time, into the books: rows in small transactions, the seal last.
async fn store<R: Read + Seek + Send + 'static>(
    books: &Books,
    mut export: Export<R>,
    part: usize,
    preview: &Preview,
    wish: &ImportWish,
    clock: &Clock,
) -> Result<(Export<R>, String), ImportError> {
    let interrupted = || ImportError::Interrupted(preview.file.clone());
    let (sender, mut chunks) = mpsc::channel::<Chunk>(CHUNKS_AHEAD);
    let file = preview.file.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let read = export.read(part).and_then(|rows| send_rows(rows, &sender));
        read.map_err(|source| ImportError::Refused { file, source })?;
        Ok::<_, ImportError>(export)
    });
    let batch = new_id(clock.now()).to_string();
    let mut hash = Sha256::new();
    while let Some(chunk) = chunks.recv().await {
        match chunk {
            Chunk::Head { header, header_fingerprint } => {
                let head = head(&batch, preview, wish, clock, header, header_fingerprint);
                imports::open_batch(books, &head).await?;
            }
            Chunk::Rows(rows) => {
                for row in &rows {
                    hash.update(match row {
                        StoredRow::Line(_, raw) | StoredRow::Usage(_, raw) => raw,
                    });
                }
                imports::add_rows(books, &batch, &rows).await?;
            }
        }
    }
    let export = reading.await.map_err(|_| interrupted())??;
    let summary = serde_json::to_string(preview).unwrap_or_default();
    let rows_hash = hex(&hash.finalize());
    let days = &preview.summary.days;
    imports::seal(books, &batch, clock.now(), days, &summary, &rows_hash).await?;
    Ok((export, batch))
}

enum Chunk {
    Head { header: Vec<String>, header_fingerprint: String },
    Rows(Vec<StoredRow>),
}

fn send_rows(mut rows: Rows<'_>, sender: &mpsc::Sender<Chunk>) -> Result<(), Refusal> {
    let header = rows.header().spelled.clone();
    let header_fingerprint = rows.header().fingerprint.clone();
    // A closed channel means the books refused; the writer says so, there is nothing to add here.
    let mut open = sender.blocking_send(Chunk::Head { header, header_fingerprint }).is_ok();
    let mut chunk = Vec::with_capacity(CHUNK);
    while open && let Some(placed) = rows.next_row()? {
        let cells = || cells_json(&placed.cells);
        match placed.row {
            Row::Line(line) => chunk.push(StoredRow::Line(Box::new(line.clone()), cells())),
            Row::Usage(usage) => chunk.push(StoredRow::Usage(Box::new(usage.clone()), cells())),
            Row::Empty { .. } | Row::Total { .. } | Row::Problem(_) => {}
        }
        if chunk.len() == CHUNK {
            open = sender.blocking_send(Chunk::Rows(std::mem::take(&mut chunk))).is_ok();
        }
    }
    if open && !chunk.is_empty() {
        drop(sender.blocking_send(Chunk::Rows(chunk)));
    }
    Ok(())
}

fn head(
    batch: &str,
    preview: &Preview,
    wish: &ImportWish,
    clock: &Clock,
    header: Vec<String>,
    header_fingerprint: String,
) -> BatchHead {
    BatchHead {
        batch: batch.to_owned(),
        opened_at: clock.now(),
        provider: preview.provider.clone(),
        account: preview.account.clone().unwrap_or_else(|| ONLY_ACCOUNT.to_owned()),
        format: preview.format.clone(),
        replaces: preview.kind.to_owned(),
        scope: wish.scope.clone(),
        grain: word(&preview.summary.grain),
        file_name: preview.file.clone(),
        content_sha256: preview.content_sha256.clone(),
        header,
        header_fingerprint,
    }
}

/// The word an enum is spelled with in JSON.
fn word(value: &impl Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().to_owned()
}

fn cells_json(cells: &impl Serialize) -> String {
    serde_json::to_string(cells).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn first_problem(preview: &Preview) -> String {
    let Some(problem) = preview.summary.problems.first() else { return String::new() };
    let column = problem.column.as_ref().map_or(String::new(), |name| format!(", column {name}"));
    format!("The first is row {}{column}: {}", problem.row, problem.reason)
}

fn choices(known: &BTreeSet<String>) -> String {
    if known.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    format!(" (known: {})", names.join(", "))
}
