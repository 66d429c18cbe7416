//! Reconciliation of a large month: a million attempts against a hundred thousand lines.
//!
//! `cargo bench --bench reconcile -- [ATTEMPTS]`; a million unless told. Loading is not counted:
//! the engine is a function of what is already in memory.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its figures and stops where it cannot go on"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use counterfoil::invoice::line::{AmountPrecision, BilledDimensions, BilledLine, ChargeCategory};
use counterfoil::meter::Meter;
use counterfoil::money::{Amount, Currency};
use counterfoil::names::{AttemptId, CredentialId, Endpoint, ModelName, ProviderName, RequestId};
use counterfoil::period::{BillingPeriod, ChargePeriod, HOUR_US, SECOND_US, Timestamp};
use counterfoil::reconcile::engine::reconcile;
use counterfoil::reconcile::facts::{
    AttemptFact, BillingClass, CandidateRate, ChargeFact, Ending, ImportFact, Inputs, KeyTie,
    MeteredFact, Ties,
};
use counterfoil::usage::{Conditions, UsageSource};
use rust_decimal::Decimal;
use uuid::Uuid;

const KEYS: u64 = 40;
const MODELS: u64 = 27;
const METERS: [(Meter, u64); 3] =
    [(Meter::Input, 3_000_000), (Meter::InputCacheRead, 300_000), (Meter::Output, 15_000_000)];

fn main() {
    let count =
        std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    for (name, faulty) in [("a month that agrees", false), ("a month with faults", true)] {
        let inputs = month(count, faulty);
        let lines = inputs.imports[0].lines.len();
        let mut times = Vec::new();
        let mut findings = 0;
        for _ in 0..3 {
            let (start, busy) = (Instant::now(), on_processor());
            findings = reconcile(&inputs).unwrap().findings.len();
            times.push((on_processor().saturating_sub(busy), start.elapsed()));
        }
        let (busy, elapsed) = times.iter().min().unwrap();
        println!(
            "{name}: {count} attempts, {lines} lines, {findings} findings: {busy:.2?} of processor \
             time, {elapsed:.2?} by the clock"
        );
    }
}

/// Processor time of this thread, which a busy machine does not stretch; zero where it is not told.
fn on_processor() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = told.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Every attempt's quantities follow from its number, so that the bill can be summed beside it.
fn month(count: u64, faulty: bool) -> Inputs {
    let period: BillingPeriod = "2026-10".parse().unwrap();
    let days: Vec<NaiveDate> = period.days().collect();
    let models: Vec<ModelName> =
        (0..MODELS).map(|number| ModelName::new(format!("model-{number}"))).collect();
    let keys: Vec<CredentialId> =
        (0..KEYS).map(|number| CredentialId::new(format!("credential-{number}"))).collect();
    let rate_ids: Vec<Arc<str>> =
        (0..MODELS).map(|number| Arc::from(format!("{number:064x}"))).collect();
    let mut sums: BTreeMap<(usize, u64, u64, usize), u64> = BTreeMap::new();
    let mut attempts = Vec::new();
    for number in 0..count {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 17;
        let day = usize::try_from(number % 31).unwrap();
        let (key, model) = (mixed % KEYS, (mixed / KEYS) % MODELS);
        let started = Timestamp::start_of(days[day])
            .plus_micros(i64::try_from(mixed % 86_400).unwrap() * SECOND_US);
        let used = [500 + mixed % 9_000, mixed % 4_000, 20 + mixed % 900];
        let late = faulty && model == 3 && started.plus_micros(HOUR_US).day() != days[day];
        let billed_day = if late { day + 1 } else { day };
        if billed_day < 31 && !(faulty && model == 4 && key == 4) {
            for (index, quantity) in used.into_iter().enumerate() {
                *sums.entry((billed_day, key, model, index)).or_insert(0) += quantity;
            }
        }
        attempts.push(attempt(
            number,
            (started, faulty && model == 3),
            &keys,
            &models,
            &rate_ids,
            (key, model, used),
        ));
    }
    let lines = sums.into_iter().zip(1_u64..).map(|(((day, key, model, meter), quantity), row)| {
        let dearer = faulty && model == 5;
        line(row, days[day], (key, model, meter), quantity, dearer)
    });
    inputs(period, attempts, lines.collect(), &models, &keys, &rate_ids)
}

