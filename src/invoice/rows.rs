//! One file, row by row, in constant memory: each row is placed, and what it came to is gathered.

use std::io::Read;

use csv::{ReaderBuilder, StringRecord};

use crate::invoice::dates;
use crate::invoice::encoding::{END_MARK, TextEncoding, TextStream};
use crate::invoice::format::ExportFormat;
use crate::invoice::header::{self, HEADER_SEARCHED, Header};
use crate::invoice::line::{BilledLine, UsageRow};
use crate::invoice::numbers::{self, trimmed};
use crate::invoice::personal::{PersonalHash, is_personal};
use crate::invoice::record::{RawCells, Reading};
use crate::invoice::refusal::{Problem, Refusal, RowFault};
use crate::invoice::summary::{Gathering, Summary};
use crate::invoice::{anthropic, openai, openai_usage};
use crate::money::{Currency, canonical_text};
use crate::period::ChargePeriod;

/// The advice that goes with an OpenAI cost export that was not grouped by line item.
pub const UNGROUPED_ADVICE: &str = "imported as one total per day; it names no model, so only the \
     total can be compared; export again grouped by line item, it will replace this.";
/// What is said of every file that shows no sign of being cut.
pub const UNPROVED: &str = "completeness cannot be proved: the export has no total of its own";

/// What became of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A money row.
    Line(BilledLine),
    /// A row of quantities.
    Usage(UsageRow),
    /// A bucket in which nothing was charged or used; a row of blanks has no period.
    Empty {
        /// Data row, from 1.
        row: u64,
        /// The bucket.
        period: Option<ChargePeriod>,
    },
    /// A totals row that agrees with the rows above it.
    Total {
        /// Data row, from 1.
        row: u64,
    },
    /// A row that could not be placed. The file is refused; reading on finds the other problems.
    Problem(Problem),
}

/// A file being read.
pub struct Rows<'a> {
    name: String,
    format: ExportFormat,
    header: Header,
    grammar: Grammar,
    csv: csv::Reader<TextStream<Box<dyn Read + 'a>>>,
    record: StringRecord,
    hashed: StringRecord,
    personal: PersonalHash,
    personal_columns: Vec<bool>,
    grouping: Vec<(usize, bool)>,
    number: u64,
    last_cell: LastCell,
    state: State,
    gathering: Gathering,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
}

/// The last column, where a cut leaves no other trace: decimals its numbers print, at least.
#[derive(Default)]
struct LastCell {
    numeric: bool,
    fewest_decimals: Option<u32>,
}

enum Grammar {
    OpenAiCost(Box<openai::CostRows>),
    OpenAiUsage(Box<openai_usage::UsageRows>),
    OpenAiTime(openai::Bucket),
    AnthropicCost(anthropic::CostRows),
    AnthropicTokens(anthropic::TokenRows),
}

impl<'a> Rows<'a> {
    /// Finds encoding, header and format of a part that was unpacked.
    ///
    /// # Errors
    /// A [`Refusal`] for what is no export of ours.
    pub fn open(
        name: &str,
        bytes: Box<dyn Read + 'a>,
        personal_key: &[u8],
    ) -> Result<Self, Refusal> {
        let mut text = TextStream::open(bytes)?;
        let head = text.peek(HEADER_SEARCHED)?;
        if head.iter().all(u8::is_ascii_whitespace) {
            return Err(Refusal::Empty);
        }
        let found = header::find(head, name)?;
        text.skip(found.offset);
        let (header, format) = (found.header, found.format);
        let csv = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(header.delimiter)
            .buffer_capacity(1 << 16)
            .from_reader(text);
        let column = |name: &&str| header.column(name);
        let grouping: Vec<(usize, bool)> =
            format.grouping_columns().iter().filter_map(column).map(|at| (at, false)).collect();
        let personal_columns = header.names.iter().map(|name| is_personal(name)).collect();
        let last_cell = LastCell { numeric: is_numeric_last(&header), fewest_decimals: None };
        let mut rows = Self {
            name: name.to_owned(),
            format,
            grammar: Grammar::new(format, &header),
            header,
            csv,
            record: StringRecord::new(),
            hashed: StringRecord::new(),
            personal: PersonalHash::new(personal_key),
            personal_columns,
            grouping,
            number: 0,
            last_cell,
            state: State::Reading,
            gathering: Gathering::default(),
        };
        // The header itself, as the parser sees it.
        rows.read_record()?;
        rows.number = 0;
        Ok(rows)
    }

    /// The file's name, without folders.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of export it is.
    pub const fn format(&self) -> ExportFormat {
        self.format
    }

