//! The journal's pace beside a raw floor on the same disk in the same minute: a file that is
//! appended to, 200 bytes a record, with one sync a batch. Run with `cargo bench --bench journal`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops where it cannot measure"
)]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil::bookkeeping::post::Poster;
use counterfoil::journal::book::{Journal, JournalOptions};
use counterfoil::ledger::entry::Entry;
use counterfoil::ledger::intent::{Intent, Labels};
use counterfoil::ledger::settlement::{BillingClass, Outcome, PayingAccount, Settlement};
use counterfoil::meter::{Meter, Quantities};
use counterfoil::money::{Amount, Currency};
use counterfoil::names::{AttemptId, Clock, Endpoint, RequestId};
use counterfoil::period::Timestamp;
use counterfoil::pricing::charge::{Charge, Valuation, ValuationStatus};
use counterfoil::store::books::Books;
use counterfoil::usage::{ModelUsage, ReportedUsage, UsageSource};
use uuid::Uuid;

/// Rounds, interleaved; the best of each side counts.
const ROUNDS: u128 = 3;
/// Calls of one round: two records each.
const CALLS: u128 = 20_000;
/// Callers at a time, as at 64 connections.
const LANES: u128 = 64;
/// Records of the floor that share a sync.
const FLOOR_BATCH: usize = 100;
/// Commits of one lone caller.
const LONE: u128 = 2_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut best = Figures::default();
    for round in 0..ROUNDS {
        let place = folder.path().join(format!("round-{round}"));
        std::fs::create_dir(&place).unwrap();
        best.keep(&floor(&place));
        runtime.block_on(async { best.keep(&journal(&place, round).await) });
    }
    best.print();
}

/// Records a second, and waits in nanoseconds; 0 is not measured.
#[derive(Clone, Copy, Default)]
struct Figures {
    floor_rate: u128,
    floor_sync: u128,
    journal_rate: u128,
    commit_p50: u128,
    commit_p99: u128,
    synced_p50: u128,
    post_a_call: u128,
    post_cpu: u128,
}

impl Figures {
    fn keep(&mut self, other: &Self) {
        let most = |mine: &mut u128, theirs: u128| *mine = (*mine).max(theirs);
        let least = |mine: &mut u128, theirs: u128| {
            if theirs > 0 && (*mine == 0 || theirs < *mine) {
                *mine = theirs;
            }
        };
        most(&mut self.floor_rate, other.floor_rate);
        most(&mut self.journal_rate, other.journal_rate);
        least(&mut self.floor_sync, other.floor_sync);
        least(&mut self.commit_p50, other.commit_p50);
        least(&mut self.commit_p99, other.commit_p99);
        least(&mut self.synced_p50, other.synced_p50);
        least(&mut self.post_a_call, other.post_a_call);
        least(&mut self.post_cpu, other.post_cpu);
    }

    fn print(&self) {
        let micros = |nanos: u128| format!("{}.{} us", nanos / 1_000, nanos % 1_000 / 100);
        println!("raw floor, {FLOOR_BATCH} x 200 B a sync     {} records/s", self.floor_rate);
        println!("raw floor, one sync, p50         {}", micros(self.floor_sync));
        println!("journal, {LANES} callers              {} records/s", self.journal_rate);
        let percent = self.journal_rate * 100 / self.floor_rate.max(1);
        println!("journal to floor                 {percent} %");
        println!("commit, one caller, p50          {}", micros(self.commit_p50));
        println!("commit, one caller, p99          {}", micros(self.commit_p99));
        println!("commit and sync, one caller, p50 {}", micros(self.synced_p50));
        let percent = self.synced_p50 * 100 / self.floor_sync.max(1);
        println!("commit and sync to floor's sync  {percent} %");
        println!("posting, a call                  {}", micros(self.post_a_call));
        println!("posting, a call, processor time   {}", micros(self.post_cpu));
    }
}

/// The median and the 99th percentile.
fn percentiles(mut waits: Vec<Duration>) -> (u128, u128) {
    waits.sort_unstable();
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100].as_nanos();
    (at(50), at(99))
}

fn rate(count: u128, took: Duration) -> u128 {
    count * 1_000_000_000 / took.as_nanos().max(1)
}

fn floor(place: &Path) -> Figures {
    let mut file = OpenOptions::new().create(true).append(true).open(place.join("floor")).unwrap();
    let batch = vec![b'x'; 200 * FLOOR_BATCH];
    let batches = usize::try_from(CALLS * 2).unwrap() / FLOOR_BATCH;
    let mut waits = Vec::with_capacity(batches);
    let started = Instant::now();
    for _ in 0..batches {
        file.write_all(&batch).unwrap();
        let syncing = Instant::now();
        file.sync_data().unwrap();
        waits.push(syncing.elapsed());
    }
    let floor_rate = rate(CALLS * 2, started.elapsed());
    Figures { floor_rate, floor_sync: percentiles(waits).0, ..Figures::default() }
}

