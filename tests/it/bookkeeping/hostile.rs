//! Files as bad as they come: each imported exactly, or refused with row and reason and nothing kept.

use serde_json::{Value, json};

use crate::bookkeeping::house::House;
use crate::invoice_files::fixtures;

/// What must become of a file: its sum, or a piece of the reason.
enum Fate {
    Sum(&'static str),
    Refused(&'static str),
}
use Fate::{Refused, Sum};

const FATES: [(&str, Fate); 26] = [
    ("01_bom_crlf.csv", Sum("0.07")),
    ("03_utf16be_no_bom.csv", Sum("0.07")),
    ("05_semicolon_decimal_comma.csv", Sum("0.07")),
    ("07_quoted_newline.csv", Sum("0.07")),
    ("09_truncated_inside_quote.csv", Refused("row 3: a quote is opened")),
    ("11_cr_only_line_endings.csv", Sum("0.07")),
    ("13_exact_duplicate_rows.csv", Sum("0.12")),
    ("15_totals_row.csv", Sum("0.07")),
    ("17_scientific_notation.csv", Sum("0.05")),
    ("19_not_a_number.csv", Refused("row 1, column cost_usd")),
    ("21_duplicate_header.csv", Refused("\"cost_usd\" twice")),
    ("23_reordered_columns.csv", Sum("0.05")),
    ("25_ragged_row_long.csv", Refused("row 3: the row has 14 cells")),
    ("27_empty.csv", Refused("empty")),
    ("29_nul_bytes.csv", Refused("row 1, column token_type")),
    ("31_git_lfs_pointer.csv", Refused("git-LFS pointer")),
    ("33_preamble_before_header.csv", Refused("Google Cloud")),
    ("35_mixed_utc_offsets.csv", Refused("DeepSeek")),
    ("37_excel_mangled.csv", Refused("row 1, column usage_date_utc")),
    ("39_smart_quotes.csv", Refused("row 1: the row has 13 cells")),
    ("41_zip_two_csvs_plus_macos_junk.zip", Refused("DeepSeek")),
    ("43_zip_no_csv.zip", Refused("holds no CSV")),
    ("45_gzip_wrong_extension.csv", Sum("0.07")),
    ("47_very_long_field.csv", Sum("0.07")),
    ("49_whitespace_padding.csv", Sum("0.07")),
    ("51_truncated_inside_last_quoted_field.csv", Refused("row 3: a quote is opened")),
];

#[tokio::test]
async fn each_hostile_file_is_imported_exactly_or_refused_with_nothing_kept() {
    let folder = fixtures().join("hostile");
    let there = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(there, FATES.len(), "every file has its fate");
    // Over books that hold something already: what is there must not move either.
    let house = House::new();
    house.imported(&fixtures().join("reconstructed/openai/cost_grouped_line_item_2026-09.csv"));
    for (name, fate) in FATES {
        let before = house.rows().await;
        let (listed, ran) = house.import(&[&folder.join(name)], &["--account", name]);
        let one = &listed[0];
        match fate {
            Sum(sum) => {
                assert_eq!((ran.code, &one["sum"]), (Some(0), &json!(sum)), "{name}: {ran:?}");
                let after = house.rows().await;
                assert_eq!(after["import_seals"], before["import_seals"] + 1, "{name}");
                let lines = one["rows"]["billed_lines"].as_i64().unwrap();
                assert_eq!(after["billed_lines"], before["billed_lines"] + lines, "{name}");
            }
            Refused(reason) => {
                assert_eq!((ran.code, &one["batch"]), (Some(1), &Value::Null), "{name}: {ran:?}");
                assert!(ran.err.contains(reason), "{name}: {}", ran.err);
                assert!(ran.err.contains(name), "{name}: {}", ran.err);
                assert!(!one["problems"].as_array().unwrap().is_empty(), "{name}");
                assert_eq!(house.rows().await, before, "{name} left something behind");
            }
        }
    }
}