    /// Its columns.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The raw cells of the row last read, personal columns hashed.
    pub const fn cells(&self) -> RawCells<'_> {
        RawCells::new(&self.header, &self.record)
    }

    /// Reads the next row; `None` at the end of the file.
    ///
    /// # Errors
    /// A [`Refusal`] that ends the reading: a damaged archive, bytes that are no text, a record
    /// without end. Rows read before must not be kept.
    pub fn next_row(&mut self) -> Result<Option<Row>, Refusal> {
        if self.state == State::Ended || !self.read_record()? {
            self.state = State::Ended;
            return Ok(None);
        }
        let row = match self.place() {
            Ok(row) => row,
            Err(fault) => {
                let (column, reason) = (fault.column, fault.reason);
                Row::Problem(Problem { row: self.number, line: self.line(), column, reason })
            }
        };
        match &row {
            Row::Line(line) => self.gathering.line(line),
            Row::Usage(usage) => self.gathering.usage(usage),
            Row::Empty { period, .. } => self.gathering.empty(*period),
            Row::Total { .. } => self.gathering.total_row(),
            Row::Problem(problem) => self.gathering.problem(problem.clone()),
        }
        Ok(Some(row))
    }

    /// Reads whatever is left and says what the file came to.
    ///
    /// # Errors
    /// As [`Rows::next_row`].
    pub fn finish(mut self) -> Result<Summary, Refusal> {
        while self.next_row()?.is_some() {}
        let named_days = dates::named_days(&self.name);
        let warnings = self.warnings();
        let grouped_by = self.grouped_by();
        let mut summary = self.gathering.close(grouped_by, named_days, warnings);
        about_days(self.format, &mut summary);
        Ok(summary)
    }

    /// Reads one record; `false` at the end mark.
    fn read_record(&mut self) -> Result<bool, Refusal> {
        let read = self.csv.read_record(&mut self.record).map_err(|error| self.refusal(error))?;
        self.csv.get_mut().record_ended();
        self.number += 1;
        let position = self.csv.position().byte();
        let ended = self.csv.get_ref().is_past_end(position);
        Ok(read && !(ended && self.record.len() == 1 && self.record.get(0) == Some(END_MARK)))
    }

    fn refusal(&self, error: csv::Error) -> Refusal {
        let row = self.number + 1;
        let shown = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(error) => match Refusal::from_io(error) {
                Refusal::RecordTooLong { limit, .. } => Refusal::RecordTooLong { row, limit },
                other => other,
            },
            csv::ErrorKind::Utf8 { pos, .. } => Refusal::Encoding {
                position: pos.map_or(0, |position| position.byte()),
                reason: format!("row {row} holds half a character"),
            },
            _ => Refusal::Encoding { position: 0, reason: shown },
        }
    }

    /// The line of the file on which the row begins, where lines are ended by line feeds.
    fn line(&self) -> Option<u64> {
        let line = self.record.position()?.line() + self.header.preamble_lines;
        self.csv.get_ref().seen_line_feed().then_some(line)
    }

    fn place(&mut self) -> Result<Row, RowFault> {
        self.whole()?;
        self.hash_personal();
        let row = self.number;
        if RawCells::new(&self.header, &self.record).is_blank() {
            return Ok(Row::Empty { row, period: None });
        }
        let cells = RawCells::new(&self.header, &self.record);
        if let Some(word) = self.grammar.totals_word(cells) {
            self.check_total(word)?;
            return Ok(Row::Total { row });
        }
        let reading = self.grammar.read(row, cells, &mut self.gathering.noticed)?;
        for (column, seen) in &mut self.grouping {
            *seen = *seen || self.record.get(*column).is_some_and(|cell| !cell.is_empty());
        }
        self.check_last_cell()?;
        Ok(match reading {
            Reading::Line(line) => Row::Line(line),
            Reading::Usage(usage) => Row::Usage(usage),
            Reading::Empty(period) => Row::Empty { row, period },
        })
    }

    /// Refuses a record that is no whole row of this file.
    fn whole(&self) -> Result<(), RowFault> {
        let position = self.csv.position().byte();
        let text = self.csv.get_ref();
        if text.is_past_end(position) {
            return Err(RowFault::row(
                "a quote is opened in this row and never closed: the file is cut off or damaged, \
                 export it again",
            ));
        }
        if memchr::memchr(0, self.record.as_slice().as_bytes()).is_some() {
            let at = self.record.iter().position(|cell| cell.contains('\0')).unwrap_or(0);
            let column = self.header.spelled.get(at).map_or("?", String::as_str);
            return Err(RowFault::of(column, "the cell holds a NUL byte: the file is damaged"));
        }
        let (found, wanted) = (self.record.len(), self.header.names.len());
        // A row of one blank cell is a line of blanks.
        if found == wanted
            || (found == 1 && self.record.iter().all(|cell| trimmed(cell).is_empty()))
        {
            return Ok(());
        }
        let hint = if found < wanted && text.is_last_record(position) {
            "; it is the last row, so the file is probably cut off: export it again"
        } else if self.record.iter().any(|cell| cell.contains(['“', '”', '„'])) {
            "; typographic quotes do not hold a cell together: export it again, unedited"
        } else if found > wanted {
            "; a comma inside a cell may have lost its quotes: export it again, unedited"
        } else {
            ""
        };
        Err(RowFault::row(format!("the row has {found} cells, the header {wanted}{hint}")))
    }

    fn hash_personal(&mut self) {
        let personal = |at: usize| self.personal_columns.get(at) == Some(&true);
        let named =
            self.record.iter().enumerate().any(|(at, cell)| personal(at) && !cell.is_empty());
        if !named {
            return;
        }
        self.hashed.clear();
        self.hashed.set_position(self.record.position().cloned());
        for (at, cell) in self.record.iter().enumerate() {
            if personal(at) && !cell.is_empty() {
                self.hashed.push_field(self.personal.replace(cell));
            } else {
                self.hashed.push_field(cell);
            }
        }
        std::mem::swap(&mut self.record, &mut self.hashed);
    }

    /// Checks a totals row against the sum of the lines above it.
    fn check_total(&self, word: &str) -> Result<(), RowFault> {
        let cells = self.cells();
        let (amount, currency) = match self.format {
            ExportFormat::OpenAiCost => {
                let code = cells.text(self.header.column("amount_currency"));
                let code = code.and_then(|code| code.parse().ok());
                (self.header.column("amount_value"), code.or(self.gathering.only_currency()))
            }
            ExportFormat::AnthropicCost => (self.header.column("cost_usd"), Some(Currency::USD)),
            _ => {
                return Err(RowFault::row(format!(
                    "a {word:?} row in an export of quantities cannot be checked: export it \
                     again, unedited"
                )));
            }
        };
        let fault = |why: String| RowFault::of(cells.name(amount), why);
        let printed = numbers::amount(cells.raw(amount), self.header.decimal_mark(), currency)
            .map_err(fault)?;
        let sum = currency.and_then(|currency| self.gathering.sum(currency));
        match sum {
            Some(sum) if sum == printed.value => Ok(()),
            Some(sum) => Err(fault(format!(
                "the {word:?} row says {}, the rows above it add up to {}: rows are missing or \
                 were changed",
                canonical_text(printed.value),
                canonical_text(sum)
            ))),
            None => Err(fault(format!("the {word:?} row says no currency"))),
        }
    }

    /// A number at the very end of a file without a line end, with fewer decimals than every other
    /// of its column, was cut.
    fn check_last_cell(&mut self) -> Result<(), RowFault> {
        if !self.last_cell.numeric {
            return Ok(());
        }
        let column = self.header.names.len().checked_sub(1);
        let cells = RawCells::new(&self.header, &self.record);
        let Some(cell) = cells.text(column) else { return Ok(()) };
        let decimals = numbers::decimals_of(&cell.replace(',', "."));
        let text = self.csv.get_ref();
        let cut = text.missing_line_end() && text.is_last_record(self.csv.position().byte());
        let console = self.format == ExportFormat::AnthropicCost;
        let expected =
            self.last_cell.fewest_decimals.or(console.then_some(anthropic::CONSOLE_DECIMALS));
        if cut && expected.is_some_and(|expected| decimals < expected) {
            return Err(RowFault::of(
                cells.name(column),
                format!(
                    "{cell:?} ends the file without a line end and has fewer decimals than the \
                     rows above: the file is cut off inside a number, export it again"
                ),
            ));
        }
        let fewest = self.last_cell.fewest_decimals.map_or(decimals, |known| known.min(decimals));
        self.last_cell.fewest_decimals = Some(fewest);
        Ok(())
    }

    fn grouped_by(&self) -> Vec<String> {
        let name = |at: usize| self.header.names.get(at).cloned().unwrap_or_default();
        self.grouping.iter().filter(|(_, seen)| *seen).map(|(at, _)| name(*at)).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let text = self.csv.get_ref();
        if self.header.preamble_lines > 0 {
            let lines = self.header.preamble_lines;
            warnings.push(format!("{lines} lines before the header were passed over"));
        }
        if self.header.had_invisible {
            warnings.push("invisible characters in the header were passed over".to_owned());
        }
        for (name, spelled) in self.header.names.iter().zip(&self.header.spelled) {
            if !self.format.knows(name) {
                warnings.push(format!(
                    "column {spelled:?} is not known to this version; its cells are kept as they are"
                ));
            }
        }
        if text.encoding() == TextEncoding::Windows1252 {
            warnings.push(
                "the file is not UTF-8; it was read as Windows-1252, so letters outside ASCII in \
                 names may be misread (amounts are not affected)"
                    .to_owned(),
            );
        }
        let rows = self.gathering.rows();
        let lines = rows.billed_lines;
        if self.format == ExportFormat::OpenAiCost
            && lines > 0
            && !self.grouped_by().iter().any(|name| name == "line_item")
        {
            warnings.push(UNGROUPED_ADVICE.to_owned());
        }
        if rows.all() == 0 {
            warnings.push(
                "the file has a header and no rows: nothing was used, or the rows were cut off"
                    .to_owned(),
            );
        }
        if text.missing_line_end() {
            warnings.push(
                "the last line has no line end; that may be a sign of a file that was cut off"
                    .to_owned(),
            );
        }
        if rows.totals == 0 {
            warnings.push(UNPROVED.to_owned());
        }
        warnings
    }
}

