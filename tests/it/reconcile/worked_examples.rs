//! The worked examples E1 to E21 and E5b, to the digit.

use std::collections::BTreeSet;

use crate::reconcile::case::{Case, causes, instant, money, only, part};
use counterfoil::invoice::line::{AmountPrecision, ChargeCategory};
use counterfoil::meter::Meter;
use counterfoil::money::Currency;
use counterfoil::period::ChargePeriod;
use counterfoil::reconcile::facts::{Ending, ExchangeRate};
use counterfoil::reconcile::finding::{Cause, Confidence, Mover};
use counterfoil::reconcile::verdict::MonthState;
use counterfoil::usage::UsageSource;

const NOON: &str = "2026-10-15T12:00:00Z";
const M: u64 = 1_000_000;

#[test]
fn e1_an_exact_extract_agrees_to_the_last_digit() {
    let mut case = Case::new();
    case.rate("gpt-5-mini", Meter::Input, "0.25", "2025-08-01T00:00:00Z", None, &[]);
    case.rate("gpt-5-mini", Meter::Output, "2.00", "2025-08-01T00:00:00Z", None, &[]);
    let used = [
        ("gpt-5-mini", Meter::Input, 80_992, "0.25"),
        ("gpt-5-mini", Meter::Output, 274_770, "2.00"),
    ];
    case.attempt(NOON, &used);
    case.line("gpt-5-mini", Meter::Input, Some(80_992), "0.020248");
    case.line("gpt-5-mini", Meter::Output, Some(274_770), "0.54954");
    let report = case.report();
    assert_eq!((report.recorded, report.billed), (money("0.569788"), money("0.569788")));
    assert!(report.findings.is_empty() && report.agrees);
    assert_eq!(report.state, MonthState::Reconciled);
}

/// Ten million in and two million out at today's prices.
fn ten_and_two() -> Case {
    let mut case = Case::with_atlas().with_old_version();
    let used =
        [("atlas-1", Meter::Input, 10 * M, "3.00"), ("atlas-1", Meter::Output, 2 * M, "15.00")];
    case.attempt(NOON, &used);
    case
}

#[test]
fn e2_a_stale_price_version_is_named_and_the_ratio_that_fits_too_is_listed() {
    let mut case = ten_and_two();
    case.line("atlas-1", Meter::Input, Some(10 * M), "25");
    case.line("atlas-1", Meter::Output, Some(2 * M), "25");
    let report = case.report();
    assert_eq!(causes(&report), [(Cause::PriceVersion, "-10".to_owned())]);
    let found = only(&report, Cause::PriceVersion);
    assert_eq!(part(found, Meter::Input), "-5");
    assert_eq!(part(found, Meter::Output), "-5");
    assert_eq!(found.confidence, Confidence::Consistent);
    assert!(found.alternatives.iter().any(|one| one.contains("0.833333")), "{found:#?}");
}

#[test]
fn e3_a_foreign_key_is_traffic_that_did_not_pass_here() {
    let mut case = ten_and_two();
    case.tie_k1();
    for (key, input, output) in [("k1", 10 * M, 2 * M), ("k9", 2 * M, 400_000)] {
        let cost = if key == "k1" { ("30", "30") } else { ("6", "6") };
        case.line("atlas-1", Meter::Input, Some(input), cost.0).dimensions.key_id =
            Some(key.to_owned());
        case.line("atlas-1", Meter::Output, Some(output), cost.1).dimensions.key_id =
            Some(key.to_owned());
    }
    let report = case.report();
    let found = only(&report, Cause::Unlogged);
    assert_eq!(report.findings.len(), 1);
    assert_eq!((part(found, Meter::Input), part(found, Meter::Output)), ("6".into(), "6".into()));
    assert_eq!((found.subject.as_str(), found.confidence), ("k9", Confidence::Proven));
    assert_eq!(report.coverage.elsewhere, money("12"));
    assert_eq!(report.coverage.seen, money("60"));
}

