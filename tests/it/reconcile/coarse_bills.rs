//! Bills that tell less: totals only, money without quantities, half a month, none at all; and books
//! that began late or were down.

use counterfoil::invoice::line::{AmountPrecision, BilledDimensions, ChargeCategory, UsageRow};
use counterfoil::meter::Meter;
use counterfoil::period::ChargePeriod;
use counterfoil::reconcile::facts::{BillingClass, Ending, GapFact, ImportFact};
use counterfoil::reconcile::finding::{Cause, Confidence, Mover};
use counterfoil::reconcile::verdict::MonthState;
use counterfoil::usage::UsageSource;
use rust_decimal::Decimal;

use crate::reconcile::case::{Case, instant, money, october, only};

const M: u64 = 1_000_000;

fn day(text: &str) -> ChargePeriod {
    ChargePeriod::of_day(text.parse().unwrap())
}

#[test]
fn a_bill_of_totals_says_which_column_it_would_need() {
    let mut case = Case::with_atlas();
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Input, M, "3.00")]);
    let line = case.line("", Meter::Input, None, "3.50");
    (line.model, line.meter) = (None, None);
    let report = case.report();
    let found = only(&report, Cause::NotResolvable);
    assert_eq!((found.amount, found.confidence), (money("0.5"), Confidence::Unexplained));
    assert!(found.evidence[0].contains("by model and token type"), "{:?}", found.evidence);
    assert_eq!(report.state, MonthState::TotalOnly);
    assert_eq!(report.verdict.state, "total only");
}

#[test]
fn money_without_quantities_is_matched_within_its_digits_and_proves_no_price() {
    let mut case = Case::with_atlas().with_old_version();
    (case.decimals, case.precision) = (2, AmountPrecision::HalfUp);
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Input, M, "3.00")]);
    case.attempt("2026-10-03T10:00:00Z", &[("atlas-1", Meter::Output, 2 * M, "15.00")]);
    case.line("atlas-1", Meter::Input, None, "3.00");
    case.line("atlas-1", Meter::Output, None, "25.00");
    let report = case.report();
    let found = only(&report, Cause::PriceVersion);
    assert_eq!((found.amount, found.confidence), (money("-5"), Confidence::Consistent));
    case.inputs.imports[0].lines[1].billed_cost = money("26.66");
    let report = case.report();
    let found = only(&report, Cause::NotResolvable);
    assert!(found.evidence[0].contains("usage export"), "{:?}", found.evidence);
}

#[test]
fn no_requests_in_the_books_is_nothing_to_compare_and_not_a_variance() {
    let mut case = Case::with_atlas();
    case.line("atlas-1", Meter::Input, Some(M), "3");
    let report = case.report();
    assert_eq!(report.verdict.sentences[0], "Nothing to compare: no OpenAI request in the books.");
    assert_eq!(report.billed, money("3"));
}

#[test]
fn a_line_of_nothing_for_nothing_is_no_finding() {
    let mut case = Case::with_atlas();
    case.inputs.books_began = Some(instant("2026-11-01T00:00:00Z"));
    case.line("atlas-1", Meter::Input, None, "3").dimensions.key_name = Some("one".to_owned());
    case.line("atlas-1", Meter::Output, None, "0").dimensions.key_name = Some("two".to_owned());
    let report = case.report();
    let causes: Vec<Cause> = report.findings.iter().map(|finding| finding.cause).collect();
    assert_eq!(causes, [Cause::BeforeBooks], "{:#?}", report.findings);
}

#[test]
fn nothing_is_proven_to_bypass_books_that_were_down() {
    for at_most in [None, Some(1_000)] {
        let mut case = Case::with_atlas();
        case.inputs.gaps = vec![GapFact { period: october(), at_most }];
        let line = case.line("atlas-1", Meter::Input, Some(M), "3");
        line.dimensions.key_name = Some("one".to_owned());
        let report = case.report();
        let proven = report.findings.iter().any(|finding| finding.confidence == Confidence::Proven);
        assert!(!proven, "{:#?}", report.findings);
    }
}

