//! What holds for any figures at all: parts add up to the last digit, order is nothing, and a tax
//! line moves only the tax.

use counterfoil::invoice::line::{AmountPrecision, BilledLine, ChargeCategory};
use counterfoil::meter::Meter;
use counterfoil::period::ChargePeriod;
use counterfoil::reconcile::facts::{BillingClass, Ending};
use counterfoil::reconcile::finding::Cause;
use counterfoil::usage::UsageSource;
use proptest::prelude::*;
use rust_decimal::Decimal;

use crate::reconcile::case::Case;

const METERS: [(Meter, &str); 4] = [
    (Meter::Input, "3.00"),
    (Meter::InputCacheRead, "0.30"),
    (Meter::InputCacheWrite5m, "3.75"),
    (Meter::Output, "15.00"),
];
const MODELS: [&str; 3] = ["atlas-1", "borea-2", "atlas-1-2026-06-01"];

/// One attempt: day, hour, model, meter, units, and what is odd about it.
type Call = (u64, u64, usize, usize, u64, u8);
/// One line: day, model, meter, units (or none), amount in 10⁻⁶, key, batch.
type Line = (u64, usize, usize, Option<u64>, i64, u8, Option<bool>);

fn month(calls: &[Call], lines: &[Line], decimals: u32) -> Case {
    let mut case = Case::with_atlas().with_old_version();
    case.precision = AmountPrecision::HalfUp;
    case.decimals = decimals;
    if calls.len().is_multiple_of(2) {
        case.tie_k1();
    }
    for (day, hour, model, meter, quantity, odd) in calls {
        let at = format!("2026-10-{day:02}T{hour:02}:59:59.5Z");
        let (meter, price) = METERS[*meter];
        let attempt = case.attempt(&at, &[(MODELS[*model], meter, *quantity, price)]);
        attempt.ended_at = attempt.started_at.plus_micros(i64::from(*odd) * 700_000_000);
        attempt.max_output = Some(quantity.saturating_mul(2));
        match odd {
            1 => attempt.ending = Ending::ProviderError,
            2 => attempt.usage_source = UsageSource::Counted,
            3 => attempt.billing_class = BillingClass::NotBilled,
            4 => attempt.metered.clear(),
            5 => attempt.metered[0].charge = None,
            6 => attempt.conditions.set("processing", "batch"),
            7 => attempt.provider_request_id = Some("req_same".into()),
            _ => {}
        }
    }
    for (day, model, meter, quantity, micros, key, batch) in lines {
        let amount = Decimal::new(*micros, 6).round_dp(decimals);
        let line = case.line(MODELS[*model], METERS[*meter].0, *quantity, &amount.to_string());
        let day: chrono::NaiveDate = format!("2026-10-{day:02}").parse().unwrap();
        line.period = ChargePeriod::of_day(day);
        line.dimensions.key_id = (*key > 0).then(|| format!("k{key}"));
        line.dimensions.batch = *batch;
        if *micros < 0 {
            line.list_cost = Some(line.billed_cost * Decimal::TWO);
        }
    }
    case
}

fn call() -> impl Strategy<Value = Call> {
    (1_u64..6, 0_u64..24, 0_usize..3, 0_usize..4, 0_u64..3_000_000, 0_u8..10)
}

fn line() -> impl Strategy<Value = Line> {
    (
        1_u64..6,
        0_usize..3,
        0_usize..4,
        proptest::option::weighted(0.9, 0_u64..3_000_000),
        -2_000_000_i64..40_000_000,
        0_u8..3,
        any::<Option<bool>>(),
    )
}

fn cells() -> impl Strategy<Value = (Vec<Call>, Vec<Line>)> {
    (proptest::collection::vec(call(), 0..25), proptest::collection::vec(line(), 0..20))
}

/// The report as text, less what names rows one by one.
fn text(case: &Case) -> String {
    let mut report = case.report();
    for finding in &mut report.findings {
        finding.drill.rows.clear();
        finding.drill.row_count = 0;
    }
    report.population.billed_rows = 0;
    serde_json::to_string(&report).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// `Case::report` asserts the sums; the engine itself fails on R1 to R4.
    #[test]
    fn whatever_the_figures_the_parts_add_up((calls, lines) in cells(), decimals in 2_u32..7) {
        let case = month(&calls, &lines, decimals);
        let report = case.report();
        let seen = &report.coverage;
        let parts = seen.seen + seen.before_books + seen.while_down + seen.elsewhere + seen.unknown;
        prop_assert_eq!(parts, seen.billed_usage);
        prop_assert_eq!(report.named + report.unexplained, report.difference);
    }

    #[test]
    fn order_is_nothing((calls, lines) in cells(), turn in 0_usize..19) {
        let mut case = month(&calls, &lines, 4);
        let before = serde_json::to_string(&case.report()).unwrap();
        let attempts = &mut case.inputs.attempts;
        let count = attempts.len().max(1);
        if !attempts.is_empty() {
            attempts.rotate_left(turn % count);
        }
        attempts.reverse();
        case.inputs.imports[0].lines.reverse();
        case.inputs.rates.reverse();
        prop_assert_eq!(serde_json::to_string(&case.report()).unwrap(), before);
    }

    #[test]
    fn splitting_an_unrounded_line_changes_nothing((calls, lines) in cells(), at in 0_usize..20) {
        prop_assume!(!lines.is_empty());
        let mut case = month(&calls, &lines, 6);
        for line in &mut case.inputs.imports[0].lines {
            line.precision = AmountPrecision::Exact;
            line.list_cost = None;
        }
        let before = text(&case);
        let lines = &mut case.inputs.imports[0].lines;
        let at = at % lines.len();
        let mut half: BilledLine = lines[at].clone();
        half.row = 1_000;
        half.billed_cost = Decimal::new(1, 3);
        half.quantity = half.quantity.map(|quantity| quantity / 3);
        lines[at].billed_cost -= half.billed_cost;
        lines[at].quantity = lines[at].quantity.map(|quantity| quantity - quantity / 3);
        lines.push(half);
        prop_assert_eq!(text(&case), before);
    }

    #[test]
    fn a_tax_line_moves_only_the_tax((calls, lines) in cells(), cents in 1_i64..100_000) {
        let mut case = month(&calls, &lines, 4);
        let before = case.report();
        case.face_line(ChargeCategory::Tax, "tax", &Decimal::new(cents, 2).to_string());
        let after = case.report();
        let tax = after.findings.iter().filter(|one| one.cause == Cause::Tax);
        prop_assert_eq!(tax.map(|one| one.amount).sum::<Decimal>(), Decimal::new(cents, 2));
        let others = after.findings.into_iter().filter(|one| one.cause != Cause::Tax);
        prop_assert_eq!(others.collect::<Vec<_>>(), before.findings);
    }
}
