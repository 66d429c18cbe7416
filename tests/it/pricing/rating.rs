//! The price files and the rating, held to published figures and to their own promises.

use std::path::Path;

use counterfoil::cli::{prices, rate as rate_command};
use counterfoil::meter::{Meter, Quantities};
use counterfoil::money::{Amount, parse_decimal};
use counterfoil::names::{ModelName, ProviderName};
use counterfoil::period::{SECOND_US, Timestamp};
use counterfoil::pricing::charge::{UnpricedReason, Valuation, ValuationStatus};
use counterfoil::pricing::rate::rate;
use counterfoil::pricing::table::{Lookup, PriceTable};
use counterfoil::usage::{Conditions, ModelUsage, ReportedUsage, UsageSource};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOVEMBER: &str = "2026-11-18T12:00:00Z";

fn builtin() -> PriceTable {
    PriceTable::builtin().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn conditions(said: &[(&str, &str)]) -> Conditions {
    let mut conditions = Conditions::default();
    for (key, value) in said {
        conditions.set(*key, *value);
    }
    conditions
}

fn usage(meters: &[(Meter, u64)], said: &[(&str, &str)]) -> ReportedUsage {
    let quantities: Quantities = meters.iter().copied().collect();
    let context_tokens = quantities.input_tokens();
    let mut usage = ReportedUsage::none(UsageSource::Reported);
    usage.parts.push(ModelUsage { model: None, quantities, context_tokens });
    usage.conditions = conditions(said);
    usage
}

fn price(
    table: &PriceTable,
    provider: &str,
    model: &str,
    when: &str,
    usage: &ReportedUsage,
) -> Valuation {
    rate(table, &ProviderName::from(provider), &ModelName::from(model), at(when), usage)
}

fn total(valuation: &Valuation) -> String {
    valuation.total.map_or("unknown".to_owned(), |total| total.to_string())
}

/// The contract table the small tests share: one model, every kind of row.
const SMALL: &str = r#"
schema = 1
provider = "openai"
currency = "USD"
[selectors]
service_tier = ["auto", "default"]
processing = ["standard"]
region = ["global"]
[[model]]
id = "m"
snapshots = ["m-{date}"]
[[model.price]]
from = "2026-01-01T00:00:00Z"
until = "2026-02-01T00:00:00Z"
source = { url = "example.org/prices", read_on = "2026-01-01" }
rates = { input = "2", output = "8" }
included = { "output.reasoning" = "output" }
fees = { web_search = { price = "10", per = 1000 } }
[[model.price.tier]]
context = { over = 1000 }
rates = { input = "4", output = "12" }
[[model.price.when]]
select = { service_tier = ["flex"] }
rates = { input = "1" }
unknown = ["output"]
[[model.price.multiply]]
select = { region = "us" }
factor = "1.1"
over = ["input*", "output*"]
"#;

fn small() -> PriceTable {
    PriceTable::from_toml([("small.toml", SMALL)]).unwrap()
}

/// The small table with one text replaced by another, which must then be refused with these words.
fn refused(from: &str, to: &str, words: &str) {
    assert!(SMALL.contains(from), "{from:?} is not in the table");
    let text = SMALL.replacen(from, to, 1);
    let error = PriceTable::from_toml([("small.toml", text.as_str())]).unwrap_err().to_string();
    assert!(error.starts_with("small.toml") && error.contains(words), "{error}");
}

#[test]
fn the_built_in_files_load_and_come_back_from_their_canonical_text() {
    let table = builtin();
    let again = PriceTable::from_canonical(&table.canonical()).unwrap();
    assert_eq!(again.version(), table.version());
    assert_eq!(again.canonical(), table.canonical());
    let ids = |table: &PriceTable| {
        let mut ids = Vec::new();
        for (_, prices) in table.providers() {
            for period in prices.models.iter().flat_map(|model| &model.periods) {
                for band in period.rows.iter().flat_map(|row| &row.bands) {
                    ids.push(band.rate_id.clone());
                }
            }
        }
        ids.sort();
        ids
    };
    let (mine, theirs) = (ids(&table), ids(&again));
    assert_eq!(mine, theirs);
    let mut distinct = mine.clone();
    distinct.dedup();
    assert_eq!(distinct.len(), mine.len(), "every row and band has an identity of its own");
}

#[test]
fn the_version_is_that_of_the_prices_and_of_nothing_else() {
    let table = small();
    let respelled = SMALL
        .replace("input = \"2\"", "input = \"2.00\"")
        .replace("example.org/prices", "example.org/other")
        .replace("[selectors]", "# a remark\n[selectors]");
    let same = PriceTable::from_toml([("other.toml", respelled.as_str())]).unwrap();
    assert_eq!(same.version(), table.version());
    let changed = SMALL.replace("output = \"12\"", "output = \"13\"");
    let other = PriceTable::from_toml([("other.toml", changed.as_str())]).unwrap();
    assert_ne!(other.version(), table.version());
}

#[test]
fn every_row_says_where_it_was_read() {
    for (name, prices) in builtin().providers() {
        for model in &prices.models {
            for period in &model.periods {
                let source = period.source.as_ref();
                assert!(source.is_some_and(|source| !source.url.is_empty()), "{name} {}", model.id);
            }
        }
    }
}

#[test]
fn published_bills_come_out_to_the_last_digit() {
    let table = builtin();
    let mini = usage(
        &[(Meter::Input, 5_560_222), (Meter::InputCacheRead, 229_120), (Meter::Output, 106_885)],
        &[],
    );
    let valuation = price(&table, "openai", "gpt-4o-mini", "2026-07-07T12:00:00Z", &mini);
    assert_eq!(total(&valuation), "0.9153483");
    let mini = usage(&[(Meter::Input, 80_992), (Meter::Output, 274_770)], &[]);
    let valuation = price(&table, "openai", "gpt-5-mini", "2025-10-07T12:00:00Z", &mini);
    assert_eq!(total(&valuation), "0.569788");
    for (input, output, exact) in [(3_912, 837, "0.0017868"), (3_655, 448, "0.0012686")] {
        let luna = usage(&[(Meter::Input, input), (Meter::Output, output)], &[]);
        assert_eq!(total(&price(&table, "openai", "gpt-5.6-luna", NOVEMBER, &luna)), exact);
    }
}

#[test]
fn the_shared_price_vectors_hold() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/invoices/expected.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("absent: ../shared/invoices; nothing compared");
        return;
    };
    let expected: Value = serde_json::from_str(&text).unwrap();
    let mut compared = 0;
    for vector in expected["price_vectors"].as_array().unwrap() {
        let id = vector["id"].as_str().unwrap();
        let Some(named) = id.strip_prefix("openai-") else { continue };
        let (model, day) = named.split_at(named.len() - "-2026-07-07".len());
        let model = if model == "4o-mini" { "gpt-4o-mini" } else { model };
        let count = |name: &str| vector["tokens"][name].as_u64().unwrap_or(0);
        let tokens = usage(
            &[
                (Meter::Input, count("input_uncached")),
                (Meter::InputCacheRead, count("input_cached")),
                (Meter::Output, count("output")),
            ],
            &[],
        );
        let noon = format!("{}T12:00:00Z", &day[1..]);
        let valuation = price(&builtin(), "openai", model, &noon, &tokens);
        assert_eq!(total(&valuation), vector["billed"].as_str().unwrap(), "{id}");
        compared += 1;
    }
    assert!(compared >= 2, "only {compared} vectors were ours to compare");
}