#[test]
fn no_export_is_a_state_and_no_zero_bill() {
    let mut case = Case::with_atlas();
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Input, M, "3.00")]);
    case.inputs.imports.clear();
    let report = case.report();
    assert_eq!(report.state, MonthState::NoExport);
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    assert!(report.verdict.sentences[0].contains("no export"), "{:?}", report.verdict);
}

#[test]
fn days_before_the_books_and_days_they_were_down_are_coverage() {
    let mut case = Case::with_atlas();
    case.inputs.books_began = Some(instant("2026-10-03T00:00:00Z"));
    case.inputs.gaps = vec![GapFact { period: day("2026-10-05"), at_most: Some(7) }];
    for date in ["2026-10-02", "2026-10-04", "2026-10-05"] {
        if date != "2026-10-02" {
            let at = format!("{date}T10:00:00Z");
            case.attempt(&at, &[("atlas-1", Meter::Input, M, "3.00")]);
        }
        let more = if date == "2026-10-05" { 500_000 } else { 0 };
        let amount = if more > 0 { "4.5" } else { "3" };
        case.line("atlas-1", Meter::Input, Some(M + more), amount).period = day(date);
    }
    let report = case.report();
    assert_eq!(report.coverage.before_books, money("3"));
    assert_eq!(report.coverage.while_down, money("1.5"));
    assert_eq!(report.coverage.seen, money("6"));
    assert_eq!(only(&report, Cause::WhileDown).confidence, Confidence::Consistent);
    assert_eq!(only(&report, Cause::BeforeBooks).confidence, Confidence::Proven);
}

#[test]
fn an_unpriced_model_is_named_and_not_counted_as_free() {
    let mut case = Case::new();
    let attempt = case.attempt("2026-10-02T10:00:00Z", &[("new-1", Meter::Input, M, "1.00")]);
    attempt.metered[0].charge = None;
    case.line("new-1", Meter::Input, Some(M), "7.25");
    let found = only(&case.report(), Cause::Unpriced).clone();
    assert_eq!((found.amount, found.drill.attempt_count), (money("7.25"), 1));
}

#[test]
fn a_call_held_as_not_billed_that_is_on_the_bill_is_named() {
    let mut case = Case::with_atlas();
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Output, 1_000, "15.00")]);
    let failed = case.attempt("2026-10-02T11:00:00Z", &[("atlas-1", Meter::Output, 70, "15.00")]);
    failed.billing_class = BillingClass::NotBilled;
    failed.ending = Ending::ProviderError;
    case.line("atlas-1", Meter::Output, Some(1_070), "0.01605");
    let report = case.report();
    let found = only(&report, Cause::BilledAfterAll);
    assert_eq!((found.amount, found.drill.attempt_count), (money("0.00105"), 1));
}

#[test]
fn attempts_of_unknown_usage_can_hold_what_the_bill_has_more() {
    let mut case = Case::with_atlas();
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Output, 1_000, "15.00")]);
    for _ in 0..2 {
        let lost = case.attempt("2026-10-02T11:00:00Z", &[("atlas-1", Meter::Output, 1, "15.00")]);
        lost.metered.clear();
        lost.usage_source = UsageSource::Absent;
        lost.billing_class = BillingClass::Uncertain;
        (lost.max_output, lost.max_input) = (Some(4_096), Some(9_000));
    }
    case.line("atlas-1", Meter::Output, Some(1_512), "0.02268");
    let found = only(&case.report(), Cause::AbortedBilled).clone();
    assert_eq!((found.amount, found.confidence), (money("0.00768"), Confidence::Consistent));
    assert_eq!(found.drill.attempt_count, 2);
}

