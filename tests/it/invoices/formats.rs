//! Every layout the two providers are known to have used, read by column names.

use std::fmt::Write as _;

use counterfoil::invoice::doubts::UNGROUPED_ADVICE;
use counterfoil::invoice::format::{ExportFormat, ExportSide, UsageCapability};
use counterfoil::invoice::line::{AmountPrecision, ChargeCategory};
use counterfoil::invoice::summary::Grain;
use counterfoil::meter::{Meter, Quantities};
use counterfoil::money::canonical_text;

use crate::invoices::reading::{Kept, imported, refused};

const COST_17: &str = "start_time,end_time,start_time_iso,end_time_iso,amount_value,\
     amount_currency,quantity,quantity_unit,line_item,user_id,api_key_id,project_id,\
     organization_id,project_name,organization_name,user_email,api_source";
const USAGE_26: &str = "start_time,end_time,start_time_iso,end_time_iso,project_id,\
     num_model_requests,user_id,api_key_id,model,batch,service_tier,compute_units,input_tokens,\
     output_tokens,input_cached_tokens,input_cache_write_tokens,input_uncached_tokens,\
     input_text_tokens,output_text_tokens,input_cached_text_tokens,input_audio_tokens,\
     input_cached_audio_tokens,output_audio_tokens,input_image_tokens,input_cached_image_tokens,\
     output_image_tokens";
const TIMES: &str = "1788134400,1788220800,2026-08-31T00:00:00,2026-09-01T00:00:00+00:00";

/// A table of named cells under a header: a row is what it names, and blanks.
fn table(header: &str, rows: &[&[(&str, &str)]]) -> String {
    let mut text = format!("{header}\n");
    for row in rows {
        let cells = header.split(',').map(|name| {
            let cell = row.iter().find(|(known, _)| *known == name).map_or("", |(_, cell)| cell);
            if cell.contains([',', '"']) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell.to_owned()
            }
        });
        writeln!(text, "{}", cells.collect::<Vec<_>>().join(",")).unwrap();
    }
    text
}

fn openai(header: &str, cells: &[(&str, &str)]) -> String {
    let time: Vec<(&str, &str)> = header.split(',').zip(TIMES.split(',')).take(4).collect();
    table(header, &[&[&time, cells].concat()])
}

fn quantities(pairs: &[(Meter, u64)]) -> Quantities {
    pairs.iter().copied().collect()
}

#[test]
fn every_header_of_anthropics_cost_export_is_read() {
    for header in [
        "usage_date_utc,model,api_key,usage_type,token_type,cost_usd",
        "usage_date_utc,model,workspace,api_key,usage_type,token_type,cost_usd",
        "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,cost_type",
        "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,\
         list_price_usd,cost_type,inference_geo,speed",
        "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,\
         list_price_usd,cost_type,inference_geo,speed,api_key_id,api_key_status",
        "cost_usd,usage_date_utc,token_type,model",
        "usage_date_utc,model,usage_type,token_type,cost_usd",
    ] {
        let text = table(
            header,
            &[&[
                ("usage_date_utc", "2026-08-05"),
                ("model", "Claude Opus 5, preview"),
                ("workspace", "Acme, Inc"),
                ("api_key", "Key \"One\""),
                ("usage_type", "batch"),
                ("context_window", "> 200k"),
                ("token_type", "input_cache_write_1h"),
                ("cost_usd", "0.90"),
                ("list_price_usd", "1.00"),
                ("cost_type", "token"),
                ("inference_geo", "global"),
                ("speed", "fast"),
                ("api_key_id", "apikey_01"),
            ]],
        );
        let read = imported("claude_api_cost_2026_08.csv", &text);
        let line = read.lines().next().unwrap();
        let has = |name: &str| header.split(',').any(|known| known == name);
        assert_eq!(line.model.as_deref(), Some("Claude Opus 5, preview"), "{header}");
        assert_eq!(line.meter, Some(Meter::InputCacheWrite1h), "{header}");
        assert_eq!((line.precision, line.shown_decimals), (AmountPrecision::HalfUp, 2));
        assert_eq!(line.list_cost.map(canonical_text), has("list_price_usd").then(|| "1".into()));
        assert_eq!(line.dimensions.batch, has("usage_type").then_some(true));
        assert_eq!(line.dimensions.long_context, has("context_window").then_some(true));
        assert_eq!(line.dimensions.workspace.is_some(), has("workspace"));
        assert_eq!(line.dimensions.key_name.is_some(), has("api_key"));
        assert_eq!(line.dimensions.key_id.is_some(), has("api_key_id"));
        assert_eq!(line.dimensions.speed.is_some(), has("speed"));
        assert_eq!(line.period.start.to_string(), "2026-08-05T00:00:00Z");
        assert_eq!(read.summary.grain, Grain::MeterMoney);
    }
}