impl Grammar {
    fn new(format: ExportFormat, header: &Header) -> Self {
        match format {
            ExportFormat::OpenAiCost => Self::OpenAiCost(Box::new(openai::CostRows::new(header))),
            ExportFormat::OpenAiUsage(_) => {
                Self::OpenAiUsage(Box::new(openai_usage::UsageRows::new(header)))
            }
            ExportFormat::OpenAiNothingUsed => Self::OpenAiTime(openai::Bucket::new(header)),
            ExportFormat::AnthropicCost => Self::AnthropicCost(anthropic::CostRows::new(header)),
            ExportFormat::AnthropicTokens => {
                Self::AnthropicTokens(anthropic::TokenRows::new(header))
            }
        }
    }

    fn read(
        &mut self,
        row: u64,
        cells: RawCells<'_>,
        noticed: &mut crate::invoice::summary::Noticed,
    ) -> Result<Reading, RowFault> {
        match self {
            Self::OpenAiCost(rows) => rows.read(row, cells, noticed),
            Self::OpenAiUsage(rows) => rows.read(row, cells, noticed),
            Self::OpenAiTime(bucket) => {
                bucket.read(cells).map(|period| Reading::Empty(Some(period)))
            }
            Self::AnthropicCost(rows) => rows.read(row, cells, noticed),
            Self::AnthropicTokens(rows) => rows.read(row, cells, noticed),
        }
    }

