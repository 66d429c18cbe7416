//! `counterfoil prices check` and `prices show`: are the price files sound, and what do they say.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::period::Timestamp;
use crate::pricing::problem::PriceError;
use crate::pricing::schema::SourceEntry;
use crate::pricing::select::{Multiplier, Selection};
use crate::pricing::table::{
    Lookup, ModelPrices, NameMatch, PriceBand, PricePeriod, PriceRow, PriceTable,
};

/// Why an overlay cannot be laid over the built-in prices.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OverlayError {
    /// The file cannot be read.
    #[error("{path}: {problem}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's word.
        problem: io::Error,
    },
    /// The prices are unsound.
    #[error(transparent)]
    Unsound(#[from] PriceError),
}

/// The built-in prices with the user's own files laid over them, in the order given.
///
/// # Errors
/// [`OverlayError`] with the file and, where it could be read, the model and row.
pub(crate) fn with_overlays(paths: &[PathBuf]) -> Result<PriceTable, OverlayError> {
    let mut table = PriceTable::builtin()?;
    for path in paths {
        table = table.with_overlay(&path.display().to_string(), &read(path)?)?;
    }
    Ok(table)
}

fn read(path: &Path) -> Result<String, OverlayError> {
    std::fs::read_to_string(path)
        .map_err(|problem| OverlayError::Unreadable { path: path.display().to_string(), problem })
}

/// Checks the built-in prices and the given files over them, and says what they hold. `false`
/// where something is wrong; what, is in the output.
///
/// # Errors
/// Only where writing itself fails.
pub fn check(paths: &[PathBuf], mut output: impl Write) -> io::Result<bool> {
    let table = match with_overlays(paths) {
        Ok(table) => table,
        Err(error) => {
            writeln!(output, "{error}")?;
            return Ok(false);
        }
    };
    for (name, prices) in table.providers() {
        let periods = prices.models.iter().flat_map(|model| &model.periods);
        let rows: usize = periods.clone().flat_map(|period| &period.rows).count();
        let newest = periods.clone().filter_map(|period| period.source.as_ref());
        let newest = newest.map(|source| source.read_on.as_str()).max().unwrap_or("unknown");
        writeln!(
            output,
            "{name}: {} models, {} periods, {rows} rows in {}, newest read on {newest}",
            prices.models.len(),
            periods.count(),
            prices.currency,
        )?;
    }
    writeln!(output, "price version {}", table.version())?;
    Ok(true)
}

/// Prints what a model costs at an instant: every condition, band, factor and fee, with the
/// source. `false` where no provider has a price for the name then.
///
/// # Errors
/// Only where writing itself fails.
pub fn show(
    model: &str,
    at: Timestamp,
    table: &PriceTable,
    mut output: impl Write,
) -> io::Result<bool> {
    let mut found = false;
    let mut outside = Vec::new();
    for (provider, prices) in table.providers() {
        match prices.find(model, at) {
            Lookup::Found { model: known, period, matched } => {
                found = true;
                writeln!(output, "{provider} {}{}", known.id, recognized(model, matched))?;
                writeln!(output, "at {at}, in {}", prices.currency)?;
                show_period(period, &mut output)?;
            }
            Lookup::NoPeriod(known) => outside.push((provider, known)),
            Lookup::NoModel => {}
        }
    }
    if found {
        return Ok(true);
    }
    for (provider, known) in &outside {
        writeln!(output, "{provider} {}: no price is known at {at}", known.id)?;
        list_periods(known, &mut output)?;
    }
    if outside.is_empty() {
        writeln!(
            output,
            "{model}: unpriced, no price file names it. To price it, write a file of the form \
             pricing/README.md shows, check it with `counterfoil prices check --prices FILE` and \
             name it as `price_overlay` in the configuration."
        )?;
    }
    Ok(false)
}

fn recognized(name: &str, matched: NameMatch) -> String {
    match matched {
        NameMatch::Id => String::new(),
        NameMatch::Snapshot => format!(" (its name {name})"),
        NameMatch::Alias => format!(" ({name} points here then)"),
        NameMatch::Pattern => format!(" ({name} has the form of its dated names)"),
    }
}

fn list_periods(model: &ModelPrices, output: &mut impl Write) -> io::Result<()> {
    for period in &model.periods {
        writeln!(output, "  priced {}", Span(period))?;
    }
    Ok(())
}

fn show_period(period: &PricePeriod, output: &mut impl Write) -> io::Result<()> {
    writeln!(output, "valid {}", Span(period))?;
    if let Some(SourceEntry { url, via, read_on, note }) = &period.source {
        let via = via.as_ref().map_or(String::new(), |via| format!(" via {via}"));
        writeln!(output, "source {url}{via}, read on {read_on}")?;
        if let Some(note) = note {
            writeln!(output, "note {note}")?;
        }
    }
    for row in &period.rows {
        show_row(row, output)?;
    }
    for Multiplier { select, factor, over, .. } in &period.multipliers {
        let over: Vec<&str> = over.iter().map(|meter| meter.as_str()).collect();
        writeln!(output, "\n{}: times {}", Circumstance(select), factor.text)?;
        writeln!(output, "  over {}", over.join(", "))?;
    }
    Ok(())
}

fn show_row(row: &PriceRow, output: &mut impl Write) -> io::Result<()> {
    for band in &row.bands {
        let from = match band.from_tokens {
            0 => String::new(),
            tokens => format!(", prompts of {tokens} tokens and more"),
        };
        writeln!(output, "\n{}{from}  [rate {}]", Circumstance(&row.select), band.rate_id)?;
        show_band(band, output)?;
    }
    Ok(())
}

fn show_band(band: &PriceBand, output: &mut impl Write) -> io::Result<()> {
    let mut prices: Vec<_> = band.prices.iter().collect();
    prices.sort_by_key(|(meter, _)| *meter);
    for (meter, price) in prices {
        writeln!(output, "  {:<24} {:>12} per {}", meter.as_str(), price.unit_price, price.per)?;
    }
    for (child, parent) in &band.included {
        writeln!(output, "  {:<24} {:>12} {parent}", child.as_str(), "as")?;
    }
    for meter in &band.unknown {
        writeln!(output, "  {:<24} {:>12}", meter.as_str(), "unknown")?;
    }
    Ok(())
}

/// A period's span in words.
struct Span<'p>(&'p PricePeriod);

impl fmt::Display for Span<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "from {}", self.0.from)?;
        if self.0.until.micros() == i64::MAX {
            return out.write_str(", still");
        }
        write!(out, " until before {}", self.0.until)
    }
}

/// What a row asks for, in words.
struct Circumstance<'s>(&'s Selection);

impl fmt::Display for Circumstance<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return out.write_str("standard");
        }
        for (at, (key, words)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(out, "{comma}{key}={}", words.join("|"))?;
        }
        Ok(())
    }
}
