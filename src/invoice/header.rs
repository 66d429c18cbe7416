//! Finds the header of an export: behind a preamble or not, whatever delimits it, by column names.

use std::collections::HashMap;

use crate::digest::sha256;
use crate::invoice::foreign;
use crate::invoice::format::{ExportFormat, looks_like_money};
use crate::invoice::numbers::{DecimalMark, is_invisible, trimmed};
use crate::invoice::refusal::{Refusal, excerpt};

/// Lines looked at for a header, and the text a header must lie in.
const LINES_SEARCHED: usize = 40;
/// Text looked at for a header, in bytes.
pub(crate) const HEADER_SEARCHED: usize = 1 << 16;
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The columns of a file and how they are written.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// Names as the file spells them.
    pub spelled: Vec<String>,
    /// Names trimmed, in lower case, without invisible characters.
    pub names: Vec<String>,
    /// SHA-256 of the normalized names, in hexadecimal: the schema variant.
    pub fingerprint: String,
    /// What stands between cells.
    pub delimiter: u8,
    /// Lines before the header.
    pub preamble_lines: u64,
    /// Whether a name held characters that print nothing.
    pub had_invisible: bool,
}

/// A header found in a text, and where its line begins.
#[derive(Debug)]
pub(crate) struct Found {
    /// The header.
    pub header: Header,
    /// What it is the header of.
    pub format: ExportFormat,
    /// Bytes before it.
    pub offset: usize,
}

/// Looks for the header in the beginning of a text, line by line.
///
/// # Errors
/// [`Refusal::Foreign`] for another provider's header, [`Refusal::UnknownHeader`] for none,
/// and what [`ExportFormat::recognize`] says of one that is nearly ours.
pub(crate) fn find(text: &[u8], file_name: &str) -> Result<Found, Refusal> {
    let mut nearly = None;
    for (number, offset) in line_starts(text).take(LINES_SEARCHED).enumerate() {
        let line = text.get(offset..).unwrap_or_default();
        for delimiter in DELIMITERS {
            let spelled = first_record(line, delimiter);
            if spelled.len() < 2 {
                continue;
            }
            let names: Vec<String> = spelled.iter().map(|name| normalized(name)).collect();
            match ExportFormat::recognize(&names, file_name) {
                Ok(Some(format)) => {
                    let header = described(spelled, names, delimiter, number as u64)?;
                    refuse_unknown_money(format, &header)?;
                    return Ok(Found { header, format, offset });
                }
                Ok(None) => {}
                Err(refusal) => nearly = nearly.or(Some(refusal)),
            }
            if let Some(what) = foreign::foreign_export(&names) {
                return Err(Refusal::Foreign { what: what.into(), advice: String::new() });
            }
        }
    }
    Err(nearly.unwrap_or_else(|| {
        let line = String::from_utf8_lossy(
            text.split(|byte| is_line_end(*byte)).next().unwrap_or_default(),
        )
        .into_owned();
        Refusal::UnknownHeader { begins: excerpt(&line) }
    }))
}

/// Refuses a money column this version does not know. Other unknown columns are kept as raw cells.
fn refuse_unknown_money(format: ExportFormat, header: &Header) -> Result<(), Refusal> {
    for (name, spelled) in header.names.iter().zip(&header.spelled) {
        if !format.knows(name) && looks_like_money(name) {
            return Err(Refusal::UnknownMoneyColumn { name: spelled.clone() });
        }
    }
    Ok(())
}

impl Header {
    /// The position of a column by its normalized name.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Which mark stands before decimals: a comma can only where it does not delimit.
    pub(crate) fn decimal_mark(&self) -> DecimalMark {
        if self.delimiter == b';' { DecimalMark::Comma } else { DecimalMark::Point }
    }
}

