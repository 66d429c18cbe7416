//! Fees that stand in no answer's usage: named as such, never left unexplained.

use counterfoil::invoice::line::ChargeCategory;
use counterfoil::meter::Meter;
use counterfoil::reconcile::finding::{Cause, Confidence};

use crate::reconcile::case::{Case, money, only};

const M: u64 = 1_000_000;

#[test]
fn searches_of_a_search_model_are_a_fee_the_gateway_cannot_see() {
    let model = "gpt-4o-search-preview-2025-03-11";
    let mut case = Case::new();
    case.rate(model, Meter::Input, "2.50", "2026-01-01T00:00:00Z", None, &[]);
    case.attempt("2026-10-02T10:00:00Z", &[(model, Meter::Input, M, "2.50")]);
    case.line(model, Meter::Input, Some(M), "2.5");
    let fee = case.line(model, Meter::WebSearch, Some(40), "1");
    (fee.model, fee.description) = (None, "web search tool calls".to_owned());
    let report = case.report();
    let found = only(&report, Cause::UnseenFee);
    assert_eq!((found.amount, found.confidence), (money("1"), Confidence::Consistent));
    assert!(found.evidence.iter().any(|line| line.contains("cannot see it")));
    assert!(found.evidence.iter().any(|line| line.contains("search models")));
    assert_eq!(report.unexplained_gross, money("0"));
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
}

#[test]
fn searches_that_answers_do_report_are_compared_as_ever() {
    let mut case = Case::with_atlas();
    case.rate("atlas-1", Meter::WebSearch, "10000", "2026-01-01T00:00:00Z", None, &[]);
    let used = [("atlas-1", Meter::Input, M, "3.00"), ("atlas-1", Meter::WebSearch, 10, "10000")];
    case.attempt("2026-10-02T10:00:00Z", &used);
    case.line("atlas-1", Meter::Input, Some(M), "3");
    case.line("atlas-1", Meter::WebSearch, Some(12), "0.12");
    let report = case.report();
    assert_eq!(only(&report, Cause::QuantityUnexplained).amount, money("0.02"));
}

#[test]
fn time_of_code_execution_is_a_product_we_do_not_meter() {
    let mut case = Case::with_atlas();
    case.attempt("2026-10-02T10:00:00Z", &[("atlas-1", Meter::Input, M, "3.00")]);
    case.line("atlas-1", Meter::Input, Some(M), "3");
    let time = case.line("atlas-1", Meter::Input, None, "0.4");
    (time.model, time.meter, time.category) = (None, None, ChargeCategory::Usage);
    time.description = "code_execution".to_owned();
    let report = case.report();
    let found = only(&report, Cause::UnmappedMoney);
    assert_eq!((found.subject.as_str(), found.amount), ("code_execution", money("0.4")));
    assert_eq!(report.unexplained_gross, money("0"));
}
