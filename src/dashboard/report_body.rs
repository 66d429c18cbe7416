//! A stored reconciliation report, read back as far as pages show it.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::money::Currency;
use crate::period::BillingPeriod;

/// The report.
#[derive(Clone, Debug, Deserialize)]
pub struct ReportBody {
    /// Version of the engine's tests.
    pub algorithm: String,
    /// Who bills.
    pub provider: String,
    /// Whose bill.
    #[serde(default)]
    pub account: Option<String>,
    /// The UTC month.
    pub period: BillingPeriod,
    /// Of all money here but the document's.
    pub currency: Currency,
    /// How far the month has come.
    pub state: StateBody,
    /// In words.
    pub verdict: VerdictBody,
    /// Our total at list prices as recorded.
    #[serde(with = "rust_decimal::serde::str")]
    pub recorded: Decimal,
    /// The export's total.
    #[serde(with = "rust_decimal::serde::str")]
    pub billed: Decimal,
    /// Billed less recorded.
    #[serde(with = "rust_decimal::serde::str")]
    pub difference: Decimal,
    /// Without a cause, net.
    #[serde(with = "rust_decimal::serde::str")]
    pub unexplained: Decimal,
    /// The same without netting.
    #[serde(with = "rust_decimal::serde::str")]
    pub unexplained_gross: Decimal,
    /// What of the bill was seen here.
    pub coverage: CoverageBody,
    /// From recorded to billed.
    pub bridge: Vec<StepBody>,
    /// From the export to the document.
    #[serde(default)]
    pub document: Option<DocumentBody>,
    /// Named causes.
    pub findings: Vec<FindingBody>,
    /// Counted, reported, billed.
    #[serde(default)]
    pub compared: Vec<ComparedBody>,
    /// What went where.
    pub population: PopulationBody,
    /// What it was made from.
    pub made_from: MadeFromBody,
}

/// The month's state by name.
#[derive(Clone, Debug, Deserialize)]
pub struct StateBody {
    /// `no_export`, `partial`, `provisional`, `total_only`, `reconciled`, `stale`.
    pub state: String,
}

/// What the report says first.
#[derive(Clone, Debug, Deserialize)]
pub struct VerdictBody {
    /// The state in words.
    pub state: String,
    /// Sentences with `**` around what counts.
    pub sentences: Vec<String>,
    /// What to do.
    pub to_do: Vec<ActionBody>,
}

/// One thing to do.
#[derive(Clone, Debug, Deserialize)]
pub struct ActionBody {
    /// Whose move.
    pub mover: String,
    /// What.
    pub words: String,
    /// The finding.
    pub finding: String,
}

/// Billed usage by what we saw of it.
#[derive(Clone, Debug, Deserialize)]
pub struct CoverageBody {
    /// All usage on the bill.
    #[serde(with = "rust_decimal::serde::str")]
    pub billed_usage: Decimal,
    /// Requests we hold.
    #[serde(with = "rust_decimal::serde::str")]
    pub seen: Decimal,
    /// Before our books.
    #[serde(with = "rust_decimal::serde::str")]
    pub before_books: Decimal,
    /// In a gap of our books.
    #[serde(with = "rust_decimal::serde::str")]
    pub while_down: Decimal,
    /// Other keys, projects, workspaces.
    #[serde(with = "rust_decimal::serde::str")]
    pub elsewhere: Decimal,
    /// Not known.
    #[serde(with = "rust_decimal::serde::str")]
    pub unknown: Decimal,
    /// Share seen.
    #[serde(default)]
    pub seen_percent: Option<String>,
}

/// One step of the bridge.
#[derive(Clone, Debug, Deserialize)]
pub struct StepBody {
    /// Its name.
    pub step: String,
    /// In words.
    pub title: String,
    /// What it moves.
    #[serde(with = "rust_decimal::serde::str")]
    pub amount: Decimal,
}

