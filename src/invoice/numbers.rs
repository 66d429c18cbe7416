//! Numbers as exports print them: declared separators, signs and currency marks, else a named refusal.

use std::borrow::Cow;

use rust_decimal::Decimal;

use crate::invoice::refusal::excerpt;
use crate::money::{Currency, MoneyError, parse_decimal};

/// Which sign stands before the decimals. Decided once per file, by its delimiter: only a file
/// that does not use the comma between cells may use it inside numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecimalMark {
    /// `1,234.56`.
    Point,
    /// `1.234,56`, in a file delimited by semicolons.
    Comma,
}

/// A number and the decimals its cell printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Printed {
    /// The value, exactly.
    pub value: Decimal,
    /// Decimals printed, trailing zeros included.
    pub decimals: u32,
}

/// Reads an amount of money, or says what is wrong with the cell.
///
/// Takes blanks around it, a currency mark of `currency` where one is known, thousands separators
/// in proper groups, accounting parentheses, a typographic minus and exponents.
///
/// # Errors
/// A sentence that names the cell.
pub(crate) fn amount(
    cell: &str,
    mark: DecimalMark,
    currency: Option<Currency>,
) -> Result<Printed, String> {
    if let Some(plain) = plain_decimal(cell, mark) {
        return Ok(plain);
    }
    let refused = |why: &str| Err(format!("{:?} is not an amount: {why}", excerpt(cell)));
    let mut text = trimmed(cell);
    if text.is_empty() {
        return refused("the cell is blank");
    }
    let mut negative = false;
    if let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        (negative, text) = (true, trimmed(inner));
    }
    let mut sign = "";
    if let Some(rest) = text.strip_prefix(['-', '\u{2212}']) {
        (sign, text) = ("-", trimmed(rest));
    } else if let Some(rest) = text.strip_prefix('+') {
        text = trimmed(rest);
    }
    if negative && !sign.is_empty() {
        return refused("parentheses and a minus");
    }
    match without_currency(text, currency) {
        Ok(rest) => text = rest,
        Err(why) => return refused(why),
    }
    // The sign may stand behind the currency mark too: `$-1.50`.
    if sign.is_empty()
        && !negative
        && let Some(rest) = text.strip_prefix(['-', '\u{2212}'])
    {
        (sign, text) = ("-", rest);
    }
    if text.starts_with(['-', '+', '\u{2212}']) {
        return refused("two signs");
    }
    let plain = ungrouped(text, mark)
        .map_err(|why| format!("{:?} is not an amount: {why}", excerpt(cell)))?;
    let value = parse_decimal(&plain).map_err(|error| match error {
        MoneyError::TooPrecise(_) => {
            format!("{:?} has more digits than can be kept exactly", excerpt(cell))
        }
        _ => format!("{:?} is not a number", excerpt(cell)),
    })?;
    if plain.ends_with('.') {
        return refused("no digit follows the decimal mark");
    }
    // Minus zero is zero.
    let value = if (negative || sign == "-") && !value.is_zero() { -value } else { value };
    Ok(Printed { value, decimals: decimals_of(&plain) })
}

/// No export counts as many: a thousand million million. Sums of counts below cannot overflow.
const COUNT_LIMIT: u64 = 1_000_000_000_000_000;

/// Reads a count: a whole number, also printed as `4.0` or with thousands separators.
///
/// # Errors
/// A sentence that names the cell.
pub(crate) fn count(cell: &str, mark: DecimalMark) -> Result<u64, String> {
    let trimmed_cell = trimmed(cell);
    if trimmed_cell.len() <= 18 && !trimmed_cell.is_empty() {
        let whole = trimmed_cell.strip_suffix(".0").unwrap_or(trimmed_cell);
        if whole.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(count) = whole.parse()
            && count <= COUNT_LIMIT
        {
            return Ok(count);
        }
    }
    let printed = amount(cell, mark, None).map_err(|why| why.replace("an amount", "a count"))?;
    whole_units(printed.value, 1)
        .filter(|count| *count <= COUNT_LIMIT)
        .ok_or_else(|| format!("{:?} is not a whole, non-negative, plausible count", excerpt(cell)))
}

/// `value` × `atoms`, where that is a whole number of atoms.
pub(crate) fn whole_units(value: Decimal, atoms: u64) -> Option<u64> {
    let product = crate::money::exact_mul(value, Decimal::from(atoms))?.normalize();
    if product.scale() != 0 { None } else { u64::try_from(product.mantissa()).ok() }
}

/// Whether a text prints fewer decimals than a number of this column does.
pub(crate) fn decimals_of(text: &str) -> u32 {
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let printed = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let shown = i64::try_from(printed).unwrap_or(i64::MAX).saturating_sub(exponent).max(0);
    u32::try_from(shown).unwrap_or(u32::MAX)
}

