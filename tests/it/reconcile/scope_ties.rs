//! Ties of projects and workspaces: they take effect where a person confirmed them, and nowhere else.

use std::sync::Arc;

use counterfoil::invoice::line::BilledDimensions;
use counterfoil::meter::Meter;
use counterfoil::names::CredentialId;
use counterfoil::period::ChargePeriod;
use counterfoil::reconcile::facts::ScopeTie;
use counterfoil::reconcile::finding::{Cause, Confidence};

use crate::reconcile::case::{Case, only};

const M: u64 = 1_000_000;

/// Three days of one project of ours, whose answers on the last day name no project, and of another
/// project on the bill.
fn month() -> Case {
    let mut case = Case::with_atlas();
    for day in 2..=4_u32 {
        let at = format!("2026-10-{day:02}T10:00:00Z");
        let attempt = case.attempt(&at, &[("atlas-1", Meter::Input, M, "3.00")]);
        attempt.scope = (day < 4).then(|| Arc::from("proj_ours"));
        for (project, quantity, amount) in [("proj_ours", M, "3"), ("proj_other", 2 * M, "6")] {
            let line = case.line("atlas-1", Meter::Input, Some(quantity), amount);
            line.period = ChargePeriod::of_day(format!("2026-10-{day:02}").parse().unwrap());
            line.dimensions = BilledDimensions {
                project_id: Some(project.to_owned()),
                ..BilledDimensions::default()
            };
        }
    }
    case
}

fn tie(scope: &str, confirmed: bool) -> ScopeTie {
    ScopeTie { credential: CredentialId::from("k1"), scope: scope.to_owned(), confirmed }
}

#[test]
fn a_confirmed_tie_stands_in_for_the_project_an_answer_did_not_name() {
    let mut case = month();
    let before = case.report();
    assert!(
        before.findings.iter().all(|one| one.confidence != Confidence::Proven),
        "one call of no known project may be of the other one: {:?}",
        before.findings
    );
    case.inputs.ties.credentials = vec![tie("proj_ours", true)];
    let report = case.report();
    let found = only(&report, Cause::Unlogged);
    assert_eq!((found.subject.as_str(), found.confidence), ("proj_other", Confidence::Proven));
    assert_eq!(found.amount.to_string(), "18");
    assert_eq!(report.findings.len(), 1, "all of our own project agrees: {:?}", report.findings);
}

#[test]
fn a_tie_nobody_confirmed_changes_nothing() {
    let mut case = month();
    let without = case.report();
    case.inputs.ties.credentials = vec![tie("proj_ours", false)];
    assert_eq!(case.report(), without);
}

#[test]
fn what_an_answer_names_outweighs_the_tie_of_its_key() {
    let mut case = month();
    case.inputs.attempts[2].scope = Some(Arc::from("proj_ours"));
    let named = case.report();
    case.inputs.ties.credentials = vec![tie("proj_other", true)];
    assert_eq!(case.report(), named);
    assert_eq!(only(&named, Cause::Unlogged).confidence, Confidence::Proven);
}

#[test]
fn a_project_known_under_another_name_is_not_foreign() {
    let mut case = month();
    case.inputs.attempts[2].scope = Some(Arc::from("proj_ours"));
    for line in &mut case.inputs.imports[0].lines {
        if line.dimensions.project_id.as_deref() == Some("proj_ours") {
            line.dimensions.project_id = Some("Search and ranking".to_owned());
        }
    }
    let tied = ("Search and ranking".to_owned(), "proj_ours".to_owned());
    case.inputs.ties.scopes = [tied].into();
    let report = case.report();
    let found = only(&report, Cause::Unlogged);
    assert_eq!((found.subject.as_str(), found.confidence), ("proj_other", Confidence::Proven));
    assert_eq!(report.findings.len(), 1);
}
