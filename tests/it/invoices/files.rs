//! Real, reconstructed and hostile invoice files: imported to the last digit, or refused by name.

use counterfoil::money::{Currency, canonical_text, parse_decimal};

use crate::invoice_files::{every_file, fixtures, shared};
use crate::invoices::reading::{imported, read, read_one, refused};

#[test]
fn the_files_of_both_providers_add_up_to_the_digit() {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut checked = 0;
    for (name, file) in expected["files"].as_object().unwrap() {
        if !name.contains("/openai/") && !name.contains("/anthropic/") {
            continue;
        }
        let folder = if name.starts_with("real/") { shared() } else { Some(fixtures()) };
        let Some(folder) = folder else { continue };
        let read = imported(name, &std::fs::read_to_string(folder.join(name)).unwrap());
        let sum = parse_decimal(file["sum"].as_str().unwrap()).unwrap();
        assert_eq!(read.sum(), canonical_text(sum), "{name}");
        assert_eq!(read.summary.rows.all(), file["rows"].as_u64().unwrap(), "{name}");
        let with_amount = file["rows_with_amount"].as_u64().unwrap();
        assert_eq!(read.summary.rows.billed_lines, with_amount, "{name}");
        checked += 1;
    }
    assert!(checked >= 2);
}

#[test]
fn both_pairs_of_equal_looking_rows_of_the_real_export_are_kept() {
    let Some(folder) = shared() else { return };
    let name = "claude_api_cost_2026_06_18_to_2026_07_05.csv";
    let text = std::fs::read_to_string(folder.join("real/anthropic").join(name)).unwrap();
    let read = imported(name, &text);
    assert_eq!(read.sum(), "190.34");
    assert_eq!(read.rows.len(), 62);
    for amount in ["9.22", "11.63", "16.50", "44.40"] {
        let amount = parse_decimal(amount).unwrap();
        assert!(read.lines().any(|line| line.billed_cost == amount), "{amount}");
    }
    let list = read.summary.list_sums.get(&Currency::USD).unwrap();
    assert_eq!(canonical_text(*list), "190.34");
    assert_eq!(read.summary.first_day().unwrap().to_string(), "2026-06-18");
}

/// What becomes of a hostile file.
enum Fate {
    /// Imported with this sum.
    Sum(&'static str),
    /// Refused at this row for a reason with these words.
    Row(u64, &'static str),
    /// Refused as a whole, with these words.
    Whole(&'static str),
}

const HOSTILE: &[(&str, Fate)] = &[
    ("01_bom_crlf.csv", Fate::Sum("0.07")),
    ("03_utf16be_no_bom.csv", Fate::Sum("0.07")),
    ("05_semicolon_decimal_comma.csv", Fate::Sum("0.07")),
    ("07_quoted_newline.csv", Fate::Sum("0.07")),
    ("09_truncated_inside_quote.csv", Fate::Row(3, "never closed")),
    ("11_cr_only_line_endings.csv", Fate::Sum("0.07")),
    ("13_exact_duplicate_rows.csv", Fate::Sum("0.12")),
    ("15_totals_row.csv", Fate::Sum("0.07")),
    ("17_scientific_notation.csv", Fate::Sum("0.05")),
    ("19_not_a_number.csv", Fate::Row(1, "NaN")),
    ("21_duplicate_header.csv", Fate::Whole("\"cost_usd\" twice (columns 8 and 9)")),
    ("23_reordered_columns.csv", Fate::Sum("0.05")),
    ("25_ragged_row_long.csv", Fate::Row(3, "14 cells, the header 12")),
    ("27_empty.csv", Fate::Whole("empty")),
    ("29_nul_bytes.csv", Fate::Row(1, "token_type: the cell holds a NUL byte")),
    ("31_git_lfs_pointer.csv", Fate::Whole("git-LFS pointer")),
    ("33_preamble_before_header.csv", Fate::Whole("Google Cloud billing cost table")),
    ("35_mixed_utc_offsets.csv", Fate::Whole("DeepSeek cost export")),
    ("37_excel_mangled.csv", Fate::Row(1, "spreadsheet")),
    ("39_smart_quotes.csv", Fate::Row(1, "typographic quotes")),
    ("41_zip_two_csvs_plus_macos_junk.zip", Fate::Whole("DeepSeek")),
    ("43_zip_no_csv.zip", Fate::Whole("no CSV file (it holds readme.txt)")),
    ("45_gzip_wrong_extension.csv", Fate::Sum("0.07")),
    ("47_very_long_field.csv", Fate::Sum("0.07")),
    ("49_whitespace_padding.csv", Fate::Sum("0.07")),
    ("51_truncated_inside_last_quoted_field.csv", Fate::Row(3, "never closed")),
];

#[test]
fn every_hostile_file_is_imported_exactly_or_refused_with_row_and_reason() {
    let folder = fixtures().join("hostile");
    let names: Vec<String> = every_file(&folder)
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let listed: Vec<&str> = HOSTILE.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, listed, "every file has its fate");
    for (name, fate) in HOSTILE {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        match fate {
            Fate::Sum(sum) => {
                let read = read_one(name, &bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
                assert!(read.summary.is_clean(), "{name}: {:?}", read.summary.problems);
                assert_eq!(read.sum(), *sum, "{name}");
            }
            Fate::Row(row, words) => {
                let said = refused(name, &bytes);
                assert!(said.starts_with(&format!("row {row}, ")), "{name}: {said}");
                assert!(said.contains(words), "{name}: {said}");
            }
            Fate::Whole(words) => {
                let said = refused(name, &bytes);
                assert!(said.contains(words), "{name}: {said}");
            }
        }
    }
}

#[test]
fn another_providers_file_is_refused_by_its_name() {
    let mut folders = vec![fixtures().join("reconstructed")];
    folders.extend(shared().map(|folder| folder.join("real")));
    let mut seen = 0;
    for path in folders.iter().flat_map(|folder| every_file(folder)) {
        let shown = path.to_string_lossy().into_owned();
        let foreign = [
            ("/openrouter/", "OpenRouter"),
            ("/gcp/", "Google Cloud"),
            ("/azure/", "Azure"),
            ("/aws/", "AWS"),
            ("/focus/", "FOCUS"),
            ("/deepseek/", "DeepSeek"),
            ("/mistral/", "Mistral"),
            ("/fireworks/", "Fireworks"),
        ];
        let json = shown.ends_with(".json");
        let provider =
            if let Some((_, name)) = foreign.iter().find(|(part, _)| shown.contains(part)) {
                *name
            } else if json && shown.contains("/openai/") {
                "OpenAI"
            } else if json && shown.contains("/anthropic/") {
                "Anthropic"
            } else {
                continue;
            };
        // Notes and header fragments are no exports.
        let odd = ["README.md"];
        if odd.iter().any(|name| shown.ends_with(name)) {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        for (part, read) in read(&name, &bytes).unwrap() {
            let said = read.err().map_or("imported".into(), |refusal| refusal.to_string());
            assert!(said.contains(provider), "{shown} {part}: {said}");
            assert!(said.contains("are imported so far") || name.ends_with(".json"), "{said}");
        }
        seen += 1;
    }
    assert!(seen >= 14, "{seen} files of other providers");
}