#[test]
fn cached_and_written_tokens_are_priced_beside_the_input() {
    let tokens = [
        (Meter::Input, 3),
        (Meter::InputCacheRead, 20_000),
        (Meter::InputCacheWrite5m, 1_500),
        (Meter::Output, 120),
    ];
    assert_eq!(tokens.iter().map(|(_, atoms)| atoms).sum::<u64>(), 21_623);
    let valuation =
        price(&builtin(), "anthropic", "claude-opus-4-6", NOVEMBER, &usage(&tokens, &[]));
    // 3 × 5 + 20,000 × 0.5 + 1,500 × 6.25 + 120 × 25, per million
    assert_eq!(total(&valuation), "0.02239");
}

#[test]
fn each_part_is_priced_at_its_own_model_and_band() {
    let mut reported = usage(&[(Meter::Input, 23_000), (Meter::Output, 1_000)], &[]);
    reported.parts.push(ModelUsage {
        model: Some(ModelName::from("claude-haiku-5-5")),
        quantities: [(Meter::Input, 180_000), (Meter::Output, 3_500)].into_iter().collect(),
        context_tokens: 180_000,
    });
    let valuation = price(&builtin(), "anthropic", "claude-opus-4-6", NOVEMBER, &reported);
    // 23,000 × 5 + 1,000 × 25, then above 100,000 tokens 180,000 × 0.5 + 3,500 × 2.5
    assert_eq!(total(&valuation), "0.23875");
    assert_eq!(valuation.charges[2].model.as_str(), "claude-haiku-5-5");
}