#[test]
fn a_product_we_do_not_meter_stays_visible_as_money() {
    let mut case = Case::with_atlas();
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Input, M, "3.00")]);
    case.line("atlas-1", Meter::Input, Some(M), "3");
    case.face_line(ChargeCategory::Usage, "Vector storage", "0.42");
    let report = case.report();
    let found = only(&report, Cause::UnmappedMoney);
    assert_eq!((found.subject.as_str(), found.amount), ("Vector storage", money("0.42")));
    assert_eq!(report.coverage.elsewhere, money("0.42"));
}

#[test]
fn an_untied_key_is_no_proof_of_bypass_and_a_marked_one_is_assumed() {
    let mut case = Case::with_atlas();
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Output, M, "15.00")]);
    for (key, quantity, amount) in [("k1", M, "15"), ("k7", 200_000, "3")] {
        let line = case.line("atlas-1", Meter::Output, Some(quantity), amount);
        line.dimensions =
            BilledDimensions { key_id: Some(key.to_owned()), ..BilledDimensions::default() };
    }
    let found = only(&case.report(), Cause::Unlogged).clone();
    assert_eq!((found.subject.as_str(), found.confidence), ("k7", Confidence::Consistent));
    assert!(found.evidence[0].contains("tie it or mark it known"), "{:?}", found.evidence);
    case.inputs.ties.known.insert("k7".to_owned(), "the finance team's notebook".to_owned());
    let found = only(&case.report(), Cause::Unlogged).clone();
    assert_eq!((found.confidence, found.mover), (Confidence::Assumed, Mover::Nobody));
    assert!(case.report().verdict.to_do.is_empty(), "it was marked known already");
}

#[test]
fn figures_no_decimal_can_hold_are_refused_and_never_rounded() {
    let mut case = Case::with_atlas();
    case.line("atlas-1", Meter::Input, Some(M), "3");
    case.inputs.imports[0].lines[0].billed_cost = Decimal::MAX;
    case.line("atlas-1", Meter::Input, Some(M), "0.0000000001");
    assert!(case.try_report().unwrap_err().to_string().contains("more digits"));
}

#[test]
fn an_old_price_under_a_contract_is_told_apart_from_the_contract() {
    let mut case = Case::with_atlas().with_old_version();
    case.rate("borea-2", Meter::Input, "1.00", "2026-01-01T00:00:00Z", None, &[]);
    for number in 2..6_u64 {
        let at = format!("2026-10-0{number}T10:00:00Z");
        let quantity = number * 1_000_003;
        case.attempt(&at, &[("atlas-1", Meter::Input, quantity, "3.00")]);
        case.attempt(&at, &[("borea-2", Meter::Input, quantity, "1.00")]);
        for (model, price) in [("atlas-1", "2.50"), ("borea-2", "1.00")] {
            let amount =
                Decimal::from(quantity) * crate::reconcile::case::per_token(price) * money("0.9");
            let line = case.line(model, Meter::Input, Some(quantity), &amount.to_string());
            line.period = day(&format!("2026-10-0{number}"));
        }
    }
    let report = case.report();
    assert_eq!(only(&report, Cause::PriceVersion).subject, "atlas-1");
    assert_eq!(only(&report, Cause::Discount).subject, "all lines");
    assert_eq!(report.unexplained_gross, money("0"));
    assert_eq!(report.findings.len(), 2);
}

/// Quantities of the month's input, day by day, as a usage export brings them.
fn usage_export(case: &Case) -> ImportFact {
    let rows = case.inputs.period.days().map(|day| UsageRow {
        row: 1,
        period: ChargePeriod::of_day(day),
        model: Some("atlas-1".to_owned()),
        requests: Some(1),
        dimensions: BilledDimensions::default(),
        quantities: [(Meter::Input, M)].into_iter().collect(),
    });
    ImportFact {
        batch: "batch-2".to_owned(),
        kind: "openai.usage_csv.completions".to_owned(),
        covered_days: case.inputs.period.days().collect(),
        usage: rows.collect(),
        ..case.inputs.imports[0].clone()
    }
}

/// A million input tokens every day of October.
fn every_day() -> Case {
    let mut case = Case::with_atlas();
    for day in case.inputs.period.days() {
        let at = format!("{day}T12:00:00Z");
        case.attempt(&at, &[("atlas-1", Meter::Input, M, "3.00")]);
    }
    case
}

