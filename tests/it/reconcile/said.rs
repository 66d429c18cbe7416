//! What the verdict says: of causes told in several findings, of surcharges, of what cancels out,
//! and of a document that prints cents.

use counterfoil::invoice::line::AmountPrecision;
use counterfoil::meter::Meter;
use counterfoil::period::ChargePeriod;
use counterfoil::reconcile::facts::DocumentTotals;
use counterfoil::reconcile::finding::{Cause, Confidence, Mover};
use rust_decimal::Decimal;

use crate::reconcile::case::{Case, money, only, per_token};

const M: u64 = 1_000_000;
const JUNE: &str = "2026-06-01T00:00:00Z";

/// Input of six days, billed at so many times its price.
fn at_ratio(ratio: &str) -> Case {
    let mut case = Case::with_atlas();
    for (number, day) in (1_u64..).zip(case.inputs.period.days().take(6)) {
        let quantity = number * 1_000_003;
        let at = format!("{day}T12:00:00Z");
        case.attempt(&at, &[("atlas-1", Meter::Input, quantity, "3.00")]);
        let amount = Decimal::from(quantity) * per_token("3.00") * money(ratio);
        let line = case.line("atlas-1", Meter::Input, Some(quantity), &amount.to_string());
        line.period = ChargePeriod::of_day(day);
    }
    case
}

#[test]
fn a_ratio_above_one_is_a_surcharge_and_the_providers_to_answer() {
    let report = at_ratio("1.37").report();
    let found = only(&report, Cause::Discount);
    assert_eq!((found.title.as_ref(), found.mover), ("a surcharge", Mover::AskProvider));
    let said = &report.verdict.sentences[1];
    assert!(said.contains("mostly a surcharge"), "{said}");
    assert!(report.verdict.to_do[0].words.contains("price page"), "{:?}", report.verdict.to_do);
    let report = at_ratio("0.9").report();
    assert_eq!(only(&report, Cause::Discount).title, "a discount");
}

#[test]
fn a_cause_in_two_findings_is_summed_before_it_is_called_the_largest() {
    let mut case = Case::with_atlas().with_old_version();
    (case.decimals, case.precision) = (2, AmountPrecision::HalfUp);
    // 1.004 printed as 1.00, proven; 0.0048 as 0.00, which the old price fits too.
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Input, 334_666, "3.00")]);
    case.attempt("2026-10-03T10:00:00Z", &[("atlas-1", Meter::Output, 320, "15.00")]);
    case.line("atlas-1", Meter::Input, Some(334_666), "1.00");
    case.line("atlas-1", Meter::Output, Some(320), "0.00");
    let report = case.report();
    assert_eq!(report.findings.len(), 2, "{:#?}", report.findings);
    let said = &report.verdict.sentences[1];
    assert!(said.contains("mostly rounding ($0.01 less)"), "{said}");
}

#[test]
fn nothing_named_is_none_and_what_cancels_out_is_said_to() {
    let mut case = Case::with_atlas();
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Input, M, "3.00")]);
    case.line("atlas-1", Meter::Input, Some(M + 1_000), "3.003");
    let said = case.report().verdict.sentences[1].clone();
    assert!(said.starts_with("None of that has a named cause; "), "{said}");
    // A foreign key's 3.00 more, and 3.00 of ours the bill does not have.
    let mut case = Case::with_atlas();
    case.tie_k1();
    case.inputs.ties.known.insert("k9".to_owned(), "another product".to_owned());
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Input, 2 * M, "3.00")]);
    for key in ["k1", "k9"] {
        let line = case.line("atlas-1", Meter::Input, Some(M), "3");
        line.dimensions.key_id = Some(key.to_owned());
    }
    let report = case.report();
    assert_eq!(report.difference, money("0"));
    let said = &report.verdict.sentences[1];
    assert!(said.starts_with("Yet $3.00 of more and less that cancel out has"), "{said}");
    assert!(said.contains("**"), "what is open is said as well: {said}");
}

#[test]
fn a_document_prints_cents_and_that_is_rounding_and_no_more() {
    let mut case = Case::with_atlas();
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Input, 2_090_385, "3.00")]);
    case.line("atlas-1", Meter::Input, Some(2_090_385), "6.271155");
    let document = |total: &str| {
        let mut inputs = case.inputs.clone();
        let (tax, credits) = (money("0"), money("0"));
        inputs.document = Some(DocumentTotals { total: money(total), tax, credits });
        counterfoil::reconcile::engine::reconcile(&inputs).unwrap()
    };
    let report = document("6.27");
    let bridge = report.document.unwrap();
    assert_eq!((bridge.rounding, bridge.unexplained), (money("-0.001155"), money("0")));
    assert_eq!(bridge.credits.to_string(), "0", "nothing is no negative nothing");
    let said = report.verdict.sentences.last().unwrap();
    assert_eq!(said, "The document asks for $6.27: the export's $6.27, rounded to its last digit.");
    for total in ["6.26", "6.28", "6.2711"] {
        let report = document(total);
        let bridge = report.document.unwrap();
        assert_eq!(bridge.rounding, money("0"), "{total}");
        assert!(report.verdict.sentences.last().unwrap().contains("has no name"), "{total}");
    }
}