#[test]
fn the_band_changes_strictly_above_its_threshold() {
    let table = builtin();
    let mut thresholds = 0;
    for (name, prices) in table.providers() {
        for model in &prices.models {
            for period in &model.periods {
                for pair in period.rows.iter().flat_map(|row| row.bands.windows(2)) {
                    let limit = pair[1].from_tokens - 1;
                    assert_eq!(limit % 1_000, 0, "{name} {} ends a band at {limit}", model.id);
                    let row =
                        period.rows.iter().find(|row| row.bands[0].rate_id == pair[0].rate_id);
                    let band = |tokens| row.unwrap().band(tokens).unwrap().rate_id.clone();
                    assert_eq!(band(limit - 1), pair[0].rate_id);
                    assert_eq!(band(limit), pair[0].rate_id);
                    assert_eq!(band(limit + 1), pair[1].rate_id);
                    thresholds += 1;
                }
            }
        }
    }
    assert!(thresholds > 50, "only {thresholds} thresholds");
    for (input, expected) in [(271_999, "1.087996"), (272_000, "1.088"), (272_001, "2.176008")] {
        let long = usage(&[(Meter::Input, input)], &[]);
        assert_eq!(total(&price(&table, "openai", "gpt-5.6-sol", NOVEMBER, &long)), expected);
    }
}

#[test]
fn a_period_begins_on_its_second_in_any_time_zone() {
    let table = builtin();
    let one = usage(&[(Meter::Input, 1_000_000)], &[("processing", "batch")]);
    for (when, expected) in [
        ("2026-08-20T23:59:59Z", "5"),
        ("2026-08-21T00:00:00Z", "4"),
        ("2026-08-21T00:00:01Z", "4"),
        ("2026-08-21T01:59:59+02:00", "5"),
        ("2026-08-20T17:00:00-07:00", "4"),
    ] {
        let mut tokens = usage(&[(Meter::Input, 200_000)], &[]);
        tokens.parts = vec![tokens.parts[0].clone(); 5];
        let valuation = price(&table, "openai", "gpt-5.6-sol", when, &tokens);
        assert_eq!(total(&valuation), expected, "{when}");
    }
    // Batch was half before the cut too, though no row of that period lists it.
    let before = price(&table, "openai", "gpt-5.6-sol", "2026-08-20T23:59:59Z", &one);
    assert_eq!(total(&before), "5", "twice the input above 272,000 tokens, half by batch");
    let mut boundaries = 0;
    for (name, prices) in table.providers() {
        for model in &prices.models {
            for pair in model.periods.windows(2) {
                let provider = ProviderName::from(name);
                let found =
                    |instant| match table.provider(&provider).unwrap().find(&model.id, instant) {
                        Lookup::Found { period, .. } => period.from,
                        Lookup::NoPeriod(_) | Lookup::NoModel => Timestamp::from_micros(0),
                    };
                assert_eq!(pair[0].until, pair[1].from, "no gap in {}", model.id);
                assert_eq!(found(pair[1].from.plus_micros(-SECOND_US)), pair[0].from);
                assert_eq!(found(pair[1].from), pair[1].from);
                assert_eq!(found(pair[1].from.plus_micros(SECOND_US)), pair[1].from);
                boundaries += 1;
            }
        }
    }
    assert!(boundaries >= 7, "only {boundaries} boundaries");
}

#[test]
fn a_cut_of_cache_reads_alone_is_dated_too() {
    let table = builtin();
    let reads = usage(&[(Meter::InputCacheRead, 1_000_000)], &[]);
    let sonnet = |when| total(&price(&table, "anthropic", "claude-sonnet-5-5", when, &reads));
    assert_eq!(sonnet("2026-10-06T23:59:59Z"), "0.2");
    assert_eq!(sonnet("2026-10-07T00:00:00Z"), "0.1");
}

#[test]
fn names_are_matched_exactly_by_alias_or_by_anchored_form_and_never_by_likeness() {
    let table = builtin();
    let one = usage(&[(Meter::Input, 1_000_000)], &[]);
    let priced = |provider, name, when| total(&price(&table, provider, name, when, &one));
    assert_eq!(priced("openai", "gpt-5-2025-08-07", NOVEMBER), "1.25");
    assert_eq!(priced("openai", "gpt-4o-2024-05-13", NOVEMBER), "5");
    assert_eq!(priced("openai", "gpt-5.6-terra-2026-07-13", NOVEMBER), "4");
    assert_eq!(priced("anthropic", "claude-opus-5-5-20261111", NOVEMBER), "4");
    assert_eq!(priced("openai", "ft:gpt-4o-2024-08-06:acme::Bx1", NOVEMBER), "3.75");
    assert_eq!(priced("openai", "gpt-5.6", "2026-07-08T23:59:59Z"), "unknown");
    assert_eq!(priced("openai", "gpt-5.6", "2026-07-09T00:00:00Z"), "10");
    for name in [
        "gpt-5-20250807",
        "GPT-5",
        "gpt-5-some-new-suffix",
        "gpt-5-nano-xyz",
        "gpt-4o-2099-01-01",
        "claude-opus-9",
        "",
        "openai/gpt-5",
        "gpt-5 ",
    ] {
        assert_eq!(priced("openai", name, NOVEMBER), "unknown", "{name:?}");
    }
    assert_eq!(priced("anthropic", "claude-opus-5-5-20261311", NOVEMBER), "unknown");
    assert_eq!(priced("openai", "claude-opus-5", NOVEMBER), "unknown");
}

