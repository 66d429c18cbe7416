//! The whole report: verdict, coverage, bridge, findings, and what it was made from.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::money::Currency;
use crate::names::{AccountId, ProviderName};
use crate::period::BillingPeriod;
use crate::reconcile::bridge::BridgeRow;
use crate::reconcile::coverage::Coverage;
use crate::reconcile::facts::ExchangeRate;
use crate::reconcile::finding::Finding;
use crate::reconcile::stubs::OutOfScope;
use crate::reconcile::verdict::{MonthState, Verdict};

/// A reconciliation as it is stored, shown and printed. All money in `currency` unless said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this engine's tests and their order.
    pub algorithm: Cow<'static, str>,
    /// Who bills.
    pub provider: ProviderName,
    /// Whose bill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The UTC month.
    pub period: BillingPeriod,
    /// The books' currency.
    pub currency: Currency,
    /// The month's state.
    pub state: MonthState,
    /// In words: what it says and what to do.
    pub verdict: Verdict,
    /// What our pages show for the covered days, at list prices as recorded.
    #[serde(with = "rust_decimal::serde::str")]
    pub recorded: Decimal,
    /// What the export says, all lines.
    #[serde(with = "rust_decimal::serde::str")]
    pub billed: Decimal,
    /// `billed` less `recorded`.
    #[serde(with = "rust_decimal::serde::str")]
    pub difference: Decimal,
    /// The part of the difference with a named cause.
    #[serde(with = "rust_decimal::serde::str")]
    pub named: Decimal,
    /// The part without one, net. Always printed.
    #[serde(with = "rust_decimal::serde::str")]
    pub unexplained: Decimal,
    /// The same without netting more against less.
    #[serde(with = "rust_decimal::serde::str")]
    pub unexplained_gross: Decimal,
    /// Whether both sides agree but for printed rounding.
    pub agrees: bool,
    /// What of the bill was seen here.
    pub coverage: Coverage,
    /// From `recorded` to `billed`.
    pub bridge: Vec<BridgeRow>,
    /// From the export to the document, where its totals were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentBridge>,
    /// The rate every amount of the bill was taken at, where it is in another currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<ExchangeRate>,
    /// Named causes, in the order of the bridge.
    pub findings: Vec<Finding>,
    /// Counted beside reported beside billed, by model.
    pub compared: Vec<Compared>,
    /// How many attempts and rows went where.
    pub population: Population,
    /// What it was made from.
    pub made_from: MadeFrom,
}

/// From the export's total to the document's, in the bill's currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentBridge {
    /// The bill's currency.
    pub currency: Currency,
    /// Sum of the export.
    #[serde(with = "rust_decimal::serde::str")]
    pub export: Decimal,
    /// Credits the document takes off (zero or negative here).
    #[serde(with = "rust_decimal::serde::str")]
    pub credits: Decimal,
    /// Tax the document adds.
    #[serde(with = "rust_decimal::serde::str")]
    pub tax: Decimal,
    /// Rounding of the document: at most half a unit of the last digit it prints.
    #[serde(with = "rust_decimal::serde::str", default)]
    pub rounding: Decimal,
    /// What is left: what neither names.
    #[serde(with = "rust_decimal::serde::str")]
    pub unexplained: Decimal,
    /// What is to be paid.
    #[serde(with = "rust_decimal::serde::str")]
    pub total: Decimal,
}

/// Tokens of one model and side, three times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The model as matched.
    pub model: String,
    /// Attempts we hold.
    pub attempts: u64,
    /// Attempts we counted ourselves.
    pub counted_attempts: u64,
    /// Input tokens we counted.
    pub counted_input: u64,
    /// Output tokens we counted.
    pub counted_output: u64,
    /// Input tokens reported for the attempts we counted.
    pub reported_input_of_counted: u64,
    /// Output tokens reported for the attempts we counted, without reasoning.
    pub reported_output_of_counted: u64,
    /// Input tokens reported, all attempts.
    pub reported_input: u64,
    /// Output tokens reported, all attempts.
    pub reported_output: u64,
    /// Input tokens billed, where the bill prints them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_input: Option<u64>,
    /// Output tokens billed, where the bill prints them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_output: Option<u64>,
}

/// How many attempts and rows went where; every one is somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Population {
    /// Attempts in cells.
    pub attempts_compared: u64,
    /// Attempts without known usage.
    pub attempts_of_unknown_usage: u64,
    /// Attempts left out, by reason.
    pub attempts_left_out: BTreeMap<OutOfScope, u64>,
    /// Rows of the bill.
    pub billed_rows: u64,
    /// Cells in which both sides were compared.
    pub cells: u64,
}

/// What a report was made from, so that it can be made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFrom {
    /// The price table's version.
    pub price_table: String,
    /// SHA-256 over the attempts' ids and stored amounts, in id order.
    pub books: String,
    /// The imports.
    pub files: Vec<FileRef>,
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileRef {
    /// Its batch.
    pub batch: String,
    /// Its kind.
    pub kind: String,
    /// SHA-256 of the file.
    pub sha256: String,
}
