//! Serves the dashboard on loopback over a temporary books file with two made-up months: what the
//! pages are looked at with. `cargo run --example dashboard -- [PORT] [--empty]`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example tells and stops")]

use std::sync::Arc;

use counterfoil::bookkeeping::import::{ExportBytes, ExportFile, ImportChoice, import};
use counterfoil::dashboard;
use counterfoil::dashboard::drops::Drops;
use counterfoil::dashboard::state::DashboardState;
use counterfoil::ledger::count::Count;
use counterfoil::ledger::entry::Entry;
use counterfoil::ledger::intent::{Credential, CredentialKind, Intent, LabelSource, Labels};
use counterfoil::ledger::settlement::{BillingClass, Outcome, PayingAccount, Settlement};
use counterfoil::meter::{Meter, Quantities};
use counterfoil::money::{Amount, Currency};
use counterfoil::names::{
    AttemptId, Clock, CredentialId, Endpoint, ModelName, ProviderName, RequestId,
};
use counterfoil::period::{DAY_US, HOUR_US, SECOND_US, Timestamp};
use counterfoil::pricing::charge::{Charge, Unpriced, UnpricedReason, Valuation, ValuationStatus};
use counterfoil::pricing::table::PriceTable;
use counterfoil::store::books::Books;
use counterfoil::store::months::{ReportRecord, append_report};
use counterfoil::store::posting::post;
use counterfoil::store::projection::PostingRecord;
use counterfoil::usage::{Conditions, ModelUsage, ReportedUsage, UsageSource};

/// Name, provider, endpoint, prices per million in micro-dollars: input, cache read, cache write,
/// output; `None` is a model without a price.
type Model = (&'static str, &'static str, Endpoint, Option<[u64; 4]>);

const MODELS: &[Model] = &[
    ("gpt-5", "openai", Endpoint::Responses, Some([1_250_000, 125_000, 0, 10_000_000])),
    ("gpt-4.1-mini-2025-04-14", "openai", Endpoint::Chat, Some([400_000, 100_000, 0, 1_600_000])),
    ("text-embedding-3-small", "openai", Endpoint::Embeddings, Some([20_000, 0, 0, 0])),
    ("gpt-6-preview", "openai", Endpoint::Chat, None),
    (
        "claude-sonnet-4-5-20250929",
        "anthropic",
        Endpoint::Messages,
        Some([3_000_000, 300_000, 3_750_000, 15_000_000]),
    ),
    (
        "claude-haiku-4-5-20251001",
        "anthropic",
        Endpoint::Messages,
        Some([1_000_000, 100_000, 1_250_000, 5_000_000]),
    ),
];

const TEAMS: &[(&str, &str)] =
    &[("search", "query-rewriter"), ("support", "helpdesk"), ("research", "notebooks"), ("", "")];

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = arguments.iter().find_map(|text| text.parse::<u16>().ok()).unwrap_or(0);
    let folder = tempfile::tempdir().unwrap();
    let books = Books::open(folder.path()).await.unwrap();
    let now: Timestamp = "2026-11-21T15:30:07Z".parse().unwrap();
    if !arguments.iter().any(|text| text == "--empty") {
        fill(&books, now).await;
    }
    if !arguments.iter().any(|text| text == "--empty") {
        bill(&books, now).await;
    }
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    let state = DashboardState {
        books,
        clock: Clock::new(move || now),
        proxy_base_url: "http://127.0.0.1:4180".to_owned(),
        banner: Some("Example books: every figure here is made up.".to_owned()),
        allowed_hosts: Vec::new(),
        prices: Arc::new(PriceTable::builtin().unwrap()),
        personal_key: b"key of an example".to_vec(),
        drops: Drops::default(),
    };
    axum::serve(listener, dashboard::router(state)).await.unwrap();
}

async fn fill(books: &Books, now: Timestamp) {
    let mut dice = Dice(7);
    let mut records: Vec<PostingRecord> = Vec::new();
    let mut at: Timestamp = "2026-10-01T00:00:11Z".parse().unwrap();
    let mut serial = 0_u128;
    while at < now.plus_micros(-3 * SECOND_US) {
        serial += 1;
        for entry in request(&mut dice, at, serial) {
            let n = i64::try_from(records.len()).unwrap() + 1;
            let body = serde_json::to_string(&entry).unwrap();
            records.push(PostingRecord {
                n,
                boot: 1,
                entry,
                body,
                prev_hash: format!("{:064x}", n - 1),
                hash: format!("{n:064x}"),
            });
        }
        let hour = at.micros() % DAY_US / HOUR_US;
        let pause = if (7..19).contains(&hour) { 500 } else { 2_400 };
        at = at.plus_micros((20 + i64::try_from(dice.roll(pause)).unwrap()) * SECOND_US);
    }
    for chunk in records.chunks(2_000) {
        post(books, "node-1", chunk).await.unwrap();
    }
}