    /// The word that makes a row a total: in the place of its date, or, without one, anywhere.
    fn totals_word<'r>(&self, cells: RawCells<'r>) -> Option<&'r str> {
        let header = cells.header();
        let date = match self {
            Self::AnthropicCost(_) | Self::AnthropicTokens(_) => header.column("usage_date_utc"),
            _ => header.column("start_time").or(header.column("start_time_iso")),
        };
        match cells.text(date) {
            Some(cell) => is_totals_word(cell).then_some(cell),
            None => cells.values().find(|cell| is_totals_word(cell)).map(trimmed),
        }
    }
}

fn is_totals_word(cell: &str) -> bool {
    const WORDS: &[&str] = &["total", "totals", "grand total", "sum", "total:", "total cost"];
    let cell = trimmed(cell);
    cell.len() <= 12
        && cell.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && WORDS.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// Whether the last column holds numbers, so that a cut inside it leaves a number behind.
fn is_numeric_last(header: &Header) -> bool {
    header.names.last().is_some_and(|name| {
        name.ends_with("_usd")
            || name.ends_with("_tokens")
            || name.ends_with("_count")
            || matches!(
                name.as_str(),
                "amount_value" | "quantity" | "images" | "characters" | "seconds"
            )
    })
}

/// Says what the days of a file give reason to doubt.
fn about_days(format: ExportFormat, summary: &mut Summary) {
    let (Some(first), Some(last)) = (summary.first_day(), summary.last_day()) else { return };
    let continuous = format.provider() == "openai";
    if continuous && !summary.missing_days.is_empty() {
        let days: Vec<String> =
            summary.missing_days.iter().take(5).map(ToString::to_string).collect();
        summary.warnings.push(format!(
            "{} days between {first} and {last} are missing ({}{}); this export has a row even for \
             days without charges, so rows were removed",
            summary.missing_days.len(),
            days.join(", "),
            if summary.missing_days.len() > 5 { ", …" } else { "" },
        ));
    }
    if let Some((named_first, named_last)) = summary.named_days {
        if first < named_first || last > named_last {
            summary.warnings.push(format!(
                "rows from {first} to {last}, but the file's name says {named_first} to {named_last}"
            ));
        } else if continuous && (first > named_first || last < named_last) {
            summary.warnings.push(format!(
                "rows only from {first} to {last}, but the file's name says {named_first} to \
                 {named_last}: the file may be cut off"
            ));
        }
    }
}
