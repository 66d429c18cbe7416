//! Import: our reader against the bare `csv` crate on the same file, in the same run.
//!
//! `cargo bench --bench import -- [MEGABYTES]`; 64 MB a file unless told.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its figures and stops where it cannot go on"
)]

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil::invoice::export::Export;
use counterfoil::invoice::rows::Row;

const ROUNDS: usize = 7;

fn main() {
    let megabytes: u64 =
        std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(64);
    let folder = tempfile::tempdir().unwrap();
    for (name, header, row) in [
        ("OpenAI cost, by line item", OPENAI, openai_row as fn(u64) -> String),
        ("Anthropic cost", ANTHROPIC, anthropic_row),
    ] {
        let path = folder.path().join("export.csv");
        let bytes = generate(&path, header, row, megabytes << 20);
        compare(name, &path, bytes);
    }
    println!("peak memory of the whole run: {}", peak_memory());
}

/// Each way is run in turn, so that a noisy machine is noisy for all; the fastest round counts.
fn compare(name: &str, path: &Path, bytes: u64) {
    let mut best = [Duration::MAX; 4];
    let mut rows = [0; 4];
    for _ in 0..ROUNDS {
        let ways: [&dyn Fn() -> u64; 4] =
            [&|| bare_csv(path), &|| csv_records(path), &|| our_reader(path, false), &|| {
                our_reader(path, true)
            }];
        for (way, (best, rows)) in ways.iter().zip(best.iter_mut().zip(&mut rows)) {
            let start = Instant::now();
            *rows = way();
            *best = start.elapsed().min(*best);
        }
    }
    assert!(rows.iter().all(|count| *count == rows[0]), "every way reads every row");
    println!("{name}: {} rows, {} MB", rows[0], bytes >> 20);
    let names = [
        "csv crate, one record reused",
        "csv crate, records()",
        "rows to billed lines",
        "and raw cells as stored",
    ];
    for (name, time) in names.iter().zip(best) {
        let speed = u128::from(bytes) / time.as_micros().max(1);
        let (reused, fresh) = (ratio(best[0], time), ratio(best[1], time));
        println!("  {name:<29} {speed:>5} MB/s   {reused} x reused   {fresh} x records()");
    }
}

fn ratio(bare: Duration, ours: Duration) -> String {
    let percent = bare.as_micros() * 100 / ours.as_micros().max(1);
    format!("{}.{:02}", percent / 100, percent % 100)
}

fn bare_csv(path: &Path) -> u64 {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let mut record = csv::StringRecord::new();
    let mut rows = 0;
    while reader.read_record(&mut record).unwrap() {
        rows += 1;
    }
    rows
}

fn csv_records(path: &Path) -> u64 {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.records().map(|record| u64::from(!record.unwrap().is_empty())).sum()
}

fn our_reader(path: &Path, keep_cells: bool) -> u64 {
    let mut export = Export::open("export.csv", File::open(path).unwrap(), b"a key").unwrap();
    let mut rows = export.read(0).unwrap();
    let (mut count, mut cells) = (0, String::new());
    while let Some(placed) = rows.next_row().unwrap() {
        count += u64::from(matches!(placed.row, Row::Line(_)));
        if keep_cells {
            cells.clear();
            placed.cells.write_json(&mut cells);
            std::hint::black_box(&cells);
        }
    }
    assert!(rows.finish().unwrap().is_clean());
    count
}

fn generate(path: &Path, header: &str, row: fn(u64) -> String, wanted: u64) -> u64 {
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(header.as_bytes()).unwrap();
    let mut written = header.len() as u64;
    for number in 0.. {
        let line = row(number);
        file.write_all(line.as_bytes()).unwrap();
        written += line.len() as u64;
        if written >= wanted {
            break;
        }
    }
    file.flush().unwrap();
    written
}

const OPENAI: &str = "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,\
                      quantity,quantity_unit,line_item,user_id,api_key_id,project_id,\
                      organization_id,project_name,organization_name,user_email,api_source\n";

fn openai_row(row: u64) -> String {
    const ITEMS: [&str; 4] = [
        "gpt-4o-mini-2024-07-18, input",
        "gpt-5.5-2026-04-23, cached input",
        "gpt-5.6-luna, output",
        "priority | gpt-5.6-sol, output, long context",
    ];
    let day = row / 2_000 % 28;
    let start = 1_788_220_800 + day * 86_400;
    let (end, tokens) = (start + 86_400, row.wrapping_mul(7_919) % 9_000_000);
    let item = ITEMS[usize::try_from(row % 4).unwrap()];
    format!(
        "{start},{end},2026-09-{:02}T00:00:00,2026-09-{:02}T00:00:00,\
         0.{tokens:09}000000000000000000000,usd,{tokens}.0,tokens,\"{item}\",,key_{:04},\
         proj_{:03},org-EXAMPLE,Search and ranking,Example,,\n",
        day + 1,
        day + 2,
        row % 500,
        row % 40,
    )
}

const ANTHROPIC: &str = "usage_date_utc,model,workspace,api_key,usage_type,context_window,\
                         token_type,cost_usd,list_price_usd,cost_type,inference_geo,speed,\
                         api_key_id,api_key_status\n";

fn anthropic_row(row: u64) -> String {
    const TYPES: [&str; 4] =
        ["input_no_cache", "input_cache_read", "input_cache_write_5m", "output"];
    let cents = row.wrapping_mul(7_919) % 100_000;
    let amount = format!("{}.{:02}", cents / 100, cents % 100);
    format!(
        "2026-08-{:02},Claude Haiku 4.5,Default,key {:03},message,≤ 200k,{},{amount},{amount},\
         token,not_available,,apikey_{:04},active\n",
        row / 2_000 % 31 + 1,
        row % 300,
        TYPES[usize::try_from(row % 4).unwrap()],
        row % 300,
    )
}

/// The most memory this process ever held, as the system counts it, where it does.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.map_or("unknown".into(), |line| line["VmHWM:".len()..].trim().to_owned())
}