#[test]
fn circumstances_select_rows_and_an_unknown_one_is_never_the_standard_price() {
    let table = builtin();
    let tokens = [(Meter::Input, 100_000), (Meter::Output, 10_000)];
    let sol = |said: &[(&str, &str)]| {
        price(&table, "openai", "gpt-5.6-sol", NOVEMBER, &usage(&tokens, said))
    };
    assert_eq!(total(&sol(&[])), "0.6");
    for standard in ["auto", "default", "standard"] {
        assert_eq!(total(&sol(&[("service_tier", standard)])), "0.6");
    }
    assert_eq!(total(&sol(&[("service_tier", "flex")])), "0.3");
    assert_eq!(total(&sol(&[("service_tier", "Flex")])), "0.3");
    assert_eq!(total(&sol(&[("service_tier", "priority")])), "1.2");
    assert_eq!(total(&sol(&[("processing", "batch")])), "0.3");
    assert_eq!(total(&sol(&[("region", "eu")])), "0.66");
    assert_eq!(total(&sol(&[("processing", "batch"), ("region", "us")])), "0.33");
    assert_eq!(total(&sol(&[("some_header", "x")])), "0.6");
    for said in [
        &[("service_tier", "ultrafast")][..],
        &[("region", "mars")],
        &[("service_tier", "flex"), ("processing", "batch")],
    ] {
        let valuation = sol(said);
        assert_eq!(valuation.status, ValuationStatus::Unpriced);
        let reason = &valuation.unpriced[0].reason;
        assert!(matches!(reason, UnpricedReason::Selector { .. }), "{reason:?}");
        assert_eq!(valuation.total, None);
    }
    let batch = usage(&tokens, &[("service_tier", "batch")]);
    assert_eq!(total(&price(&table, "anthropic", "claude-opus-4-6", NOVEMBER, &batch)), "0.375");
}

#[test]
fn factors_reach_tokens_and_leave_fees_alone() {
    let table = builtin();
    let tokens = [(Meter::Input, 1_000_000), (Meter::WebSearch, 3)];
    let geo = usage(&tokens, &[("region", "us")]);
    let valuation = price(&table, "anthropic", "claude-opus-4-6", NOVEMBER, &geo);
    assert_eq!(total(&valuation), "5.53");
    assert_eq!(valuation.charges[0].factors, ["1.1"]);
    assert_eq!(valuation.charges[0].effective_unit_price().as_deref(), Some("5.5"));
    assert!(valuation.charges[1].factors.is_empty());
    let plain = price(&table, "anthropic", "claude-opus-4-6", NOVEMBER, &usage(&tokens, &[]));
    assert_ne!(plain.charges[0].rate_id, valuation.charges[0].rate_id);
    assert_eq!(plain.charges[1].rate_id, valuation.charges[1].rate_id);
}

#[test]
fn what_has_no_price_is_named_and_what_is_zero_is_not() {
    let table = builtin();
    let some = usage(&[(Meter::Input, 10), (Meter::InputAudio, 5), (Meter::OutputAudio, 0)], &[]);
    let valuation = price(&table, "openai", "gpt-5", NOVEMBER, &some);
    assert_eq!(valuation.status, ValuationStatus::PartiallyPriced);
    assert_eq!(total(&valuation), "0.0000125");
    assert_eq!(valuation.unpriced.len(), 1);
    assert_eq!(valuation.unpriced[0].meter, Meter::InputAudio);
    assert_eq!(valuation.unpriced[0].reason, UnpricedReason::Meter);

    // Neither package's source publishes a cached batch rate here; both guess, differently.
    let cached = usage(&[(Meter::InputCacheRead, 10)], &[("processing", "batch")]);
    let valuation = price(&table, "openai", "gpt-4.1", NOVEMBER, &cached);
    assert_eq!((valuation.status, valuation.total), (ValuationStatus::Unpriced, None));

    let zeros = usage(&[(Meter::Input, 0), (Meter::Output, 0)], &[]);
    let valuation = price(&table, "openai", "gpt-5", NOVEMBER, &zeros);
    assert_eq!((valuation.status, valuation.total), (ValuationStatus::Priced, Some(Amount::ZERO)));
    for (source, status, sum) in [
        (UsageSource::Absent, ValuationStatus::NoUsage, None),
        (UsageSource::Awaiting, ValuationStatus::NoUsage, None),
        (UsageSource::NotMetered, ValuationStatus::NotMetered, Some(Amount::ZERO)),
    ] {
        let valuation = price(&table, "openai", "gpt-5", NOVEMBER, &ReportedUsage::none(source));
        assert_eq!((valuation.status, valuation.total), (status, sum));
    }
    let old = price(&table, "openai", "gpt-5", "2024-12-31T23:59:59Z", &some);
    assert_eq!(old.unpriced[0].reason, UnpricedReason::Period);
    let foreign = price(&table, "nobody", "gpt-5", NOVEMBER, &some);
    assert_eq!(foreign.unpriced[0].reason, UnpricedReason::Model);
}