/// Without blanks, no-break and zero-width ones included, at both ends.
#[inline]
pub(crate) fn trimmed(cell: &str) -> &str {
    if let ([first, ..], [.., last]) = (cell.as_bytes(), cell.as_bytes())
        && first.is_ascii_graphic()
        && last.is_ascii_graphic()
    {
        return cell;
    }
    cell.trim_matches(|letter: char| letter.is_whitespace() || is_invisible(letter))
}

/// Characters that print nothing: zero-width ones, joiners, direction marks, byte order marks.
pub(crate) const fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}' | '\u{00AD}' | '\u{202A}'..='\u{202E}')
}

/// The fast way for what providers print: an optional minus, digits, a point, digits, of which
/// at most eighteen are significant.
fn plain_decimal(cell: &str, mark: DecimalMark) -> Option<Printed> {
    let bytes = cell.as_bytes();
    let (negative, digits) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, bytes),
    };
    let (whole, fraction) = match digits.iter().position(|byte| *byte == b'.') {
        // In a file with decimal commas a point can mean thousands; the careful way decides.
        Some(_) if mark == DecimalMark::Comma => return None,
        Some(at) => (digits.get(..at)?, digits.get(at + 1..)?),
        None => (digits, [].as_slice()),
    };
    if whole.is_empty() || (fraction.is_empty() && whole.len() != digits.len()) {
        return None;
    }
    let mut kept = fraction;
    while let Some(rest) = kept.strip_suffix(b"00000000") {
        kept = rest;
    }
    while let Some(rest) = kept.strip_suffix(b"0") {
        kept = rest;
    }
    let zeros = whole.iter().take_while(|byte| **byte == b'0').count();
    if whole.len() - zeros + kept.len() > 18 {
        return None;
    }
    let mut mantissa = 0_i64;
    for byte in whole.iter().skip(zeros).chain(kept) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        mantissa = mantissa * 10 + i64::from(digit);
    }
    let mantissa = if negative { -mantissa } else { mantissa };
    let value = Decimal::try_new(mantissa, u32::try_from(kept.len()).ok()?).ok()?;
    Some(Printed { value, decimals: u32::try_from(fraction.len()).ok()? })
}

/// Takes a currency mark off either end; a mark of another currency is refused.
fn without_currency(text: &str, currency: Option<Currency>) -> Result<&str, &'static str> {
    const MARKS: &[(&str, &str)] = &[
        ("US$", "USD"),
        ("USD", "USD"),
        ("usd", "USD"),
        ("$", "USD"),
        ("EUR", "EUR"),
        ("€", "EUR"),
        ("GBP", "GBP"),
        ("£", "GBP"),
        ("CNY", "CNY"),
        ("¥", "JPY"),
    ];
    for (mark, code) in MARKS {
        let rest = text.strip_prefix(mark).or_else(|| text.strip_suffix(mark));
        if let Some(rest) = rest {
            return match currency {
                Some(currency) if currency.as_str() == *code => Ok(trimmed(rest)),
                Some(_) => Err("it is marked with another currency than its column"),
                None => Err("a currency mark stands in a count"),
            };
        }
    }
    Ok(text)
}

