//! What a CSV comes wrapped in, and what comes in its place.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::invoices::reading::{read, read_one, refused};

const CSV: &str =
    "usage_date_utc,model,token_type,cost_usd\n2026-08-04,Claude Haiku 4.5,output,0.05\n";

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_gzip_is_known_by_its_bytes_and_read_through_all_its_members() {
    let (head, tail) = CSV.as_bytes().split_at(60);
    let members = [gzipped(head), gzipped(tail)].concat();
    for bytes in [gzipped(CSV.as_bytes()), members] {
        assert_eq!(read_one("costs.csv", &bytes).unwrap().sum(), "0.05");
    }
}

#[test]
fn a_cut_gzip_is_refused_with_the_byte_it_came_to() {
    let whole = gzipped(CSV.as_bytes());
    for end in 3..whole.len() {
        let said = refused("costs.csv.gz", &whole[..end]);
        assert!(said.contains("gzip is damaged or cut off"), "{end}: {said}");
        assert!(said.contains("bytes were unpacked"), "{end}: {said}");
    }
    let mut flipped = whole.clone();
    let at = flipped.len() - 6;
    flipped[at] ^= 0x55;
    assert!(refused("costs.csv.gz", &flipped).contains("damaged"), "a wrong checksum");
    let trailing = [whole, b"rubbish".to_vec()].concat();
    assert!(
        refused("costs.csv.gz", &trailing).contains("damaged"),
        "rubbish behind the last member"
    );
}

#[test]
fn a_zip_of_several_exports_is_several_files_and_names_in_it_are_never_paths() {
    let gzip = gzipped(CSV.as_bytes());
    let bytes = zipped(&[
        ("__MACOSX/._cost.csv", b"junk".as_slice()),
        (".DS_Store", b"junk"),
        ("export/cost.csv", CSV.as_bytes()),
        ("../../etc/evil.csv", CSV.as_bytes()),
        ("C:\\windows\\third.csv", CSV.as_bytes()),
        ("packed.csv.gz", &gzip),
        ("bad.csv", b"hello,world\n"),
        ("readme.txt", b"not a csv"),
    ]);
    let parts = read("export.zip", &bytes).unwrap();
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["cost.csv", "evil.csv", "third.csv", "packed.csv.gz", "bad.csv"]);
    for (name, part) in parts {
        match part {
            Ok(read) => assert_eq!(read.sum(), "0.05", "{name}"),
            Err(refusal) => assert!(refusal.to_string().contains("no known header"), "{name}"),
        }
    }
}

#[test]
fn a_zip_without_a_csv_or_cut_or_changed_is_refused() {
    assert!(refused("a.zip", &zipped(&[("readme.txt", b"x")])).contains("no CSV file"));
    assert!(refused("a.zip", &zipped(&[])).contains("no CSV file"));
    let whole = zipped(&[("cost.csv", CSV.as_bytes())]);
    for end in 4..whole.len() {
        let said = refused("cost.zip", &whole[..end]);
        assert!(said.contains("zip"), "{end}: {said}");
    }
    let mut changed = whole;
    changed[45] ^= 0xff;
    assert!(
        refused("cost.zip", &changed).contains("damaged"),
        "a changed byte breaks the checksum"
    );
}

#[test]
fn an_encrypted_zip_is_refused_by_that_word() {
    let plain = zipped(&[("cost.csv", CSV.as_bytes())]);
    let mut locked = plain.clone();
    // The lowest bit of the flags says so, in the entry's own header and in the directory's.
    let directory = plain.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    for flags in [6, directory + 8] {
        locked[flags] |= 1;
    }
    let said = refused("cost.zip", &locked);
    assert!(said.contains("encrypted"), "{said}");
}

#[test]
fn what_unpacks_beyond_reason_is_stopped() {
    let row = format!("2026-08-04,{},output,0.05\n", "x".repeat(50_000));
    let bomb = format!("{CSV}{}", row.repeat((24 << 20) / row.len())).into_bytes();
    let said = refused("bomb.csv.gz", &gzipped(&bomb));
    assert!(said.contains("more than 200 to 1"), "{said}");
    let said = refused("bomb.zip", &zipped(&[("bomb.csv", &bomb)]));
    assert!(said.contains("more than 200 to 1"), "{said}");
    let names: Vec<String> = (0..300).map(|at| format!("{at}.csv")).collect();
    let many: Vec<(&str, &[u8])> =
        names.iter().map(|name| (name.as_str(), CSV.as_bytes())).collect();
    assert!(refused("many.zip", &zipped(&many)).contains("300 entries"));
}

#[test]
fn a_short_repetitive_file_is_no_bomb() {
    let row = "2026-08-04,Claude Haiku 4.5,output,0.05\n";
    let text = format!("{CSV}{}", row.repeat(20_000));
    let packed = gzipped(text.as_bytes());
    assert!(text.len() / packed.len() > 200);
    assert_eq!(read_one("costs.csv.gz", &packed).unwrap().sum(), "1000.05");
}

#[test]
fn what_is_no_csv_is_called_by_its_name_and_told_what_to_do() {
    let workbook = zipped(&[("[Content_Types].xml", b"x"), ("xl/workbook.xml", b"x")]);
    let twice = gzipped(&gzipped(CSV.as_bytes()));
    for (name, bytes, words) in [
        ("a.xlsx", workbook.as_slice(), "Excel workbook (xlsx)"),
        ("a.xls", b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "old Excel workbook"),
        ("a.pdf", b"%PDF-1.7\n%", "PDF document"),
        ("a.csv", b"<!DOCTYPE html><html><title>Sign in</title>", "web page"),
        ("a.csv", b"  \n<html lang=en>", "web page"),
        ("a.csv", b"<?xml version='1.0'?><Error/>", "XML"),
        ("a.csv", br#"{"error":{"message":"Incorrect API key"}}"#, "error answer"),
        ("a.csv", b"[1,2,3]", "JSON text"),
        ("a.csv", b"PAR1\0\0", "Parquet"),
        ("a.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-LFS"),
        ("a.gz", &twice, "gzip inside"),
        ("a.csv", b"", "empty"),
        ("a.csv", b" \r\n\r\n", "empty"),
        ("a.csv", b"\xef\xbb\xbf", "empty"),
        ("a.csv", b"\xff\xfe\0\0u\0\0\0", "UTF-32"),
        ("a.csv", &gzipped(b""), "empty"),
    ] {
        let said = refused(name, bytes);
        assert!(said.contains(words), "{name}: {said}");
        assert!(!said.contains("Incorrect"), "nothing of an error body is repeated: {said}");
    }
}
