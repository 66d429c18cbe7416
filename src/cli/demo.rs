//! `counterfoil demo`: a month told to the end, from traffic to bill to explanation.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use crate::bookkeeping::close::{self, DocumentWords};
use crate::bookkeeping::export_file::{ExportBytes, ExportFile, ImportChoice};
use crate::bookkeeping::import;
use crate::bookkeeping::month::Month;
use crate::cli::arguments::{block_on, finish, print};
use crate::config::Config;
use crate::money::{canonical_text, exact_sub, exact_sum, parse_decimal};
use crate::names::{Clock, ProviderName};
use crate::owner_only;
use crate::period::{BillingPeriod, Timestamp};
use crate::pricing::table::PriceTable;
use crate::sandbox::bill;
use crate::sandbox::book::Side;
use crate::sandbox::month::{self, PlannedCall};
use crate::sandbox::provider::Sandbox;
use crate::sandbox::words::{between, next};
use crate::serve::{self, Running, ServeOptions};
use crate::store::posting;
use crate::telemetry;
use crate::upstream::body::UpstreamBody;
use crate::upstream::client::UpstreamClient;
use crate::upstream::fingerprint::Fingerprinter;

/// Calls under way at the same time while the month is laid down.
const AT_ONCE: usize = 32;
/// The story is the same every time.
const SEED: u64 = 20_261_001;
/// A folder with this file in it may be emptied for a new demo.
const MARKER: &str = "counterfoil-demo";
const BANNER: &str = "Demo: simulated provider, made-up keys and traffic. No real spend; nothing \
                      left this machine.";

/// Options of `demo`.
#[derive(Args)]
pub(super) struct DemoArguments {
    /// The demo's own data folder; emptied at the start.
    #[arg(long, default_value = "demo-data")]
    data: PathBuf,
    /// The month to tell, like 2026-10; without it, the last whole one.
    #[arg(long)]
    month: Option<BillingPeriod>,
    /// Where the dashboard answers; without it, on a free port.
    #[arg(long, default_value = "127.0.0.1:0")]
    dashboard_listen: SocketAddr,
    /// Lay the month down, explain it, and end.
    #[arg(long)]
    once: bool,
}

/// A clock that is set while the month is told, and runs with the wall afterwards.
#[derive(Clone)]
struct StoryClock {
    /// Microseconds; `i64::MIN` for the wall's time.
    told: Arc<AtomicI64>,
    wall: Clock,
}

impl StoryClock {
    fn new() -> Self {
        Self { told: Arc::new(AtomicI64::new(i64::MIN)), wall: serve::wall_clock() }
    }

    fn set(&self, at: Timestamp) {
        self.told.store(at.micros(), Ordering::SeqCst);
    }

    fn follow_the_wall(&self) {
        self.told.store(i64::MIN, Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let Self { told, wall } = self.clone();
        Clock::new(move || match told.load(Ordering::SeqCst) {
            i64::MIN => wall.now(),
            micros => Timestamp::from_micros(micros),
        })
    }
}

/// How far the month is laid down: a bar on a terminal, a line for each quarter in a log.
struct Progress {
    done: usize,
    all: usize,
    on_terminal: bool,
}

impl Progress {
    fn new(all: usize, on_terminal: bool) -> Self {
        Self { done: 0, all: all.max(1), on_terminal }
    }

