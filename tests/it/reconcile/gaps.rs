//! Gaps of our books: what may have passed in one is not proven to have passed elsewhere.

use std::sync::Arc;

use counterfoil::meter::Meter;
use counterfoil::period::ChargePeriod;
use counterfoil::reconcile::facts::GapFact;
use counterfoil::reconcile::finding::{Cause, Confidence};
use counterfoil::reconcile::report::Report;

use crate::reconcile::case::{Case, instant, only};

const M: u64 = 1_000_000;
const NOON: &str = "2026-10-02T12:00:00Z";

/// A project, a key and a model of the bill that our whole books never saw.
fn bypasses() -> [Case; 3] {
    let mut project = Case::with_atlas();
    project.attempt(NOON, &[("atlas-1", Meter::Input, M, "3.00")]).scope = Some(Arc::from("ours"));
    for (name, amount) in [("ours", "3"), ("other", "3")] {
        let line = project.line("atlas-1", Meter::Input, Some(M), amount);
        line.dimensions.project_id = Some(name.to_owned());
    }
    let mut key = Case::with_atlas();
    let mut model = Case::with_atlas();
    for (case, key, billed) in [(&mut key, "other", "atlas-1"), (&mut model, "k1", "atlas-9")] {
        case.attempt(NOON, &[("atlas-1", Meter::Input, M, "3.00")]);
        case.tie_k1();
        for (key, billed) in [("k1", "atlas-1"), (key, billed)] {
            let line = case.line(billed, Meter::Input, Some(M), "3");
            line.dimensions.key_id = Some(key.to_owned());
        }
    }
    [project, key, model]
}

fn with_gap(case: &mut Case, from: &str, until: &str, at_most: Option<u64>) -> Report {
    let period = ChargePeriod { start: instant(from), end: instant(until) };
    case.inputs.gaps = vec![GapFact { period, at_most }];
    case.report()
}

#[test]
fn what_may_have_passed_in_a_gap_of_the_month_is_not_proven_to_bypass_us() {
    for mut case in bypasses() {
        let whole = only(&case.report(), Cause::Unlogged).clone();
        assert_eq!(whole.confidence, Confidence::Proven, "{whole:?}");
        for at_most in [None, Some(1)] {
            let (from, until) = ("2026-10-20T10:00:00Z", "2026-10-20T10:05:00Z");
            let report = with_gap(&mut case, from, until, at_most);
            let found = only(&report, Cause::Unlogged);
            assert_eq!(found.confidence, Confidence::Consistent, "{found:?}");
            assert_eq!((&found.amount, &found.subject), (&whole.amount, &whole.subject));
            let why = "may be missing from our books, and this may be among them";
            assert!(found.evidence.iter().any(|line| line.contains(why)), "{found:?}");
        }
    }
}

#[test]
fn a_gap_that_hides_nothing_or_lies_beside_the_month_takes_no_proof_away() {
    for mut case in bypasses() {
        let whole = case.report();
        for (from, until, at_most) in [
            ("2026-10-20T10:00:00Z", "2026-10-20T10:05:00Z", Some(0)),
            ("2026-09-29T10:00:00Z", "2026-10-01T00:00:00Z", None),
            ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", Some(9)),
        ] {
            let report = with_gap(&mut case, from, until, at_most);
            assert_eq!(report.findings, whole.findings, "{from} {at_most:?}");
        }
    }
}

#[test]
fn a_bill_of_another_zone_is_doubted_by_a_gap_in_its_own_last_hours() {
    let [mut case, ..] = bypasses();
    for line in &mut case.inputs.imports[0].lines {
        line.period = ChargePeriod {
            start: instant("2026-10-01T07:00:00Z"),
            end: instant("2026-11-01T07:00:00Z"),
        };
    }
    let report = with_gap(&mut case, "2026-11-01T03:00:00Z", "2026-11-01T03:10:00Z", None);
    assert_eq!(only(&report, Cause::Unlogged).confidence, Confidence::Consistent);
}

#[test]
fn more_units_beside_a_gap_that_hides_nothing_are_unexplained() {
    let mut case = Case::with_atlas();
    case.attempt(NOON, &[("atlas-1", Meter::Input, M, "3.00")]);
    case.line("atlas-1", Meter::Input, Some(2 * M), "6");
    let (from, until) = ("2026-10-20T10:00:00Z", "2026-10-20T10:05:00Z");
    let report = with_gap(&mut case, from, until, Some(0));
    only(&report, Cause::QuantityUnexplained);
    let report = with_gap(&mut case, from, until, Some(1));
    only(&report, Cause::WhileDown);
}