fn described(
    spelled: Vec<String>,
    names: Vec<String>,
    delimiter: u8,
    preamble_lines: u64,
) -> Result<Header, Refusal> {
    let mut seen = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        if let Some(first) = seen.insert(name.as_str(), at)
            && !name.is_empty()
        {
            let name = name.clone();
            return Err(Refusal::DuplicateColumn { name, first: first + 1, second: at + 1 });
        }
    }
    let fingerprint = sha256(names.join("\n"));
    let had_invisible = spelled.iter().any(|name| name.contains(is_invisible));
    Ok(Header { spelled, names, fingerprint, delimiter, preamble_lines, had_invisible })
}

/// A name without blanks around it, invisible characters and capitals.
fn normalized(name: &str) -> String {
    let visible: String = name.chars().filter(|letter| !is_invisible(*letter)).collect();
    trimmed(&visible).to_lowercase()
}

/// Where the lines of a text begin; `\r\n`, `\n` and `\r` all end one.
fn line_starts(text: &[u8]) -> impl Iterator<Item = usize> {
    let after_end = text.iter().enumerate().filter_map(move |(at, byte)| {
        let next = text.get(at + 1).copied();
        let ends = *byte == b'\n' || (*byte == b'\r' && next != Some(b'\n'));
        (ends && next.is_some()).then_some(at + 1)
    });
    std::iter::once(0).chain(after_end)
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// The cells of the line a text begins with; empty for a blank line.
fn first_record(text: &[u8], delimiter: u8) -> Vec<String> {
    if text.first().is_none_or(|byte| is_line_end(*byte)) {
        return Vec::new();
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .buffer_capacity(1 << 12)
        .from_reader(text);
    let mut record = csv::ByteRecord::new();
    match reader.read_byte_record(&mut record) {
        Ok(true) => record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: &str = "usage_date_utc,model,token_type,cost_usd";

    fn found(text: &str) -> Result<Found, Refusal> {
        find(text.as_bytes(), "export.csv")
    }

    #[test]
    fn a_header_is_found_behind_a_preamble_and_by_any_delimiter() {
        for text in [
            format!("{COST}\n"),
            format!("Report,of,August\n\nsep=,\n{COST}\n"),
            format!("Report\r{COST}\r"),
            format!("sep=;\r\n{}\r\n", COST.replace(',', ";")),
            COST.replace(',', "\t"),
        ] {
            assert_eq!(found(&text).unwrap().format, ExportFormat::AnthropicCost, "{text:?}");
        }
        let behind = found(&format!("a\nb\n{COST}\n")).unwrap();
        assert_eq!((behind.header.preamble_lines, behind.offset), (2, 4));
    }

    #[test]
    fn names_are_compared_without_case_blanks_and_invisible_characters() {
        let header = found(" Usage_Date_UTC ,mo\u{200b}del,token_type,COST_USD\n").unwrap().header;
        assert_eq!(header.names.join(","), COST);
        assert!(header.had_invisible);
        assert_eq!(header.fingerprint, found(COST).unwrap().header.fingerprint);
        assert_eq!(header.spelled[header.column("cost_usd").unwrap()], "COST_USD");
    }

    #[test]
    fn a_doubled_column_is_refused_with_both_positions() {
        let refusal = found(&format!("{COST},Cost_USD\n")).unwrap_err();
        assert!(
            matches!(refusal, Refusal::DuplicateColumn { first: 4, second: 5, .. }),
            "{refusal}"
        );
    }

    #[test]
    fn a_letter_that_only_looks_like_another_is_not_read_as_it() {
        // The first letter of `сost_usd` and `сurrency_amount` is Cyrillic.
        assert!(found("usage_date_utc,model,token_type,\u{441}ost_usd\n").is_err());
        let refusal = found(&format!("{COST},list_pri\u{441}e_usd\n")).unwrap_err();
        assert!(matches!(refusal, Refusal::UnknownMoneyColumn { .. }), "{refusal}");
    }

    #[test]
    fn no_header_is_said_so_with_the_first_line() {
        let refusal = found("hello,world\n1,2\n").unwrap_err();
        assert!(refusal.to_string().contains("hello,world"), "{refusal}");
    }
}
