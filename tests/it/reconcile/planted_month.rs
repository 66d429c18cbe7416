//! One first month without a single tie: six faults, each on its own model and key, as two
//! providers' exports print them. Every one is named, to the cent, and opens its requests.

use std::sync::Arc;

use crate::reconcile::case::{Case, Used, money, only, per_token};
use counterfoil::invoice::line::{AmountPrecision, BilledDimensions, UsageRow};
use counterfoil::meter::{Meter, Quantities};
use counterfoil::money::{canonical_text, exact_mul};
use counterfoil::names::{CredentialId, ProviderName};
use counterfoil::period::{ChargePeriod, SECOND_US};
use counterfoil::reconcile::engine::attempts_behind;
use counterfoil::reconcile::facts::{BillingClass, DocumentTotals, Ending};
use counterfoil::reconcile::finding::{Cause, Confidence, Mover};
use rust_decimal::{Decimal, RoundingStrategy};

/// An attempt of one of our clients, through the gateway.
fn sent(case: &mut Case, at: &str, client: &str, used: &[Used<'_>]) {
    let attempt = case.attempt(at, used);
    attempt.credential = Some(CredentialId::new(format!("credential of {client}")));
    attempt.scope = Some(Arc::from(format!("proj_{client}")));
    attempt.ended_at = attempt.started_at.plus_micros(90 * SECOND_US);
}

/// A line of OpenAI's cost export, grouped by line item, project and key: exact amounts.
fn openai_line(
    case: &mut Case,
    day: chrono::NaiveDate,
    client: &str,
    (model, meter, quantity, price): Used<'_>,
) {
    let amount = exact_mul(per_token(price), Decimal::from(quantity)).unwrap();
    let line = case.line(model, meter, Some(quantity), &canonical_text(amount));
    line.period = ChargePeriod::of_day(day);
    line.dimensions = BilledDimensions {
        organization_id: Some("org-1".to_owned()),
        project_id: Some(format!("proj_{client}")),
        key_id: Some(format!("key_{client}")),
        ..BilledDimensions::default()
    };
}

const OPENAI: &[(&str, &str, &str, &str)] = &[
    ("gpt-search", "0.75", "0.075", "4.50"),
    ("gpt-support-2025-08-07", "0.25", "0.025", "2.00"),
    ("gpt-research", "4.00", "0.40", "20.00"),
    ("gpt-nightly-2024-07-18", "0.15", "0.075", "0.60"),
    ("gpt-crawler", "0.40", "0.10", "1.60"),
];

fn openai_month() -> Case {
    let mut case = Case::new();
    let cut = "2026-08-21T00:00:00Z";
    for (model, input, read, output) in OPENAI {
        let meters =
            [(Meter::Input, input), (Meter::InputCacheRead, read), (Meter::Output, output)];
        for (meter, price) in meters {
            case.rate(model.trim_end_matches("-2025-08-07"), meter, price, cut, None, &[]);
        }
    }
    let old = [(Meter::Input, "5.00"), (Meter::InputCacheRead, "0.50"), (Meter::Output, "30.00")];
    for (meter, price) in old {
        case.rate("gpt-research", meter, price, "2026-01-01T00:00:00Z", Some(cut), &[]);
    }
    case.inputs.imports[0].covered_days = case.inputs.period.days().collect();
    let eve: chrono::NaiveDate = "2026-09-30".parse().unwrap();
    for (number, day) in (0_u64..).zip(std::iter::once(eve).chain(case.inputs.period.days())) {
        let salt = number * 17;
        if day != eve {
            in_office_hours(&mut case, day, salt);
        }
        let model = "gpt-nightly-2024-07-18";
        let used = [
            (model, Meter::Input, 9_000 + salt, "0.15"),
            (model, Meter::Output, 700 + salt * 3, "0.60"),
        ];
        sent(&mut case, &format!("{day}T23:59:20Z"), "nightly", &used);
        let booked = day.succ_opt().unwrap();
        if booked.to_string().starts_with("2026-10") {
            for part in used {
                openai_line(&mut case, booked, "nightly", part);
            }
        }
    }
    case
}

fn in_office_hours(case: &mut Case, day: chrono::NaiveDate, salt: u64) {
    let at = format!("{day}T12:00:00Z");
    let search = [
        ("gpt-search", Meter::Input, 50_000 + salt, "0.75"),
        ("gpt-search", Meter::Output, 6_000 + salt, "4.50"),
    ];
    sent(case, &at, "search", &search);
    for part in search {
        openai_line(case, day, "search", part);
    }
    let model = "gpt-support-2025-08-07";
    let support = [
        (model, Meter::Input, 2_000 + salt, "0.25"),
        (model, Meter::InputCacheRead, 30_000 + salt, "0.025"),
        (model, Meter::Output, 900 + salt, "2.00"),
    ];
    sent(case, &at, "support", &support);
    openai_line(case, day, "support", (model, Meter::Input, 32_000 + 2 * salt, "0.25"));
    openai_line(case, day, "support", support[2]);
    let research = [
        ("gpt-research", Meter::Input, 8_000 + salt, "4.00"),
        ("gpt-research", Meter::Output, 3_000 + salt, "20.00"),
    ];
    sent(case, &at, "research", &research);
    openai_line(case, day, "research", ("gpt-research", Meter::Input, 8_000 + salt, "5.00"));
    openai_line(case, day, "research", ("gpt-research", Meter::Output, 3_000 + salt, "30.00"));
    openai_line(case, day, "crawler", ("gpt-crawler", Meter::Input, 20_000 + salt, "0.40"));
    openai_line(case, day, "crawler", ("gpt-crawler", Meter::Output, 2_000 + salt, "1.60"));
    // A bad moment: nothing used, nothing billed, no account named by the answer.
    let failed = case.attempt(&at, &[]);
    failed.billing_class = BillingClass::NotBilled;
    failed.ending = Ending::RequestRefused;
}

#[test]
fn every_fault_of_the_openai_month_is_named_to_the_last_digit() {
    let mut case = openai_month();
    let export: Decimal = case.inputs.imports[0].lines.iter().map(|line| line.billed_cost).sum();
    let total = export - money("5");
    case.inputs.document = Some(DocumentTotals { total, tax: money("0"), credits: money("5") });
    let report = case.report();
    assert_eq!(report.unexplained_gross, Decimal::ZERO, "{:#?}", report.findings);

    let bypass = only(&report, Cause::Unlogged);
    assert_eq!((bypass.subject.as_str(), bypass.confidence), ("key_crawler", Confidence::Proven));
    let days: u64 = (1..=31).map(|number| number * 17).sum();
    let crawled = Decimal::from(31 * 20_000 + days) * per_token("0.40")
        + Decimal::from(31 * 2_000 + days) * per_token("1.60");
    assert_eq!(bypass.amount, crawled.normalize());

    let cached = only(&report, Cause::CacheClass);
    let read = Decimal::from(31 * 30_000 + days);
    assert_eq!(cached.amount, (read * (per_token("0.25") - per_token("0.025"))).normalize());
    assert_eq!((cached.confidence, cached.mover), (Confidence::Proven, Mover::AskProvider));
    assert!(cached.subject.contains("gpt-support"), "{}", cached.subject);

    let stale = only(&report, Cause::PriceVersion);
    assert_eq!((stale.subject.as_str(), stale.confidence), ("gpt-research", Confidence::Proven));
    let dearer = Decimal::from(31 * 8_000 + days) * per_token("1.00")
        + Decimal::from(31 * 3_000 + days) * per_token("10.00");
    assert_eq!(stale.amount, dearer.normalize());

    assert!(only(&report, Cause::TimingIn).amount > Decimal::ZERO);
    assert!(only(&report, Cause::TimingOut).amount < Decimal::ZERO);
    assert_eq!(only(&report, Cause::TimingWithin).amount, Decimal::ZERO);
    assert!(only(&report, Cause::TimingIn).evidence[0].contains("end"));
    assert_eq!(report.findings.len(), 6, "{:#?}", report.findings);

    let document = report.document.as_ref().unwrap();
    assert_eq!((document.credits, document.unexplained), (money("-5"), money("0")));
    assert!(report.verdict.sentences[2].contains("$5.00 of credits"));
    for finding in &report.findings {
        let behind = attempts_behind(&case.inputs, &finding.id).unwrap();
        assert_eq!(behind.is_empty(), finding.cause == Cause::Unlogged, "{}", finding.id);
    }
}

/// Cost rows in cents by display name, token rows by dated id, 10 % off list.
#[test]
fn the_contract_discount_of_the_anthropic_month_is_named_beside_printed_rounding() {
    let mut case = Case::new();
    case.inputs.provider = ProviderName::from("anthropic");
    case.decimals = 2;
    case.precision = AmountPrecision::HalfUp;
    let dated = "claude-sonnet-4-5-20250929";
    let prices = [
        (Meter::Input, "3.00"),
        (Meter::InputCacheRead, "0.30"),
        (Meter::InputCacheWrite5m, "3.75"),
        (Meter::Output, "15.00"),
    ];
    for (meter, price) in prices {
        case.rate("claude-sonnet-4-5", meter, price, "2025-09-29T00:00:00Z", None, &[]);
    }
    case.inputs.imports[0].covered_days = case.inputs.period.days().collect();
    let cents =
        |value: Decimal| value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    for (number, day) in (1_u64..).zip(case.inputs.period.days()) {
        let quantities = [11_003 * number, 250_017 * number, 9_001 * number, 3_337 * number];
        let used: Vec<Used<'_>> = prices
            .iter()
            .zip(quantities)
            .map(|((meter, price), quantity)| (dated, *meter, quantity, *price))
            .collect();
        sent(&mut case, &format!("{day}T09:00:00Z"), "assistant", &used);
        let dimensions = BilledDimensions {
            workspace: Some("wrkspc_assistant".to_owned()),
            key_id: Some("apikey_assistant".to_owned()),
            key_name: Some("assistant".to_owned()),
            long_context: Some(false),
            region: Some("not_available".to_owned()),
            ..BilledDimensions::default()
        };
        for (_, meter, quantity, price) in &used {
            let list = Decimal::from(*quantity) * per_token(price);
            let cost = cents(list * money("0.9")).to_string();
            let line = case.line("Claude Sonnet 4.5", *meter, None, &cost);
            line.list_cost = Some(cents(list));
            line.period = ChargePeriod::of_day(day);
            line.dimensions = BilledDimensions { batch: Some(false), ..dimensions.clone() };
        }
        case.inputs.imports[0].usage.push(UsageRow {
            row: number,
            period: ChargePeriod::of_day(day),
            model: Some(dated.to_owned()),
            quantities: used.iter().map(|part| (part.1, part.2)).collect::<Quantities>(),
            requests: None,
            dimensions: BilledDimensions {
                key_id: None,
                service_tier: Some("standard".to_owned()),
                ..dimensions.clone()
            },
        });
    }
    let report = case.report();
    let discount = only(&report, Cause::Discount);
    let lines = &case.inputs.imports[0].lines;
    let off: Decimal = lines.iter().map(|line| line.billed_cost - line.list_cost.unwrap()).sum();
    assert_eq!((discount.amount, discount.confidence), (off.normalize(), Confidence::Proven));
    assert!(discount.evidence[0].contains("0.9 of list"), "{:?}", discount.evidence);
    let others = report.findings.iter().filter(|one| one.cause != Cause::Discount);
    assert!(others.clone().all(|one| one.cause == Cause::Rounding), "{:#?}", report.findings);
    assert_eq!(report.unexplained_gross, Decimal::ZERO);
    assert_eq!(report.verdict.state, "reconciled, $0.00 unexplained");
}
