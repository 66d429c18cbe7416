//! One price as an exact fraction, and what a quantity comes to at it.

use rust_decimal::Decimal;

use crate::meter::Meter;
use crate::money::{AMOUNT_SCALE, Amount, canonical_text, parse_decimal};

/// A published price of one meter, kept as a reduced fraction of 10⁻¹² units per atom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The published figure, canonical decimal text.
    pub unit_price: String,
    /// The units it is for.
    pub per: u64,
    numerator: u128,
    denominator: u128,
}

/// A factor as decimal text and as a fraction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factor {
    /// Canonical decimal text.
    pub text: String,
    numerator: u128,
    denominator: u128,
}

/// Why a figure is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceTextError {
    /// Not a decimal, or longer than we keep.
    #[error("{0:?} is no decimal number we can keep")]
    NotADecimal(String),
    /// Below nothing.
    #[error("{0:?} is negative")]
    Negative(String),
    /// Finer than an amount can hold.
    #[error("{0:?} per {1} is finer than 12 decimals a unit")]
    TooFine(String, u64),
    /// A price for no units.
    #[error("a price per 0 units means nothing")]
    PerNothing,
}

/// Digits after the point a price for one unit may have before its `per` is applied.
const FINEST: u32 = AMOUNT_SCALE;

impl Price {
    /// Reads a published figure for `per` units of a meter.
    ///
    /// A power of ten as `per` must leave at most 12 decimals a unit; any other `per` (60 seconds)
    /// may leave a fraction, and then each charge is rounded once and says so.
    ///
    /// # Errors
    /// [`PriceTextError`] with the text.
    pub(crate) fn read(meter: Meter, text: &str, per: u64) -> Result<Self, PriceTextError> {
        if per == 0 {
            return Err(PriceTextError::PerNothing);
        }
        let (value, numerator, scale) = fraction(text)?;
        let decimals_of_per = per.ilog10();
        let power_of_ten = per == 10_u64.pow(decimals_of_per);
        let decimals = if power_of_ten { value.scale() + decimals_of_per } else { value.scale() };
        let too_fine = || PriceTextError::TooFine(text.to_owned(), per);
        if value.scale() > FINEST || (decimals > FINEST && !value.is_zero()) {
            return Err(too_fine());
        }
        let numerator = numerator.checked_mul(10_u128.pow(AMOUNT_SCALE)).ok_or_else(too_fine)?;
        let denominator = scale
            .checked_mul(u128::from(per))
            .and_then(|den| den.checked_mul(u128::from(meter.atoms_per_unit())))
            .ok_or_else(too_fine)?;
        let shared = greatest_common_divisor(numerator, denominator);
        Ok(Self {
            unit_price: canonical_text(value),
            per,
            numerator: numerator / shared,
            denominator: denominator / shared,
        })
    }

    /// What so many atoms come to, and whether the result had to be rounded (once, half to even,
    /// at 10⁻¹²). `None` where it does not fit a stored amount (9.2 million units).
    pub(crate) fn amount(&self, atoms: u64, factors: &[&Factor]) -> Option<(Amount, bool)> {
        let (mut numerator, mut denominator) = (self.numerator, self.denominator);
        for factor in factors {
            numerator = numerator.checked_mul(factor.numerator)?;
            denominator = denominator.checked_mul(factor.denominator)?;
        }
        if denominator != 1 {
            let shared = greatest_common_divisor(numerator, denominator);
            (numerator, denominator) = (numerator / shared, denominator / shared);
        }
        let product = u128::from(atoms).checked_mul(numerator)?;
        let (whole, rest) = (product / denominator, product % denominator);
        let twice = rest.checked_mul(2)?;
        let up = twice > denominator || (twice == denominator && whole % 2 == 1);
        let pico = i128::try_from(whole + u128::from(up)).ok()?;
        let amount = Amount::from_pico(pico);
        amount.stored().map(|_| (amount, rest != 0))
    }

    /// The exact price of one atom (a token, a thousandth of a second), in currency units; `None`
    /// where it has no end (a minute's price for a second).
    pub(crate) fn per_atom(&self, factors: &[&Factor]) -> Option<Decimal> {
        let (mut numerator, mut denominator) = (self.numerator, self.denominator);
        for factor in factors {
            numerator = numerator.checked_mul(factor.numerator)?;
            denominator = denominator.checked_mul(factor.denominator)?;
        }
        let shared = greatest_common_divisor(numerator, denominator);
        (numerator, denominator) = (numerator / shared, denominator / shared);
        let mut scale = AMOUNT_SCALE;
        while denominator != 1 {
            let lift =
                [10_u128, 5, 2].into_iter().find(|part| denominator.is_multiple_of(*part))?;
            numerator = numerator.checked_mul(10 / lift)?;
            denominator /= lift;
            scale += 1;
        }
        let mantissa = i128::try_from(numerator).ok()?;
        Decimal::try_from_i128_with_scale(mantissa, scale).ok().map(|value| value.normalize())
    }
}

