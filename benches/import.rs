//! Import: our reader against the bare `csv` crate on the same bytes, in the same run.
//!
//! `cargo bench --bench import -- [MEGABYTES]`; 64 MB unless told.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its figures and stops where it cannot go on"
)]

use std::fmt::Write as _;
use std::io::Cursor;
use std::time::{Duration, Instant};

use counterfoil::invoice::export::Export;
use counterfoil::invoice::rows::Row;

const ROUNDS: usize = 5;

fn main() {
    let megabytes =
        std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(64);
    let before = peak_memory();
    for (name, text) in [
        ("OpenAI cost", openai_cost(megabytes << 20)),
        ("Anthropic cost", anthropic_cost(megabytes << 20)),
    ] {
        compare(name, text.as_bytes());
        drop(text);
    }
    // The input is held in memory to time the reading alone; what the reader adds is the rest.
    println!("peak memory: {} before, {} after (the input included)", before, peak_memory());
}

fn compare(name: &str, bytes: &[u8]) {
    let (mut bare, mut ours, mut with_cells) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = (0, 0);
    for _ in 0..ROUNDS {
        let (time, count) = timed(|| bare_csv(bytes));
        bare.push(time);
        rows.0 = count;
        let (time, count) = timed(|| our_reader(bytes, false));
        ours.push(time);
        rows.1 = count;
        with_cells.push(timed(|| our_reader(bytes, true)).0);
    }
    assert_eq!(rows.0, rows.1, "both read every row");
    let (bare, ours, with_cells) = (median(bare), median(ours), median(with_cells));
    let speed = |time: Duration| bytes.len() as u128 / time.as_micros().max(1);
    println!("{name}: {} rows, {} MB", rows.0, bytes.len() >> 20);
    println!("  bare csv crate      {:>5} MB/s", speed(bare));
    println!("  rows to lines       {:>5} MB/s  {}", speed(ours), ratio(bare, ours));
    println!("  and raw cells kept  {:>5} MB/s  {}", speed(with_cells), ratio(bare, with_cells));
}

fn ratio(bare: Duration, ours: Duration) -> String {
    let percent = bare.as_micros() * 100 / ours.as_micros().max(1);
    format!("{}.{:02} x the bare crate", percent / 100, percent % 100)
}

fn timed(run: impl FnOnce() -> u64) -> (Duration, u64) {
    let start = Instant::now();
    let count = run();
    (start.elapsed(), count)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn bare_csv(bytes: &[u8]) -> u64 {
    let mut reader = csv::Reader::from_reader(bytes);
    let mut record = csv::StringRecord::new();
    let mut rows = 0;
    while reader.read_record(&mut record).unwrap() {
        rows += 1;
    }
    rows
}

fn our_reader(bytes: &[u8], keep_cells: bool) -> u64 {
    let mut export = Export::open("export.csv", Cursor::new(bytes), b"a key").unwrap();
    let mut rows = export.read(0).unwrap();
    let (mut count, mut cells) = (0, Vec::new());
    while let Some(placed) = rows.next_row().unwrap() {
        count += u64::from(matches!(placed.row, Row::Line(_)));
        if keep_cells {
            cells.clear();
            serde_json::to_writer(&mut cells, &placed.cells).unwrap();
        }
    }
    assert!(rows.finish().unwrap().is_clean());
    count
}

fn openai_cost(bytes: usize) -> String {
    let mut text = String::from(
        "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,\
         quantity_unit,line_item,user_id,api_key_id,project_id,organization_id,project_name,\
         organization_name,user_email,api_source\n",
    );
    const ITEMS: [&str; 4] = [
        "gpt-4o-mini-2024-07-18, input",
        "gpt-5.5-2026-04-23, cached input",
        "gpt-5.6-luna, output",
        "priority | gpt-5.6-sol, output, long context",
    ];
    let mut row = 0_u64;
    while text.len() < bytes {
        let day = row / 2_000 % 28;
        let start = 1_788_220_800 + day * 86_400;
        let (end, tokens) = (start + 86_400, row.wrapping_mul(7_919) % 9_000_000);
        let item = ITEMS[usize::try_from(row % 4).unwrap()];
        writeln!(
            text,
            "{start},{end},2026-09-{:02}T00:00:00,2026-09-{:02}T00:00:00,\
             0.{tokens:09}000000000000000000000,usd,{tokens}.0,tokens,\"{item}\",,key_{:04},\
             proj_{:03},org-EXAMPLE,Search and ranking,Example,,",
            day + 1,
            day + 2,
            row % 500,
            row % 40,
        )
        .unwrap();
        row += 1;
    }
    text
}

fn anthropic_cost(bytes: usize) -> String {
    let mut text = String::from(
        "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,\
         list_price_usd,cost_type,inference_geo,speed,api_key_id,api_key_status\n",
    );
    const TYPES: [&str; 4] =
        ["input_no_cache", "input_cache_read", "input_cache_write_5m", "output"];
    let mut row = 0_u64;
    while text.len() < bytes {
        let cents = row.wrapping_mul(7_919) % 100_000;
        writeln!(
            text,
            "2026-08-{:02},Claude Haiku 4.5,Default,key {:03},message,≤ 200k,{},{}.{:02},{}.{:02},\
             token,not_available,,apikey_{:04},active",
            row / 2_000 % 31 + 1,
            row % 300,
            TYPES[usize::try_from(row % 4).unwrap()],
            cents / 100,
            cents % 100,
            cents / 100,
            cents % 100,
            row % 300,
        )
        .unwrap();
        row += 1;
    }
    text
}

/// The most memory this process ever held, as the system counts it, where it does.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.map_or("unknown".into(), |line| line["VmHWM:".len()..].trim().to_owned())
}