/// An export of twenty days, and a report of the month before.
async fn bill(books: &Books, now: Timestamp) {
    let mut text = "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,\
                    line_item,project_id,organization_id\n"
        .to_owned();
    for day in 1..=20 {
        let start: Timestamp = format!("2026-11-{day:02}T00:00:00Z").parse().unwrap();
        let seconds = start.micros() / SECOND_US;
        for (item, amount) in [("gpt-5, input", "0.82"), ("gpt-5, output", "1.2550")] {
            text += &format!(
                "{seconds},{},{start},{},{amount},usd,\"{item}\",proj_production,org-acme\n",
                seconds + 86_400,
                start.plus_micros(DAY_US),
            );
        }
    }
    let file = ExportFile {
        name: "cost_2026-11-01_2026-11-20.csv".to_owned(),
        bytes: ExportBytes::Memory(text.into()),
    };
    import(books, &file, &ImportChoice::default(), now.plus_micros(-DAY_US)).await.unwrap();
    let record = ReportRecord {
        report: "01a1fdfc-0000-7000-8000-00000000beef".to_owned(),
        made_at: now.plus_micros(-9 * DAY_US),
        provider: "openai".to_owned(),
        account: "org-acme".to_owned(),
        period: "2026-10".parse().unwrap(),
        status: "reconciled".to_owned(),
        body: include_str!("../tests/fixtures/reconcile/example_report.json").to_owned(),
    };
    append_report(books, &record, "example").await.unwrap();
}

fn id(at: Timestamp, serial: u128) -> uuid::Uuid {
    let millis = u128::try_from(at.micros() / 1_000).unwrap();
    uuid::Uuid::from_u128((millis << 80) | (7 << 76) | (0b10 << 62) | (serial & 0xffff_ffff_ffff))
}

fn request(dice: &mut Dice, at: Timestamp, serial: u128) -> Vec<Entry> {
    let model = &MODELS[match dice.roll(100) {
        0..34 => 0,
        34..60 => 1,
        60..72 => 2,
        72..74 => 3,
        74..90 => 4,
        _ => 5,
    }];
    let asked = RequestId::from_uuid(id(at, serial * 16));
    let team = TEAMS[usize::try_from(dice.roll(4)).unwrap()];
    let mut entries = Vec::new();
    let retried = dice.roll(40) == 0;
    if retried {
        let intent = intent(asked, 1, at, serial * 16 + 1, model, team, dice);
        entries.push(Entry::Intent(Box::new(intent.clone())));
        entries.push(Entry::Settlement(Box::new(failed(&intent))));
    }
    let start = if retried { at.plus_micros(900_000) } else { at };
    let ordinal = if retried { 2 } else { 1 };
    let intent = intent(asked, ordinal, start, serial * 16 + 2, model, team, dice);
    entries.push(Entry::Intent(Box::new(intent.clone())));
    if dice.roll(900) == 0 {
        return entries;
    }
    let (settlement, count) = settled(&intent, model, dice);
    entries.push(Entry::Settlement(Box::new(settlement)));
    entries.extend(count.map(|count| Entry::Count(Box::new(count))));
    entries
}

fn intent(
    request: RequestId,
    ordinal: u32,
    at: Timestamp,
    serial: u128,
    model: &Model,
    (team, app): (&str, &str),
    dice: &mut Dice,
) -> Intent {
    let key = if team == "research" { "r8Zp" } else { "x4Qm" };
    let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Intent {
        attempt: AttemptId::from_uuid(id(at, serial)),
        request,
        ordinal,
        started_at: at,
        provider: ProviderName::from(model.1),
        endpoint: model.2,
        method: "POST".to_owned(),
        path: format!("/v1/{}", model.2),
        model_requested: Some(ModelName::new(model.0.replace("-2025-04-14", ""))),
        stream: dice.roll(2) == 0,
        credential: Some(Credential {
            id: CredentialId::new(format!("{}-{key}", model.1)),
            hint: key.to_owned(),
            kind: CredentialKind::PassedThrough,
        }),
        caller: None,
        labels: Labels {
            team: named(team),
            app: named(app),
            user: None,
            tags: Vec::new(),
            source: if team.is_empty() { LabelSource::None } else { LabelSource::Claimed },
        },
        max_output: Some(4_096),
        request_bytes: 2_000 + dice.roll(90_000),
        price_version: "3f9ac2d871b4".to_owned(),
        reservation: None,
    }
}

fn failed(intent: &Intent) -> Settlement {
    Settlement {
        attempt: intent.attempt,
        ended_at: intent.started_at.plus_micros(640_000),
        outcome: Outcome::ProviderError,
        status: Some(529),
        error: Some("overloaded_error".to_owned()),
        first_byte_us: Some(630_000),
        duration_us: 640_000,
        response_bytes: 211,
        model_served: None,
        provider_request_id: Some(format!("req_{:012x}", intent.started_at.micros())),
        provider_response_id: None,
        account: PayingAccount::default(),
        usage: ReportedUsage::none(UsageSource::NotMetered),
        billing_class: BillingClass::NotBilled,
        valuation: valuation(ValuationStatus::NotMetered, Vec::new(), Vec::new()),
    }
}