#[test]
fn e4_quantity_at_book_price_then_price_at_billed_quantity() {
    let mut case = Case::with_atlas();
    case.attempt(NOON, &[("atlas-1", Meter::Input, M, "3.00")]);
    case.line("atlas-1", Meter::Input, Some(1_100_000), "2.75");
    let report = case.report();
    assert_eq!(only(&report, Cause::QuantityUnexplained).amount, money("0.30"));
    let price: rust_decimal::Decimal = report
        .findings
        .iter()
        .filter(|one| one.step == Cause::Discount.step())
        .map(|f| f.amount)
        .sum();
    assert_eq!(price, money("-0.55"));
}

#[test]
fn e5_uncached_tokens_billed_as_cache_reads() {
    let mut case = Case::with_atlas();
    case.attempt(NOON, &[("atlas-1", Meter::Input, 10 * M, "3.00")]);
    case.line("atlas-1", Meter::Input, Some(4 * M), "12");
    case.line("atlas-1", Meter::InputCacheRead, Some(6 * M), "1.80");
    let report = case.report();
    assert_eq!(causes(&report), [(Cause::CacheClass, "-16.2".to_owned())]);
    assert_eq!(only(&report, Cause::CacheClass).confidence, Confidence::Proven);
}

#[test]
fn e5b_cached_tokens_counted_inside_and_beside_the_input() {
    let mut case = Case::with_atlas();
    let used = [
        ("atlas-1", Meter::Input, 10 * M, "3.00"),
        ("atlas-1", Meter::InputCacheRead, 6 * M, "0.30"),
    ];
    case.attempt(NOON, &used);
    case.line("atlas-1", Meter::Input, Some(4 * M), "12");
    case.line("atlas-1", Meter::InputCacheRead, Some(6 * M), "1.80");
    let report = case.report();
    assert_eq!(report.recorded, money("31.80"));
    assert_eq!(causes(&report), [(Cause::DoubleCount, "-18".to_owned())]);
    let found = only(&report, Cause::DoubleCount);
    assert_eq!((found.confidence, found.mover), (Confidence::Proven, Mover::FixOurs));
}

#[test]
fn e6_standard_tokens_billed_as_batch() {
    let mut case = Case::with_atlas();
    let used = [("atlas-1", Meter::Input, 8 * M, "3.00"), ("atlas-1", Meter::Output, M, "15.00")];
    case.attempt(NOON, &used);
    let lines = [
        (Meter::Input, 5 * M, "15", false),
        (Meter::Output, 400_000, "6", false),
        (Meter::Input, 3 * M, "4.5", true),
        (Meter::Output, 600_000, "4.5", true),
    ];
    for (meter, quantity, amount, batch) in lines {
        case.line("atlas-1", meter, Some(quantity), amount).dimensions.batch = Some(batch);
    }
    let report = case.report();
    assert_eq!(causes(&report), [(Cause::Tier, "-9".to_owned())]);
    let found = only(&report, Cause::Tier);
    assert_eq!(part(found, Meter::Input), "-4.5");
    assert_eq!(part(found, Meter::Output), "-4.5");
    assert_eq!(found.confidence, Confidence::Proven);
}

#[test]
fn e7_a_month_of_los_angeles_days() {
    let mut case = Case::new();
    case.rate("m-1", Meter::Input, "1.00", "2026-01-01T00:00:00Z", None, &[]);
    let hours = [
        ("2026-10-01T03:00:00Z", 4_200_000),
        (NOON, 95_800_000),
        ("2026-11-01T03:00:00Z", 5_000_000),
        ("2026-11-01T06:59:59Z", 500_000),
    ];
    for (at, quantity) in hours {
        case.attempt(at, &[("m-1", Meter::Input, quantity, "1.00")]);
    }
    case.line("m-1", Meter::Input, Some(101_300_000), "101.30").period = ChargePeriod {
        start: instant("2026-10-01T07:00:00Z"),
        end: instant("2026-11-01T07:00:00Z"),
    };
    let report = case.report();
    assert_eq!((report.recorded, report.billed), (money("100"), money("101.30")));
    assert_eq!(
        causes(&report),
        [(Cause::TimingOut, "-4.2".to_owned()), (Cause::TimingIn, "5.5".to_owned())]
    );
    assert_eq!(only(&report, Cause::TimingOut).confidence, Confidence::Proven);
    assert_eq!(only(&report, Cause::TimingIn).drill.attempt_count, 2);
}

