//! The report as JSON: one month with several causes, kept as a fixture that pages can be built on.

use std::path::Path;

use crate::reconcile::case::{Case, money, only};
use counterfoil::invoice::line::ChargeCategory;
use counterfoil::meter::Meter;
use counterfoil::period::ChargePeriod;
use counterfoil::reconcile::engine::{attempts_behind, rows_behind};
use counterfoil::reconcile::facts::{CountedTokens, DocumentTotals};
use counterfoil::reconcile::finding::Cause;

const THOUSAND: u64 = 1_000;

/// Ten days of three models: one whose cached tokens are billed as uncached, one billed at an old
/// price, one on a key that does not pass here.
fn month() -> Case {
    let mut case = Case::with_atlas();
    case.inputs.price_table = "9f2c".repeat(16);
    case.tie_k1();
    case.rate("borea-2", Meter::Input, "1.00", "2026-05-01T00:00:00Z", None, &[]);
    case.rate("borea-2", Meter::Output, "4.00", "2026-05-01T00:00:00Z", None, &[]);
    let old = Some("2026-05-01T00:00:00Z");
    case.rate("borea-2", Meter::Input, "1.25", "2026-01-01T00:00:00Z", old, &[]);
    case.rate("borea-2", Meter::Output, "5.00", "2026-01-01T00:00:00Z", old, &[]);
    let days: Vec<_> = case.inputs.period.days().collect();
    case.inputs.imports[0].covered_days = days.clone();
    for day in days.iter().take(10) {
        for hour in [3, 9, 15] {
            let at = format!("{day}T{hour:02}:30:00Z");
            let used = [
                ("atlas-1", Meter::Input, 40 * THOUSAND, "3.00"),
                ("atlas-1", Meter::InputCacheRead, 160 * THOUSAND, "0.30"),
                ("atlas-1", Meter::Output, 9 * THOUSAND, "15.00"),
            ];
            case.attempt(&at, &used).counted =
                Some(CountedTokens { input: Some(199_940), output: Some(9_003) });
            let used = [
                ("borea-2", Meter::Input, 70 * THOUSAND, "1.00"),
                ("borea-2", Meter::Output, 11 * THOUSAND, "4.00"),
            ];
            case.attempt(&at, &used);
        }
        let lines = [
            ("k1", "atlas-1", Meter::Input, 600 * THOUSAND, "1.8"),
            ("k1", "atlas-1", Meter::Output, 27 * THOUSAND, "0.405"),
            ("k1", "borea-2", Meter::Input, 210 * THOUSAND, "0.2625"),
            ("k1", "borea-2", Meter::Output, 33 * THOUSAND, "0.165"),
            ("k9", "atlas-1", Meter::Input, 50 * THOUSAND, "0.15"),
            ("k9", "atlas-1", Meter::Output, 2 * THOUSAND, "0.03"),
        ];
        for (key, model, meter, quantity, amount) in lines {
            let line = case.line(model, meter, Some(quantity), amount);
            line.period = ChargePeriod::of_day(*day);
            line.dimensions.key_id = Some(key.to_owned());
        }
    }
    case.face_line(ChargeCategory::Tax, "Sales tax", "1.25");
    case.inputs.document =
        Some(DocumentTotals { total: money("24.38"), tax: money("0"), credits: money("5") });
    case
}

#[test]
fn the_example_report_is_the_one_on_file() {
    let report = month().report();
    let mut text = serde_json::to_string_pretty(&report).unwrap();
    text.push('\n');
    let file = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = file.join("tests/fixtures/reconcile/example_report.json");
    let on_file = std::fs::read_to_string(&file).unwrap_or_default();
    if text != on_file {
        let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example_report.json");
        std::fs::write(&fresh, &text).unwrap();
    }
    assert!(text == on_file, "the report changed; the new one is in the build's tmp folder");
}

#[test]
fn every_finding_opens_the_attempts_behind_it() {
    let case = month();
    let report = case.report();
    for finding in &report.findings {
        let behind = attempts_behind(&case.inputs, &finding.id).unwrap();
        assert_eq!(u64::try_from(behind.len()).unwrap(), finding.drill.attempt_count);
        assert!(behind.starts_with(&finding.drill.attempts), "{}", finding.id);
    }
    for finding in &report.findings {
        let rows =
            &rows_behind(&case.inputs, std::slice::from_ref(&finding.id)).unwrap()[&finding.id];
        assert_eq!(u64::try_from(rows.len()).unwrap(), finding.drill.row_count);
        assert!(rows.starts_with(&finding.drill.rows), "{}", finding.id);
    }
    assert!(attempts_behind(&case.inputs, "no:such").is_err());
    let stale = only(&report, Cause::PriceVersion);
    assert_eq!((stale.drill.attempt_count, stale.drill.row_count), (30, 20));
}

#[test]
fn the_document_is_bridged_from_the_export() {
    let report = month().report();
    let document = report.document.unwrap();
    assert_eq!(
        document.export
            + document.credits
            + document.tax
            + document.rounding
            + document.unexplained,
        document.total
    );
    assert_eq!(document.credits, money("-5"));
    assert_eq!((document.rounding, document.unexplained), (money("0.005"), money("0")));
}
