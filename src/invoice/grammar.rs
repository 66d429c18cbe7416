//! One grammar per export: how its rows are read, and which of them are totals.

use rust_decimal::Decimal;

use crate::invoice::format::ExportFormat;
use crate::invoice::header::Header;
use crate::invoice::numbers::{self, Printed, trimmed};
use crate::invoice::record::{Draft, RawCells, Reading};
use crate::invoice::refusal::RowFault;
use crate::invoice::summary::{Gathering, Noticed};
use crate::invoice::{anthropic, openai, openai_usage};
use crate::money::{Currency, canonical_text, exact_sub};

/// The reader of the rows of one export.
#[derive(Debug)]
pub(crate) enum Grammar {
    /// OpenAI costs.
    OpenAiCost(Box<openai::CostRows>),
    /// OpenAI usage of any capability.
    OpenAiUsage(Box<openai_usage::UsageRows>),
    /// OpenAI buckets in which nothing was used.
    OpenAiTime(openai::Bucket),
    /// Anthropic costs.
    AnthropicCost(anthropic::CostRows),
    /// Anthropic tokens.
    AnthropicTokens(anthropic::TokenRows),
}

impl Grammar {
    /// The reader for a format and the columns of a file.
    pub(crate) fn new(format: ExportFormat, header: &Header) -> Self {
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

    /// Reads one row into the draft.
    ///
    /// # Errors
    /// A fault that names the column.
    pub(crate) fn read(
        &mut self,
        row: u64,
        cells: RawCells<'_>,
        noticed: &mut Noticed,
        draft: &mut Draft,
    ) -> Result<Reading, RowFault> {
        match self {
            Self::OpenAiCost(rows) => rows.read(row, cells, noticed, &mut draft.line),
            Self::OpenAiUsage(rows) => rows.read(row, cells, noticed, &mut draft.usage),
            Self::OpenAiTime(bucket) => {
                bucket.read(cells).map(|(period, _)| Reading::Empty(Some(period)))
            }
            Self::AnthropicCost(rows) => rows.read(row, cells, noticed, &mut draft.line),
            Self::AnthropicTokens(rows) => rows.read(row, cells, noticed, &mut draft.usage),
        }
    }
}

/// The column whose place a total takes.
pub(crate) fn date_column(format: ExportFormat, header: &Header) -> Option<usize> {
    match format {
        ExportFormat::AnthropicCost | ExportFormat::AnthropicTokens => {
            header.column("usage_date_utc")
        }
        ExportFormat::OpenAiCost
        | ExportFormat::OpenAiUsage(_)
        | ExportFormat::OpenAiNothingUsed => {
            header.column("start_time").or(header.column("start_time_iso"))
        }
    }
}

/// The word that makes a row a total: in the place of its date, or, without one, anywhere.
pub(crate) fn totals_word(date: Option<usize>, cells: RawCells<'_>) -> Option<&str> {
    match cells.text(date) {
        Some(cell) => is_totals_word(cell).then_some(cell),
        None => cells.values().map(trimmed).find(|cell| is_totals_word(cell)),
    }
}

fn is_totals_word(cell: &str) -> bool {
    const WORDS: &[&str] = &["total", "totals", "grand total", "sum", "total:", "total cost"];
    cell.len() <= 12
        && cell.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && WORDS.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// Checks a totals row against the sum of the lines above it.
///
/// # Errors
/// A fault where the two differ, or where there is nothing to check against.
pub(crate) fn check_total(
    format: ExportFormat,
    cells: RawCells<'_>,
    word: &str,
    gathering: &Gathering,
) -> Result<(), RowFault> {
    let header = cells.header();
    let (amount, currency) = match format {
        ExportFormat::OpenAiCost => {
            let code = cells.text(header.column("amount_currency"));
            let code = code.and_then(|code| code.parse().ok());
            (header.column("amount_value"), code.or(gathering.only_currency()))
        }
        ExportFormat::AnthropicCost => (header.column("cost_usd"), Some(Currency::USD)),
        ExportFormat::OpenAiUsage(_)
        | ExportFormat::OpenAiNothingUsed
        | ExportFormat::AnthropicTokens => {
            return Err(RowFault::row(format!(
                "a {word:?} row in an export of quantities cannot be checked: export it again, \
                 unedited"
            )));
        }
    };
    let fault = |why: String| RowFault::of(cells.name(amount), why);
    let printed =
        numbers::amount(cells.raw(amount), header.decimal_mark(), currency).map_err(fault)?;
    match currency.and_then(|currency| gathering.sum(currency)) {
        Some(sum) if is_rounded(sum, printed) => Ok(()),
        Some(sum) => Err(fault(format!(
            "the {word:?} row says {}, the rows above it add up to {}: rows are missing or were \
             changed",
            canonical_text(printed.value),
            canonical_text(sum)
        ))),
        None => Err(fault(format!("the {word:?} row says no currency"))),
    }
}

/// Whether a sum is what a total prints, at the decimals it prints; of cents at least.
fn is_rounded(sum: Decimal, printed: Printed) -> bool {
    const CENTS: u32 = 2;
    let half_a_digit = Decimal::try_new(5, printed.decimals.max(CENTS) + 1).ok();
    match (exact_sub(sum, printed.value), half_a_digit) {
        (Some(difference), Some(half)) => difference.abs() <= half && !half.is_zero(),
        _ => sum == printed.value,
    }
}