impl Factor {
    /// Reads a factor such as `1.1`.
    ///
    /// # Errors
    /// [`PriceTextError`] with the text.
    pub(crate) fn read(text: &str) -> Result<Self, PriceTextError> {
        let (value, numerator, scale) = fraction(text)?;
        if value.scale() > 6 {
            return Err(PriceTextError::TooFine(text.to_owned(), 1));
        }
        let shared = greatest_common_divisor(numerator, scale);
        Ok(Self {
            text: canonical_text(value),
            numerator: numerator / shared,
            denominator: scale / shared,
        })
    }
}

/// A decimal text as value, mantissa and the power of ten below it.
fn fraction(text: &str) -> Result<(Decimal, u128, u128), PriceTextError> {
    let not_a_decimal = || PriceTextError::NotADecimal(text.to_owned());
    let value = parse_decimal(text).map_err(|_| not_a_decimal())?.normalize();
    let mantissa =
        u128::try_from(value.mantissa()).map_err(|_| PriceTextError::Negative(text.to_owned()))?;
    let scale = 10_u128.checked_pow(value.scale()).ok_or_else(not_a_decimal)?;
    Ok((value, mantissa, scale))
}

/// Euclid's; never 0, so that it can divide.
fn greatest_common_divisor(mut left: u128, mut right: u128) -> u128 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left.max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(meter: Meter, text: &str, per: u64) -> Price {
        Price::read(meter, text, per).unwrap()
    }

    #[test]
    fn tokens_come_out_exact() {
        let input = price(Meter::Input, "0.15", 1_000_000);
        let (amount, rounded) = input.amount(5_560_222, &[]).unwrap();
        assert_eq!((amount.to_string().as_str(), rounded), ("0.8340333", false));
        assert_eq!(input.per_atom(&[]).unwrap().to_string(), "0.00000015");
    }

    #[test]
    fn a_price_per_minute_is_rounded_once_and_says_so() {
        let minute = price(Meter::AudioSeconds, "0.017", 60);
        let (amount, rounded) = minute.amount(1_000, &[]).unwrap();
        assert_eq!((amount.to_string().as_str(), rounded), ("0.000283333333", true));
        let (amount, rounded) = minute.amount(60_000, &[]).unwrap();
        assert_eq!((amount.to_string().as_str(), rounded), ("0.017", false));
        assert_eq!(minute.per_atom(&[]), None);
    }

    #[test]
    fn a_tie_goes_to_the_even_digit() {
        let half = Factor::read("0.5").unwrap();
        let finest = price(Meter::Input, "0.000001", 1_000_000);
        assert_eq!(finest.amount(1, &[&half]).unwrap(), (Amount::from_pico(0), true));
        assert_eq!(finest.amount(3, &[&half]).unwrap(), (Amount::from_pico(2), true));
        assert_eq!(finest.amount(2, &[&half]).unwrap(), (Amount::from_pico(1), false));
    }

    #[test]
    fn figures_that_cannot_be_kept_are_refused() {
        for (text, per) in [("0.1234567", 1_000_000), ("-1", 1), ("1", 0), ("a", 1), ("1e-13", 60)]
        {
            assert!(Price::read(Meter::Input, text, per).is_err(), "{text} per {per}");
        }
        assert!(price(Meter::Input, "150", 1_000_000).amount(u64::MAX, &[]).is_none());
    }

    proptest! {
        #[test]
        fn an_amount_is_the_atoms_times_the_price_of_one(atoms in 0_u64..1_000_000_000, micros in 0_u64..1_000_000_000) {
            let text = canonical_text(Decimal::new(i64::try_from(micros).unwrap(), 6));
            let price = Price::read(Meter::Output, &text, 1_000_000).unwrap();
            prop_assume!(u128::from(atoms) * u128::from(micros) < 9_000_000_000_000_000_000);
            let (amount, rounded) = price.amount(atoms, &[]).unwrap();
            prop_assert!(!rounded);
            prop_assert_eq!(amount.pico(), i128::from(atoms) * i128::from(micros));
        }
    }
}
