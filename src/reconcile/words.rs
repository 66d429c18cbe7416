//! Money as a sentence says it.

use rust_decimal::{Decimal, RoundingStrategy};

use crate::money::Currency;

/// Two decimals, and never `0.00` for what is not zero.
pub(crate) fn money(amount: Decimal, currency: Currency) -> String {
    let mut places = 2;
    let mut shown = rounded(amount, places);
    while shown.is_zero() && !amount.is_zero() && places < 12 {
        places += 1;
        shown = rounded(amount, places);
    }
    let text = format!("{:.*}", places as usize, shown.abs());
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match currency == Currency::USD {
        true => format!("${grouped}.{rest}"),
        false => format!("{currency} {grouped}.{rest}"),
    }
}

fn rounded(amount: Decimal, places: u32) -> Decimal {
    amount.round_dp_with_strategy(places, RoundingStrategy::MidpointNearestEven)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_never_nothing_unless_it_is() {
        let say = |text: &str| money(text.parse().unwrap(), Currency::USD);
        assert_eq!(say("12431.08"), "$12,431.08");
        assert_eq!(say("0.000124"), "$0.0001");
        assert_eq!(say("0"), "$0.00");
        assert_eq!(money("1234567.5".parse().unwrap(), "EUR".parse().unwrap()), "EUR 1,234,567.50");
    }
}