#[test]
fn seconds_of_speech_are_rounded_once_and_flagged() {
    let heard = usage(&[(Meter::AudioSeconds, 1_500)], &[]);
    let valuation = price(&builtin(), "openai", "gpt-realtime-whisper", NOVEMBER, &heard);
    assert_eq!(total(&valuation), "0.000425");
    assert!(!valuation.charges[0].rounded);
    let heard = usage(&[(Meter::AudioSeconds, 1_001)], &[]);
    let valuation = price(&builtin(), "openai", "gpt-realtime-whisper", NOVEMBER, &heard);
    assert_eq!(total(&valuation), "0.000283616667");
    assert!(valuation.charges[0].rounded);
}

#[test]
fn a_contract_for_a_model_holds_for_its_snapshots_and_for_no_other_model() {
    let contract = r#"
        schema = 1
        provider = "openai"
        currency = "USD"
        [[model]]
        id = "gpt-5"
        [[model.price]]
        from = "2026-11-01T00:00:00Z"
        source = { url = "our contract", read_on = "2026-10-20" }
        rates = { input = "1.1", output = "9" }
    "#;
    let table = PriceTable::builtin().unwrap().with_overlay("contract.toml", contract).unwrap();
    let million = usage(&[(Meter::Input, 1_000_000)], &[]);
    let costs = |model: &str, when: &str| total(&price(&table, "openai", model, when, &million));
    for name in ["gpt-5", "gpt-5-2025-08-07"] {
        assert_eq!(costs(name, "2026-11-05T00:00:00Z"), "1.1", "{name}");
        assert_eq!(costs(name, "2026-10-05T00:00:00Z"), "1.25", "{name}");
    }
    assert_eq!(costs("gpt-5-mini-2025-08-07", "2026-11-05T00:00:00Z"), "0.25");
    let names =
        |name: &str| table.provider(&ProviderName::new("openai")).unwrap().named(name).len();
    assert_eq!((names("gpt-5-2025-08-07"), names("gpt-5-mini-2025-08-07")), (2, 1));
}

#[test]
fn an_overlay_wins_where_it_knows_and_nowhere_else() {
    let table = builtin();
    let contract = r#"
        schema = 1
        provider = "openai"
        currency = "USD"
        [[model]]
        id = "gpt-5"
        [[model.price]]
        from = "2026-11-01T00:00:00Z"
        until = "2026-12-01T00:00:00Z"
        source = { url = "our contract, section 3", read_on = "2026-10-20" }
        rates = { input = "1", output = "9" }
        included = { "output.reasoning" = "output" }
        [[model]]
        id = "house-model"
        [[model.price]]
        from = "2026-01-01T00:00:00Z"
        source = { url = "our own", read_on = "2026-10-20" }
        rates = { input = "0", output = "0" }
    "#;
    let over = table.with_overlay("contract.toml", contract).unwrap();
    assert_ne!(over.version(), table.version());
    let million = usage(&[(Meter::Input, 1_000_000)], &[]);
    assert_eq!(total(&price(&over, "openai", "gpt-5", NOVEMBER, &million)), "1");
    assert_eq!(total(&price(&over, "openai", "gpt-5", "2026-10-31T23:59:59Z", &million)), "1.25");
    assert_eq!(total(&price(&over, "openai", "gpt-5", "2026-12-01T00:00:00Z", &million)), "1.25");
    assert_eq!(total(&price(&over, "openai", "gpt-5-mini", NOVEMBER, &million)), "0.25");
    let free = price(&over, "openai", "house-model", NOVEMBER, &million);
    assert_eq!((free.status, total(&free)), (ValuationStatus::Priced, "0".to_owned()));
    let Lookup::Found { period, .. } =
        over.provider(&ProviderName::from("openai")).unwrap().find("gpt-5-mini", at(NOVEMBER))
    else {
        panic!("gpt-5-mini is in the layer below");
    };
    assert!(period.source.is_some(), "the rows below keep their sources");
    let again = PriceTable::from_canonical(&over.canonical()).unwrap();
    assert_eq!(again.version(), over.version());
    assert_eq!(total(&price(&again, "openai", "gpt-5", NOVEMBER, &million)), "1");
    let euros = contract.replace("USD", "EUR");
    assert!(table.with_overlay("contract.toml", &euros).is_err());
}