#[test]
fn a_header_alone_says_that_nothing_was_used_or_all_was_cut() {
    let text = "usage_date_utc,model,usage_type,token_type,cost_usd\n";
    let read = imported("claude_api_cost_2024_07.csv", text);
    assert_eq!((read.rows.len(), read.summary.grain), (0, Grain::Nothing));
    assert!(read.summary.warnings.iter().any(|warning| warning.contains("no rows")));
}

#[test]
fn every_token_type_has_its_meter_and_an_unknown_one_stays_unmapped_money() {
    for (token_type, cost_type, meter) in [
        ("input_no_cache", "token", Some(Meter::Input)),
        ("input_cache_read", "token", Some(Meter::InputCacheRead)),
        ("input_cache_write", "token", Some(Meter::InputCacheWrite)),
        ("input_cache_write_5m", "token", Some(Meter::InputCacheWrite5m)),
        ("output", "token", Some(Meter::Output)),
        ("", "web_search", Some(Meter::WebSearch)),
        ("", "code_execution", None),
        ("", "session_usage", None),
        ("input_of_a_new_kind", "token", None),
    ] {
        let text = format!(
            "usage_date_utc,model,token_type,cost_type,cost_usd\n2026-08-05,m,{token_type},{cost_type},1.00\n"
        );
        let read = imported("cost.csv", &text);
        assert_eq!(read.lines().next().unwrap().meter, meter, "{token_type} {cost_type}");
        let said = read.summary.warnings.iter().any(|warning| warning.contains("unmapped"));
        assert_eq!(said, meter.is_none(), "{token_type} {cost_type}");
    }
}

#[test]
fn every_header_of_anthropics_token_export_is_read_daily_and_hourly() {
    let input = "usage_input_tokens_no_cache";
    let split = "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h";
    let rest = "usage_input_tokens_cache_read,usage_output_tokens,web_search_count";
    let front = "usage_date_utc,model_version,api_key,workspace,usage_type";
    for header in [
        format!("{front},context_window,{input},{split},{rest},inference_geo,speed"),
        format!("{front},context_window,{input},{split},{rest}"),
        format!("{front},{input},{split},{rest}"),
        format!("{front},{input},usage_input_tokens_cache_write,{rest}"),
    ] {
        for (date, start, end) in [
            ("2026-03-31", "2026-03-31T00:00:00Z", "2026-04-01T00:00:00Z"),
            ("2026-03-31 23:00", "2026-03-31T23:00:00Z", "2026-04-01T00:00:00Z"),
        ] {
            let text = table(
                &header,
                &[&[
                    ("usage_date_utc", date),
                    ("model_version", "claude-haiku-4-5-20251001"),
                    ("usage_type", "Standard"),
                    (input, "1124832"),
                    ("usage_input_tokens_cache_write", "3"),
                    ("usage_input_tokens_cache_write_5m", "1"),
                    ("usage_input_tokens_cache_write_1h", "2"),
                    ("usage_input_tokens_cache_read", "7"),
                    ("usage_output_tokens", "254558"),
                    ("web_search_count", "4"),
                ]],
            );
            let read = imported("claude_api_tokens_2026_03.csv", &text);
            let row = read.usage().next().unwrap();
            assert_eq!(
                (row.period.start.to_string(), row.period.end.to_string()),
                (start.into(), end.into())
            );
            let mut expected = vec![
                (Meter::Input, 1_124_832),
                (Meter::InputCacheRead, 7),
                (Meter::Output, 254_558),
                (Meter::WebSearch, 4),
            ];
            if header.contains("_5m") {
                expected.extend([(Meter::InputCacheWrite5m, 1), (Meter::InputCacheWrite1h, 2)]);
            } else {
                expected.push((Meter::InputCacheWrite, 3));
            }
            assert_eq!(row.quantities, quantities(&expected), "{header}");
            assert_eq!(row.dimensions.service_tier.as_deref(), Some("standard"));
            assert_eq!(row.dimensions.batch, Some(false));
        }
    }
}