#[test]
fn days_that_only_a_usage_export_covers_are_not_called_unbilled() {
    let mut case = every_day();
    case.inputs.imports.push(usage_export(&case));
    let days: Vec<_> = case.inputs.period.days().take(20).collect();
    for day in &days {
        case.line("atlas-1", Meter::Input, Some(M), "3").period = ChargePeriod::of_day(*day);
    }
    case.inputs.imports[0].covered_days = days;
    let report = case.report();
    assert_eq!(report.verdict.state, "partial (1–20 of 31)");
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    // Nor does a file that may be either export of a time without usage cover them.
    case.inputs.imports[1].usage.clear();
    case.inputs.imports[1].kind = "openai.nothing_used_csv".to_owned();
    let report = case.report();
    assert_eq!(report.verdict.state, "partial (1–20 of 31)");
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

#[test]
fn a_usage_export_alone_is_no_bill() {
    let mut case = every_day();
    case.inputs.imports = vec![usage_export(&case)];
    let report = case.report();
    assert_eq!(
        (&report.state, report.verdict.state.as_str()),
        (&MonthState::NoExport, "no export")
    );
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    assert!(report.verdict.sentences[0].contains("no cost export"), "{:?}", report.verdict);
}

#[test]
fn an_export_without_a_charge_is_a_bill_of_nothing() {
    let mut case = every_day();
    case.inputs.imports[0].covered_days = case.inputs.period.days().collect();
    let report = case.report();
    assert_eq!((report.recorded, report.billed), (money("93"), money("0")));
    let found = only(&report, Cause::QuantityUnexplained);
    assert_eq!(found.amount, money("-93"));
    assert!(found.evidence[0].contains("no charge at all"), "{:?}", found.evidence);
    let said = &report.verdict.sentences[0];
    assert!(said.contains("shows $0.00") && said.contains("$93.00 less"), "{said}");
}

#[test]
fn units_on_one_export_and_not_on_the_other_are_said_to_be() {
    let mut case = every_day();
    case.rate("atlas-1", Meter::Output, "15.00", "2026-06-01T00:00:00Z", None, &[]);
    case.inputs.imports.push(usage_export(&case));
    let days: Vec<_> = case.inputs.period.days().collect();
    for day in &days {
        case.line("atlas-1", Meter::Output, None, "2").period = ChargePeriod::of_day(*day);
    }
    case.inputs.imports[0].covered_days = days;
    let found = only(&case.report(), Cause::PriceUnexplained).clone();
    assert_eq!(found.amount, money("-31"));
    let says = |words: &str| found.evidence.iter().any(|one| one.contains(words));
    assert!(says("its cost export has no line for them"), "{:?}", found.evidence);
    assert!(says("its usage export counts no units of them"), "{:?}", found.evidence);
    assert!(!says("no price of the table"), "{:?}", found.evidence);
}

#[test]
fn calls_of_two_tiers_billed_at_one_price_are_said_to_be() {
    let mut case = Case::with_atlas();
    for day in case.inputs.period.days().take(9) {
        let at = format!("{day}T12:00:00Z");
        case.attempt(&at, &[("atlas-1", Meter::Input, M, "3.00")]);
        let batch = case.attempt(&at, &[("atlas-1", Meter::Input, M, "1.50")]);
        batch.conditions.set("processing", "batch");
        case.line("atlas-1", Meter::Input, Some(2 * M), "6").period = ChargePeriod::of_day(day);
    }
    let report = case.report();
    let found = only(&report, Cause::PriceConditions);
    assert_eq!((found.amount, report.unexplained_gross), (money("13.5"), money("0")));
    let says = |words: &str| found.evidence.iter().any(|one| one.contains(words));
    assert!(says("price USD 3 per million of input"), "{:?}", found.evidence);
    assert!(says("some ran as batch and as standard"), "{:?}", found.evidence);
}
