//! Verification: does the record still say what was written, and do the sums agree with it?

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::bookkeeping::post::{PostError, offer};
use crate::journal::error::JournalError;
use crate::journal::reader::{self, JournalHead, JournalReader, Record};
use crate::ledger::entry::Entry;
use crate::ledger::settlement::Outcome;
use crate::store::books::{BOOKS_FILE, Books};
use crate::store::posting::PostingCursor;
use crate::store::{facts, rollups, verify as look};

/// Records looked at together.
const BATCH: u32 = 1_000;
/// Problems that are told one by one; more are only counted.
const TOLD: usize = 100;
/// The hash that stands before the first record.
const BEFORE_THE_FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// The journal's own id; absent before the first start.
    pub node: Option<String>,
    /// Whether a process was writing meanwhile.
    pub running: bool,
    /// Journal records looked at.
    pub records: u64,
    /// The newest record's number and hash, which stands for all before it.
    pub last_n: i64,
    /// See [`Self::last_n`].
    pub root_hash: Option<String>,
    /// Up to where the journal is in the books.
    pub posted_n: i64,
    /// Attempts that ended, in books and journal together.
    pub settled: u64,
    /// Attempts of which a crash left only the intent. While nothing runs, every attempt without a
    /// settlement is one.
    pub orphans: u64,
    /// Attempts under way in the running process.
    pub in_flight: u64,
    /// Second settlements that differ from the first.
    pub conflicts: u64,
    /// Spans that may hold unrecorded traffic.
    pub gaps: u64,
    /// Whether every sum by hour is what the records say.
    pub rollups_equal: bool,
    /// How many problems there are.
    pub problem_count: u64,
    /// The first of them, each a sentence.
    pub problems: Vec<String>,
}

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no record in this folder.
    #[error("{0} holds no journal and no books; give the folder of a counterfoil with --data")]
    NothingThere(PathBuf),
    /// Journal or books do not open or do not answer.
    #[error(transparent)]
    Reading(#[from] PostError),
}

impl Verification {
    /// Whether everything is as it was written.
    pub const fn is_sound(&self) -> bool {
        self.problem_count == 0 && self.rollups_equal
    }

    fn problem(&mut self, sentence: String) {
        self.problem_count += 1;
        if self.problems.len() < TOLD {
            self.problems.push(sentence);
        }
    }
}

/// What the journal holds beyond the books.
#[derive(Default)]
struct Tail {
    intents: HashSet<String>,
    settled: HashSet<String>,
    orphaned: HashSet<String>,
    gaps: u64,
}

/// Looks over a data folder, stopped or running. Changes nothing.
///
/// # Errors
/// [`VerifyError`] if there is nothing to look at, or it cannot be read at all. What is wrong with
/// what can be read is in the result.
pub async fn verify(folder: &Path) -> Result<Verification, VerifyError> {
    let journal_there = folder.join(reader::JOURNAL_FILE).exists();
    let books_there = folder.join(BOOKS_FILE).exists();
    if !journal_there && !books_there {
        return Err(VerifyError::NothingThere(folder.to_owned()));
    }
    let mut found = Verification {
        node: None,
        running: reader::is_open(folder).map_err(PostError::from)?,
        records: 0,
        last_n: 0,
        root_hash: None,
        posted_n: 0,
        settled: 0,
        orphans: 0,
        in_flight: 0,
        conflicts: 0,
        gaps: 0,
        rollups_equal: true,
        problem_count: 0,
        problems: Vec::new(),
    };
    let books = if books_there {
        Some(Books::open_to_read(folder).await.map_err(PostError::from)?)
    } else {
        None
    };
    let mut tail = Tail::default();
    if journal_there {
        let mut reader = JournalReader::open(folder).await.map_err(PostError::from)?;
        found.node = reader.head().await.map_err(PostError::from)?.node;
        // The books first: the journal, read after them, then holds all they were posted from.
        let cursor = count_books(books.as_ref(), &mut found).await?;
        walk(&mut reader, books.as_ref(), cursor, &mut found, &mut tail).await?;
        reader.close().await.map_err(PostError::from)?;
    } else {
        count_books(books.as_ref(), &mut found).await?;
        // Books that only ever took exports never had a journal.
        if has_attempts(books.as_ref()).await? {
            found.problem("the journal is gone, the books are there".to_owned());
        }
    }
    if let Some(books) = &books {
        look_over(books, &mut found).await?;
        books.close().await;
    }
    count_tail(&tail, &mut found);
    Ok(found)
}

/// Walks the journal from its oldest record to the newest.
async fn walk(
    reader: &mut JournalReader,
    books: Option<&Books>,
    cursor: Option<PostingCursor>,
    found: &mut Verification,
    tail: &mut Tail,
) -> Result<(), PostError> {
    reader.hold_still().await?;
    for words in reader.integrity().await? {
        found.problem(format!("the journal's file: {words}"));
    }
    let head = reader.head().await?;
    found.last_n = head.last_n;
    found.posted_n = cursor.as_ref().map_or(0, |cursor| cursor.posted_n);
    if found.posted_n > head.last_n {
        let (posted, last) = (found.posted_n, head.last_n);
        found.problem(format!(
            "the books hold the journal up to record {posted}, the journal ends at {last}"
        ));
    }
    let mut last: Option<(i64, String)> = None;
    let mut after = head.first_n.saturating_sub(1);
    while after < head.last_n {
        let records = reader.after(after, head.last_n, BATCH).await?;
        let Some(newest) = records.last() else { break };
        after = newest.n;
        for record in &records {
            check_link(record, last.as_ref(), &head, found);
            check_cursor(record, cursor.as_ref(), found);
            last = Some((record.n, record.hash.clone()));
        }
        found.records += records.len() as u64;
        compare(books, &head, records, found, tail).await?;
    }
    found.root_hash = last.map(|(_, hash)| hash);
    Ok(())
}