#[test]
fn e8_the_same_tokens_under_another_name() {
    let mut case = Case::with_atlas();
    let used =
        [("atlas-0", Meter::Input, 2 * M, "2.50"), ("atlas-0", Meter::Output, 500_000, "12.50")];
    case.attempt(NOON, &used);
    case.line("atlas-1", Meter::Input, Some(2 * M), "6");
    case.line("atlas-1", Meter::Output, Some(500_000), "7.50");
    let report = case.report();
    assert_eq!(report.recorded, money("11.25"));
    assert_eq!(causes(&report), [(Cause::Alias, "2.25".to_owned())]);
    assert_eq!(only(&report, Cause::Alias).confidence, Confidence::Proven);
}

#[test]
fn e9_rounding_of_three_lines() {
    let mut case = Case::new();
    case.decimals = 2;
    case.precision = AmountPrecision::HalfUp;
    let lines = [("m-1", 1_234_567, "1.23"), ("m-2", 994_999, "0.99"), ("m-3", 2_005_000, "2.01")];
    for (model, quantity, amount) in lines {
        case.rate(model, Meter::Input, "1.00", "2026-01-01T00:00:00Z", None, &[]);
        case.attempt(NOON, &[(model, Meter::Input, quantity, "1.00")]);
        case.line(model, Meter::Input, Some(quantity), amount);
    }
    let report = case.report();
    assert_eq!(report.recorded, money("4.234566"));
    let found = only(&report, Cause::Rounding);
    assert_eq!((found.amount, found.confidence), (money("-0.004566"), Confidence::Proven));
    let amounts: Vec<_> = found.parts.iter().map(|part| part.amount).collect();
    assert_eq!(amounts, [money("-0.004567"), money("-0.004999"), money("0.005")]);
    assert!(report.agrees);
}

#[test]
fn e10_credit_and_tax_stand_at_face_value() {
    let mut case = Case::new();
    case.rate("m-1", Meter::Input, "1.00", "2026-01-01T00:00:00Z", None, &[]);
    case.attempt(NOON, &[("m-1", Meter::Input, 100 * M, "1.00")]);
    case.line("m-1", Meter::Input, Some(100 * M), "100.00");
    case.face_line(ChargeCategory::Credit, "Promotional credit", "-25.00");
    case.face_line(ChargeCategory::Tax, "Sales tax 8.25 %", "6.19");
    let report = case.report();
    assert_eq!(report.billed, money("81.19"));
    assert_eq!(report.difference, money("-18.81"));
    assert_eq!(only(&report, Cause::Credit).amount, money("-25.00"));
    assert_eq!(only(&report, Cause::Tax).amount, money("6.19"));
}

#[test]
fn e11_another_currency_is_its_own_step() {
    let mut case = Case::new();
    case.rate("m-1", Meter::Input, "1.00", "2026-01-01T00:00:00Z", None, &[]);
    case.attempt(NOON, &[("m-1", Meter::Input, 100 * M, "1.00")]);
    let euro: Currency = "EUR".parse().unwrap();
    case.decimals = 2;
    case.precision = AmountPrecision::HalfUp;
    case.line("m-1", Meter::Input, Some(100 * M), "92.40").currency = euro;
    let source = "a bank's rate of 31 October 2026".to_owned();
    let rate = ExchangeRate { from: euro, into: Currency::USD, rate: money("1.09"), source };
    case.inputs.exchange = Some(rate.clone());
    let report = case.report();
    assert_eq!(report.billed, money("100.716"));
    assert_eq!(causes(&report), [(Cause::Exchange, "0.716".to_owned())]);
    let finding = only(&report, Cause::Exchange);
    assert_eq!(finding.confidence, Confidence::Consistent);
    let words = "EUR 1 is USD 1.09 (a bank's rate of 31 October 2026)";
    assert!(finding.evidence.iter().any(|line| line == words), "{:?}", finding.evidence);
    assert!(report.verdict.sentences.iter().any(|said| said.contains(words)));
    assert_eq!(report.exchange, Some(rate));
}

#[test]
fn e11_a_rate_into_another_currency_than_the_books_is_none() {
    let mut case = Case::new();
    let (euro, pound): (Currency, Currency) = ("EUR".parse().unwrap(), "GBP".parse().unwrap());
    case.line("m-1", Meter::Input, Some(M), "1").currency = euro;
    case.inputs.exchange =
        Some(ExchangeRate { from: euro, into: pound, rate: money("0.87"), source: String::new() });
    assert!(case.try_report().unwrap_err().to_string().contains("--exchange-rate EUR=RATE"));
}