#[expect(clippy::too_many_lines, reason = "one record, written out")]
fn settled(intent: &Intent, model: &Model, dice: &mut Dice) -> (Settlement, Option<Count>) {
    let cut = dice.roll(120) == 0;
    let quantities = quantities(model, dice);
    let usage = if cut {
        ReportedUsage::none(UsageSource::Absent)
    } else {
        ReportedUsage {
            parts: vec![ModelUsage {
                model: Some(ModelName::new(model.0)),
                context_tokens: quantities.input_tokens(),
                quantities: quantities.clone(),
            }],
            conditions: Conditions::default(),
            source: UsageSource::Reported,
            raw: Some(format!(
                "{{\"input_tokens\":{},\"output_tokens\":{}}}",
                quantities.input_tokens(),
                quantities.output_tokens()
            )),
            flags: Vec::new(),
            reported_cost: None,
        }
    };
    let took = 300_000 + dice.roll(9_000_000);
    let priced = match model.3 {
        _ if cut => valuation(ValuationStatus::NoUsage, Vec::new(), Vec::new()),
        None => valuation(
            ValuationStatus::Unpriced,
            Vec::new(),
            quantities
                .iter()
                .map(|(meter, quantity)| Unpriced {
                    model: ModelName::new(model.0),
                    meter,
                    quantity,
                    reason: UnpricedReason::Model,
                })
                .collect(),
        ),
        Some(prices) => valuation(
            ValuationStatus::Priced,
            quantities.iter().map(|(meter, atoms)| charge(model.0, meter, atoms, prices)).collect(),
            Vec::new(),
        ),
    };
    let openai = model.1 == "openai";
    let settlement = Settlement {
        attempt: intent.attempt,
        ended_at: intent.started_at.plus_micros(i64::try_from(took).unwrap()),
        outcome: if cut { Outcome::ClientGone } else { Outcome::Completed },
        status: Some(200),
        error: None,
        first_byte_us: Some(took / 4),
        duration_us: took,
        response_bytes: 1_000 + dice.roll(30_000),
        model_served: (!cut).then(|| ModelName::new(model.0)),
        provider_request_id: Some(format!("req_{:012x}", intent.started_at.micros())),
        provider_response_id: (!cut).then(|| format!("msg_{:012x}", intent.started_at.micros())),
        account: PayingAccount {
            organization: Some(if openai { "org-acme" } else { "acme-anthropic" }.to_owned()),
            project: openai.then(|| "proj_production".to_owned()),
            workspace: (!openai).then(|| "wrkspc_main".to_owned()),
        },
        usage,
        billing_class: if cut { BillingClass::Uncertain } else { BillingClass::Billed },
        valuation: priced,
    };
    let count = (!cut && model.2 != Endpoint::Embeddings).then(|| Count {
        attempt: intent.attempt,
        counted_at: settlement.ended_at,
        input: Some(quantities.input_tokens() * 10 / if openai { 10 } else { 13 }),
        output: Some(
            quantities.get(Meter::Output).unwrap_or(0) * 10 / if openai { 10 } else { 13 },
        ),
        method: "exact".to_owned(),
        encoding: "o200k_base".to_owned(),
        basis: if openai { "model_map" } else { "other_tokenizer" }.to_owned(),
        estimated_parts: Vec::new(),
    });
    (settlement, count)
}

fn quantities(model: &Model, dice: &mut Dice) -> Quantities {
    let mut all = Quantities::new();
    all.add(Meter::Input, 200 + dice.roll(12_000));
    if model.2 == Endpoint::Embeddings {
        return all;
    }
    all.add(Meter::Output, 40 + dice.roll(1_800));
    if dice.roll(3) > 0 {
        all.add(Meter::InputCacheRead, 1_024 * dice.roll(20));
    }
    if model.1 == "anthropic" && dice.roll(4) == 0 {
        all.add(Meter::InputCacheWrite5m, 2_048 * dice.roll(6));
    }
    if model.0 == "gpt-5" {
        all.add(Meter::OutputReasoning, 64 * dice.roll(30));
    }
    all
}

fn charge(model: &str, meter: Meter, quantity: u64, prices: [u64; 4]) -> Charge {
    let [input, read, write, output] = prices;
    let price = match meter {
        Meter::Input => input,
        Meter::InputCacheRead => read,
        Meter::InputCacheWrite5m => write,
        _ => output,
    };
    Charge {
        model: ModelName::new(model),
        meter,
        quantity,
        rate_id: format!("{model}-{meter}-7c21"),
        unit_price: Amount::from_pico(i128::from(price) * 1_000_000).to_string(),
        per: 1_000_000,
        factors: Vec::new(),
        amount: Amount::from_pico(i128::from(price) * i128::from(quantity)),
        rounded: false,
    }
}

fn valuation(status: ValuationStatus, charges: Vec<Charge>, unpriced: Vec<Unpriced>) -> Valuation {
    let total = (status == ValuationStatus::Priced || status == ValuationStatus::NotMetered)
        .then(|| charges.iter().map(|charge| charge.amount).sum());
    Valuation {
        status,
        charges,
        unpriced,
        total,
        currency: Currency::USD,
        price_version: "3f9ac2d871b4".to_owned(),
        engine: "1".to_owned(),
    }
}
