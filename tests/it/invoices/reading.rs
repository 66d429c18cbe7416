//! A file read whole, every row kept, as tests want to look at it.

use std::io::Cursor;

use counterfoil::invoice::export::Export;
use counterfoil::invoice::line::{BilledLine, UsageRow};
use counterfoil::invoice::refusal::Refusal;
use counterfoil::invoice::rows::Row;
use counterfoil::invoice::summary::Summary;
use counterfoil::money::{Currency, canonical_text};

/// A row, kept.
#[derive(Debug, PartialEq)]
pub(super) enum Kept {
    Line(Box<BilledLine>),
    Usage(Box<UsageRow>),
    Empty,
    Total,
    Problem(u64),
}

/// Everything a part of a file said.
pub(super) struct Read {
    pub(super) rows: Vec<Kept>,
    pub(super) cells: Vec<Vec<String>>,
    pub(super) summary: Summary,
}

impl Read {
    pub(super) fn sum(&self) -> String {
        self.summary.sums.get(&Currency::USD).map_or("none".into(), |sum| canonical_text(*sum))
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &BilledLine> {
        self.rows.iter().filter_map(|row| match row {
            Kept::Line(line) => Some(line.as_ref()),
            _ => None,
        })
    }

    pub(super) fn usage(&self) -> impl Iterator<Item = &UsageRow> {
        self.rows.iter().filter_map(|row| match row {
            Kept::Usage(usage) => Some(usage.as_ref()),
            _ => None,
        })
    }

    /// The first problem: its row, and column and reason in one text.
    pub(super) fn problem(&self) -> Option<(u64, String)> {
        let problem = self.summary.problems.first()?;
        let column = problem.column.as_deref().unwrap_or("-");
        Some((problem.row, format!("{column}: {}", problem.reason)))
    }
}

/// The name of a part, and what became of it.
pub(super) type Part = (String, Result<Read, Refusal>);

/// Reads every part of a file; a part that is refused does not keep the others from being read.
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Part>, Refusal> {
    let mut export = Export::open(name, Cursor::new(bytes), b"a key for tests")?;
    let parts = export.parts().to_vec();
    Ok(parts.into_iter().enumerate().map(|(at, part)| (part, read_part(&mut export, at))).collect())
}

pub(super) fn read_part(export: &mut Export<Cursor<&[u8]>>, part: usize) -> Result<Read, Refusal> {
    let mut open = export.read(part)?;
    let (mut rows, mut cells) = (Vec::new(), Vec::new());
    while let Some(placed) = open.next_row()? {
        rows.push(match placed.row {
            Row::Line(line) => Kept::Line(Box::new(line.clone())),
            Row::Usage(usage) => Kept::Usage(Box::new(usage.clone())),
            Row::Empty { .. } => Kept::Empty,
            Row::Total { .. } => Kept::Total,
            Row::Problem(problem) => Kept::Problem(problem.row),
        });
        cells.push(placed.cells.values().map(str::to_owned).collect());
    }
    Ok(Read { rows, cells, summary: open.finish()? })
}

/// Reads a file of one part.
pub(super) fn read_one(name: &str, bytes: &[u8]) -> Result<Read, Refusal> {
    read(name, bytes)?.pop().unwrap().1
}

/// Reads a file that must be imported.
pub(super) fn imported(name: &str, text: &str) -> Read {
    let read =
        read_one(name, text.as_bytes()).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    assert!(read.summary.is_clean(), "{name}: {:?}", read.summary.problems);
    read
}

/// Reads a file that must be refused; the refusal, or the first problem, in words.
pub(super) fn refused(name: &str, bytes: &[u8]) -> String {
    match read_one(name, bytes) {
        Err(refusal) => refusal.to_string(),
        Ok(read) => match read.problem() {
            Some((row, reason)) => format!("row {row}, {reason}"),
            None => panic!("{name} was imported: {:?}", read.rows),
        },
    }
}
