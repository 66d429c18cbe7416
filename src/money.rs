//! Exact money: sums in 10⁻¹² of a currency unit, and decimals that refuse to round silently.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Decimal places of an [`Amount`].
pub(crate) const AMOUNT_SCALE: u32 = 12;

/// An ISO 4217 currency code, always upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A sum of money in 10⁻¹² of a currency unit; whoever holds it says which [`Currency`].
///
/// A stored charge fits an `i64` (up to 9.2 million units); totals are added here, in 128 bits,
/// never in SQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

/// Why a text or a computation is not exact money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is no decimal number (`[+-]digits[.digits][e[+-]digits]`).
    #[error("{0:?} is not a decimal number")]
    NotANumber(String),
    /// The value has more significant digits, or is larger, than a 96-bit decimal holds.
    #[error("{0:?} has more digits than can be kept exactly")]
    TooPrecise(String),
    /// The value is finer than 10⁻¹² or out of range for an [`Amount`].
    #[error("{0} does not fit an amount with 12 decimals exactly")]
    NotAnAmount(String),
    /// Three letters are expected.
    #[error("{0:?} is not a three-letter currency code")]
    NotACurrency(String),
}

impl Currency {
    /// United States dollar, the currency both founding providers bill in.
    pub const USD: Self = Self(*b"USD");

    /// The three letters.
    pub(crate) fn as_str(&self) -> &str {
        // The constructor admits ASCII letters only.
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let bytes = text.trim().as_bytes();
        match <[u8; 3]>::try_from(bytes) {
            Ok(code) if code.iter().all(u8::is_ascii_alphabetic) => {
                Ok(Self(code.map(|letter| letter.to_ascii_uppercase())))
            }
            _ => Err(MoneyError::NotACurrency(text.to_owned())),
        }
    }
}

impl Amount {
    /// Nothing owed, known to be nothing. Unknown is `Option::None`, never this.
    pub const ZERO: Self = Self(0);

    /// From a count of 10⁻¹² units.
    pub const fn from_pico(pico: i128) -> Self {
        Self(pico)
    }

    /// The count of 10⁻¹² units.
    pub const fn pico(self) -> i128 {
        self.0
    }

    /// The count of 10⁻¹² units as it is stored, if it fits.
    pub(crate) fn stored(self) -> Option<i64> {
        i64::try_from(self.0).ok()
    }

    /// The same value as a decimal, trailing zeros removed.
    ///
    /// # Errors
    /// [`MoneyError::TooPrecise`] beyond the 96 bits of a decimal (7.9 × 10¹⁶ units).
    pub(crate) fn to_decimal(self) -> Result<Decimal, MoneyError> {
        Decimal::try_from_i128_with_scale(self.0, AMOUNT_SCALE)
            .map(|value| value.normalize())
            .map_err(|_| MoneyError::TooPrecise(self.to_string()))
    }

    /// The amount that equals a decimal exactly.
    ///
    /// # Errors
    /// [`MoneyError::NotAnAmount`] if the value is finer than 10⁻¹².
    pub fn from_decimal(value: Decimal) -> Result<Self, MoneyError> {
        let refused = || MoneyError::NotAnAmount(value.to_string());
        let value = value.normalize();
        let missing = AMOUNT_SCALE.checked_sub(value.scale()).ok_or_else(refused)?;
        let factor = 10_i128.checked_pow(missing).ok_or_else(refused)?;
        value.mantissa().checked_mul(factor).map(Self).ok_or_else(refused)
    }

    /// Sum, or `None` on overflow.
    pub(crate) fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The same sum with the other sign.
    pub(crate) const fn negated(self) -> Self {
        Self(-self.0)
    }

    /// Whether this is exactly zero.
    pub(crate) const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// Adds stored amounts. 2⁶⁴ of the largest stored charges fit, so this cannot overflow in practice;
/// it saturates rather than wrap, and a saturated total fails every cross-check.
impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, |total, next| Self(total.0.saturating_add(next.0)))
    }
}