#[test]
fn every_header_of_openais_cost_export_is_read() {
    let sixteen = COST_17.strip_suffix(",api_source").unwrap();
    let ten = "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,\
               line_item,project_id,organization_id,organization_name";
    for header in [COST_17, sixteen, ten] {
        let text = openai(
            header,
            &[
                ("amount_value", "0.834033300000000000000000000000"),
                ("amount_currency", "usd"),
                ("quantity", "5560222.0"),
                ("quantity_unit", "tokens"),
                ("line_item", "gpt-4o-mini-2024-07-18, input"),
                ("api_key_id", "key_1"),
                ("project_id", "proj_1"),
                ("organization_id", "org-1"),
            ],
        );
        let read = imported("cost_2026-08-31_2026-08-31.csv", &text);
        let line = read.lines().next().unwrap();
        assert_eq!(line.description, "gpt-4o-mini-2024-07-18, input");
        assert_eq!(line.meter, Some(Meter::Input));
        assert_eq!(line.quantity, header.contains("quantity").then_some(5_560_222));
        assert_eq!((line.precision, line.shown_decimals), (AmountPrecision::Exact, 30));
        assert_eq!(read.sum(), "0.8340333");
        assert!(read.summary.accounts.contains("org-1"));
        assert!(read.summary.grouped_by.contains(&"line_item".to_owned()));
        assert_eq!(read.summary.grain == Grain::MeterWithQuantity, header.contains("quantity"));
    }
}

#[test]
fn an_ungrouped_cost_export_is_one_total_a_day_and_says_what_to_do() {
    let text = format!(
        "{COST_17}\n1788048000,1788134400,2026-08-30T00:00:00+00:00,2026-08-31T00:00:00+00:00,,,,,,,,,,,,,\n\
         {TIMES},0.003400000000000000000000000000000000,usd,,,,,,,org-_,,Personal,,\n"
    );
    let read = imported("cost_2026-08-30_2026-08-31.csv", &text);
    assert_eq!(read.rows[0], Kept::Empty);
    let line = read.lines().next().unwrap();
    assert_eq!((line.model.as_ref(), line.meter, line.description.as_str()), (None, None, ""));
    assert_eq!(read.sum(), "0.0034");
    assert_eq!(read.summary.grain, Grain::DayTotal);
    assert!(read.summary.grouped_by.is_empty());
    assert!(read.summary.warnings.iter().any(|warning| warning == UNGROUPED_ADVICE));
    assert_eq!(read.summary.days.len(), 2, "an empty bucket covers its day");
}

#[test]
fn units_are_read_per_row() {
    for (item, quantity, unit, meter, atoms) in [
        ("whisper-1", "34.0", "duration_seconds", Some(Meter::AudioSeconds), Some(34_000)),
        ("whisper-1", "0.5", "duration_minutes", Some(Meter::AudioSeconds), Some(30_000)),
        ("gpt-5.6-luna, output", "7.625", "1000_tokens", Some(Meter::Output), Some(7_625)),
        (
            "gpt-live-1, voice session",
            "2",
            "duration_minutes",
            Some(Meter::SessionSeconds),
            Some(120_000),
        ),
        ("tts-1", "1200", "characters", Some(Meter::Characters), Some(1_200)),
        ("dall-e-3", "3", "images", Some(Meter::Images), Some(3)),
        ("web search tool calls", "1.0", "", Some(Meter::WebSearch), Some(1)),
        ("Vector storage", "0.1", "gibibyte_hours", None, None),
        ("assistants api | file search", "0.1", "gibibyte_hours", None, None),
        ("gpt-5.6-luna, output", "3", "gibibyte_hours", Some(Meter::Output), None),
    ] {
        let cells = [
            ("amount_value", "0.01"),
            ("amount_currency", "usd"),
            ("line_item", item),
            ("quantity", quantity),
            ("quantity_unit", unit),
        ];
        let read = imported("cost.csv", &openai(COST_17, &cells));
        let line = read.lines().next().unwrap();
        assert_eq!((line.meter, line.quantity), (meter, atoms), "{item} {quantity} {unit}");
    }
    let refund = [
        ("amount_value", "-0.5"),
        ("amount_currency", "usd"),
        ("line_item", "m-1, input"),
        ("quantity", "-500.0"),
    ];
    let read = imported("cost.csv", &openai(COST_17, &refund));
    let line = read.lines().next().unwrap();
    assert_eq!((line.quantity, line.category), (None, ChargeCategory::Adjustment));
    let half = openai(
        COST_17,
        &[
            ("amount_value", "1"),
            ("amount_currency", "usd"),
            ("line_item", "m-1, input"),
            ("quantity", "4.5"),
        ],
    );
    assert!(refused("cost.csv", half.as_bytes()).contains("quantity: \"4.5\" is not a whole"));
}