#[test]
fn unsound_files_are_refused_with_file_model_and_row() {
    small();
    refused("schema = 1", "schema = 2", "schema 2");
    refused("\"USD\"", "\"dollars\"", "currency");
    refused("input = \"2\"", "inputs = \"2\"", "\"inputs\" is not a meter");
    refused("input = \"2\"", "input = 2", "not a price file");
    refused("input = \"2\"", "input = \"-2\"", "negative");
    refused("input = \"2\"", "input = \"0.1234567\"", "finer than 12 decimals");
    refused("input = \"2\"", "audio_seconds = \"2\"", "fees");
    refused("web_search = {", "\"input.audio\" = {", "rates");
    refused("per = 1000", "per = 0", "0 units");
    refused("until = \"2026-02-01T00:00:00Z\"", "until = \"2026-01-01T00:00:00Z\"", "ends before");
    refused("from = \"2026-01-01T00:00:00Z\"", "from = \"2026-01-01\"", "not an instant");
    refused("unknown = [\"output\"]", "", "no price for \"output\"");
    refused("unknown = [\"output\"]", "unknown = [\"output\", \"input\"]", "also listed");
    refused(
        "rates = { input = \"4\", output = \"12\" }",
        "rates = { input = \"4\" }",
        "no price for",
    );
    refused("over = 1000", "at_least = 0", "must rise");
    refused("service_tier = [\"flex\"]", "tier = [\"flex\"]", "not among the file's [selectors]");
    refused("service_tier = [\"flex\"]", "service_tier = [\"auto\"]", "means nothing special");
    refused("{ service_tier = [\"flex\"] }", "{}", "standard row itself");
    refused("\"output\" }", "\"output.audio\" }", "has no price here");
    refused("over = [\"input*\", \"output*\"]", "over = [\"inputs*\"]", "begins no meter");
    refused("m-{date}", "m-{year}", "a snapshot is");
    refused("read_on = \"2026-01-01\"", "read_on = \"January\"", "not a day");
    refused("source =", "# source =", "no source");
    refused("factor = \"1.1\"", "factor = \"x\"", "factor");
    let twice = format!("{SMALL}{}", &SMALL[SMALL.find("[[model]]").unwrap()..]);
    let error = PriceTable::from_toml([("a.toml", twice.as_str())]).unwrap_err().to_string();
    assert!(error.contains("already leads to"), "{error}");
    let period = &SMALL[SMALL.find("[[model.price]]").unwrap()..];
    let overlapping = format!("{SMALL}{}", period.replace("2026-01-01T", "2026-01-31T"));
    let error = PriceTable::from_toml([("a.toml", overlapping.as_str())]).unwrap_err().to_string();
    assert!(error.contains("m · from 2026-01-31") && error.contains("overlaps"), "{error}");
    let row = &SMALL[SMALL.find("[[model.price.when]]").unwrap()..];
    let ambiguous = format!("{SMALL}{row}");
    let error = PriceTable::from_toml([("a.toml", ambiguous.as_str())]).unwrap_err().to_string();
    assert!(error.contains("two rows alike"), "{error}");
}

#[test]
fn the_reconciliation_can_read_every_price_a_meter_had() {
    let table = builtin();
    let openai = ProviderName::from("openai");
    let candidates = table.candidate_rates(&openai, "gpt-5.6-sol", Meter::Input);
    let standard: Vec<String> = candidates
        .iter()
        .filter(|rate| {
            rate.select.is_empty() && rate.multipliers.is_empty() && rate.from_tokens == 0
        })
        .map(|rate| rate.per_atom().unwrap().to_string())
        .collect();
    assert_eq!(standard, ["0.000005", "0.000004"]);
    let batch = candidates.iter().any(|rate| {
        rate.select.iter().any(|(key, words)| key == "processing" && words == ["batch"])
            && rate.per_atom() == parse_decimal("0.000002").ok()
    });
    assert!(batch);
    assert!(candidates.iter().any(|rate| rate.from_tokens == 272_001));
    let flex = [("service_tier", "flex")];
    let tokens = usage(&[(Meter::Input, 300_000), (Meter::OutputReasoning, 1)], &flex);
    let charged = price(&table, "openai", "gpt-5.6-sol", NOVEMBER, &tokens);
    let mut reasoning = charged.charges.iter().filter(|it| it.meter == Meter::OutputReasoning);
    assert_eq!(
        reasoning.next().unwrap().amount,
        Amount::from_decimal(parse_decimal("0.000015").unwrap()).unwrap()
    );
    let tokens = usage(&[(Meter::Input, 300_000)], &[("region", "eu")]);
    let charged = price(&table, "openai", "gpt-5.6-sol", NOVEMBER, &tokens);
    assert!(candidates.iter().any(|rate| rate.rate_id == charged.charges[0].rate_id));
}