/// Output of a day, some of it reasoning, billed as so many tokens at the book's price.
fn with_reasoning(billed: u64) -> counterfoil::reconcile::report::Report {
    let mut case = Case::with_atlas();
    let from = "2026-06-01T00:00:00Z";
    case.rate("atlas-1", Meter::OutputReasoning, "15.00", from, None, &[]);
    let used = [
        ("atlas-1", Meter::Output, 700, "15.00"),
        ("atlas-1", Meter::OutputReasoning, 300, "15.00"),
    ];
    case.attempt("2026-10-02T10:00:00Z", &used);
    let amount = Decimal::from(billed) * per_token("15.00");
    case.line("atlas-1", Meter::Output, Some(billed), &amount.to_string());
    case.report()
}

#[test]
fn reasoning_on_one_side_only_fits_two_stories_and_proves_neither() {
    for (billed, amount, mover, story) in [
        (700, "-0.0045", Mover::FixOurs, "does not bill reasoning"),
        (1_300, "0.0045", Mover::AskProvider, "leaves its reasoning out"),
    ] {
        let report = with_reasoning(billed);
        let found = only(&report, Cause::DoubleCount);
        assert_eq!((found.amount, found.mover), (money(amount), mover));
        assert_eq!(found.confidence, Confidence::Consistent);
        assert!(found.confidence_words.contains(story), "{}", found.confidence_words);
        assert_eq!(report.unexplained_gross, money("0"));
    }
    assert!(with_reasoning(1_000).agrees);
}

#[test]
fn rows_without_a_key_are_not_said_to_be_of_a_model_we_never_used() {
    let mut case = Case::with_atlas();
    case.tie_k1();
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Input, M, "3.00")]);
    case.line("atlas-1", Meter::Input, Some(M), "3").dimensions.key_id = Some("k1".to_owned());
    case.line("atlas-1", Meter::Input, Some(2 * M), "6");
    let found = only(&case.report(), Cause::Unlogged).clone();
    assert_eq!((found.amount, found.confidence), (money("6"), Confidence::Consistent));
    assert_eq!(
        found.evidence,
        ["our own calls of this model are billed to other keys or projects"]
    );
    assert!(found.confidence_words.contains("without their key"), "{}", found.confidence_words);
}

#[test]
fn the_claim_page_is_named_only_where_the_finding_stands_on_it() {
    let claims = |report: &counterfoil::reconcile::report::Report| {
        let said = report.verdict.to_do.iter().map(|one| one.words.contains("the claim page"));
        said.collect::<Vec<bool>>()
    };
    assert_eq!(claims(&with_reasoning(1_300)), [false], "it fits, and so would another story");
    let mut case = Case::with_atlas();
    let used =
        [("atlas-1", Meter::Input, M, "3.00"), ("atlas-1", Meter::InputCacheRead, 2 * M, "0.30")];
    case.attempt("2026-10-02T10:00:00Z", &used);
    case.line("atlas-1", Meter::Input, Some(2 * M), "6");
    case.line("atlas-1", Meter::InputCacheRead, Some(M), "0.3");
    assert_eq!(claims(&case.report()), [true]);
}

#[test]
fn rows_that_stand_on_the_bill_twice_are_named_beside_what_they_would_explain() {
    let twice = |quantity: Option<u64>| {
        let mut case = Case::with_atlas();
        // A band that costs twice as much, as a doubled row does.
        case.rate("atlas-1", Meter::Input, "6.00", "2026-01-01T00:00:00Z", Some(JUNE), &[]);
        for day in case.inputs.period.days().take(6) {
            let at = format!("{day}T12:00:00Z");
            case.attempt(&at, &[("atlas-1", Meter::Input, M, "3.00")]);
            for _ in 0..2 {
                let line = case.line("atlas-1", Meter::Input, quantity, "3");
                line.period = ChargePeriod::of_day(day);
            }
        }
        case.report()
    };
    let report = twice(Some(M));
    let found = only(&report, Cause::QuantityUnexplained);
    assert!(found.alternatives.iter().any(|one| one.contains("holds twice")), "{found:#?}");
    assert!(found.evidence.iter().any(|one| one.contains("rows 1 and 2")), "{found:#?}");
    let report = twice(None);
    let found = only(&report, Cause::PriceVersion);
    assert_eq!(found.confidence, Confidence::Consistent);
    assert!(found.confidence_words.contains("holds twice"), "{}", found.confidence_words);
    // The same difference without equal rows is told as before.
    let mut case = Case::with_atlas();
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Input, M, "3.00")]);
    case.line("atlas-1", Meter::Input, Some(2 * M), "6");
    let found = only(&case.report(), Cause::QuantityUnexplained).clone();
    assert!(!found.alternatives.iter().any(|one| one.contains("twice")), "{found:#?}");
}
