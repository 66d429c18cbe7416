//! What gives reason to doubt that a file is whole: cuts that leave a valid CSV behind.

use std::io::Read;

use crate::invoice::anthropic;
use crate::invoice::encoding::{Letters, TextStream};
use crate::invoice::format::ExportFormat;
use crate::invoice::header::Header;
use crate::invoice::numbers;
use crate::invoice::record::RawCells;
use crate::invoice::refusal::RowFault;
use crate::invoice::summary::{RowCounts, Summary};

/// The advice that goes with an OpenAI cost export that was not grouped by line item.
pub const UNGROUPED_ADVICE: &str = "imported as one total per day; it names no model, so only the total can be compared; export \
     again grouped by line item, it will replace this.";
/// What is said of every file without a total of its own.
pub(crate) const UNPROVED: &str =
    "completeness cannot be proved: the export has no total of its own";

/// The last column, where a cut leaves no other trace: decimals its numbers print, at least.
#[derive(Debug)]
pub(crate) struct LastCell {
    column: Option<usize>,
    fewest_decimals: Option<u32>,
}

impl LastCell {
    /// Watches the last column if it holds numbers.
    pub(crate) fn new(format: ExportFormat, header: &Header) -> Self {
        let numeric = header.names.last().is_some_and(|name| {
            ["_usd", "_tokens", "_count"].iter().any(|ending| name.ends_with(ending))
                || ["amount_value", "quantity", "images", "characters", "seconds"]
                    .contains(&name.as_str())
        });
        let column = if numeric { header.names.len().checked_sub(1) } else { None };
        let console = format == ExportFormat::AnthropicCost;
        Self { column, fewest_decimals: console.then_some(anthropic::CONSOLE_DECIMALS) }
    }

    /// Looks at a row; `cut` says that it ends the file without a line end.
    ///
    /// # Errors
    /// A fault where a number that ends the file prints fewer decimals than every other of its
    /// column: it was cut.
    pub(crate) fn check(&mut self, cells: RawCells<'_>, cut: bool) -> Result<(), RowFault> {
        let Some(column) = self.column else { return Ok(()) };
        let Some(cell) = cells.text(Some(column)) else { return Ok(()) };
        let decimals = numbers::decimals_of(&cell.replace(',', "."));
        if cut && self.fewest_decimals.is_some_and(|fewest| decimals < fewest) {
            return Err(RowFault::of(
                cells.name(Some(column)),
                format!(
                    "{cell:?} ends the file without a line end and has fewer decimals than the \
                     rows above: the file is cut off inside a number, export it again"
                ),
            ));
        }
        let fewest = self.fewest_decimals.map_or(decimals, |known| known.min(decimals));
        self.fewest_decimals = Some(fewest);
        Ok(())
    }
}

/// What a person should know of a file that was read to its end.
pub(crate) fn warnings<R: Read>(
    format: ExportFormat,
    header: &Header,
    text: &TextStream<R>,
    letters: Letters,
    rows: RowCounts,
    grouped_by: &[String],
) -> Vec<String> {
    let mut warnings = Vec::new();
    if header.preamble_lines > 0 {
        let lines = header.preamble_lines;
        let were =
            if lines == 1 { "line before the header was" } else { "lines before the header were" };
        warnings.push(format!("{lines} {were} passed over"));
    }
    if header.had_invisible {
        warnings.push("invisible characters in the header were passed over".to_owned());
    }
    for (name, spelled) in header.names.iter().zip(&header.spelled) {
        if !format.knows(name) {
            warnings.push(format!(
                "column {spelled:?} is not known to this version; its cells are kept as they are"
            ));
        }
    }
    if letters == Letters::Windows1252 {
        warnings.push(
            "the file is not UTF-8; it was read as Windows-1252, so letters outside ASCII in \
                 names may be misread (amounts are not affected)"
                .to_owned(),
        );
    }
    if format == ExportFormat::OpenAiCost
        && rows.billed_lines > 0
        && !grouped_by.iter().any(|name| name == "line_item")
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

/// Says what the days of a file give reason to doubt.
pub(crate) fn about_days(format: ExportFormat, summary: &mut Summary) {
    let (Some(first), Some(last)) = (summary.first_day(), summary.last_day()) else { return };
    let continuous = format.provider() == "openai";
    if continuous && !summary.missing_days.is_empty() {
        const SHOWN: usize = 5;
        let days: Vec<String> =
            summary.missing_days.iter().take(SHOWN).map(ToString::to_string).collect();
        let more = match summary.missing_days.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        summary.warnings.push(format!(
            "no row for {}{more}, between {first} and {last}; this export has a row even for days \
             without charges, so rows may have been removed",
            days.join(", "),
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