/// Plain decimal notation without trailing zeros: `0.569788`, `-12`, `0`.
impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNIT: u128 = 10_u128.pow(AMOUNT_SCALE);
        let (whole, rest) = (self.0.unsigned_abs() / UNIT, self.0.unsigned_abs() % UNIT);
        let sign = if self.0 < 0 { "-" } else { "" };
        if rest == 0 {
            return write!(out, "{sign}{whole}");
        }
        let digits = format!("{rest:012}");
        write!(out, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl FromStr for Amount {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        Self::from_decimal(parse_decimal(text)?)
    }
}

/// Reads a decimal exactly, or refuses.
///
/// Takes what real exports print: `59200.0`, `1.2E-5`, `+1`, 36 decimals of which most are trailing
/// zeros, and a zero with any exponent (`0E-6176`). Blanks, currency signs and thousands separators
/// belong to the importer that declared them and are refused here.
///
/// # Errors
/// [`MoneyError::NotANumber`] or [`MoneyError::TooPrecise`], with the text.
pub fn parse_decimal(text: &str) -> Result<Decimal, MoneyError> {
    let not_a_number = || MoneyError::NotANumber(text.chars().take(80).collect());
    let too_precise = || MoneyError::TooPrecise(text.chars().take(80).collect());
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(not_a_number());
    }
    let exponent_digits = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    if exponent_digits.is_some_and(|digits| digits.is_empty() || !all_digits(digits)) {
        return Err(not_a_number());
    }
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let kept = significant.trim_end_matches('0');
    if kept.is_empty() {
        return Ok(Decimal::ZERO);
    }
    let exponent: i64 = exponent.map_or(Ok(0), str::parse).map_err(|_| too_precise())?;
    let fraction_digits = i64::try_from(fraction.len()).map_err(|_| too_precise())?;
    let dropped_zeros = i64::try_from(significant.len() - kept.len()).map_err(|_| too_precise())?;
    let power = exponent
        .checked_sub(fraction_digits)
        .and_then(|power| power.checked_add(dropped_zeros))
        .ok_or_else(too_precise)?;
    let mut mantissa: i128 = kept.parse().map_err(|_| too_precise())?;
    if power > 0 {
        let factor = u32::try_from(power).ok().and_then(|power| 10_i128.checked_pow(power));
        mantissa =
            factor.and_then(|factor| mantissa.checked_mul(factor)).ok_or_else(too_precise)?;
    }
    let scale = if power < 0 { u32::try_from(-power).map_err(|_| too_precise())? } else { 0 };
    let signed = if negative { -mantissa } else { mantissa };
    Decimal::try_from_i128_with_scale(signed, scale).map_err(|_| too_precise())
}

/// Decimal text without trailing zeros and without `-0`; equal values give equal text.
pub fn canonical_text(value: Decimal) -> String {
    if value.is_zero() { "0".to_owned() } else { value.normalize().to_string() }
}

/// Product, or `None` where the exact result does not fit (the crate's own `checked_mul` rounds).
pub fn exact_mul(left: Decimal, right: Decimal) -> Option<Decimal> {
    let (left, right) = (left.normalize(), right.normalize());
    let mantissa = left.mantissa().checked_mul(right.mantissa())?;
    shrink(mantissa, left.scale() + right.scale())
}

/// Sum, or `None` where the exact result does not fit (the crate's own `checked_add` rounds).
pub(crate) fn exact_add(left: Decimal, right: Decimal) -> Option<Decimal> {
    let (left, right) = (left.normalize(), right.normalize());
    let scale = left.scale().max(right.scale());
    let lift =
        |value: Decimal| value.mantissa().checked_mul(10_i128.checked_pow(scale - value.scale())?);
    shrink(lift(left)?.checked_add(lift(right)?)?, scale)
}