#[test]
fn e11_without_a_rate_currencies_never_add() {
    let mut case = Case::new();
    case.line("m-1", Meter::Input, Some(M), "1").currency = "EUR".parse().unwrap();
    assert!(case.try_report().unwrap_err().to_string().contains("--exchange-rate EUR=RATE"));
}

#[test]
fn e12_estimates_are_trued_up_within_their_bounds() {
    let mut case = Case::with_atlas();
    let used =
        [("atlas-1", Meter::Input, 2 * M, "3.00"), ("atlas-1", Meter::Output, 988_000, "15.00")];
    case.attempt(NOON, &used);
    for _ in 0..40 {
        let attempt = case.attempt(NOON, &[("atlas-1", Meter::Output, 300, "15.00")]);
        attempt.usage_source = UsageSource::Counted;
        attempt.max_output = Some(1024);
    }
    case.line("atlas-1", Meter::Input, Some(2 * M), "6");
    case.line("atlas-1", Meter::Output, Some(1_003_500), "15.0525");
    let report = case.report();
    assert_eq!(report.recorded, money("21"));
    assert_eq!(causes(&report), [(Cause::EstimateTrueUp, "0.0525".to_owned())]);
    let found = only(&report, Cause::EstimateTrueUp);
    assert_eq!(found.confidence, Confidence::Consistent);
    assert!(found.evidence.iter().any(|one| one.contains("28960")), "{:?}", found.evidence);
    assert_eq!(found.drill.attempt_count, 40);
}

#[test]
fn e13_provider_errors_the_bill_leaves_out() {
    let mut case = Case::with_atlas();
    let used = [("atlas-1", Meter::Input, M, "3.00"), ("atlas-1", Meter::Output, 100_000, "15.00")];
    case.attempt(NOON, &used);
    for _ in 0..25 {
        let used =
            [("atlas-1", Meter::Input, 2_000, "3.00"), ("atlas-1", Meter::Output, 300, "15.00")];
        let attempt = case.attempt(NOON, &used);
        attempt.ending = Ending::ProviderError;
        attempt.status = Some(502);
    }
    case.line("atlas-1", Meter::Input, Some(M), "3");
    case.line("atlas-1", Meter::Output, Some(100_000), "1.5");
    let report = case.report();
    assert_eq!(causes(&report), [(Cause::UnbilledProviderError, "-0.2625".to_owned())]);
    let found = only(&report, Cause::UnbilledProviderError);
    assert_eq!((found.confidence, found.drill.attempt_count), (Confidence::Proven, 25));
}

#[test]
fn e14_a_net_of_nothing_is_not_a_match() {
    let mut case = Case::with_atlas();
    case.tie_k1();
    for index in 0..3_000 {
        let used =
            [("atlas-1", Meter::Input, 1_000, "3.00"), ("atlas-1", Meter::Output, 100, "15.00")];
        let attempt = case.attempt(NOON, &used);
        if index < 200 {
            attempt.ending = Ending::ProviderError;
        }
    }
    for (key, count) in [("k1", 2_800), ("k9", 200)] {
        let input = money("0.003") * rust_decimal::Decimal::from(count);
        let output = money("0.0015") * rust_decimal::Decimal::from(count);
        case.line("atlas-1", Meter::Input, Some(1_000 * count), &input.to_string())
            .dimensions
            .key_id = Some(key.to_owned());
        case.line("atlas-1", Meter::Output, Some(100 * count), &output.to_string())
            .dimensions
            .key_id = Some(key.to_owned());
    }
    let report = case.report();
    assert_eq!(report.difference, money("0"));
    assert!(!report.agrees);
    assert_eq!(only(&report, Cause::Unlogged).amount, money("0.9"));
    assert_eq!(only(&report, Cause::UnbilledProviderError).amount, money("-0.9"));
    assert!(report.verdict.sentences[1].contains("named cause"), "{:?}", report.verdict);
}

