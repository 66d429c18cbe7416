//! How money, tokens, times and shares are printed: integers in, text out, the exact value beside.

use askama::Template;
use askama::filters::HtmlSafe;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use crate::money::{AMOUNT_SCALE, Amount, Currency, canonical_text};
use crate::period::{ChargePeriod, DAY_US, HOUR_US, SECOND_US, Timestamp};

/// A sum as a page shows it. In JSON it is the exact decimal as text; the currency stands beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Money {
    /// The sum.
    pub amount: Amount,
    /// Its currency.
    pub currency: Currency,
}

/// A sum from an export or a report: exact to more digits than an [`Amount`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    value: Decimal,
    currency: Currency,
}

/// A shortened text with its exact value in `value` and `title`.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<data value="{{ value }}" title="{{ value }}{% if !unit.is_empty() %} {{ unit }}{% endif %}">{{ text }}</data>"#
)]
pub(crate) struct Cell {
    /// What is read.
    pub text: String,
    /// What is exact.
    pub value: String,
    /// Unit of the exact value.
    pub unit: String,
}

// The template above escapes its three texts itself.
impl HtmlSafe for Cell {}

const CENT: i128 = 10_000_000_000;
const MICRO: i128 = 1_000_000;

impl Money {
    /// A sum in its currency.
    pub(crate) const fn new(amount: Amount, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// For totals: two decimals, half to even; a non-zero sum below half a cent says so.
    pub(crate) fn cents(&self) -> Cell {
        self.cell(self.cents_text())
    }

    /// For the sums a page opens with: two decimals, and below a cent as many as it needs.
    pub(crate) fn telling(&self) -> Cell {
        self.cell(self.telling_text())
    }

    /// The text of [`Self::telling`].
    pub(crate) fn telling_text(&self) -> String {
        if self.amount.pico().abs() < CENT { self.fine_text() } else { self.cents_text() }
    }

    /// For single calls: six decimals without needless zeros, more where the sum is finer.
    pub(crate) fn fine(&self) -> Cell {
        self.cell(self.fine_text())
    }

    /// For columns of small sums: always six decimals, so that the points stand under each other.
    pub(crate) fn column(&self) -> Cell {
        let fine = self.fine_text();
        let decimals = fine.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let zero = self.amount.pico() == 0;
        let padding = if zero { 0 } else { 6_usize.saturating_sub(decimals) };
        self.cell(format!("{fine}{}", "0".repeat(padding)))
    }

    /// The text of [`Self::cents`].
    pub(crate) fn cents_text(&self) -> String {
        let pico = self.amount.pico();
        let cents = divide_half_even(pico.unsigned_abs(), CENT.unsigned_abs());
        let symbol = symbol(self.currency);
        if cents == 0 && pico != 0 {
            let side = if pico < 0 { "−" } else { "" };
            return format!("{side}< {symbol}0.01");
        }
        let sign = if pico < 0 { "−" } else { "" };
        format!("{sign}{symbol}{}.{:02}", grouped(cents / 100), cents % 100)
    }

    /// The text of [`Self::fine`].
    pub(crate) fn fine_text(&self) -> String {
        let pico = self.amount.pico();
        let sign = if pico < 0 { "−" } else { "" };
        let symbol = symbol(self.currency);
        let size = pico.unsigned_abs();
        if size > 0 && size < MICRO.unsigned_abs() {
            let exact = Amount::from_pico(pico.abs()).to_string();
            return format!("{sign}{symbol}{exact}");
        }
        let micros = divide_half_even(size, MICRO.unsigned_abs());
        let fraction = format!("{:06}", micros % 1_000_000);
        let kept = fraction.trim_end_matches('0');
        format!("{sign}{symbol}{}.{kept:0<2}", grouped(micros / 1_000_000))
    }

    /// The exact decimal with its currency: `12.431 USD`.
    pub(crate) fn exact(&self) -> String {
        format!("{} {}", self.amount, self.currency)
    }

    /// This sum for one of `n`, rounded half to even at 10⁻¹²; `None` for none.
    pub(crate) fn per(&self, n: u64) -> Option<Self> {
        let size = divide_half_even(self.amount.pico().unsigned_abs(), u128::from(n).max(1));
        let size = i128::try_from(size).ok()?;
        let signed = if self.amount.pico() < 0 { -size } else { size };
        (n > 0).then(|| Self::new(Amount::from_pico(signed), self.currency))
    }

    fn cell(&self, text: String) -> Cell {
        Cell { text, value: self.amount.to_string(), unit: self.currency.to_string() }
    }
}

impl Figure {
    /// A sum in its currency.
    pub(crate) const fn new(value: Decimal, currency: Currency) -> Self {
        Self { value, currency }
    }

