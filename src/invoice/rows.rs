//! One file, row by row, in constant memory: each row is placed, and what it came to is gathered.

use std::io::Read;

use csv::{ByteRecord, ReaderBuilder, StringRecord};

use crate::invoice::dates;
use crate::invoice::doubts::{self, LastCell};
use crate::invoice::encoding::{END_MARK, Glance, Letters, TextStream};
use crate::invoice::format::ExportFormat;
use crate::invoice::grammar::{Grammar, check_total, date_column, totals_word};
use crate::invoice::header::{self, HEADER_SEARCHED, Header};
use crate::invoice::line::{BilledLine, UsageRow};
use crate::invoice::numbers::trimmed;
use crate::invoice::personal::{PersonalHash, is_personal};
use crate::invoice::record::{Draft, RawCells, Reading};
use crate::invoice::refusal::{Problem, Refusal, RowFault};
use crate::invoice::summary::{Gathering, Summary};
use crate::period::ChargePeriod;

/// What became of one row, and its cells as they stand in the file.
#[derive(Debug)]
pub struct Placed<'r> {
    /// What it is.
    pub row: Row<'r>,
    /// The raw cells, personal ones hashed; none of a row that is not whole, where nobody can say
    /// which cell is personal.
    pub cells: RawCells<'r>,
}