#[test]
fn e15_tier_class_quantity_credit_and_tax_at_once() {
    let mut case = Case::with_atlas();
    let used =
        [("atlas-1", Meter::Input, 50 * M, "3.00"), ("atlas-1", Meter::Output, 6 * M, "15.00")];
    case.attempt(NOON, &used);
    let lines = [
        (Meter::Input, 29_400_000, "88.20", false),
        (Meter::InputCacheRead, 20 * M, "6.00", false),
        (Meter::Input, M, "1.50", true),
        (Meter::Output, 5_940_000, "89.10", false),
        (Meter::Output, 100_000, "0.75", true),
    ];
    for (meter, quantity, amount, batch) in lines {
        case.line("atlas-1", meter, Some(quantity), amount).dimensions.batch = Some(batch);
    }
    case.face_line(ChargeCategory::Credit, "Credit", "-10.00");
    case.face_line(ChargeCategory::Tax, "Tax 8 %", "14.04");
    let report = case.report();
    assert_eq!((report.recorded, report.billed), (money("240"), money("189.59")));
    assert_eq!(report.difference, money("-50.41"));
    assert_eq!(
        causes(&report),
        [
            (Cause::Tier, "-2.25".to_owned()),
            (Cause::CacheClass, "-54".to_owned()),
            (Cause::QuantityUnexplained, "1.8".to_owned()),
            (Cause::Tax, "14.04".to_owned()),
            (Cause::Credit, "-10".to_owned()),
        ]
    );
    let quantity = only(&report, Cause::QuantityUnexplained);
    let units: Vec<i128> = quantity.parts.iter().map(|part| part.quantity).collect();
    assert_eq!(units, [400_000, 40_000]);
    assert_eq!(only(&report, Cause::Tier).confidence, Confidence::Consistent);
}

#[test]
fn e16_the_bridge_needs_no_division() {
    // 110 requests of 1,200 tokens at 2.50 against 100 of 1,000 at 3.00: sixths under Shapley,
    // finite decimals here.
    let mut case = Case::with_atlas().with_old_version();
    for _ in 0..100 {
        case.attempt(NOON, &[("atlas-1", Meter::Input, 1_000, "3.00")]);
    }
    case.line("atlas-1", Meter::Input, Some(132_000), "0.33");
    let report = case.report();
    assert_eq!((report.recorded, report.difference), (money("0.30"), money("0.03")));
    assert_eq!(
        causes(&report),
        [
            (Cause::QuantityUnexplained, "0.096".to_owned()),
            (Cause::PriceVersion, "-0.066".to_owned())
        ]
    );
}

#[test]
fn e17_two_prices_within_the_printed_digits_prove_neither() {
    let mut case = Case::new();
    case.decimals = 2;
    case.precision = AmountPrecision::HalfUp;
    case.rate("gpt-5-mini", Meter::Input, "0.25", "2025-08-01T00:00:00Z", None, &[]);
    let until = Some("2025-08-01T00:00:00Z");
    case.rate("gpt-5-mini", Meter::Input, "0.30", "2025-01-01T00:00:00Z", until, &[]);
    case.attempt(NOON, &[("gpt-5-mini", Meter::Input, 80_992, "0.25")]);
    case.line("gpt-5-mini", Meter::Input, Some(80_992), "0.02");
    let report = case.report();
    let found = only(&report, Cause::Rounding);
    assert_eq!((found.amount, found.confidence), (money("-0.000248"), Confidence::Consistent));
    assert!(!found.alternatives.is_empty());
}

#[test]
fn e18_the_one_day_on_which_the_price_changed() {
    let mut case = Case::with_atlas();
    case.rate("atlas-1", Meter::Input, "2.50", "2026-11-01T00:00:00Z", None, &[]);
    for (day, millions) in [(3, 2), (9, 3), (14, 1), (20, 2), (27, 2)] {
        let at = format!("2026-10-{day:02}T10:00:00Z");
        let half = if day == 14 { 500_000 } else { 0 };
        case.attempt(&at, &[("atlas-1", Meter::Input, millions * M - half, "3.00")]);
        if half > 0 {
            case.attempt("2026-10-16T10:00:00Z", &[("atlas-1", Meter::Input, half, "3.00")]);
        }
    }
    case.line("atlas-1", Meter::Input, Some(10 * M), "27.75");
    let report = case.report();
    assert_eq!(causes(&report), [(Cause::PriceChangeDate, "-2.25".to_owned())]);
    let found = only(&report, Cause::PriceChangeDate);
    assert_eq!(found.confidence, Confidence::Proven, "{found:#?}");
    assert!(found.evidence.iter().any(|one| one.contains("2026-10-16")), "{:?}", found.evidence);
}