/// A record follows the one before and bears the hash of what it says.
fn check_link(
    record: &Record,
    last: Option<&(i64, String)>,
    head: &JournalHead,
    found: &mut Verification,
) {
    let n = record.n;
    match last {
        Some((before, _)) if before + 1 != n => {
            found.problem(format!("records {} to {} are missing", before + 1, n - 1));
        }
        Some((_, hash)) if *hash != record.prev_hash => {
            found.problem(format!("record {n} does not continue the record before it"));
        }
        None if n == 1 && record.prev_hash != BEFORE_THE_FIRST => {
            found.problem("record 1 claims a record before it".to_owned());
        }
        None if n > 1 && n > head.verified_n + 1 => {
            found.problem(format!("records before {n} are missing and were never let go"));
        }
        _ => {}
    }
    if record.computed_hash() != record.hash {
        found.problem(format!("record {n} is not what its hash was made from"));
    }
}

/// The books continue this very journal.
fn check_cursor(record: &Record, cursor: Option<&PostingCursor>, found: &mut Verification) {
    let Some(cursor) = cursor else { return };
    if cursor.posted_n == record.n && cursor.hash != record.hash {
        let n = record.n;
        found.problem(format!("the books were posted from another record {n} than the journal's"));
    }
}

/// Compares what is posted, and takes note of what is not.
async fn compare(
    books: Option<&Books>,
    head: &JournalHead,
    records: Vec<Record>,
    found: &mut Verification,
    tail: &mut Tail,
) -> Result<(), PostError> {
    let mut posted = Vec::new();
    for record in records {
        let n = record.n;
        match offer(record) {
            Ok(record) if n <= found.posted_n => posted.push(record),
            Ok(record) => tail.note(&record.entry),
            Err(JournalError::Unreadable(reason)) => found.problem(reason),
            Err(error) => return Err(error.into()),
        }
    }
    if let (Some(books), Some(node)) = (books, &head.node) {
        for sentence in look::differing(books, node, &posted).await? {
            found.problem(sentence);
        }
    }
    Ok(())
}

impl Tail {
    fn note(&mut self, entry: &Entry) {
        match entry {
            Entry::Intent(intent) => drop(self.intents.insert(intent.attempt.to_string())),
            Entry::Settlement(settlement) => {
                let attempt = settlement.attempt.to_string();
                match settlement.outcome {
                    Outcome::Orphaned => self.orphaned.insert(attempt),
                    _ => self.settled.insert(attempt),
                };
            }
            Entry::Gap(_) => self.gaps += 1,
            Entry::Count(_) | Entry::Correction(_) => {}
        }
    }
}

/// Counts the books, and says up to where the journal is in them.
async fn has_attempts(books: Option<&Books>) -> Result<bool, PostError> {
    Ok(match books {
        Some(books) => facts::books_end(books).await?.is_some(),
        None => false,
    })
}

async fn count_books(
    books: Option<&Books>,
    found: &mut Verification,
) -> Result<Option<PostingCursor>, PostError> {
    let Some(books) = books else { return Ok(None) };
    let (counts, cursor) = look::counts(books, found.node.as_deref()).await?;
    found.settled += counts.settled;
    found.orphans += counts.orphans;
    found.in_flight += counts.unsettled;
    found.conflicts += counts.conflicts;
    found.gaps += counts.gaps;
    if counts.without_intent > 0 {
        let count = counts.without_intent;
        found.problem(format!("{count} settlements have no intent in the books"));
    }
    Ok(cursor)
}

async fn look_over(books: &Books, found: &mut Verification) -> Result<(), PostError> {
    for words in look::integrity(books).await? {
        found.problem(format!("the books' file: {words}"));
    }
    found.rollups_equal = rollups::equal_the_records(books).await?;
    if !found.rollups_equal {
        found
            .problem("sums by hour or day differ from the records they were added from".to_owned());
    }
    Ok(())
}

/// Adds what is not posted yet; without a running process, what is not settled is an orphan.
fn count_tail(tail: &Tail, found: &mut Verification) {
    let ended = |set: &HashSet<String>| set.len() as u64;
    // An intent in the books whose settlement is in the tail was counted as under way.
    let (mut closes_posted, mut open) = (0, 0);
    for attempt in tail.settled.iter().chain(&tail.orphaned) {
        if !tail.intents.contains(attempt) {
            closes_posted += 1;
        }
    }
    for attempt in &tail.intents {
        if !tail.settled.contains(attempt) && !tail.orphaned.contains(attempt) {
            open += 1;
        }
    }
    found.settled += ended(&tail.settled);
    found.orphans += ended(&tail.orphaned);
    found.gaps += tail.gaps;
    found.in_flight = (found.in_flight + open).saturating_sub(closes_posted);
    if !found.running {
        found.orphans += found.in_flight;
        found.in_flight = 0;
    }
}
