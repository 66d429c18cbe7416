//! The providers' own files: each imported through the command line to the last digit.

use std::path::Path;

use counterfoil::money::{canonical_text, parse_decimal};
use serde_json::{Value, json};

use crate::bookkeeping::house::{House, number};
use crate::invoice_files::{fixtures, shared};

#[tokio::test]
async fn every_known_export_is_imported_with_the_sum_its_author_states() {
    let (folder, least) = match shared() {
        Some(folder) => (folder, 3),
        None => (fixtures(), 2),
    };
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let mut compared = 0;
    for (name, about) in expected["files"].as_object().unwrap() {
        let file = folder.join(name);
        let ours = name.contains("/openai/") || name.contains("/anthropic/");
        if !ours || !name.ends_with(".csv") || !file.exists() {
            continue;
        }
        compared += 1;
        let house = House::new();
        let one = house.imported(&file);
        let sum = canonical_text(parse_decimal(about["sum"].as_str().unwrap()).unwrap());
        assert_eq!(one["sum"], json!(sum), "{name}");
        assert_eq!(one["currency"], "USD", "{name}");
        assert_eq!(one["problems"], json!([]), "{name}");
        let rows = &one["rows"];
        let count = |kind: &str| rows[kind].as_u64().unwrap();
        assert_eq!(count("billed_lines"), about["rows_with_amount"].as_u64().unwrap(), "{name}");
        let all = count("billed_lines") + count("empty_buckets") + count("totals");
        assert_eq!(all, about["rows"].as_u64().unwrap(), "{name}");
        for member in ["batch", "format", "account", "period", "replaced"] {
            assert!(one.get(member).is_some_and(|value| !value.is_null()), "{name}: {member}");
        }
        assert_eq!(
            house.rows().await["billed_lines"],
            i64::try_from(count("billed_lines")).unwrap()
        );
        let again = house.imported(&file);
        assert_eq!((&again["unchanged"], &again["batch"]), (&json!(true), &one["batch"]));
        assert_eq!(house.rows().await["import_seals"], 1, "{name}");
    }
    assert!(compared >= least, "only {compared} files were compared");
}

#[tokio::test]
async fn usage_exports_bring_quantities_and_no_money() {
    let house = House::new();
    let tokens = "reconstructed/anthropic/claude_api_tokens_2026_08_14col.csv";
    let one = house.imported(&fixtures().join(tokens));
    assert_eq!((&one["sum"], &one["rows"]["usage_rows"]), (&Value::Null, &json!(3)));
    assert_eq!(one["format"], "anthropic.tokens_csv");
    assert_eq!(house.rows().await["usage_rows"], 3);
}

#[tokio::test]
async fn an_export_of_days_without_usage_is_no_money_and_not_zero_money() {
    let house = House::new();
    let folder = fixtures().join("reconstructed/openai");
    let one = house.imported(&folder.join("cost_empty_org.csv"));
    assert_eq!((&one["sum"], &one["rows"]["empty_buckets"]), (&Value::Null, &json!(31)));
    // The other export of an organization without usage has the very same bytes.
    let same = house.imported(&folder.join("completions_usage_empty_org.csv"));
    assert_eq!((&same["unchanged"], &same["batch"]), (&json!(true), &one["batch"]));
}

#[tokio::test]
async fn the_real_anthropic_export_keeps_both_of_its_equal_looking_pairs() {
    let Some(folder) = shared() else { return };
    let house = House::new();
    let file = folder.join("real/anthropic/claude_api_cost_2026_06_18_to_2026_07_05.csv");
    let one = house.imported(&file);
    assert_eq!((&one["sum"], &one["rows"]["billed_lines"]), (&json!("190.34"), &json!(62)));
    let books = house.books().await;
    for pair in ["'9.22', '11.63'", "'16.5', '44.4'"] {
        let sql = format!("SELECT COUNT(*) FROM billed_lines WHERE billed_cost IN ({pair})");
        assert_eq!(number(&books, &sql).await, 2, "{pair}");
    }
    books.close().await;
}

#[tokio::test]
async fn another_providers_export_is_refused_by_its_name() {
    let folder = fixtures().join("reconstructed");
    for (file, name) in [
        ("openrouter/activity_daily_by_slug.csv", "OpenRouter"),
        ("deepseek/cost-2026-07-25_2026-07-26.csv", "DeepSeek"),
        ("azure/cost-details-mca-openai.csv", "Azure"),
        ("aws/cur2_bedrock.csv.gz", "AWS"),
        ("fireworks/billing_metrics.csv", "Fireworks"),
        ("gcp/Example_Cost table, 2026-08-01 — 2026-08-31.csv", "Google"),
    ] {
        let house = House::new();
        let file = folder.join(file);
        let (listed, ran) = house.import(&[&file], &[]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(name), "{name}: {ran:?}");
        assert_eq!(listed[0]["batch"], Value::Null);
        assert!(house.rows().await.values().all(|rows| *rows == 0), "{name}");
    }
}

#[tokio::test]
async fn a_refused_file_does_not_keep_the_others_out() {
    let house = House::new();
    let bad = house.file("bad.csv", "not,an,export\n1,2,3\n");
    let good = fixtures().join("reconstructed/anthropic/claude_api_cost_2026_08_14col.csv");
    let missing = Path::new("no such file.csv");
    let (listed, ran) = house.import(&[&bad, &good, missing], &[]);
    assert_eq!((ran.code, listed.len()), (Some(1), 3), "{ran:?}");
    assert_eq!(listed[1]["sum"], "1.27");
    assert!(listed[0]["refused"].is_string() && listed[2]["refused"].is_string());
    assert_eq!(ran.err.lines().count(), 2, "{ran:?}");
    let shape = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut refused = shape(&listed[0]);
    refused.retain(|member| member != "refused");
    assert_eq!(refused, shape(&listed[1]), "a refused file has the shape of an imported one");
}