#[test]
fn money_that_is_no_usage_says_what_it_is() {
    for (item, amount, category) in [
        ("gpt-5.6-luna, output", "1", ChargeCategory::Usage),
        ("gpt-5.6-luna, output", "-1", ChargeCategory::Adjustment),
        ("Promotional credit", "-1", ChargeCategory::Credit),
        ("Sales tax", "1", ChargeCategory::Tax),
        ("Scale minimum", "1", ChargeCategory::Purchase),
    ] {
        let cells = [("amount_value", amount), ("amount_currency", "usd"), ("line_item", item)];
        let read = imported("cost.csv", &openai(COST_17, &cells));
        assert_eq!(read.lines().next().unwrap().category, category, "{item}");
    }
}

#[test]
fn an_export_of_a_span_without_usage_is_neither_cost_nor_usage() {
    let text = "start_time,end_time,start_time_iso,end_time_iso\n".to_owned() + TIMES + "\n";
    let mut export = counterfoil::invoice::export::Export::open(
        "cost_2026-08-31_2026-08-31.csv",
        std::io::Cursor::new(text.as_bytes()),
        b"",
    )
    .unwrap();
    let rows = export.read(0).unwrap();
    assert_eq!(rows.format(), ExportFormat::OpenAiNothingUsed);
    assert_eq!(rows.format().side(), ExportSide::Either);
    let summary = rows.finish().unwrap();
    assert_eq!((summary.rows.empty_buckets, summary.grain), (1, Grain::Nothing));
}

#[test]
fn cached_and_written_tokens_are_taken_out_of_input() {
    let twenty_four =
        USAGE_26.replace("compute_units,", "").replace("input_cache_write_tokens,", "");
    let cells: &[(&str, &str)] = &[
        ("num_model_requests", "4.0"),
        ("model", "gpt-5.6-luna"),
        ("batch", "FALSE"),
        ("service_tier", "Flex"),
        ("input_tokens", "1000.0"),
        ("output_tokens", "29.0"),
        ("input_cached_tokens", "400.0"),
        ("input_cache_write_tokens", "100.0"),
    ];
    let whole = [cells, &[("input_uncached_tokens", "500.0")]].concat();
    let row = imported("completions_usage.csv", &openai(USAGE_26, &whole))
        .usage()
        .next()
        .unwrap()
        .clone();
    let expected = [
        (Meter::Input, 500),
        (Meter::InputCacheRead, 400),
        (Meter::InputCacheWrite, 100),
        (Meter::Output, 29),
    ];
    assert_eq!(row.quantities, quantities(&expected));
    assert_eq!((row.requests, row.dimensions.batch), (Some(4), Some(false)));
    assert_eq!(row.dimensions.service_tier.as_deref(), Some("flex"));
    let row = imported("completions_usage.csv", &openai(&twenty_four, &whole))
        .usage()
        .next()
        .unwrap()
        .clone();
    assert_eq!(row.quantities.get(Meter::InputCacheWrite), None, "not reported is not zero");
    let more = [cells, &[("input_cached_tokens", "1.0")]].concat();
    assert_eq!(imported("u.csv", &openai(USAGE_26, &more)).rows.len(), 1);
    let impossible =
        openai(USAGE_26, &[("model", "m"), ("input_tokens", "1"), ("input_cached_tokens", "2")]);
    assert!(refused("u.csv", impossible.as_bytes()).contains("more than all input tokens"));
}

#[test]
fn audio_and_image_tokens_are_apart_only_where_they_add_up() {
    let base: &[(&str, &str)] = &[
        ("model", "gpt-audio"),
        ("input_tokens", "1000"),
        ("output_tokens", "100"),
        ("input_cached_tokens", "300"),
        ("input_uncached_tokens", "700"),
        ("input_cached_text_tokens", "200"),
        ("input_cached_audio_tokens", "100"),
        ("output_audio_tokens", "60"),
        ("output_text_tokens", "40"),
    ];
    let expected = quantities(&[
        (Meter::Input, 400),
        (Meter::InputCacheRead, 200),
        (Meter::InputAudio, 300),
        (Meter::InputCacheReadAudio, 100),
        (Meter::Output, 40),
        (Meter::OutputAudio, 60),
    ]);
    // Cached tokens inside each modality, and outside of it.
    for (text, audio) in [("600", "400"), ("400", "300")] {
        let cells = [base, &[("input_text_tokens", text), ("input_audio_tokens", audio)]].concat();
        let read = imported("u.csv", &openai(USAGE_26, &cells));
        assert_eq!(read.usage().next().unwrap().quantities, expected, "{text} {audio}");
    }
    let beside = [base, &[("input_text_tokens", "1000"), ("input_audio_tokens", "400")]].concat();
    let read = imported("u.csv", &openai(USAGE_26, &beside));
    let row = read.usage().next().unwrap();
    assert_eq!(row.quantities.get(Meter::Input), Some(700), "audio stands beside the total");
    assert_eq!(row.quantities.get(Meter::InputCacheRead), Some(300));
    assert_eq!(row.quantities.get(Meter::InputAudio), Some(300));
    let cells = [base, &[("input_text_tokens", "1"), ("input_audio_tokens", "2")]].concat();
    let read = imported("u.csv", &openai(USAGE_26, &cells));
    let row = read.usage().next().unwrap();
    assert_eq!(row.quantities.get(Meter::Input), Some(700), "the total is kept");
    assert_eq!(row.quantities.get(Meter::InputCacheRead), Some(300));
    assert!(read.summary.warnings.iter().any(|warning| warning.contains("do not add up")));
}