    fn advance(&mut self, more: usize, out: &mut impl Write) -> io::Result<()> {
        const WIDTH: usize = 40;
        let quarters = |done: usize| done * 4 / self.all;
        let before = quarters(self.done);
        let (done, all) = ((self.done + more).min(self.all), self.all);
        let is_new_quarter = quarters(done) > before;
        self.done = done;
        if self.on_terminal {
            let full = done * WIDTH / all;
            let bar = format!("{}{}", "#".repeat(full), ".".repeat(WIDTH - full));
            let end = if done == all { "\n" } else { "" };
            write!(out, "\r[{bar}] {done} of {all}{end}")?;
        } else if is_new_quarter {
            writeln!(out, "{done} of {all} requests laid down")?;
        }
        out.flush()
    }
}

/// Tells the month and keeps serving until it is stopped.
pub(super) fn run(arguments: &DemoArguments) -> ExitCode {
    // The story's clock jumps by design, from last month to the wall.
    telemetry::log::start(Some("warn,counterfoil::telemetry::clock_jump=error"));
    block_on(async { finish(tell(arguments).await) })
}

async fn tell(arguments: &DemoArguments) -> Result<(), String> {
    let begun = Instant::now();
    prepare(&arguments.data)?;
    let story = StoryClock::new();
    let last_whole = BillingPeriod::containing(story.wall.now()).previous();
    let period = arguments.month.unwrap_or(last_whole);
    let sandbox = Arc::new(Sandbox::new(month::keys(), story.clock(), Duration::ZERO));
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let provider = serve::serve_sandbox(loopback, Arc::clone(&sandbox)).await.map_err(words)?;
    let calls = month::calls(period, SEED);
    if let Some(first) = calls.first() {
        story.set(first.at);
    }
    let running = serve::start(ServeOptions {
        config: config(arguments, provider.addr),
        clock: story.clock(),
        banner: Some(BANNER.to_owned()),
    })
    .await
    .map_err(words)?;
    print(&format!("laying down {period}: {} requests through the gateway", calls.len()));
    let client = UpstreamClient::new(Duration::from_secs(5)).map_err(words)?;
    lay_down(&calls, &story, &running, &client).await?;
    month::serve_bypassing(&sandbox, period, SEED);
    story.follow_the_wall();
    posted(&running).await?;
    print("the provider bills; its exports are imported and the bill is explained");
    explain(arguments, &sandbox, period, &running, &story.clock()).await?;
    print(&format!("ready after {} s", begun.elapsed().as_secs()));
    print(&format!("\nDashboard   {}", running.dashboard_url()));
    print(&format!("Explained   {}reconcile/openai/{period}", running.dashboard_url()));
    print(&format!("Next        OPENAI_BASE_URL={}/openai/v1", running.proxy_url()));
    print(&format!(
        "            curl {}/@you/openai/v1/chat/completions -H 'Authorization: Bearer \
         sk-sandbox-key_search' -H 'Content-Type: application/json' -d \
         '{{\"model\":\"gpt-5.4-mini\",\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}'",
        running.proxy_url()
    ));
    if !arguments.once {
        print("\nLive traffic flows until you stop this with Ctrl-C.");
        sandbox.set_pace(Duration::from_millis(25));
        tokio::select! {
            () = live(&calls, &running, &client) => {}
            stopped = tokio::signal::ctrl_c() => stopped.map_err(words)?,
        }
    }
    running.shutdown(std::future::pending()).await.map_err(words)?;
    provider.shutdown().await;
    Ok(())
}

/// Empties the demo's folder, and only the demo's.
fn prepare(folder: &Path) -> Result<(), String> {
    if folder.join(MARKER).exists() {
        std::fs::remove_dir_all(folder).map_err(words)?;
    } else if folder.exists() {
        let folder = folder.display();
        return Err(format!("{folder} exists and is no demo's folder; name another: --data DIR"));
    }
    owner_only::make_folder(folder).map_err(words)?;
    std::fs::write(folder.join(MARKER), "Emptied by the next `counterfoil demo`.\n").map_err(words)
}

fn config(arguments: &DemoArguments, provider: SocketAddr) -> Config {
    let mut config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        dashboard_listen: arguments.dashboard_listen,
        data: arguments.data.clone(),
        ..Config::default()
    };
    for name in ["openai", "anthropic"] {
        let entry = config.providers.entry(name.to_owned()).or_default();
        entry.base_url = Some(format!("http://{provider}"));
    }
    config
}

/// Sends the month's calls. Calls of one hour that follow each other go out together, at the time
/// of the first; the clock moves only while nothing is under way.
async fn lay_down(
    calls: &[PlannedCall],
    story: &StoryClock,
    running: &Running,
    client: &UpstreamClient,
) -> Result<(), String> {
    let mut rest = calls;
    let mut progress = Progress::new(calls.len(), io::stderr().is_terminal());
    while let Some(first) = rest.first() {
        let same_hour = |call: &&PlannedCall| call.at.hour() == first.at.hour();
        let together = rest.iter().take(AT_ONCE).take_while(same_hour).count();
        let (group, later) = rest.split_at(together);
        story.set(first.at);
        let mut under_way = JoinSet::new();
        for call in group {
            under_way.spawn(send(client.clone(), request(running, call)?));
        }
        while let Some(sent) = under_way.join_next().await {
            sent.map_err(words)??;
        }
        rest = later;
        // Whether somebody reads along or not, the month goes on.
        drop(progress.advance(together, &mut io::stderr()));
    }
    Ok(())
}

