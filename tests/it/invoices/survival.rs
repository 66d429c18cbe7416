//! What an importer must survive: encodings, layouts, numbers, dates, totals and cuts.

use encoding_rs::WINDOWS_1252;

use crate::invoices::reading::{Kept, imported, read_one, refused};

const HEADER: &str = "usage_date_utc,model,workspace,token_type,cost_usd";
const ROWS: &str = "2026-08-04,Claude Haiku 4.5,Default,input_no_cache,0.05\n\
                    2026-08-05,Claude Haiku 4.5,Défaut ≤,output,0.02\n";

fn file() -> String {
    format!("{HEADER}\n{ROWS}")
}

fn sum(bytes: &[u8]) -> String {
    let read = read_one("cost.csv", bytes).unwrap_or_else(|refusal| panic!("{refusal}"));
    assert!(read.summary.is_clean(), "{:?}", read.summary.problems);
    read.sum()
}

fn utf16(text: &str, big: bool) -> Vec<u8> {
    text.encode_utf16()
        .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
        .collect()
}

#[test]
fn every_encoding_reads_the_same() {
    let text = file();
    let expected = read_one("cost.csv", text.as_bytes()).unwrap().rows;
    for bytes in [
        [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat(),
        utf16(&text, false),
        utf16(&text, true),
        [b"\xff\xfe".as_slice(), &utf16(&text, false)].concat(),
        [b"\xfe\xff".as_slice(), &utf16(&text, true)].concat(),
    ] {
        assert_eq!(read_one("cost.csv", &bytes).unwrap().rows, expected);
    }
}

#[test]
fn single_byte_text_is_read_where_nothing_contradicts_it_and_said() {
    let text = file().replace('≤', "–");
    let (latin, _, _) = WINDOWS_1252.encode(&text);
    let read = read_one("cost.csv", &latin).unwrap();
    assert_eq!(read.sum(), "0.07");
    assert!(read.lines().any(|line| line.dimensions.workspace.as_deref() == Some("Défaut –")));
    assert!(read.summary.warnings.iter().any(|warning| warning.contains("Windows-1252")));
    let both = [file().as_bytes(), b"2026-08-06,Claude,D\xe9faut,output,0.01\n"].concat();
    let said = refused("cost.csv", &both);
    assert!(said.starts_with("row 3, ") && said.contains("no UTF-8"), "{said}");
    let other = [latin.as_ref(), "2026-08-06,Claude,≤,output,0.01\n".as_bytes()].concat();
    assert!(refused("cost.csv", &other).starts_with("row 3, "));
    let undefined = [HEADER.as_bytes(), b"\n2026-08-06,Claude,\x81\x8d,output,0.01\n"].concat();
    assert!(refused("cost.csv", &undefined).contains("neither UTF-8 nor Windows-1252"));
}

#[test]
fn half_a_character_is_a_cut_file() {
    let mut half = utf16(&file(), false);
    half.pop();
    let said = refused("cost.csv", &half);
    assert!(said.contains("half a UTF-16 character"), "{said}");
    let bytes = file().into_bytes();
    let at = bytes.iter().position(|byte| *byte == 0xe2).unwrap();
    let said = refused("cost.csv", &bytes[..=at]);
    assert!(said.starts_with("row 2, "), "{said}");
}

#[test]
fn line_ends_blank_lines_delimiters_and_preambles_do_not_matter() {
    let text = file();
    for spelled in [
        text.replace('\n', "\r\n"),
        text.replace('\n', "\r"),
        text.replace('\n', "\n\n\r\n"),
        text.replace(',', ";"),
        text.replace(',', "\t"),
        text.replace(',', ";").replace("0.0", "0,0"),
        format!("sep=,\n{text}"),
        format!("Cost report\nAugust 2026,\n\n{text}"),
        format!("{text},,,,\n   \n"),
        text.trim_end().to_owned(),
        text.replace("cost_usd", " Cost_USD\u{a0}"),
        text.replace("model", "mo\u{200b}del"),
    ] {
        assert_eq!(sum(spelled.as_bytes()), "0.07", "{spelled:?}");
    }
}

#[test]
fn blank_rows_are_counted_as_such() {
    let read = imported("cost.csv", &format!("{HEADER}\n,,,,\n{ROWS}"));
    assert_eq!(read.rows.first(), Some(&Kept::Empty));
    assert_eq!(read.summary.rows.all(), 3);
}

#[test]
fn quoted_cells_hold_commas_quotes_and_newlines() {
    let text = format!("{HEADER}\n2026-08-04,\"Claude, \"\"5\"\"\nnew\",Default,output,0.05\n");
    let read = imported("cost.csv", &text);
    assert_eq!(read.lines().next().unwrap().model.as_deref(), Some("Claude, \"5\"\nnew"));
}

#[test]
fn a_row_that_is_no_row_of_this_file_is_named() {
    for (row, words) in [
        ("2026-08-06,Claude,Default,output", "4 cells, the header 5; it is the last row"),
        ("2026-08-06,Claude,Default,output,0.01,x", "6 cells, the header 5; a comma"),
        ("2026-08-06,“Claude, 5”,Default,output,0.01", "typographic quotes"),
        ("2026-08-06,Claude,Default,output,", "cost_usd: \"\" is not an amount"),
        ("2026-08-06,Cla\0ude,Default,output,0.01", "model: the cell holds a NUL byte"),
        (HEADER, "header is repeated"),
        ("06.08.2026,Claude,Default,output,0.01", "usage_date_utc: \"06.08.2026\""),
        ("2026-08-06,\"Claude,Default,output,0.01", "never closed"),
    ] {
        let said = refused("cost.csv", format!("{}{row}\n", file()).as_bytes());
        assert!(said.starts_with("row 3, ") && said.contains(words), "{row:?}: {said}");
    }
    let problem =
        read_one("cost.csv", format!("{}x\n", file()).as_bytes()).unwrap().summary.problems;
    assert_eq!(problem[0].line, Some(4), "the line an editor shows");
}

#[test]
fn all_problems_are_counted_and_the_first_hundred_are_kept() {
    let text = format!("{HEADER}\n{}", "2026-08-04,Claude,Default,output,free\n".repeat(1_000));
    let summary = read_one("cost.csv", text.as_bytes()).unwrap().summary;
    assert_eq!((summary.rows.problems, summary.problems.len()), (1_000, 100));
    assert!(summary.sums.is_empty());
}

#[test]
fn a_quote_that_never_closes_is_stopped_before_it_eats_the_memory() {
    let text = format!("{}2026-08-06,\"{}", file(), "x".repeat(3 << 20));
    let said = refused("cost.csv", text.as_bytes());
    assert!(said.contains("row 3 is longer than"), "{said}");
    assert_eq!(sum(file().replace("Default", &"x".repeat(70_000)).as_bytes()), "0.07");
    assert!(
        refused("c.csv", HEADER.replace("cost_usd", "\"cost_usd").as_bytes())
            .contains("header opens a quote")
    );
}

#[test]
fn totals_are_checked_and_not_imported() {
    for total in ["Total,,,,0.07", ",TOTAL,,,0.07", ",,grand total,,$0.07", "Total:,,,,7E-2"] {
        let read = imported("cost.csv", &format!("{}{total}\n", file()));
        assert_eq!((read.sum(), read.summary.rows.totals), ("0.07".into(), 1), "{total}");
        assert_eq!(read.rows.last(), Some(&Kept::Total));
        assert!(!read.summary.warnings.iter().any(|warning| warning.contains("cannot be proved")));
    }
    let fine = "start_time,end_time,amount_value,amount_currency,line_item\n\
                1788134400,1788220800,1.16952,usd,\"m-1, input\"\nTotal,,1.17,,\n";
    assert_eq!(imported("cost.csv", fine).sum(), "1.16952", "a total may be rounded to cents");
    let said = refused("cost.csv", fine.replace("1.17", "1.1694").as_bytes());
    assert!(said.contains("add up to 1.16952"), "{said}");
    let said = refused("cost.csv", format!("{}Total,,,,0.08\n", file()).as_bytes());
    assert!(said.contains("says 0.08") && said.contains("add up to 0.07"), "{said}");
}

#[test]
fn credits_refunds_and_equal_rows_are_kept() {
    let text = format!("{HEADER}\n{}", "2026-08-04,Claude,Default,output,(0.50)\n".repeat(2));
    let read = imported("cost.csv", &text);
    assert_eq!((read.sum(), read.rows.len()), ("-1".into(), 2));
}

#[test]
fn amounts_that_cannot_be_kept_exactly_are_refused() {
    for amount in [
        "1e308",
        "99999999999999999999999999.999999999999999999",
        "0.12345678901234567890123456789012",
    ] {
        let said =
            refused("cost.csv", format!("{HEADER}\n2026-08-04,m,w,output,{amount}\n").as_bytes());
        assert!(said.contains("cost_usd") && said.contains("more digits"), "{amount}: {said}");
    }
    let huge = "2026-08-04,m,w,output,79228162514264337593543950335\n".repeat(2);
    let said = refused("cost.csv", format!("{HEADER}\n{huge}").as_bytes());
    assert!(said.contains("sum"), "{said}");
}

#[test]
fn unknown_columns_are_kept_unless_they_are_money() {
    let with = |column: &str| {
        file()
            .replace(",cost_usd\n", &format!(",cost_usd,{column}\n"))
            .replace(".05\n", ".05,a\n")
            .replace(".02\n", ".02,b\n")
    };
    let read = imported("cost.csv", &with("team_name"));
    assert!(read.summary.warnings.iter().any(|warning| warning.contains("team_name")));
    assert_eq!(read.cells[0].last().unwrap(), "a");
    for column in
        ["discount_usd", "Tax", "credit_applied", "negotiated price", "Cost (€)", "net amount"]
    {
        let said = refused("cost.csv", with(column).as_bytes());
        assert!(said.contains("looks like money"), "{column}: {said}");
    }
    let said = refused("cost.csv", file().replace("cost_usd", "usd").as_bytes());
    assert!(said.contains("\"cost_usd\" is missing"), "{said}");
    assert!(
        refused("cost.csv", file().replace(",model,", ",workspace,").as_bytes())
            .contains("missing")
    );
}

#[test]
fn two_currencies_are_never_added() {
    let text = "start_time,end_time,amount_value,amount_currency,line_item\n\
                1788134400,1788220800,1.5,usd,\"m-1, input\"\n\
                1788134400,1788220800,2,eur,\"m-1, input\"\n";
    let read = imported("cost.csv", text);
    let sums: Vec<String> =
        read.summary.sums.iter().map(|(currency, sum)| format!("{currency} {sum}")).collect();
    assert_eq!(sums, ["EUR 2", "USD 1.5"]);
    assert!(read.summary.warnings.iter().any(|warning| warning.contains("EUR, USD")));
    assert!(refused("cost.csv", text.replace("eur", "euros").as_bytes()).contains("no currency"));
    assert!(
        refused("cost.csv", text.replace("1.5", "€1.5").as_bytes()).contains("another currency")
    );
}

#[test]
fn personal_cells_are_hashed_before_anyone_sees_them() {
    let text = "start_time,end_time,amount_value,amount_currency,user_id,user_email,line_item\n\
                1788134400,1788220800,1,usd,user-1,person@example.com,\"m-1, input\"\n";
    let read = imported("cost.csv", text);
    let row = read.cells[0].join("|");
    assert!(!row.contains("person@") && !row.contains("user-1"), "{row}");
    assert_eq!(read.cells[0].iter().filter(|cell| cell.starts_with("personal:")).count(), 2);
    assert_eq!(read.cells[0][0], "1788134400");
    let ragged = read_one("cost.csv", text.replace(",usd,", ",usd,,").as_bytes()).unwrap();
    assert!(ragged.cells[0].is_empty(), "a row that is not whole shows nothing");
    let moved = text.replace("1,usd,user-1,person@example.com", "person@example.com,usd,user-1,1");
    let moved = read_one("cost.csv", moved.as_bytes()).unwrap();
    let torn =
        read_one("cost.csv", text.replace(",\"m-1", "\",\"m-1").replace("user-1", "\"").as_bytes());
    let torn = torn.unwrap();
    assert!(!torn.summary.is_clean() && torn.cells.iter().all(Vec::is_empty), "{:?}", torn.cells);
    for summary in [ragged.summary, moved.summary, torn.summary] {
        assert!(!summary.is_clean());
        let summary = serde_json::to_string(&summary).unwrap();
        assert!(!summary.contains("person@"), "{summary}");
    }
}

#[test]
fn a_number_cut_at_the_end_of_the_file_is_noticed_by_its_decimals() {
    let text = file();
    for end in 1..=2 {
        let said = refused("cost.csv", &text.as_bytes()[..text.len() - 1 - end]);
        assert!(said.contains("row 2, cost_usd"), "{end}: {said}");
    }
    let read = imported("cost.csv", &text[..text.len() - 1]);
    assert!(read.summary.warnings.iter().any(|warning| warning.contains("no line end")));
    let usage = "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_output_tokens\n\
                 2026-08-04,m,1.0,2.0\n2026-08-04,m,1.0,29";
    assert!(refused("tokens.csv", usage.as_bytes()).contains("cut off inside a number"));
}

#[test]
fn days_that_are_missing_or_not_promised_are_said() {
    let day = |start: u64| format!("{start},{},,\n", start + 86_400);
    let header = "start_time,end_time,start_time_iso,end_time_iso\n";
    let text = format!("{header}{}{}", day(1_788_134_400), day(1_788_307_200));
    let read = imported("cost_2026-08-31_2026-09-05.csv", &text);
    let missing: Vec<String> = read.summary.missing_days.iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["2026-09-01"]);
    let said = read.summary.warnings.join("\n");
    assert!(said.contains("no row for 2026-09-01, between 2026-08-31 and 2026-09-02"), "{said}");
    assert!(said.contains("only from 2026-08-31 to 2026-09-02"), "{said}");
    let read = imported("claude_api_cost_2026_07.csv", &file());
    assert!(
        read.summary.warnings.join("\n").contains("the file's name says 2026-07-01 to 2026-07-31")
    );
}

#[test]
fn the_newest_days_may_still_move() {
    let read = imported("cost.csv", &file());
    let open = |now: &str| read.summary.open_days(now.parse().unwrap()).count();
    assert_eq!(open("2026-08-06T00:00:00Z"), 2);
    assert_eq!(open("2026-08-08T00:00:00Z"), 1, "72 hours after its end a day is settled");
    assert_eq!(open("2026-08-09T00:00:00Z"), 0);
}