async fn journal(place: &Path, round: u128) -> Figures {
    let folder = place.join("data");
    let clock = Clock::new(|| Timestamp::from_micros(1_790_000_000_000_000));
    let (journal, _) = Journal::open(&folder, clock, JournalOptions::default()).await.unwrap();
    let base = round << 64;
    let (commit_p50, commit_p99) = percentiles(lone(&journal, base, false).await);
    let (synced_p50, _) = percentiles(lone(&journal, base + LONE, true).await);
    let started = Instant::now();
    let lanes: Vec<_> = (0..LANES).map(|lane| call_in(journal.clone(), base, lane)).collect();
    let mut last = 0;
    for lane in lanes {
        last = lane.await.unwrap().max(last);
    }
    journal.synced(last).await.unwrap();
    let journal_rate = rate(CALLS / LANES * LANES * 2, started.elapsed());
    let books = Books::open(&folder).await.unwrap();
    let mut poster = Poster::new(journal.clone(), books.clone()).await.unwrap();
    let (started, ticks) = (Instant::now(), cpu_ticks());
    let posted = poster.post_once().await.unwrap();
    let calls = u128::from(posted.records) / 2;
    let post_a_call = started.elapsed().as_nanos() / calls;
    let post_cpu = (cpu_ticks() - ticks) * 10_000_000 / calls;
    journal.close().await.unwrap();
    books.close().await;
    Figures {
        journal_rate,
        commit_p50,
        commit_p99,
        synced_p50,
        post_a_call,
        post_cpu,
        ..Figures::default()
    }
}

/// Processor time of this process so far, in hundredths of a second; 0 where the system has no
/// `/proc`.
fn cpu_ticks() -> u128 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses: user time is the 12th field, system time the 13th.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    fields.skip(11).take(2).filter_map(|field| field.parse::<u128>().ok()).sum()
}

/// One caller that waits for each commit, and for its sync if asked.
async fn lone(journal: &Journal, base: u128, sync: bool) -> Vec<Duration> {
    let mut waits = Vec::new();
    for number in 0..LONE {
        let entry = intent((1 << 40) + base + number);
        let started = Instant::now();
        let committed = journal.commit(&entry).await.unwrap();
        if sync {
            journal.synced(committed.n).await.unwrap();
        }
        waits.push(started.elapsed());
    }
    waits
}

/// One of many callers: intent, its sync, settlement, as a call has it.
fn call_in(journal: Journal, base: u128, lane: u128) -> tokio::task::JoinHandle<i64> {
    tokio::spawn(async move {
        let mut last = 0;
        for step in 0..CALLS / LANES {
            // Ids in the order of time, as version 7 has them, with the lane to tell them apart.
            let number = base + (1 << 41) + step * LANES + lane;
            let sent = journal.commit(&intent(number)).await.unwrap();
            journal.synced(sent.n).await.unwrap();
            last = journal.commit(&settlement(number)).await.unwrap().n;
        }
        last
    })
}

fn intent(number: u128) -> Entry {
    Entry::Intent(Box::new(Intent {
        attempt: AttemptId::from_uuid(Uuid::from_u128(number)),
        request: RequestId::from_uuid(Uuid::from_u128(number)),
        ordinal: 1,
        started_at: Timestamp::from_micros(1_790_000_000_000_000),
        provider: "openai".into(),
        endpoint: Endpoint::Chat,
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        model_requested: Some("gpt-5-mini".into()),
        stream: true,
        credential: None,
        caller: None,
        labels: Labels { team: Some("search".to_owned()), ..Labels::default() },
        max_output: Some(1_024),
        request_bytes: 2_048,
        price_version: "0123456789abcdef0123456789abcdef".to_owned(),
        reservation: None,
    }))
}

fn settlement(number: u128) -> Entry {
    let meters = [(Meter::Input, 900), (Meter::InputCacheRead, 100), (Meter::Output, 250)];
    let charges: Vec<Charge> = meters
        .iter()
        .map(|&(meter, quantity)| Charge {
            model: "gpt-5-mini-2025-08-07".into(),
            meter,
            quantity,
            rate_id: "0123456789abcdef".to_owned(),
            unit_price: "0.25".to_owned(),
            per: 1_000_000,
            factors: Vec::new(),
            amount: Amount::from_pico(i128::from(quantity) * 250_000),
            rounded: false,
        })
        .collect();
    let quantities: Quantities = meters.into_iter().collect();
    let raw = r#"{"prompt_tokens":1000,"completion_tokens":250,"total_tokens":1250,"prompt_tokens_details":{"cached_tokens":100}}"#;
    Entry::Settlement(Box::new(Settlement {
        attempt: AttemptId::from_uuid(Uuid::from_u128(number)),
        ended_at: Timestamp::from_micros(1_790_000_001_000_000),
        outcome: Outcome::Completed,
        status: Some(200),
        error: None,
        first_byte_us: Some(300_000),
        duration_us: 1_000_000,
        response_bytes: 4_096,
        model_served: Some("gpt-5-mini-2025-08-07".into()),
        provider_request_id: Some("req_0123456789abcdef".to_owned()),
        provider_response_id: Some("chatcmpl-0123456789abcdef".to_owned()),
        account: PayingAccount { project: Some("proj_1".to_owned()), ..PayingAccount::default() },
        usage: ReportedUsage {
            parts: vec![ModelUsage { model: None, quantities, context_tokens: 1_000 }],
            raw: Some(raw.to_owned()),
            ..ReportedUsage::none(UsageSource::Reported)
        },
        billing_class: BillingClass::Billed,
        valuation: Valuation {
            status: ValuationStatus::Priced,
            total: Some(charges.iter().map(|charge| charge.amount).sum()),
            charges,
            unpriced: Vec::new(),
            currency: Currency::USD,
            price_version: "0123456789abcdef0123456789abcdef".to_owned(),
            engine: "1".to_owned(),
        },
    }))
}