fn request(running: &Running, call: &PlannedCall) -> Result<Request<UpstreamBody>, String> {
    let provider = match call.side {
        Side::OpenAi => "openai",
        Side::Anthropic => "anthropic",
    };
    let url = format!("{}/@{}/{provider}{}", running.proxy_url(), call.team, call.path);
    let body = Bytes::from(call.body.to_string());
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json");
    let request = match call.side {
        Side::OpenAi => request.header(header::AUTHORIZATION, format!("Bearer {}", call.secret)),
        Side::Anthropic => {
            request.header("x-api-key", &call.secret).header("anthropic-version", "2023-06-01")
        }
    };
    request.body(UpstreamBody::pieces([body])).map_err(words)
}

async fn send(client: UpstreamClient, request: Request<UpstreamBody>) -> Result<(), String> {
    let answer = client.send(request).await.map_err(words)?;
    answer.into_body().collect().await.map(drop).map_err(words)
}

/// Waits until everything written so far is in the books, counts included.
async fn posted(running: &Running) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut last = 0;
    loop {
        let written = running.journal().health().committed_n;
        let cursor = posting::cursor(running.books(), running.journal().node()).await;
        let in_books = cursor.map_err(words)?.map_or(0, |cursor| cursor.posted_n);
        let is_quiet = written == last;
        if is_quiet && i64::try_from(written).is_ok_and(|written| in_books >= written) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{in_books} of {written} records are in the books after 60 s"));
        }
        last = written;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// The bill is written as files, imported as files, and explained.
async fn explain(
    arguments: &DemoArguments,
    sandbox: &Sandbox,
    period: BillingPeriod,
    running: &Running,
    clock: &Clock,
) -> Result<(), String> {
    let folder = arguments.data.join("exports");
    std::fs::create_dir_all(&folder).map_err(words)?;
    let personal_key = Fingerprinter::open(&arguments.data).map_err(words)?.personal_key();
    let books = running.books();
    let choice = ImportChoice { account: None, personal_key };
    let mut openai_total = Vec::new();
    for file in bill::month(sandbox, period, &month::faults()).map_err(words)? {
        let path = folder.join(&file.name);
        std::fs::write(&path, &file.bytes).map_err(words)?;
        let export = ExportFile { name: file.name, bytes: ExportBytes::Path(path) };
        let imported = import::import(books, &export, &choice, clock.now()).await.map_err(words)?;
        for one in imported.iter().filter(|one| one.provider == "openai") {
            for sum in one.sums.values() {
                openai_total.push(parse_decimal(sum).map_err(words)?);
            }
        }
    }
    let credit = parse_decimal(month::DOCUMENT_CREDIT).map_err(words)?;
    let total = exact_sum(openai_total).and_then(|sum| exact_sub(sum, credit));
    let prices = PriceTable::builtin().map_err(words)?;
    for provider in ["openai", "anthropic"] {
        let month = Month { provider: ProviderName::new(provider), account: None, period };
        if provider == "openai" {
            let document = DocumentWords {
                total: total.map(canonical_text),
                tax: None,
                credits: Some(month::DOCUMENT_CREDIT.to_owned()),
            };
            close::say_document(books, &month, &document, "demo", clock).await.map_err(words)?;
        }
        let explained = close::explain(books, &prices, &month, clock).await.map_err(words)?;
        for sentence in explained.report.verdict.sentences {
            print(&format!("  {}", sentence.replace("**", "")));
        }
    }
    Ok(())
}

/// A call every second or so, picked from the month.
async fn live(calls: &[PlannedCall], running: &Running, client: &UpstreamClient) {
    let mut state = SEED;
    let mut under_way = JoinSet::new();
    loop {
        let at = usize::try_from(next(&mut state) % calls.len().max(1) as u64).unwrap_or(0);
        if let Some(Ok(request)) = calls.get(at).map(|call| request(running, call)) {
            under_way.spawn(send(client.clone(), request));
        }
        // A live call may fail as it likes; the record of it is the point.
        while under_way.try_join_next().is_some() {}
        let pause = Duration::from_millis(between(&mut state, 300, 1_800));
        tokio::time::sleep(pause).await;
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(on_terminal: bool) -> String {
        let mut progress = Progress::new(1_000, on_terminal);
        let mut out = Vec::new();
        for _ in 0..200 {
            progress.advance(5, &mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_log_gets_a_few_plain_lines_and_a_terminal_its_bar() {
        let log = written(false);
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.first(), Some(&"250 of 1000 requests laid down"));
        assert_eq!((lines.len(), lines[3]), (4, "1000 of 1000 requests laid down"));
        assert!(!log.contains('\r'));
        let bar = written(true);
        assert_eq!((bar.matches('\r').count(), bar.matches('\n').count()), (200, 1));
    }
}
