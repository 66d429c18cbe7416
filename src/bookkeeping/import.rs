//! Import: an export's bytes become a sealed batch of billed lines or usage rows, or nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::bookkeeping::export_file::{ExportFile, ImportChoice, ImportError};
use crate::bookkeeping::preview::{self, Replaced};
use crate::bookkeeping::read_export::{Chunk, PartRead, joined, look, part_hash, read_part};
use crate::bookkeeping::whose::{Accounts, named_by};
use crate::invoice::format::{ExportFormat, ExportSide};
use crate::invoice::refusal::Problem;
use crate::invoice::summary::RowCounts;
use crate::money::{Currency, canonical_text};
use crate::names::new_id;
use crate::period::{HOUR_US, Timestamp};
use crate::store::books::Books;
use crate::store::imports::{self, BatchHead, Seal};

/// One sealed batch, as `counterfoil import --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// Its id; of the earlier batch where the same bytes were imported before.
    pub batch: String,
    /// The file, or the part of a zip.
    pub file: String,
    /// The export's name in the books.
    pub format: ExportFormat,
    /// Who bills.
    pub provider: &'static str,
    /// The account.
    pub account: String,
    /// First and last day, both inside; `None` for a file without rows.
    pub period: Option<(NaiveDate, NaiveDate)>,
    /// Rows by kind.
    pub rows: RowCounts,
    /// Exact sum of the billed lines; `None` where the file holds no money or several currencies.
    pub sum: Option<String>,
    /// Of the sum.
    pub currency: Option<Currency>,
    /// Exact sums per currency.
    pub sums: BTreeMap<Currency, String>,
    /// Nothing: a file with a problem is not imported. Kept so that the shape is always the same.
    pub problems: Vec<Problem>,
    /// Days of earlier batches this one speaks for now.
    pub replaced: Vec<Replaced>,
    /// Whether these bytes had been imported before, so that nothing was done.
    pub unchanged: bool,
    /// Of bytes imported before: that and why they do not count any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overruled: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Batches older than this without a seal were left by a crash.
const ABANDONED_US: i64 = 24 * HOUR_US;

/// Imports one file, all its parts or nothing. The same bytes a second time change nothing.
///
/// # Errors
/// [`ImportError`], with file, row and reason; nothing is stored then.
pub async fn import(
    books: &Books,
    file: &ExportFile,
    choice: &ImportChoice,
    now: Timestamp,
) -> Result<Vec<Imported>, ImportError> {
    let below = lowest_id(now.plus_micros(-ABANDONED_US)).to_string();
    imports::sweep_older(books, &below).await?;
    let (parts, sha256, size) = look(file, &choice.personal_key).await?;
    let mut batches = Vec::new();
    let read = read_all(books, file, choice, now, &parts, &mut batches).await;
    let sealed = match read {
        Ok(read) => finish(books, file, choice, now, &batches, read, (&sha256, size)).await,
        Err(error) => Err(error),
    };
    let kept = |batch: &String| {
        sealed.as_ref().is_ok_and(|done| done.iter().any(|one| one.batch == *batch))
    };
    for batch in batches.iter().filter(|batch| !kept(batch)) {
        // Rows without a seal are read by nothing; what cannot be swept now is swept later, and the
        // reason of the refusal must not be lost over it.
        drop(imports::sweep(books, batch).await);
    }
    sealed
}

async fn read_all(
    books: &Books,
    file: &ExportFile,
    choice: &ImportChoice,
    now: Timestamp,
    parts: &[String],
    batches: &mut Vec<String>,
) -> Result<Vec<PartRead>, ImportError> {
    let mut read = Vec::new();
    for part in 0..parts.len() {
        let batch = new_id(now).to_string();
        batches.push(batch.clone());
        let (sender, mut chunks) = mpsc::channel::<Chunk>(1);
        let (file_too, key) = (file.clone(), choice.personal_key.clone());
        let reader = spawn_blocking(move || {
            read_part(&file_too, part, &key, |chunk| sender.blocking_send(chunk).is_ok())
        });
        while let Some(chunk) = chunks.recv().await {
            imports::add_rows(books, &batch, &chunk.lines, &chunk.usage).await?;
        }
        let one = joined(file, reader.await)?;
        if !one.summary.is_clean() {
            return Err(problems(&one));
        }
        read.push(one);
    }
    Ok(read)
}