#[test]
fn the_siblings_of_the_usage_export_are_read_by_their_own_columns() {
    let time = "start_time,end_time,start_time_iso,end_time_iso";
    for (name, columns, cells, meter, atoms, capability) in [
        (
            "embeddings_usage.csv",
            "input_tokens,model",
            "80.0,text-embedding-3-small",
            Meter::Input,
            80,
            UsageCapability::Embeddings,
        ),
        (
            "moderations_usage.csv",
            "input_tokens,model",
            "8,m",
            Meter::Input,
            8,
            UsageCapability::Moderations,
        ),
        ("usage.csv", "input_tokens,model", "8,m", Meter::Input, 8, UsageCapability::InputOnly),
        (
            "i.csv",
            "images,source,size,model",
            "3.0,image.generation,1024x1024,m",
            Meter::Images,
            3,
            UsageCapability::Images,
        ),
        ("s.csv", "characters,model", "120,tts-1", Meter::Characters, 120, UsageCapability::Speech),
        (
            "t.csv",
            "seconds,model",
            "3.25,whisper-1",
            Meter::AudioSeconds,
            3_250,
            UsageCapability::Transcription,
        ),
        (
            "c.csv",
            "num_sessions,project_id",
            "2,proj_1",
            Meter::CodeSession,
            2,
            UsageCapability::CodeSessions,
        ),
        (
            "w.csv",
            "num_requests,context_level,model",
            "15,medium,gpt-4o",
            Meter::WebSearch,
            15,
            UsageCapability::WebSearches,
        ),
    ] {
        let text = format!("{time},num_model_requests,{columns}\n{TIMES},2.0,{cells}\n");
        let read = imported(name, &text);
        let row = read.usage().next().unwrap();
        assert_eq!((row.quantities.get(meter), row.requests), (Some(atoms), Some(2)), "{name}");
        let mut export = counterfoil::invoice::export::Export::open(
            name,
            std::io::Cursor::new(text.as_bytes()),
            b"",
        )
        .unwrap();
        assert_eq!(export.read(0).unwrap().format(), ExportFormat::OpenAiUsage(capability));
    }
}

#[test]
fn times_must_agree_whatever_their_offset() {
    let row = |times: &str| format!("{COST_17}\n{times},1,usd,,,,,,,,,,,\n");
    for times in [
        TIMES,
        "1788134400.0,1788220800,2026-08-31T08:00:00+08:00,2026-08-31T20:00:00-04:00",
        "1788134400,1788220800,,",
        ",,2026-08-31T00:00:00Z,2026-09-01T00:00:00",
    ] {
        let read = imported("cost.csv", &row(times));
        assert_eq!(read.summary.first_day().unwrap().to_string(), "2026-08-31", "{times}");
    }
    for (times, words) in [
        ("1788134400,1788220800,2026-08-31T00:00:00+08:00,2026-09-01T00:00:00", "not the instant"),
        ("1.78813E+09,1788220800,,", "spreadsheet"),
        ("1788220800,1788134400,,", "ends before it begins"),
        ("1788134400,1788307200,,", "not one UTC day"),
        ("1788138000,1788224400,,", "not one UTC day"),
        (",,,", "no time"),
    ] {
        let said = refused("cost.csv", row(times).as_bytes());
        assert!(said.contains(words), "{times}: {said}");
    }
}

#[test]
fn file_searches_are_counted_and_storage_is_sent_to_the_cost_export() {
    let time = "start_time,end_time,start_time_iso,end_time_iso";
    let text = format!("{time},num_requests,vector_store_id\n{TIMES},8,vs_1\n");
    let read = imported("f.csv", &text);
    assert_eq!(read.usage().next().unwrap().quantities, quantities(&[(Meter::FileSearch, 8)]));
    let said = refused("v.csv", format!("{time},usage_bytes\n{TIMES},1099511627776\n").as_bytes());
    assert!(said.contains("vector stores"), "{said}");
}