/// From the export to the document.
#[derive(Clone, Debug, Deserialize)]
pub struct DocumentBody {
    /// The bill's currency.
    pub currency: Currency,
    /// Sum of the export.
    #[serde(with = "rust_decimal::serde::str")]
    pub export: Decimal,
    /// Credits, zero or negative.
    #[serde(with = "rust_decimal::serde::str")]
    pub credits: Decimal,
    /// Tax.
    #[serde(with = "rust_decimal::serde::str")]
    pub tax: Decimal,
    /// What is left.
    #[serde(with = "rust_decimal::serde::str")]
    pub unexplained: Decimal,
    /// To be paid.
    #[serde(with = "rust_decimal::serde::str")]
    pub total: Decimal,
}

/// One named cause.
#[derive(Clone, Debug, Deserialize)]
pub struct FindingBody {
    /// Its id within the report.
    pub id: String,
    /// The step it belongs to.
    pub step: String,
    /// The cause's name.
    pub cause: String,
    /// The cause in words.
    pub title: String,
    /// What it is about.
    pub subject: String,
    /// Its money.
    #[serde(with = "rust_decimal::serde::str")]
    pub amount: Decimal,
    /// By model and meter.
    pub parts: Vec<PartBody>,
    /// `proven`, `consistent`, `assumed`, `unexplained`.
    pub confidence: String,
    /// The same in words.
    pub confidence_words: String,
    /// `ask_provider`, `fix_ours`, `nobody`.
    pub mover: String,
    /// Why we think so.
    pub evidence: Vec<String>,
    /// The way to what is behind it.
    pub drill: DrillBody,
}

/// A finding's part of one model and meter.
#[derive(Clone, Debug, Deserialize)]
pub struct PartBody {
    /// The model, or empty.
    pub model: String,
    /// The meter.
    #[serde(default)]
    pub meter: Option<String>,
    /// Units more (or less) on the bill.
    pub quantity: i64,
    /// Money.
    #[serde(with = "rust_decimal::serde::str")]
    pub amount: Decimal,
}

/// Behind a finding.
#[derive(Clone, Debug, Deserialize)]
pub struct DrillBody {
    /// First and last day.
    #[serde(default)]
    pub days: Option<(NaiveDate, NaiveDate)>,
    /// Models.
    pub models: Vec<String>,
    /// Which attempts, in words.
    pub which: String,
    /// How many.
    pub attempt_count: u64,
    /// The first of them.
    pub attempts: Vec<String>,
    /// How many rows of the bill.
    pub row_count: u64,
    /// The first of them.
    pub rows: Vec<RowBody>,
}

/// A row of an imported file.
#[derive(Clone, Debug, Deserialize)]
pub struct RowBody {
    /// The batch.
    pub batch: String,
    /// The data row.
    pub row: u64,
}

/// Counted, reported and billed tokens of a model.
#[derive(Clone, Debug, Deserialize)]
pub struct ComparedBody {
    /// The model.
    pub model: String,
    /// Attempts held.
    pub attempts: u64,
    /// Attempts counted.
    pub counted_attempts: u64,
    /// Counted input.
    pub counted_input: u64,
    /// Counted output.
    pub counted_output: u64,
    /// Reported input of the counted ones.
    pub reported_input_of_counted: u64,
    /// Reported output of the counted ones.
    pub reported_output_of_counted: u64,
    /// Reported input, all.
    pub reported_input: u64,
    /// Reported output, all.
    pub reported_output: u64,
    /// Billed input.
    #[serde(default)]
    pub billed_input: Option<u64>,
    /// Billed output.
    #[serde(default)]
    pub billed_output: Option<u64>,
}

/// What went where.
#[derive(Clone, Debug, Deserialize)]
pub struct PopulationBody {
    /// Attempts in cells.
    pub attempts_compared: u64,
    /// Without known usage.
    pub attempts_of_unknown_usage: u64,
    /// Left out, by reason.
    #[serde(default)]
    pub attempts_left_out: BTreeMap<String, u64>,
    /// Rows of the bill.
    pub billed_rows: u64,
}

/// What the report was made from.
#[derive(Clone, Debug, Deserialize)]
pub struct MadeFromBody {
    /// Price table.
    pub price_table: String,
    /// Hash over the attempts.
    pub books: String,
    /// Imports.
    pub files: Vec<FileBody>,
}

/// One import.
#[derive(Clone, Debug, Deserialize)]
pub struct FileBody {
    /// Its batch.
    pub batch: String,
    /// Its kind.
    pub kind: String,
    /// Of its bytes.
    pub sha256: String,
}