async fn finish(
    books: &Books,
    file: &ExportFile,
    choice: &ImportChoice,
    now: Timestamp,
    batches: &[String],
    read: Vec<PartRead>,
    (sha256, size): (&str, u64),
) -> Result<Vec<Imported>, ImportError> {
    let known = imports::batches(books).await?;
    let several = read.len() > 1;
    let named = read.iter().flat_map(|part| named_by(part.format.provider(), &part.summary));
    let accounts = Accounts::read(books, &known, named).await?;
    let (mut seals, mut done): (Vec<Seal>, Vec<Imported>) = (Vec::new(), Vec::new());
    for (part, batch) in read.into_iter().zip(batches) {
        let account = accounts.of(&part, choice.account.as_deref())?;
        let sha256 = part_hash(sha256, several.then_some(part.name.as_str()));
        let before = preview::imported_before(&part, &account, &sha256, &known);
        let in_this_file = seals.iter().find(|seal| preview::is_same(&part, &account, seal));
        let before = before.or(in_this_file.map(|seal| seal.head.batch.as_str()));
        if let Some(before) = before {
            let overruled = preview::overruled(books, &part, &account, before).await?;
            let mut one = imported(&part, before.to_owned(), account, Vec::new(), true);
            one.overruled = overruled;
            done.push(one);
            continue;
        }
        apart(file, &part, &account, &seals)?;
        let replaced = preview::replaced_by(books, &part, &account).await?;
        let checks = preview::checked_totals(books, &part, &account).await?;
        let head = BatchHead {
            batch: batch.clone(),
            opened_at: now,
            provider: part.format.provider().to_owned(),
            account: account.clone(),
            format: part.format.as_str().to_owned(),
            scope: part.scope().to_owned(),
            file_name: file.name.clone(),
            file_sha256: sha256,
            file_bytes: size,
            header: part.header.clone(),
            header_fingerprint: part.fingerprint.clone(),
        };
        seals.push(Seal {
            head,
            sealed_at: now,
            summary: sealed_summary(&part, &replaced, &checks),
            hash: part.hash.clone(),
            days: part.summary.days.iter().copied().collect(),
        });
        let mut one = imported(&part, batch.clone(), account, replaced, false);
        one.warnings.extend(checks);
        done.push(one);
    }
    imports::seal(books, &seals).await?;
    Ok(done)
}

/// Refuses a part that would speak for a day another part of the same archive speaks for.
fn apart(
    file: &ExportFile,
    part: &PartRead,
    account: &str,
    seals: &[Seal],
) -> Result<(), ImportError> {
    let same_kind = seals.iter().filter(|seal| {
        (seal.head.provider.as_str(), seal.head.account.as_str(), seal.head.format.as_str())
            == (part.format.provider(), account, part.format.as_str())
            && seal.head.scope == part.scope()
            && part.format.side() != ExportSide::Either
    });
    for seal in same_kind {
        if let Some(day) = seal.days.iter().find(|day| part.summary.days.contains(day)) {
            let first = seal.summary.get("part").and_then(|part| part.as_str()).unwrap_or_default();
            return Err(ImportError::SameDays {
                file: file.name.clone(),
                first: first.to_owned(),
                second: part.name.clone(),
                what: part.format.to_string(),
                account: account.to_owned(),
                day: *day,
            });
        }
    }
    Ok(())
}

fn imported(
    part: &PartRead,
    batch: String,
    account: String,
    replaced: Vec<Replaced>,
    unchanged: bool,
) -> Imported {
    let summary = &part.summary;
    let sums: BTreeMap<Currency, String> =
        summary.sums.iter().map(|(currency, sum)| (*currency, canonical_text(*sum))).collect();
    let only = if sums.len() == 1 { sums.first_key_value() } else { None };
    Imported {
        batch,
        file: part.name.clone(),
        format: part.format,
        provider: part.format.provider(),
        account,
        period: summary.first_day().zip(summary.last_day()),
        rows: summary.rows,
        sum: only.map(|(_, sum)| sum.clone()),
        currency: only.map(|(currency, _)| *currency),
        sums,
        problems: summary.problems.clone(),
        replaced,
        unchanged,
        overruled: None,
        warnings: summary.warnings.clone(),
    }
}

fn sealed_summary(part: &PartRead, replaced: &[Replaced], checks: &[String]) -> serde_json::Value {
    let by_day: BTreeMap<String, BTreeMap<String, String>> = part
        .sum_by_day
        .iter()
        .map(|(day, sums)| {
            let sums = sums.iter();
            let sums = sums.map(|(currency, sum)| (currency.to_string(), canonical_text(*sum)));
            (day.to_string(), sums.collect())
        })
        .collect();
    json!({
        "part": part.name, "summary": part.summary, "sum_by_day": by_day, "replaced": replaced,
        "checks": checks,
    })
}

fn problems(part: &PartRead) -> ImportError {
    let problems = part.summary.problems.clone();
    let first = problems.first().map_or_else(String::new, |first| {
        let mut text = format!("row {}", first.row);
        if let Some(column) = &first.column {
            // Writing to a String cannot fail.
            let _ = write!(text, ", column {column}");
        }
        format!("{text}: {}", first.reason)
    });
    ImportError::Problems {
        file: part.name.clone(),
        count: part.summary.rows.problems,
        first,
        problems,
    }
}

/// Below every id of that instant or later.
fn lowest_id(at: Timestamp) -> Uuid {
    Uuid::from_u64_pair(new_id(at).as_u64_pair().0 & !0xfff, 0)
}
