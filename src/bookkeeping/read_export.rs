//! Reading an export's bytes off the asynchronous threads: rows in chunks, and what a part came to.

use std::collections::BTreeMap;
use std::io;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use crate::bookkeeping::export_file::{ExportFile, ImportError};
use crate::digest::hexadecimal;
use crate::invoice::export::Export;
use crate::invoice::format::{ExportFormat, ExportSide};
use crate::invoice::line::{BilledLine, UsageRow};
use crate::invoice::record::RawCells;
use crate::invoice::refusal::Refusal;
use crate::invoice::rows::{Placed, Row};
use crate::invoice::summary::{Grain, Summary};
use crate::money::{Currency, canonical_text, exact_add};
use crate::store::imports::{LineRow, QuantityRow, TOTALS_ONLY};

/// Rows on their way to the books.
#[derive(Default)]
pub(crate) struct Chunk {
    pub(crate) lines: Vec<LineRow>,
    pub(crate) usage: Vec<QuantityRow>,
    bytes: usize,
}

/// What one part came to when it was read to its end.
pub(crate) struct PartRead {
    pub(crate) name: String,
    pub(crate) format: ExportFormat,
    pub(crate) header: Vec<String>,
    pub(crate) fingerprint: String,
    pub(crate) summary: Summary,
    pub(crate) hash: String,
    pub(crate) sum_by_day: BTreeMap<NaiveDate, BTreeMap<Currency, Decimal>>,
}

/// Rows in one transaction.
const CHUNK_ROWS: usize = 500;
/// Bytes of text in one transaction, so that rows of huge cells take no more memory than others.
const CHUNK_BYTES: usize = 512 << 10;

impl PartRead {
    /// Whether the rows are day totals, which check finer exports and never replace them.
    pub(crate) fn scope(&self) -> &'static str {
        let money = self.format.side() == ExportSide::Cost;
        if money && self.summary.grain == Grain::DayTotal { TOTALS_ONLY } else { "" }
    }
}

/// The names of the parts, the hash of the file's bytes and their number.
pub(crate) async fn look(
    file: &ExportFile,
    key: &[u8],
) -> Result<(Vec<String>, String, u64), ImportError> {
    let (file_too, key) = (file.clone(), key.to_vec());
    let looked = spawn_blocking(move || {
        let mut hasher = Sha256::new();
        let size = io::copy(&mut file_too.open()?, &mut Hashing(&mut hasher))?;
        let export = Export::open(&file_too.name, file_too.open()?, &key)?;
        Ok((export.parts().to_vec(), hexadecimal(&hasher.finalize()), size))
    });
    joined(file, looked.await)
}

/// Reads a part without keeping its rows.
pub(crate) async fn read_only(
    file: &ExportFile,
    part: usize,
    key: &[u8],
) -> Result<PartRead, ImportError> {
    let (file_too, key) = (file.clone(), key.to_vec());
    let reader = spawn_blocking(move || read_part(&file_too, part, &key, |_| true));
    joined(file, reader.await)
}

pub(crate) fn joined<T>(
    file: &ExportFile,
    ended: Result<Result<T, Refusal>, tokio::task::JoinError>,
) -> Result<T, ImportError> {
    match ended {
        Ok(read) => {
            read.map_err(|refusal| ImportError::Refused { file: file.name.clone(), refusal })
        }
        Err(error) => {
            Err(ImportError::Stopped { file: file.name.clone(), reason: error.to_string() })
        }
    }
}

pub(crate) fn read_part(
    file: &ExportFile,
    part: usize,
    key: &[u8],
    mut hand_on: impl FnMut(Chunk) -> bool,
) -> Result<PartRead, Refusal> {
    let mut export = Export::open(&file.name, file.open()?, key)?;
    let mut rows = export.read(part)?;
    let (name, format) = (rows.name().to_owned(), rows.format());
    let header = rows.header().spelled.clone();
    let fingerprint = rows.header().fingerprint.clone();
    let (mut chunk, mut hasher) = (Chunk::default(), Sha256::new());
    let mut sum_by_day: BTreeMap<NaiveDate, BTreeMap<Currency, Decimal>> = BTreeMap::new();
    while let Some(Placed { row, cells }) = rows.next_row()? {
        match row {
            Row::Line(line) => {
                let sums = sum_by_day.entry(line.period.start.day()).or_default();
                let sum = sums.entry(line.currency).or_default();
                // A sum that does not fit is a problem of the summary, which refuses the file.
                *sum = exact_add(*sum, line.billed_cost).unwrap_or(*sum);
                let kept = line_row(line, cells, &mut hasher);
                chunk.bytes += kept.line.len() + kept.raw.len();
                chunk.lines.push(kept);
            }
            Row::Usage(usage) => {
                let kept = quantity_row(usage, cells, &mut hasher);
                chunk.bytes += kept.usage.len() + kept.raw.len();
                chunk.usage.push(kept);
            }
            Row::Empty { .. } | Row::Total { .. } | Row::Problem(_) => continue,
        }
        let full = chunk.lines.len() + chunk.usage.len() >= CHUNK_ROWS || chunk.bytes > CHUNK_BYTES;
        if full && !hand_on(std::mem::take(&mut chunk)) {
            break;
        }
    }
    hand_on(chunk);
    let summary = rows.finish()?;
    let hash = hexadecimal(&hasher.finalize());
    Ok(PartRead { name, format, header, fingerprint, summary, hash, sum_by_day })
}

fn line_row(line: &BilledLine, cells: RawCells<'_>, hasher: &mut Sha256) -> LineRow {
    let (text, raw) = (text_of(line), raw_text(cells));
    hasher.update(text.as_bytes());
    hasher.update(raw.as_bytes());
    let category = text_of(&line.category);
    LineRow {
        row: line.row,
        day: line.period.start.day().to_string(),
        category: category.trim_matches('"').to_owned(),
        currency: line.currency.to_string(),
        billed_cost: canonical_text(line.billed_cost),
        model: line.model.clone(),
        meter: line.meter.map(|meter| meter.to_string()),
        line: text,
        raw,
    }
}

fn quantity_row(usage: &UsageRow, cells: RawCells<'_>, hasher: &mut Sha256) -> QuantityRow {
    let (text, raw) = (text_of(usage), raw_text(cells));
    hasher.update(text.as_bytes());
    hasher.update(raw.as_bytes());
    QuantityRow {
        row: usage.row,
        day: usage.period.start.day().to_string(),
        model: usage.model.clone(),
        usage: text,
        raw,
    }
}

fn raw_text(cells: RawCells<'_>) -> String {
    let mut text = String::new();
    cells.write_json(&mut text);
    text
}

/// These types have no map keys that are no text, so that writing them cannot fail.
fn text_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A file's hash, told apart by part for an archive of several. The file's own name is not in it:
/// the same bytes under another name are the same export.
pub(crate) fn part_hash(file: &str, part: Option<&str>) -> String {
    let Some(part) = part else { return file.to_owned() };
    let mut hasher = Sha256::new();
    hasher.update(file.as_bytes());
    hasher.update(part.as_bytes());
    hexadecimal(&hasher.finalize())
}

struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