/// What became of one row. Every row is exactly one of these. Lines are lent until the next row
/// is read; who keeps one clones it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row<'r> {
    /// A money row.
    Line(&'r BilledLine),
    /// A row of quantities.
    Usage(&'r UsageRow),
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
    date: Option<usize>,
    csv: csv::Reader<TextStream<Box<dyn Read + 'a>>>,
    letters: Letters,
    seen: Glance,
    record: StringRecord,
    /// The memory of another record, for the next one or for hashed cells.
    spare: Option<ByteRecord>,
    /// Why the record last read is no text.
    unreadable: Option<&'static str>,
    draft: Draft,
    personal: PersonalHash,
    personal_columns: Vec<usize>,
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

impl<'a> Rows<'a> {
    /// Finds encoding, header and format of a part that was unpacked.
    ///
    /// # Errors
    /// A [`Refusal`] for what is no export of ours.
    pub(crate) fn open(
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
        let personal_columns =
            (0..header.names.len()).filter(|at| is_personal(&header.names[*at])).collect();
        let last_cell = LastCell::new(format, &header);
        let mut rows = Self {
            name: name.to_owned(),
            format,
            grammar: Grammar::new(format, &header),
            date: date_column(format, &header),
            header,
            csv,
            letters: Letters::default(),
            seen: Glance::default(),
            record: StringRecord::new(),
            spare: None,
            unreadable: None,
            draft: Draft::default(),
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
        if rows.csv.get_ref().is_past_end(rows.csv.position().byte()) {
            let reason = "the header opens a quote and never closes it; export it again".into();
            return Err(Refusal::Encoding { position: 0, reason });
        }
        rows.number = 0;
        Ok(rows)
    }

    /// The file's name, without folders.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What kind of export it is.
    pub const fn format(&self) -> ExportFormat {
        self.format
    }

    /// Its columns.
    pub(crate) const fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the next row; `None` at the end of the file.
    ///
    /// # Errors
    /// A [`Refusal`] that ends the reading: a damaged archive, bytes that are no text, a record
    /// without end. Rows read before must not be kept.
    pub fn next_row(&mut self) -> Result<Option<Placed<'_>>, Refusal> {
        if self.state == State::Ended {
            return Ok(None);
        }
        // Whatever ends the reading, by a refusal too, ends it for good.
        self.state = State::Ended;
        if !self.read_record()? {
            return Ok(None);
        }
        self.state = State::Reading;
        let row = match self.place() {
            Err(fault) => {
                let problem = self.problem(fault);
                self.gathering.problem(&problem);
                Row::Problem(problem)
            }
            Ok(None) => {
                self.gathering.total_row();
                Row::Total { row: self.number }
            }
            Ok(Some(Reading::Line)) => {
                self.gathering.line(&self.draft.line);
                Row::Line(&self.draft.line)
            }
            Ok(Some(Reading::Usage)) => {
                self.gathering.usage(&self.draft.usage);
                Row::Usage(&self.draft.usage)
            }
            Ok(Some(Reading::Empty(period))) => {
                self.gathering.empty(period);
                Row::Empty { row: self.number, period }
            }
        };
        let cells = RawCells::new(&self.header, &self.record, self.seen);
        Ok(Some(Placed { row, cells }))
    }

    /// Reads whatever is left and says what the file came to.
    ///
    /// # Errors
    /// As [`Rows::next_row`].
    pub fn finish(mut self) -> Result<Summary, Refusal> {
        while self.next_row()?.is_some() {}
        let named_days = dates::named_days(&self.name);
        let grouped_by = self.grouped_by();
        let (text, rows) = (self.csv.get_ref(), self.gathering.rows());
        let warnings =
            doubts::warnings(self.format, &self.header, text, self.letters, rows, &grouped_by);
        let mut summary = self.gathering.close(grouped_by, named_days, warnings);
        doubts::about_days(self.format, &mut summary);
        Ok(summary)
    }

    /// Reads one record; `false` at the end mark.
    fn read_record(&mut self) -> Result<bool, Refusal> {
        let mut bytes = self.spare.take().unwrap_or_default();
        let read = self.csv.read_byte_record(&mut bytes).map_err(|error| self.refusal(error))?;
        self.csv.get_mut().record_ended();
        self.number += 1;
        let ended = self.csv.get_ref().is_past_end(self.csv.position().byte());
        let end_mark = ended && bytes.len() == 1 && bytes.get(0) == Some(END_MARK.as_bytes());
        if !read || end_mark {
            return Ok(false);
        }
        self.seen = Glance::at(bytes.as_slice());
        match self.letters.read(bytes, self.seen) {
            Ok(text) => {
                self.unreadable = None;
                self.spare = Some(std::mem::replace(&mut self.record, text).into_byte_record());
            }
            Err((bytes, why)) => {
                self.unreadable = Some(why);
                self.record.clear();
                self.record.set_position(bytes.position().cloned());
                self.spare = Some(bytes);
            }
        }
        Ok(true)
    }

    fn refusal(&self, error: csv::Error) -> Refusal {
        let row = self.number + 1;
        let shown = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(error) => match Refusal::from_io(error) {
                Refusal::RecordTooLong { limit, .. } => Refusal::RecordTooLong { row, limit },
                other => other,
            },
            _ => Refusal::Encoding { position: 0, reason: shown },
        }
    }

    /// The line of the file on which the row begins, where lines are ended by line feeds.
    fn line(&self) -> Option<u64> {
        let line = self.record.position()?.line() + self.header.preamble_lines;
        self.csv.get_ref().seen_line_feed().then_some(line)
    }

    fn problem(&mut self, fault: RowFault) -> Problem {
        let line = self.line();
        let repeated = self.record.iter().eq(self.header.spelled.iter());
        let (column, reason) = if repeated {
            (None, "the header is repeated: files were joined; drop each by itself".to_owned())
        } else {
            (fault.column, fault.reason)
        };
        Problem { row: self.number, line, column, reason }
    }

    /// What the record is; `None` for a total that agrees.
    fn place(&mut self) -> Result<Option<Reading>, RowFault> {
        if let Some(why) = self.unreadable {
            return Err(RowFault::row(why));
        }
        self.hash_personal();
        if self.record.len() < self.header.names.len()
            && let Err(refusal) = self.csv.get_mut().look_ahead()
        {
            return Err(RowFault::row(format!("the row is cut off: {refusal}")));
        }
        if let Err(fault) = self.whole() {
            self.record.clear();
            return Err(fault);
        }
        let cells = RawCells::new(&self.header, &self.record, self.seen);
        if cells.text(self.date).is_none() && cells.is_blank() {
            return Ok(Some(Reading::Empty(None)));
        }
        if let Some(word) = totals_word(self.date, cells) {
            check_total(self.format, cells, word, &self.gathering)?;
            return Ok(None);
        }
        let noticed = &mut self.gathering.noticed;
        let reading = self.grammar.read(self.number, cells, noticed, &mut self.draft)?;
        for (column, seen) in &mut self.grouping {
            *seen = *seen || self.record.get(*column).is_some_and(|cell| !cell.is_empty());
        }
        let text = self.csv.get_ref();
        let cut = text.missing_line_end() && text.is_last_record(self.csv.position().byte());
        self.last_cell.check(RawCells::new(&self.header, &self.record, self.seen), cut)?;
        Ok(Some(reading))
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
        if !self.seen.is_plain && self.record.as_slice().contains('\0') {
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
        let record = &self.record;
        let named = |at: &usize| record.get(*at).is_some_and(|cell| !cell.is_empty());
        if !self.personal_columns.iter().any(named) {
            return;
        }
        let mut hashed = self.spare.take().unwrap_or_default();
        hashed.clear();
        hashed.set_position(self.record.position().cloned());
        for (at, cell) in self.record.iter().enumerate() {
            if self.personal_columns.contains(&at) && !cell.is_empty() {
                hashed.push_field(self.personal.replace(cell).as_bytes());
            } else {
                hashed.push_field(cell.as_bytes());
            }
        }
        // Text and hexadecimal digits are text again.
        let hashed = StringRecord::from_byte_record_lossy(hashed);
        self.spare = Some(std::mem::replace(&mut self.record, hashed).into_byte_record());
    }

    fn grouped_by(&self) -> Vec<String> {
        let name = |at: usize| self.header.names.get(at).cloned().unwrap_or_default();
        self.grouping.iter().filter(|(_, seen)| *seen).map(|(at, _)| name(*at)).collect()
    }
}