/// Difference, or `None` where the exact result does not fit.
pub(crate) fn exact_sub(left: Decimal, right: Decimal) -> Option<Decimal> {
    exact_add(left, -right)
}

/// Sum of many, or `None` where an exact partial sum does not fit.
pub(crate) fn exact_sum(values: impl IntoIterator<Item = Decimal>) -> Option<Decimal> {
    values.into_iter().try_fold(Decimal::ZERO, exact_add)
}

/// Takes trailing zeros off a wide mantissa so that it may still fit 96 bits.
fn shrink(mut mantissa: i128, mut scale: u32) -> Option<Decimal> {
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    Decimal::try_from_i128_with_scale(mantissa, scale).ok()
}

macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

impl fmt::Display for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

as_text!(Amount);
as_text!(Currency);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        parse_decimal(text).unwrap()
    }

    #[test]
    fn real_export_spellings_are_read_exactly() {
        assert_eq!(decimal("0E-6176"), Decimal::ZERO);
        assert_eq!(decimal("0.003400000000000000000000000000000000"), decimal("0.0034"));
        assert_eq!(decimal("8.50E-8").to_string(), "0.000000085");
        assert_eq!(decimal("2.8e-6").to_string(), "0.0000028");
        assert_eq!(decimal("59200.0").to_string(), "59200");
        assert_eq!(decimal("+1").to_string(), "1");
        assert_eq!(decimal("-0.00"), Decimal::ZERO);
        assert_eq!(decimal("5e3").to_string(), "5000");
        assert_eq!(decimal(".5").to_string(), "0.5");
    }

    #[test]
    fn what_is_no_number_or_too_long_is_refused() {
        for text in
            ["", "-", ".", "e5", "1e", "1.2.3", "$1", "1,000", " 1", "NaN", "Infinity", "1e+-3"]
        {
            assert!(matches!(parse_decimal(text), Err(MoneyError::NotANumber(_))), "{text:?}");
        }
        for text in [
            "1e308",
            "99999999999999999999999999.999999999999999999",
            "1e-40",
            "1e99999999999999999999",
        ] {
            assert!(matches!(parse_decimal(text), Err(MoneyError::TooPrecise(_))), "{text:?}");
        }
    }

    #[test]
    fn products_and_sums_that_would_be_rounded_are_refused() {
        let fine = decimal("1.0000000000000000000000000001");
        assert_eq!(exact_mul(fine, fine), None);
        assert_eq!(
            exact_add(decimal("7922816251426433759354395033"), decimal("0.123456789")),
            None
        );
        assert_eq!(
            exact_mul(decimal("9000000000000000"), decimal("0.0000000375")),
            Some(decimal("337500000"))
        );
    }

    #[test]
    fn an_amount_prints_what_it_holds() {
        for text in ["0", "0.569788", "-12", "0.000000000001", "-0.5", "9223372.036854775807"] {
            assert_eq!(text.parse::<Amount>().unwrap().to_string(), text);
        }
        assert!("0.0000000000001".parse::<Amount>().is_err());
    }

    proptest! {
        #[test]
        fn amounts_survive_text_and_decimal(pico in -10_i128.pow(26)..10_i128.pow(26)) {
            let amount = Amount::from_pico(pico);
            prop_assert_eq!(amount.to_string().parse::<Amount>().unwrap(), amount);
            prop_assert_eq!(Amount::from_decimal(amount.to_decimal().unwrap()).unwrap(), amount);
        }

        #[test]
        fn exact_sums_come_apart_again(a in any::<i64>(), b in any::<i64>(), s in 0_u32..9, t in 0_u32..9) {
            let (a, b) = (Decimal::new(a, s), Decimal::new(b, t));
            let sum = exact_add(a, b).unwrap();
            prop_assert_eq!(exact_sub(sum, b).unwrap(), a);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,40}") {
            let _ = parse_decimal(&text);
        }
    }
}
