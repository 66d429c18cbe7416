//! Sums, quantities and times as a page prints them.

use super::*;

fn usd(text: &str) -> Money {
    Money::new(text.parse().unwrap(), Currency::USD)
}

#[test]
fn a_sum_below_a_cent_is_told_in_its_own_digits() {
    assert_eq!(usd("0.0002895").telling_text(), "$0.00029");
    assert_eq!(usd("0").telling_text(), "$0.00");
    assert_eq!(usd("26.004999").telling_text(), "$26.00");
}

#[test]
fn totals_show_cents_and_the_exact_value_beside_them() {
    assert_eq!(usd("11902.444").cents_text(), "$11,902.44");
    assert_eq!(usd("0.125").cents_text(), "$0.12");
    assert_eq!(usd("-3").cents_text(), "−$3.00");
    let html = usd("11902.444").cents().to_string();
    assert_eq!(html, r#"<data value="11902.444" title="11902.444 USD">$11,902.44</data>"#);
}

#[test]
fn something_is_never_printed_as_nothing() {
    assert_eq!(usd("0.000124").cents_text(), "< $0.01");
    assert_eq!(usd("0").cents_text(), "$0.00");
    assert_eq!(usd("0.000124").fine_text(), "$0.000124");
    assert_eq!(usd("0.000000025").fine_text(), "$0.000000025");
    assert_eq!(usd("0").fine_text(), "$0.00");
    assert_eq!(usd("2.5").fine_text(), "$2.50");
    assert_eq!(percent(1, 100_000), "< 0.1 %");
    assert_eq!(percent(0, 7), "0.0 %");
    assert_eq!(percent(1, 0), "–");
}

#[test]
fn small_sums_of_a_column_stand_point_under_point() {
    assert_eq!(usd("0.00021").column().text, "$0.000210");
    assert_eq!(usd("0.000000025").column().text, "$0.000000025");
    assert_eq!(usd("2.5").column().text, "$2.500000");
    assert_eq!(usd("0").column().text, "$0.00");
}

#[test]
fn instants_in_a_sentence_are_for_people() {
    let said = sentence("before 2026-09-30T23:59:07.577148Z: in force 2026-08-21T00:00:00Z (x)");
    assert_eq!(said, "Before 2026-09-30 23:59:07 UTC: in force 2026-08-21 00:00 UTC (x)");
    assert_eq!(sentence("proj_crawler occurs nowhere"), "proj_crawler occurs nowhere");
    assert_eq!(sentence(""), "");
}

#[test]
fn a_difference_is_said_in_words_and_never_as_nothing() {
    let figure =
        |text: &str| Figure::new(crate::money::parse_decimal(text).unwrap(), Currency::USD);
    assert_eq!(figure("-4.74").more_or_less(), "$4.74 less");
    assert_eq!(figure("0.00000000000000000001").more_or_less(), "< $0.01 more");
    assert_eq!(figure("0").more_or_less(), "nothing");
    assert_eq!(figure("1.169520550000000000000000000").exact(), "1.16952055 USD");
}

#[test]
fn numbers_are_grouped_and_shortened_without_losing_the_exact_one() {
    assert_eq!(count(1_234_567), "1,234,567");
    assert_eq!(brief(18_449_999, "tokens").text, "18.4 M");
    assert_eq!(brief(18_449_999, "tokens").value, "18449999");
    assert_eq!(brief(9_999, "").text, "9,999");
    assert_eq!(brief(12_345, "").text, "12.3 k");
}

#[test]
fn an_average_of_none_is_unknown() {
    assert_eq!(usd("1").per(0), None);
    assert_eq!(usd("1").per(3).unwrap().amount.to_string(), "0.333333333333");
}

#[test]
fn text_from_outside_is_escaped_in_a_cell() {
    let cell = Cell { text: "<b>".into(), value: "\"x".into(), unit: String::new() };
    let html = cell.to_string();
    assert!(!html.contains("<b>") && !html.contains("\"\"x"), "{html}");
}

#[test]
fn time_passed_is_said_in_the_largest_fitting_unit() {
    let then = Timestamp::from_micros(0);
    assert_eq!(ago(Timestamp::from_micros(3 * SECOND_US), then), "3 s ago");
    assert_eq!(ago(Timestamp::from_micros(2 * DAY_US), then), "2 days ago");
    assert_eq!(duration(1_240_000), "1.24 s");
    assert_eq!(duration(125_000_000), "2 min 5 s");
}