fn attempt(
    number: u64,
    (started_at, slow): (Timestamp, bool),
    keys: &[CredentialId],
    models: &[ModelName],
    rate_ids: &[Arc<str>],
    (key, model, used): (u64, u64, [u64; 3]),
) -> AttemptFact {
    let model = usize::try_from(model).unwrap();
    let id = Uuid::from_u128(u128::from(number) << 40);
    let metered = METERS.iter().zip(used).map(|((meter, price), quantity)| MeteredFact {
        model: models[model].clone(),
        meter: *meter,
        quantity,
        charge: Some(ChargeFact {
            rate_id: Arc::clone(&rate_ids[model]),
            unit_price: Some(pico(*price)),
            amount: Amount::from_pico(i128::from(*price) * i128::from(quantity)),
            rounded: false,
        }),
    });
    AttemptFact {
        attempt: AttemptId::from_uuid(id),
        request: RequestId::from_uuid(id),
        provider_request_id: Some(Arc::from(format!("req_{number}"))),
        started_at,
        ended_at: started_at.plus_micros(if slow { HOUR_US } else { 0 }),
        endpoint: Endpoint::Chat,
        credential: Some(keys[usize::try_from(key).unwrap()].clone()),
        credential_hint: Arc::from("abcd"),
        scope: None,
        model_requested: Some(models[model].clone()),
        conditions: Conditions::default(),
        metered: metered.collect(),
        usage_source: UsageSource::Reported,
        billing_class: BillingClass::Billed,
        ending: Ending::Completed,
        status: Some(200),
        counted: None,
        max_output: Some(4_096),
        max_input: None,
    }
}

fn line(
    row: u64,
    day: NaiveDate,
    (key, model, meter): (u64, u64, usize),
    quantity: u64,
    dearer: bool,
) -> BilledLine {
    let (meter, price) = METERS[meter];
    let price = if dearer { price * 5 / 4 } else { price };
    let amount = i128::from(price) * i128::from(quantity);
    BilledLine {
        row,
        period: ChargePeriod::of_day(day),
        category: ChargeCategory::Usage,
        description: format!("model-{model}, {meter}"),
        billed_cost: Decimal::try_from_i128_with_scale(amount, 12).unwrap(),
        list_cost: None,
        currency: Currency::USD,
        precision: AmountPrecision::Exact,
        shown_decimals: 12,
        quantity: Some(quantity),
        model: Some(format!("model-{model}")),
        meter: Some(meter),
        dimensions: BilledDimensions {
            key_id: Some(format!("key-{key}")),
            ..BilledDimensions::default()
        },
    }
}

fn inputs(
    period: BillingPeriod,
    attempts: Vec<AttemptFact>,
    lines: Vec<BilledLine>,
    models: &[ModelName],
    keys: &[CredentialId],
    rate_ids: &[Arc<str>],
) -> Inputs {
    let rates = models.iter().zip(rate_ids).flat_map(|(model, rate_id)| {
        METERS.iter().map(|(meter, price)| CandidateRate {
            rate_id: Arc::clone(rate_id),
            model: model.clone(),
            meter: *meter,
            from: Timestamp::from_micros(0),
            until: None,
            conditions: Conditions::default(),
            context_over: None,
            unit_price: pico(*price),
            source_url: String::new(),
            read_on: String::new(),
        })
    });
    let ties = keys.iter().zip(0..).map(|(credential, number): (_, u64)| KeyTie {
        key: format!("key-{number}"),
        credential: credential.clone(),
        confirmed: true,
    });
    Inputs {
        provider: ProviderName::from("openai"),
        account: None,
        period,
        currency: Currency::USD,
        price_table: String::new(),
        attempts,
        imports: vec![ImportFact {
            batch: "bench".to_owned(),
            file_hash: String::new(),
            kind: String::new(),
            covered_days: period.days().collect(),
            imported_at: None,
            lines,
            usage: Vec::new(),
        }],
        rates: rates.collect(),
        ties: Ties { keys: ties.collect(), ..Ties::default() },
        aliases: BTreeMap::new(),
        gaps: Vec::new(),
        books_began: None,
        document: None,
        exchange: None,
    }
}

fn pico(price: u64) -> Decimal {
    Decimal::try_from_i128_with_scale(i128::from(price), 12).unwrap()
}