#[test]
fn e19_rows_in_another_order_give_the_same_report() {
    // Refusing the same file twice is the importer's; what the engine owns is that order is nothing.
    let mut case = ten_and_two();
    case.line("atlas-1", Meter::Input, Some(10 * M), "25");
    case.line("atlas-1", Meter::Output, Some(2 * M), "25");
    let first = serde_json::to_string(&case.report()).unwrap();
    case.inputs.imports[0].lines.reverse();
    case.inputs.rates.reverse();
    assert_eq!(serde_json::to_string(&case.report()).unwrap(), first);
}

#[test]
fn e20_nothing_is_unbilled_after_the_last_covered_day() {
    let mut case = Case::with_atlas();
    let days: BTreeSet<_> = case.inputs.period.days().take(20).collect();
    case.inputs.imports[0].covered_days = days.iter().copied().collect();
    for day in case.inputs.period.days() {
        let at = format!("{day}T12:00:00Z");
        case.attempt(&at, &[("atlas-1", Meter::Input, M, "3.00")]);
        if days.contains(&day) {
            case.line("atlas-1", Meter::Input, Some(M), "3").period = ChargePeriod::of_day(day);
        }
    }
    let report = case.report();
    assert_eq!((report.recorded, report.billed), (money("60"), money("60")));
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    assert_eq!(report.verdict.state, "partial (1–20 of 31)");
    assert!(report.verdict.sentences[0].contains("1–20 of 31"));
    assert_eq!(report.population.attempts_left_out.values().sum::<u64>(), 11);
}

#[test]
fn e21_cents_are_the_importers_and_the_engine_takes_dollars_as_given() {
    // Anthropic's API prints cents ("123.45" is 1.2345 USD); the importer divides. What the engine
    // owns is that four decimals are kept and matched.
    let mut case = Case::new();
    case.rate("m-1", Meter::Input, "1.00", "2026-01-01T00:00:00Z", None, &[]);
    case.attempt(NOON, &[("m-1", Meter::Input, 1_234_500, "1.00")]);
    case.line("m-1", Meter::Input, Some(1_234_500), "1.2345");
    let report = case.report();
    assert_eq!(report.billed, money("1.2345"));
    assert!(report.agrees && report.findings.is_empty());
}

#[test]
fn a_real_day_of_six_rows_in_cents_differs_by_its_rounding_only() {
    // Anthropic, 2026-02-01: tokens give 4.38401975, the file's rows, each half-up, 4.39.
    let mut case = Case::new();
    (case.decimals, case.precision) = (2, AmountPrecision::HalfUp);
    let rows = [
        (
            "claude-opus-4-5-20251101",
            "Claude Opus 4.5",
            Meter::InputCacheRead,
            3_301_672,
            "0.50",
            "1.65",
        ),
        (
            "claude-opus-4-5-20251101",
            "Claude Opus 4.5",
            Meter::InputCacheWrite5m,
            302_527,
            "6.25",
            "1.89",
        ),
        ("claude-opus-4-5-20251101", "Claude Opus 4.5", Meter::Output, 32_676, "25", "0.82"),
        ("claude-opus-4-5-20251101", "Claude Opus 4.5", Meter::Input, 43, "5", "0.00"),
        ("claude-haiku-4-5-20251001", "Claude Haiku 4.5", Meter::Input, 16_765, "1", "0.02"),
        ("claude-haiku-4-5-20251001", "Claude Haiku 4.5", Meter::Output, 1_702, "5", "0.01"),
    ];
    for (dated, display, meter, quantity, price, amount) in rows {
        case.rate(dated, meter, price, "2025-10-01T00:00:00Z", None, &[]);
        case.attempt(NOON, &[(dated, meter, quantity, price)]);
        case.line(display, meter, None, amount);
    }
    let report = case.report();
    assert_eq!((report.recorded, report.billed), (money("4.38401975"), money("4.39")));
    assert_eq!(causes(&report), [(Cause::Rounding, "0.00598025".to_owned())]);
    assert!(report.agrees);
}
