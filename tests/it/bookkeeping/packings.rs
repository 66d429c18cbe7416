//! The same export plain, in a gzip and in a zip; and archives whose parts get in each other's way.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::bookkeeping::house::{House, cost, cost_of};
use crate::invoice_files::fixtures;

fn zipped(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in parts {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

const USAGE: &str = "reconstructed/anthropic/claude_api_tokens_2026_08_14col.csv";
const COST: &str = "reconstructed/anthropic/claude_api_cost_2026_08_14col.csv";

#[tokio::test]
async fn an_export_is_the_same_plain_in_a_gzip_in_a_zip_and_under_another_name() {
    let text = std::fs::read_to_string(fixtures().join(COST)).unwrap();
    let packings = [
        ("cost.csv", text.clone().into_bytes()),
        ("cost (1).csv", text.clone().into_bytes()),
        ("cost.csv.gz", gzipped(&text)),
        ("cost.zip", zipped(&[("cost.csv", &text)])),
    ];
    for (name, bytes) in &packings {
        let house = House::new();
        let one = house.imported(&house.file(name, bytes));
        assert_eq!((&one["sum"], &one["rows"]["billed_lines"]), (&json!("1.27"), &json!(4)));
        for (other, bytes) in &packings {
            let again = house.imported(&house.file(other, bytes));
            let unchanged = (&again["unchanged"], &again["batch"], &again["replaced"]);
            assert_eq!(unchanged, (&json!(true), &one["batch"], &json!([])), "{name}, {other}");
        }
        assert_eq!(house.rows().await["billed_lines"], 4);
    }
}

#[tokio::test]
async fn both_exports_of_a_zip_go_in_or_none() {
    let read = |name: &str| std::fs::read_to_string(fixtures().join(name)).unwrap();
    let (money, tokens) = (read(COST), read(USAGE));
    let house = House::new();
    let good = house.file("both.zip", zipped(&[("cost.csv", &money), ("tokens.csv", &tokens)]));
    let (listed, ran) = house.import(&[&good], &[]);
    assert_eq!((ran.code, listed.len()), (Some(0), 2), "{ran:?}");
    assert_eq!(house.rows().await["import_seals"], 2);

    let house = House::new();
    let broken = money.replacen("1", "one", 40);
    for parts in
        [[("a.csv", &broken), ("b.csv", &tokens)], [("a.csv", &tokens), ("b.csv", &broken)]]
    {
        let parts = parts.map(|(name, text)| (name, text.as_str()));
        let (_, ran) = house.import(&[&house.file("bad.zip", zipped(&parts))], &[]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(house.rows().await.values().all(|rows| *rows == 0), "{:?}", house.rows().await);
    }
}

#[tokio::test]
async fn two_exports_of_the_same_days_in_one_archive_are_refused_rather_than_one_dropped() {
    let house = House::new();
    let one = cost(&[(1, "1", "gpt-5, input"), (2, "2", "gpt-5, input")]);
    let other = cost(&[(2, "7", "gpt-5, output"), (3, "3", "gpt-5, output")]);
    let archive = house.file("two.zip", zipped(&[("one.csv", &one), ("other.csv", &other)]));
    let (listed, ran) = house.import(&[&archive], &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("one.csv and other.csv") && ran.err.contains("2026-10-02"), "{ran:?}");
    assert_eq!(listed[0]["batch"], Value::Null);
    assert!(house.rows().await.values().all(|rows| *rows == 0));

    // Of two organizations they are two bills.
    let other = cost_of("org-2", &[(2, "7", "gpt-5, output")]);
    let archive = house.file("orgs.zip", zipped(&[("one.csv", &one), ("other.csv", &other)]));
    let (listed, ran) = house.import(&[&archive], &[]);
    assert_eq!((ran.code, listed.len()), (Some(0), 2), "{ran:?}");
}

#[tokio::test]
async fn the_same_export_twice_in_one_archive_counts_once() {
    let house = House::new();
    let text = cost(&[(1, "1", "gpt-5, input")]);
    let archive = house.file("twice.zip", zipped(&[("a.csv", &text), ("a (1).csv", &text)]));
    let (listed, ran) = house.import(&[&archive], &[]);
    assert_eq!((ran.code, &listed[0]["batch"]), (Some(0), &listed[1]["batch"]), "{ran:?}");
    assert_eq!(house.rows().await["billed_lines"], 1);
}
