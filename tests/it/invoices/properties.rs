//! Whatever the bytes: no panic, no row lost without a word, and columns in any order.

use proptest::prelude::*;

use crate::invoice_files::{every_file, fixtures};
use crate::invoices::reading::{imported, read, read_one};

const COLUMNS: [&str; 12] = [
    "usage_date_utc",
    "model",
    "workspace",
    "api_key",
    "usage_type",
    "context_window",
    "token_type",
    "cost_usd",
    "list_price_usd",
    "cost_type",
    "inference_geo",
    "speed",
];

/// A row of an export as the Console could print it; cells with anything in them.
fn row() -> impl Strategy<Value = Vec<String>> {
    let word = "[ -~≤é\n]{0,12}";
    let token_type = prop::sample::select(vec!["input_no_cache", "output", "input_cache_read"]);
    (1_u32..29, word, word, word, token_type, -99_999_i64..99_999).prop_map(
        |(day, model, workspace, key, token_type, cents)| {
            let sign = if cents < 0 { "-" } else { "" };
            let amount = format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100);
            let date = format!("2026-08-{day:02}");
            [
                &date,
                model.as_str(),
                &workspace,
                &key,
                "message",
                "≤ 200k",
                token_type,
                &amount,
                &amount,
                "token",
                "global",
                "",
            ]
            .map(str::to_owned)
            .to_vec()
        },
    )
}

fn written(columns: &[usize], rows: &[Vec<String>]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|at| COLUMNS[*at])).unwrap();
    for row in rows {
        writer.write_record(columns.iter().map(|at| row[*at].as_str())).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn columns_in_any_order_give_the_same_lines(
        rows in prop::collection::vec(row(), 1..8),
        order in Just((0..COLUMNS.len()).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let straight: Vec<usize> = (0..COLUMNS.len()).collect();
        let one = imported("cost.csv", &written(&straight, &rows));
        let other = imported("cost.csv", &written(&order, &rows));
        prop_assert_eq!(one.rows, other.rows);
        prop_assert_eq!(one.summary.sums, other.summary.sums);
    }

    #[test]
    fn the_raw_cells_rebuild_every_row(rows in prop::collection::vec(row(), 1..8)) {
        let straight: Vec<usize> = (0..COLUMNS.len()).collect();
        let read = imported("cost.csv", &written(&straight, &rows));
        prop_assert_eq!(read.cells, rows);
    }

    #[test]
    fn a_cut_is_never_silent(rows in prop::collection::vec(row(), 2..5), part: prop::sample::Index) {
        let straight: Vec<usize> = (0..COLUMNS.len()).collect();
        let text = written(&straight, &rows);
        let at = part.index(text.len() + 1);
        let Ok(read) = read_one("cost.csv", &text.as_bytes()[..at]) else { return Ok(()) };
        if read.summary.is_clean() {
            let said = read.summary.warnings.join(" ");
            prop_assert!(said.contains("cannot be proved") || said.contains("no rows"), "{}", said);
            for (whole, kept) in rows.iter().zip(&read.cells) {
                // What was kept is a whole row, but for a last one that ends where the file does.
                let last = Some(kept) == read.cells.last();
                prop_assert!(kept == whole || (last && !text.as_bytes()[..at].ends_with(b"\n")));
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read("any", &bytes);
        let behind = [b"usage_date_utc,model,token_type,cost_usd\n".as_slice(), &bytes].concat();
        let _ = read("any", &behind);
        let behind = [b"start_time,end_time,amount_value,amount_currency\n".as_slice(), &bytes].concat();
        let _ = read("any", &behind);
        let zip = [b"PK\x03\x04".as_slice(), &bytes].concat();
        let _ = read("any", &zip);
        let gzip = [b"\x1f\x8b\x08\0".as_slice(), &bytes].concat();
        let _ = read("any", &gzip);
        let wide = [b"\xff\xfe".as_slice(), &bytes].concat();
        let _ = read("any", &wide);
    }

    #[test]
    fn no_changed_byte_of_a_real_layout_panics(
        file in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let files = every_file(&fixtures());
        let path = file.get(&files);
        let mut bytes = std::fs::read(path).unwrap();
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let _ = read(&path.to_string_lossy(), &bytes);
    }

    #[test]
    fn no_cells_panic(cells in prop::collection::vec("\\PC{0,20}", 4), header in 0..4_usize) {
        let header = [
            "usage_date_utc,model,token_type,cost_usd",
            "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_output_tokens",
            "start_time,end_time,amount_value,amount_currency,line_item",
            "start_time,end_time,model,input_tokens,output_tokens",
        ][header];
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        writer.write_record(header.split(',')).unwrap();
        writer.write_record(&cells).unwrap();
        let _ = read("any", &writer.into_inner().unwrap());
    }
}

#[test]
fn every_cut_of_every_fixture_is_refused_or_warned_of() {
    let folder = fixtures().join("reconstructed");
    for path in
        every_file(&folder.join("openai")).into_iter().chain(every_file(&folder.join("anthropic")))
    {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let Ok(whole) = read_one(&name, &bytes) else { continue };
        for end in 0..bytes.len() {
            let Ok(cut) = read_one(&name, &bytes[..end]) else { continue };
            let fewer = cut.summary.rows.all() < whole.summary.rows.all() || cut.rows != whole.rows;
            if cut.summary.is_clean() && fewer {
                assert!(!cut.summary.warnings.is_empty(), "{name} cut at {end}");
            }
        }
    }
}