    /// The same in 10⁻¹² of the currency, rounded half to even: for drawing, not for adding.
    pub(crate) fn pico(&self) -> i128 {
        let rounded = self.value.round_dp(AMOUNT_SCALE);
        Amount::from_decimal(rounded).unwrap_or_default().pico()
    }

    /// Two decimals, the exact value beside; a non-zero sum below half a cent says so.
    pub(crate) fn cents(&self) -> Cell {
        Cell {
            text: self.cents_text(),
            value: canonical_text(self.value),
            unit: self.currency.to_string(),
        }
    }

    /// The text of [`Self::cents`].
    pub(crate) fn cents_text(&self) -> String {
        let pico = self.pico();
        let size = if pico == 0 && !self.value.is_zero() { 1 } else { pico.abs() };
        let signed = if self.value.is_sign_negative() { -size } else { size };
        Money::new(Amount::from_pico(signed), self.currency).cents_text()
    }

    /// A difference in words: `$12.96 more`, `$1.00 less`, `nothing`.
    pub(crate) fn more_or_less(&self) -> String {
        if self.value.is_zero() {
            return "nothing".to_owned();
        }
        let size = Self::new(self.value.abs(), self.currency).cents_text();
        let word = if self.value.is_sign_negative() { "less" } else { "more" };
        format!("{size} {word}")
    }

    /// The same in words to the last digit: `0.1575 USD less`.
    pub(crate) fn exact_more_or_less(&self) -> String {
        if self.value.is_zero() {
            return "nothing".to_owned();
        }
        let word = if self.value.is_sign_negative() { "less" } else { "more" };
        format!("{} {word}", Self::new(self.value.abs(), self.currency).exact())
    }

    /// The exact decimal with its currency.
    pub(crate) fn exact(&self) -> String {
        format!("{} {}", canonical_text(self.value), self.currency)
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&canonical_text(self.value))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.amount.serialize(serializer)
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A whole number for a table.
pub(crate) fn count(number: u64) -> String {
    grouped(u128::from(number))
}

/// A large number for a tile: `18.4 M`, with the exact number beside it.
pub(crate) fn brief(number: u64, unit: &str) -> Cell {
    let scales = [(1_000_000_000_u64, "G"), (1_000_000, "M"), (10_000, "k")];
    let found = scales.iter().find(|(from, _)| number >= *from);
    let text = found.map_or_else(
        || count(number),
        |(from, letter)| {
            let tenth = if *letter == "k" { 100 } else { from / 10 };
            let tenths = number / tenth;
            format!("{}.{} {letter}", count(tenths / 10), tenths % 10)
        },
    );
    Cell { text, value: number.to_string(), unit: unit.to_owned() }
}

/// A share in percent with one decimal; never `0.0 %` for something.
pub(crate) fn percent(part: u128, whole: u128) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let per_mille = divide_half_even(part.saturating_mul(1_000), whole);
    match (per_mille, part) {
        (0, 1..) => "< 0.1 %".to_owned(),
        _ => format!("{}.{} %", per_mille / 10, per_mille % 10),
    }
}

/// How a sum moved against an earlier one: `12.3 % more`.
pub(crate) fn change(now: Amount, before: Amount) -> Option<String> {
    let (now, before) = (now.pico(), before.pico());
    if before <= 0 {
        return None;
    }
    let word = if now >= before { "more" } else { "less" };
    if now / 10 > before {
        let times = divide_half_even(now.unsigned_abs(), before.unsigned_abs());
        return Some(format!("{} times as much", grouped(times)));
    }
    let moved = percent((now - before).unsigned_abs(), before.unsigned_abs());
    Some(if now == before { "the same".to_owned() } else { format!("{moved} {word}") })
}

/// A span of time: `320 ms`, `1.24 s`, `2 min 5 s`.
pub(crate) fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..60_000_000 => {
            format!("{}.{:02} s", micros / 1_000_000, micros / 10_000 % 100)
        }
        _ => format!("{} min {} s", micros / 60_000_000, micros / 1_000_000 % 60),
    }
}