/// The number without its thousands separators and with a decimal point.
fn ungrouped(text: &str, mark: DecimalMark) -> Result<Cow<'_, str>, &'static str> {
    let (thousands, decimal) = match mark {
        DecimalMark::Point => (',', '.'),
        DecimalMark::Comma => ('.', ','),
    };
    if !text.contains([',', '.', '\'', '\u{00A0}', '\u{202F}', ' ']) {
        return Ok(Cow::Borrowed(text));
    }
    let (whole, fraction) = match text.split_once(decimal) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    if fraction.is_some_and(|fraction| fraction.contains([',', '.', ' '])) {
        return Err("its separators contradict each other");
    }
    let separators = [thousands, '\u{00A0}', '\u{202F}', ' ', '\''];
    if !whole.contains(separators) {
        return Ok(match fraction {
            Some(fraction) => Cow::Owned(format!("{whole}.{fraction}")),
            None => Cow::Borrowed(text),
        });
    }
    let groups: Vec<&str> = whole.split(separators).collect();
    let first_fits = groups.first().is_some_and(|group| (1..=3).contains(&group.len()))
        && !whole.starts_with('0');
    let proper = first_fits && groups.iter().skip(1).all(|group| group.len() == 3);
    if mark == DecimalMark::Comma && fraction.is_none() {
        // `0.05` can only be a decimal point; `1.234` could be either, and money is not guessed.
        return match (proper, groups.len()) {
            (false, 2) => Ok(Cow::Borrowed(text)),
            (true, 2) => Err("the file uses decimal commas, so it could mean two numbers"),
            (true, _) => Ok(Cow::Owned(groups.concat())),
            (false, _) => Err("its thousands are not grouped by three"),
        };
    }
    if !proper {
        return Err("its thousands are not grouped by three");
    }
    let whole = groups.concat();
    Ok(Cow::Owned(fraction.map_or_else(|| whole.clone(), |rest| format!("{whole}.{rest}"))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dollars(cell: &str) -> Result<String, String> {
        let printed = amount(cell, DecimalMark::Point, Some(Currency::USD))?;
        Ok(printed.value.normalize().to_string())
    }

    fn commas(cell: &str) -> Result<String, String> {
        let printed = amount(cell, DecimalMark::Comma, Some(Currency::USD))?;
        Ok(printed.value.normalize().to_string())
    }

    #[test]
    fn amounts_are_read_in_every_declared_spelling() {
        for (cell, value) in [
            ("0.05", "0.05"),
            (" 0.05 ", "0.05"),
            ("\u{a0} 0.05\u{200b}", "0.05"),
            ("$1,234.50", "1234.5"),
            ("US$ 12", "12"),
            ("12 USD", "12"),
            ("(3.20)", "-3.2"),
            ("($3.20)", "-3.2"),
            ("-$3.20", "-3.2"),
            ("$-3.20", "-3.2"),
            ("\u{2212}3.20", "-3.2"),
            ("+0.05", "0.05"),
            ("-0.00", "0"),
            ("5E-2", "0.05"),
            ("0E-6176", "0"),
            ("1,234,567", "1234567"),
            ("0.834033300000000000000000000000", "0.8340333"),
            ("0.003400000000000000000000000000000000", "0.0034"),
            (".5", "0.5"),
        ] {
            assert_eq!(dollars(cell).as_deref(), Ok(value), "{cell:?}");
        }
        for (cell, value) in
            [("0,05", "0.05"), ("1.234,56", "1234.56"), ("0.05", "0.05"), ("1.234.567", "1234567")]
        {
            assert_eq!(commas(cell).as_deref(), Ok(value), "{cell:?}");
        }
    }

    #[test]
    fn what_could_be_two_numbers_or_none_is_refused() {
        for cell in [
            "",
            " ",
            "-",
            "N/A",
            "NaN",
            "Infinity",
            "1e308",
            "1,23",
            "0,050",
            "1,2345",
            "1.2.3",
            "1,234,56",
            "(-1)",
            "--1",
            "€5",
            "5 EUR",
            "0.",
            "1'23",
            "abc",
            "1 2",
            "$",
            "()",
            "99999999999999999999999999.999999999999999999",
        ] {
            assert!(dollars(cell).is_err(), "{cell:?} read as {:?}", dollars(cell));
        }
        for cell in ["1.234", "0,05,1", "1,234.5", "1.23.4"] {
            assert!(commas(cell).is_err(), "{cell:?} read as {:?}", commas(cell));
        }
    }

    #[test]
    fn counts_are_whole() {
        let read = |cell| count(cell, DecimalMark::Point);
        assert_eq!(read("4.0"), Ok(4));
        assert_eq!(read("1124832"), Ok(1_124_832));
        assert_eq!(read("1,124,832"), Ok(1_124_832));
        assert_eq!(read("0"), Ok(0));
        assert_eq!(read("3.1422E4"), Ok(31_422));
        for cell in ["4.5", "-1", "", "4.0.0", "1e30", "$4", "true", "18446744073709551615", "1e16"]
        {
            assert!(read(cell).is_err(), "{cell:?}");
        }
    }

    #[test]
    fn printed_decimals_count_trailing_zeros() {
        let decimals =
            |cell| amount(cell, DecimalMark::Point, None).map(|printed| printed.decimals);
        assert_eq!(decimals("0.050"), Ok(3));
        assert_eq!(decimals("5E-2"), Ok(2));
        assert_eq!(decimals("12"), Ok(0));
    }

    proptest! {
        #[test]
        fn the_fast_way_agrees_with_the_careful_one(text in "-?[0-9]{1,14}(\\.[0-9]{1,24})?") {
            let fast = amount(&text, DecimalMark::Point, None).map(|printed| printed.value);
            let careful = parse_decimal(&text);
            prop_assert_eq!(fast.ok(), careful.ok());
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = amount(&text, DecimalMark::Point, Some(Currency::USD));
            let _ = amount(&text, DecimalMark::Comma, None);
            let _ = count(&text, DecimalMark::Point);
        }
    }
}