#[test]
fn a_stored_valuation_reads_back_as_it_was_written() {
    let tokens = usage(&[(Meter::Input, 7), (Meter::InputAudio, 1)], &[("region", "us")]);
    let valuation = price(&builtin(), "openai", "gpt-5.4", NOVEMBER, &tokens);
    let text = serde_json::to_string(&valuation).unwrap();
    assert_eq!(serde_json::from_str::<Valuation>(&text).unwrap(), valuation);
    assert!(text.contains(r#""amount":"0.00001925""#), "{text}");
}

fn rate_lines(input: &[u8]) -> Vec<Value> {
    let mut output = Vec::new();
    rate_command::rate(input, &mut output, &builtin()).unwrap();
    let text = String::from_utf8(output).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_rated_line_shows_its_arithmetic() {
    let line = json!({
        "provider": "anthropic", "endpoint": "messages", "at": NOVEMBER,
        "response": {"model": "claude-opus-4-6", "usage": {
            "input_tokens": 1000, "output_tokens": 100, "cache_read_input_tokens": 0,
            "inference_geo": "us", "server_tool_use": {"web_search_requests": 2}}},
    });
    let rated = &rate_lines(line.to_string().as_bytes())[0];
    assert_eq!(rated["model"], "claude-opus-4-6");
    assert_eq!(rated["status"], "priced");
    assert_eq!(rated["total"], "0.02825");
    assert_eq!(rated["currency"], "USD");
    assert_eq!(rated["meters"]["web_search"], 2);
    assert_eq!(rated["unpriced"], json!([]));
    let charge = &rated["charges"][0];
    assert_eq!((&charge["meter"], &charge["quantity"]), (&json!("input"), &json!(1000)));
    assert_eq!((&charge["unit_price"], &charge["per"]), (&json!("5.5"), &json!(1_000_000)));
    assert_eq!(charge["amount"], "0.0055");
}

#[test]
fn a_bad_line_is_answered_and_the_rest_goes_on() {
    let good = json!({
        "provider": "openai", "endpoint": "embeddings", "model": "text-embedding-3-small",
        "at": NOVEMBER, "response": {"usage": {"prompt_tokens": 8, "total_tokens": 8}},
    });
    let bad_at = json!({"provider": "openai", "endpoint": "chat", "at": "now", "response": {}});
    let stranger = json!({"provider": "x", "endpoint": "chat", "at": NOVEMBER, "response": {}});
    let mut input = format!("{good}\n{{\n\n{bad_at}\n{stranger}\n").into_bytes();
    input.extend_from_slice(b"\xff\xfe\n");
    input.extend_from_slice(good.to_string().as_bytes());
    let rated = rate_lines(&input);
    assert_eq!(rated.len(), 7);
    assert_eq!(rated[0]["total"], "0.00000016");
    assert_eq!(rated[6], rated[0]);
    for (at, word) in [(1, "line 2"), (2, "line 3"), (3, "at: "), (4, "provider: "), (5, "line 6")]
    {
        let error = rated[at]["error"].as_str().unwrap();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_mark_at_the_start_of_the_file_is_no_part_of_its_first_line() {
    let line = json!({
        "provider": "openai", "endpoint": "embeddings", "model": "text-embedding-3-small",
        "at": NOVEMBER, "response": {"usage": {"prompt_tokens": 8, "total_tokens": 8}},
    });
    let rated = rate_lines(format!("\u{feff}{line}\r\n").as_bytes());
    assert_eq!(rated[0]["total"], "0.00000016");
}

#[test]
fn a_count_that_cannot_be_read_leaves_a_part_and_never_the_whole() {
    let of = |prompt: Value, completion: u64| {
        json!({
            "provider": "openai", "endpoint": "chat", "model": "gpt-4o-mini", "at": NOVEMBER,
            "response": {"usage": {"prompt_tokens": prompt, "completion_tokens": completion}},
        })
    };
    for count in [json!(-5), json!(5.5), json!("5"), json!(true), json!(1e30)] {
        let rated = &rate_lines(of(count.clone(), 10).to_string().as_bytes())[0];
        assert_eq!(rated["status"], "partially_priced", "{count}: {rated}");
        assert_eq!(rated["unpriced"][0]["reason"], "malformed_count");
        assert_eq!(rated["total"], "0.000006");
        let rated = &rate_lines(of(count, 0).to_string().as_bytes())[0];
        assert_eq!((&rated["status"], &rated["total"]), (&json!("unpriced"), &Value::Null));
    }
}

#[test]
fn a_unit_nobody_knows_is_named_and_not_dropped() {
    let line = json!({
        "provider": "openai", "endpoint": "chat", "model": "gpt-4o-mini", "at": NOVEMBER,
        "context": {"units": {"web_searches": 2.0, "moon_phases": 3, "orbits": 0, "code_sessions": null}},
        "response": {"usage": {"prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100}},
    });
    let rated = &rate_lines(line.to_string().as_bytes())[0];
    assert_eq!(rated["status"], "partially_priced");
    assert_eq!(rated["meters"]["web_search"], 2);
    let named = &rated["unpriced"];
    assert_eq!((&named[0]["meter"], &named[0]["quantity"]), (&json!("moon_phases"), &json!(3)));
    assert_eq!(named.as_array().unwrap().len(), 1);
}

#[test]
fn an_unpriced_line_has_no_total() {
    let unknown = json!({
        "provider": "openai", "endpoint": "chat", "at": NOVEMBER,
        "response": {"model": "gpt-99", "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}},
    });
    let silent = json!({
        "provider": "openai", "endpoint": "chat", "at": NOVEMBER, "response": {"model": "gpt-5"},
    });
    let rated = rate_lines(format!("{unknown}\n{silent}\n").as_bytes());
    assert_eq!((&rated[0]["status"], &rated[0]["total"]), (&json!("unpriced"), &Value::Null));
    assert_eq!(rated[0]["unpriced"][0]["reason"], "model");
    assert_eq!((&rated[1]["status"], &rated[1]["total"]), (&json!("unpriced"), &Value::Null));
    assert_eq!(rated[1]["model"], "gpt-5");
    assert_eq!(rated[1]["unpriced"][0]["reason"], "no_usage");
}

#[test]
fn the_price_commands_say_what_is_there_and_what_is_not() {
    let mut output = Vec::new();
    assert!(prices::check(&[], &mut output).unwrap());
    let text = String::from_utf8(std::mem::take(&mut output)).unwrap();
    assert!(text.contains("openai: ") && text.contains("price version "), "{text}");
    let table = builtin();
    assert!(prices::show("gpt-5.6", at(NOVEMBER), &table, &mut output).unwrap());
    let text = String::from_utf8(std::mem::take(&mut output)).unwrap();
    for part in [
        "gpt-5.6-sol",
        "points here",
        "service_tier=flex",
        "272001",
        "times 1.1",
        "source ",
        "note a promotion",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!prices::show("gpt-99", at(NOVEMBER), &table, &mut output).unwrap());
    let text = String::from_utf8(output).unwrap();
    assert!(text.contains("unpriced"), "{text}");
    let missing = [Path::new("no-such-file.toml").to_path_buf()];
    let mut output = Vec::new();
    assert!(!prices::check(&missing, &mut output).unwrap());
    assert!(String::from_utf8(output).unwrap().contains("no-such-file.toml"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn charges_add_up_in_any_order(counts in proptest::collection::vec(0_u64..5_000_000, 12), turn in 0_usize..12) {
        let table = builtin_once();
        let mut reported = ReportedUsage::none(UsageSource::Reported);
        let models = ["gpt-5.6-sol", "gpt-4o-realtime-preview", "whisper-1", "gpt-5", "gpt-image-1", "o3"];
        let meters = [Meter::Input, Meter::OutputAudio, Meter::AudioSeconds, Meter::OutputReasoning, Meter::OutputImage, Meter::WebSearch];
        for (index, count) in counts.iter().enumerate() {
            let (model, meter) = (models[index % 6], meters[index % 6]);
            let quantities = Quantities::from_iter([(meter, *count)]);
            reported.parts.push(ModelUsage { model: Some(model.into()), quantities, context_tokens: *count });
        }
        let valuation = price(table, "openai", "gpt-5", NOVEMBER, &reported);
        let sum: Amount = valuation.charges.iter().map(|charge| charge.amount).sum();
        prop_assert_eq!(valuation.total, Some(sum));
        prop_assert!(valuation.unpriced.is_empty());
        for charge in &valuation.charges {
            // The printed arithmetic is the amount, in decimals of its own.
            let unit = parse_decimal(&charge.effective_unit_price().unwrap()).unwrap();
            let printed = parse_decimal(&charge.meter.print(charge.quantity)).unwrap();
            let exact = counterfoil::money::exact_mul(unit, printed).unwrap();
            let times_per = charge.amount.pico() * i128::from(charge.per);
            let lifted = exact.normalize();
            let wanted = lifted.mantissa() * 10_i128.pow(12 - lifted.scale().min(12));
            let slack = if charge.rounded { i128::from(charge.per) } else { 0 };
            prop_assert!((times_per - wanted).abs() * 2 <= slack, "{charge:?}");
        }
        reported.parts.rotate_left(turn);
        let turned = price(table, "openai", "gpt-5", NOVEMBER, &reported);
        prop_assert_eq!(turned.total, valuation.total);
    }

    #[test]
    fn no_line_makes_the_command_panic_or_lose_its_place(lines in proptest::collection::vec("[^\n]{0,60}", 1..5)) {
        let text = lines.join("\n") + "\n";
        prop_assert_eq!(rate_lines_of(builtin_once(), text.as_bytes()), lines.len());
    }
}

fn builtin_once() -> &'static PriceTable {
    static TABLE: std::sync::OnceLock<PriceTable> = std::sync::OnceLock::new();
    TABLE.get_or_init(builtin)
}

fn rate_lines_of(table: &PriceTable, input: &[u8]) -> usize {
    let mut output = Vec::new();
    rate_command::rate(input, &mut output, table).unwrap();
    String::from_utf8(output).unwrap().lines().count()
}