/// How long ago: `3 s ago`.
pub(crate) fn ago(now: Timestamp, then: Timestamp) -> String {
    let micros = (now.micros() - then.micros()).max(0);
    let (number, unit) = match micros {
        0..60_000_000 => (micros / SECOND_US, "s"),
        60_000_000..HOUR_US => (micros / (60 * SECOND_US), "min"),
        HOUR_US..DAY_US => (micros / HOUR_US, "h"),
        _ => (micros / DAY_US, "days"),
    };
    format!("{number} {unit} ago")
}

/// An instant for a table whose header names the zone: `2026-10-31 23:59:58`.
pub(crate) fn instant(at: Timestamp) -> String {
    at.to_datetime().format("%Y-%m-%d %H:%M:%S").to_string()
}

/// An instant with its zone: `2026-10-31 23:59:58 UTC`.
pub(crate) fn instant_utc(at: Timestamp) -> String {
    format!("{} UTC", instant(at))
}

/// A hash or id, shortened.
pub(crate) fn short(id: &str) -> String {
    let head: String = id.chars().take(12).collect();
    if head.len() < id.len() { format!("{head}…") } else { head }
}

/// The word a value of a closed set goes by in JSON: `AskProvider` is `ask_provider`.
pub(crate) fn name_of<T: Serialize>(value: &T) -> String {
    let written = serde_json::to_value(value).unwrap_or_default();
    written.as_str().unwrap_or_default().to_owned()
}

/// The word of the books for people: `provider_error` as `provider error`.
pub(crate) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A provider as it writes itself: `OpenAI`.
pub(crate) fn provider_name(name: &str) -> &str {
    match name {
        "openai" => "OpenAI",
        "anthropic" => "Anthropic",
        other => other,
    }
}

/// A sentence of a report for people: instants without their machine form, a capital in front; an
/// id in front stays as it is spelled.
pub(crate) fn sentence(text: &str) -> String {
    let shown = plain_instants(text);
    let first = shown.split_whitespace().next().unwrap_or_default();
    if first.contains('_') || first.contains(|letter: char| letter.is_ascii_digit()) {
        return shown;
    }
    let mut letters = shown.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    first.map_or_else(String::new, |first| first + letters.as_str())
}

/// `2026-08-21T00:00:00Z` as `2026-08-21 00:00 UTC`, wherever it stands in a text.
pub(crate) fn plain_instants(text: &str) -> String {
    let word = |word: &str| {
        let core = word.trim_end_matches([',', ';', ')', ':', '.']);
        let tail = word.get(core.len()..).unwrap_or_default();
        let Ok(at) = core.parse::<Timestamp>() else { return word.to_owned() };
        let at = at.to_datetime();
        let clock = if at.format("%S").to_string() == "00" { "%H:%M" } else { "%H:%M:%S" };
        format!("{} UTC{tail}", at.format(&format!("%Y-%m-%d {clock}")))
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Serializes as the printed text; instants in RFC 3339, UTC.
///
/// # Errors
/// Those of the serializer.
pub(crate) fn as_text<T: std::fmt::Display, S: Serializer>(
    value: &T,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// Serializes a span as `{"start", "end"}` in RFC 3339, UTC, half-open.
///
/// # Errors
/// Those of the serializer.
pub(crate) fn as_span<S: Serializer>(span: &ChargePeriod, to: S) -> Result<S::Ok, S::Error> {
    let ends = [("start", span.start.to_string()), ("end", span.end.to_string())];
    to.collect_map(ends)
}

/// A quotient rounded to the nearest integer, ties to the even one.
pub(crate) fn divide_half_even(number: u128, by: u128) -> u128 {
    let (quotient, rest) = (number / by, number % by);
    let twice = rest.saturating_mul(2);
    let up = twice > by || (twice == by && quotient % 2 == 1);
    quotient + u128::from(up)
}

fn symbol(currency: Currency) -> String {
    match currency.as_str() {
        "USD" => "$".to_owned(),
        "EUR" => "€".to_owned(),
        "GBP" => "£".to_owned(),
        other => format!("{other} "),
    }
}

#[cfg(test)]
mod tests;
