//! Sums and products that refuse to round.

use rust_decimal::Decimal;

use crate::money::{MoneyError, exact_add, exact_mul, exact_sub};

/// Why the figures cannot be computed exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inexact {
    /// A sum or product has more digits than a decimal holds.
    #[error("an amount of {0} has more digits than can be kept exactly")]
    TooPrecise(String),
    /// A stored total does not fit.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// Exact sum.
///
/// # Errors
/// Refuses to round.
pub(crate) fn add(left: Decimal, right: Decimal) -> Result<Decimal, Inexact> {
    exact_add(left, right).ok_or_else(|| Inexact::TooPrecise(format!("{left} + {right}")))
}

/// Exact difference.
///
/// # Errors
/// Refuses to round.
pub(crate) fn subtract(left: Decimal, right: Decimal) -> Result<Decimal, Inexact> {
    exact_sub(left, right).ok_or_else(|| Inexact::TooPrecise(format!("{left} - {right}")))
}

/// Exact product.
///
/// # Errors
/// Refuses to round.
pub(crate) fn multiply(left: Decimal, right: Decimal) -> Result<Decimal, Inexact> {
    exact_mul(left, right).ok_or_else(|| Inexact::TooPrecise(format!("{left} × {right}")))
}

/// A price times whole atoms.
///
/// # Errors
/// Refuses to round.
pub(crate) fn at_price(price: Decimal, quantity: i128) -> Result<Decimal, Inexact> {
    let units = Decimal::try_from_i128_with_scale(quantity, 0)
        .map_err(|_| Inexact::TooPrecise(quantity.to_string()))?;
    multiply(price, units)
}
