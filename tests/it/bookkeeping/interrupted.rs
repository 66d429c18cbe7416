//! Imports that are cut off, run out of room, run beside a gateway, or are very large.

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use counterfoil::config::Config;
use counterfoil::serve::{self, ServeOptions};
use serde_json::json;

use crate::bookkeeping::house::{House, Ran, cost, number};

/// A cost export of the last of October as large as asked, each row one cent.
fn large(house: &House, rows: usize) -> PathBuf {
    let path = house.folder.path().join("large.csv");
    let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
    file.write_all(cost(&[]).as_bytes()).unwrap();
    for row in 0..rows {
        let start = 1_790_812_800 + (row % 31) * 86_400;
        let mut line = String::new();
        let day = row % 31 + 1;
        write!(line, "{start},{},2026-10-{day:02}T00:00:00+00:00,,0.01,usd,", start + 86_400)
            .unwrap();
        writeln!(line, "\"gpt-5-2025-08-07, input\",proj_{row:032},org-1").unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
    file.flush().unwrap();
    path
}

fn begin(house: &House, file: &Path) -> Child {
    let words = ["import".as_ref(), "--json".as_ref(), file.as_os_str()];
    let mut command = house.command(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[tokio::test]
async fn an_import_killed_in_the_middle_leaves_nothing_to_be_seen_and_a_new_one_works() {
    let house = House::new();
    let small = house.imported(&house.file("small.csv", cost(&[(1, "5", "gpt-5, input")])));
    let file = large(&house, 40_000);
    let mut child = begin(&house, &file);
    let books = house.books().await;
    loop {
        if number(&books, "SELECT COUNT(*) FROM billed_lines").await > 2_000 {
            break;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    books.close().await;

    let left = house.rows().await;
    assert!(left["billed_lines"] > 2_000, "it was killed with rows in the books: {left:?}");
    assert_eq!((left["import_seals"], left["import_batches"], left["import_days"]), (1, 1, 1));
    let report = house.report("openai", "2026-10", &[]);
    assert_eq!(report["billed"], "5", "rows without a seal are in no sum");

    let whole = house.imported(&file);
    assert_eq!((&whole["sum"], &whole["unchanged"]), (&json!("400"), &json!(false)));
    assert_eq!(whole["replaced"][0]["batch"], small["batch"]);
    assert_eq!(house.report("openai", "2026-10", &[])["billed"], "400");
}

#[tokio::test]
async fn rows_a_crash_left_are_swept_a_day_later() {
    let house = House::new();
    house.imported(&house.file("small.csv", cost(&[(1, "5", "gpt-5, input")])));
    let books = house.books().await;
    // As an import of the year 2020 would have left them.
    sqlx::query(
        "INSERT INTO billed_lines SELECT '01700000-0000-7000-8000-000000000000', row, day, category, \
         currency, billed_cost, model, meter, line, raw FROM billed_lines",
    )
    .execute(books.writer())
    .await
    .unwrap();
    books.close().await;
    assert_eq!(house.rows().await["billed_lines"], 2);
    house.imported(&house.file("next.csv", cost(&[(2, "5", "gpt-5, input")])));
    assert_eq!(house.rows().await["billed_lines"], 2, "one of each sealed batch");
    assert_eq!(house.report("openai", "2026-10", &[])["billed"], "10");
}

#[cfg(unix)]
#[tokio::test]
async fn a_full_disk_leaves_the_books_as_they_were() {
    let house = House::new();
    house.imported(&house.file("small.csv", cost(&[(1, "5", "gpt-5, input")])));
    let before = house.rows().await;
    let file = large(&house, 20_000);
    // A limit on the size of a file stands in for the disk; without the signal it is an error.
    let ran = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 4096; exec \"$0\" import --json \"$1\" --data \"$2\"",
        ])
        .arg(env!("CARGO_BIN_EXE_counterfoil"))
        .arg(&file)
        .arg(house.data())
        .output()
        .unwrap();
    let ran = Ran::of(ran);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("large.csv: nothing of it was imported"), "{ran:?}");
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    assert_eq!(house.report("openai", "2026-10", &[])["billed"], "5");
    let after = house.rows().await;
    assert_eq!(after["import_seals"], before["import_seals"]);
    assert_eq!(house.imported(&file)["sum"], "200", "with room again it goes in");
}

#[tokio::test]
async fn import_and_reconcile_work_beside_a_gateway_on_the_same_folder() {
    let house = House::new();
    let text = "listen = '127.0.0.1:0'\ndashboard_listen = '127.0.0.1:0'";
    let mut config = Config::from_text(text, "test", []).unwrap();
    config.data = house.data();
    let options = ServeOptions { config, clock: serve::wall_clock(), banner: None };
    let running = serve::start(options).await.unwrap();
    let file = large(&house, 3_000);
    let ended = tokio::task::spawn_blocking(move || {
        let one = house.imported(&file);
        (house.report("openai", "2026-10", &[]), one, house)
    });
    let (report, one, house) = ended.await.unwrap();
    assert_eq!((&one["sum"], &report["billed"]), (&json!("30"), &json!("30")));
    running.shutdown(std::future::pending()).await.unwrap();
    assert_eq!(house.rows().await["billed_lines"], 3_000);
}

#[cfg(target_os = "linux")]
#[test]
fn a_large_file_is_imported_in_constant_memory() {
    // COUNTERFOIL_TEST_LARGE_ROWS=650000 makes it 100 MB.
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration to read it from")]
    let rows = std::env::var("COUNTERFOIL_TEST_LARGE_ROWS").ok().and_then(|rows| rows.parse().ok());
    let rows = rows.unwrap_or(30_000);
    let house = House::new();
    let file = large(&house, rows);
    let megabytes = std::fs::metadata(&file).unwrap().len() / 1_000_000;
    let most = most_memory(begin(&house, &file));
    println!("{megabytes} MB in {rows} rows: {most} KiB at most");
    assert!(most <= 64 * 1024, "{most} KiB for {megabytes} MB");
}

#[cfg(target_os = "linux")]
#[test]
fn rows_of_huge_cells_take_no_more_memory() {
    let house = House::new();
    let path = house.folder.path().join("huge.csv");
    let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
    file.write_all(cost(&[]).as_bytes()).unwrap();
    let project = "p".repeat(60_000);
    for _ in 0..1_500 {
        writeln!(
            file,
            "1790812800,1790899200,2026-10-01T00:00:00+00:00,,0.01,usd,\"gpt-5, input\",{project},org-1"
        )
        .unwrap();
    }
    file.flush().unwrap();
    let most = most_memory(begin(&house, &path));
    assert!(most <= 64 * 1024, "{most} KiB for 90 MB of huge cells");
}

/// Waits for an import that must succeed; the most memory it had, in KiB.
#[cfg(target_os = "linux")]
fn most_memory(mut child: Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
        most = most.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(most > 0, "no memory was seen");
    most
}
