//! Real answers, recorded by others: what our meters read equals what the provider reported.

use bytes::Bytes;
use counterfoil::dialect::endpoint::{Dialect, Purpose, classify};
use counterfoil::dialect::inject::{Injection, include_usage};
use counterfoil::dialect::request::RequestFacts;
use counterfoil::dialect::strip::UsageStripper;
use counterfoil::meter::Meter;
use counterfoil::metering::reply::ReplyMeter;
use counterfoil::metering::reported::batch::{BatchLine, BatchMeter};
use counterfoil::metering::reported::split_reply;
use counterfoil::metering::stream::{StreamEnd, StreamFacts, UsageMeter};
use counterfoil::names::ProviderName;
use counterfoil::usage::{Conditions, UsageFlag, UsageSource};
use serde_json::{Value, json};

use crate::recorded::{ARGUED, differences, exchanges, text};

/// Records with a flag, and why it is right. Their meters are compared like all others.
const FLAGGED: &[(&str, UsageFlag)] = &[
    // An assistant's run reports once for each step and once for the whole.
    ("17d2b45b4a0a-003", UsageFlag::SeveralUsageEvents),
    ("138b91db9e28-003", UsageFlag::SeveralUsageEvents),
    ("a21b6a433b97-003", UsageFlag::SeveralUsageEvents),
    // The split by lifetime came before the server tools ran, the total after.
    ("c1cb8e5fed8d-000", UsageFlag::TotalMismatch),
];

fn records() -> Option<impl Iterator<Item = Value>> {
    Some(exchanges()?.filter(|record| record["response_body_encoding"] == "utf8"))
}

struct Reading {
    facts: StreamFacts,
    purpose: Purpose,
}

fn asked(record: &Value) -> Option<RequestFacts> {
    let body = match record["request_body_encoding"].as_str().unwrap() {
        "json" => record["request_body"].to_string(),
        "text" => text(record, "request_body"),
        _ => return None,
    };
    let content_type = record["request_headers"]["content-type"].as_str();
    RequestFacts::read(content_type, body.as_bytes()).ok()
}

/// Reads a record as the gateway would, its body in these slices.
fn read(record: &Value, slices: &[&[u8]]) -> Reading {
    let provider = ProviderName::new(record["provider"].as_str().unwrap());
    let dialect =
        if provider.as_str() == "anthropic" { Dialect::Anthropic } else { Dialect::OpenAi };
    let path = text(record, "path");
    // One recording went through a router that puts its own prefix before the version.
    let path = path.strip_prefix("/api").unwrap_or(&path);
    let route = classify(dialect, record["method"].as_str().unwrap(), path);
    let asked = asked(record);
    let context = Conditions::default();
    let facts = if record["is_stream"] == true {
        let mut meter = UsageMeter::new(dialect, route.endpoint);
        slices.iter().for_each(|slice| meter.feed(slice));
        meter.finish(StreamEnd::Complete, asked.as_ref(), &context)
    } else {
        let status = record["status"].as_u64().unwrap().try_into().unwrap();
        let mut meter = ReplyMeter::new(dialect, route.endpoint, status);
        slices.iter().for_each(|slice| meter.feed(slice));
        meter.finish(true, asked.as_ref(), &context)
    };
    Reading { facts, purpose: route.purpose }
}

#[test]
fn every_recorded_usage_is_read_as_it_was_reported() {
    let Some(records) = records() else {
        return;
    };
    let (mut compared, mut wrong) = (0, Vec::new());
    for record in records {
        let id = text(&record, "id");
        let body = text(&record, "response_body");
        let reading = read(&record, &[body.as_bytes()]);
        let usage = &reading.facts.usage;
        let reported = &record["usage_reported"];
        let mut faults = Vec::new();
        if reported.is_null() {
            if !usage.parts.is_empty() && usage.source != UsageSource::Counted {
                faults.push(format!("nothing was reported, ours {:?}", usage.parts));
            }
        } else if reported["present_but_empty"] == true {
            if !usage.parts.is_empty() {
                faults.push(format!("an empty usage was read as {:?}", usage.parts));
            }
        } else if reported["count_only"] == true {
            if usage.source != UsageSource::NotMetered {
                faults.push(format!("a count was taken for usage: {:?}", usage.source));
            }
        } else if let Some(main) = usage.parts.first() {
            compared += 1;
            faults = differences(&record, &main.quantities);
            if let Some(served) = record["model"].as_str()
                && reading.facts.model_served.as_ref().is_some_and(|m| m.as_str() != served)
            {
                faults.push(format!("model {:?}, not {served}", reading.facts.model_served));
            }
            if usage.raw.is_none() {
                faults.push("the usage object was not kept".to_owned());
            }
            let expected = FLAGGED.iter().find(|(flagged, _)| *flagged == id);
            if !usage.flags.iter().eq(expected.iter().map(|(_, flag)| flag)) {
                faults.push(format!("flags {:?}", usage.flags));
            }
        } else if usage.source != UsageSource::Awaiting {
            faults.push(format!("usage was not found: {:?}", usage.source));
        }
        let argued = ARGUED.iter().any(|(argued, _)| *argued == id);
        if !faults.is_empty() && !argued {
            wrong.push(format!("{id} {} {:?}: {faults:?}", text(&record, "path"), reading.purpose));
        }
    }
    println!("{compared} recorded usages compared");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 2_000, "only {compared} usages were compared");
}

#[test]
fn a_stream_is_read_the_same_wherever_it_is_cut() {
    let Some(records) = records() else {
        return;
    };
    let mut seed: usize = 7;
    for (number, record) in records.filter(|record| record["is_stream"] == true).enumerate() {
        let body = text(&record, "response_body");
        let body = body.as_bytes();
        let whole = read(&record, &[body]).facts;
        let mut slices = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let (slice, tail) = rest.split_at((1 + (seed >> 33) % 700).min(rest.len()));
            slices.push(slice);
            rest = tail;
        }
        assert_eq!(read(&record, &slices).facts, whole, "{} at random cuts", record["id"]);
        if number % 8 == 0 {
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(read(&record, &bytes).facts, whole, "{} byte by byte", record["id"]);
        }
    }
}

#[test]
fn rating_a_recorded_answer_reads_what_metering_it_read() {
    let Some(records) = records() else {
        return;
    };
    for record in records.filter(|record| record["is_stream"] == false && record["status"] == 200) {
        let Ok(response) = serde_json::from_str::<Value>(&text(&record, "response_body")) else {
            continue;
        };
        let body = text(&record, "response_body");
        let metered = read(&record, &[body.as_bytes()]).facts.usage;
        let provider = ProviderName::new(record["provider"].as_str().unwrap());
        let dialect = Dialect::of(&provider, counterfoil::names::Endpoint::Other);
        let path = text(&record, "path");
        let path = path.strip_prefix("/api").unwrap_or(&path);
        let endpoint = classify(dialect, record["method"].as_str().unwrap(), path).endpoint;
        let request = Some(&record["request_body"]).filter(|body| body.is_object());
        let mut rated =
            split_reply(&provider, endpoint, request, &Conditions::default(), &response);
        rated.raw.clone_from(&metered.raw);
        if request.is_some() || record["request_body_encoding"] == "none" {
            assert_eq!(rated, metered, "{}", record["id"]);
        }
    }
}

/// The recorded chat streams, which is where usage must be asked for.
fn chat_streams() -> Option<impl Iterator<Item = Value>> {
    let is_chat = |record: &Value| {
        record["is_stream"] == true
            && record["provider"] == "openai"
            && (record["endpoint"] == "chat" || record["endpoint"] == "completions")
    };
    Some(records()?.filter(is_chat))
}

fn strip(slices: &[&[u8]]) -> Vec<u8> {
    let mut stripper = UsageStripper::new();
    let mut out = Vec::new();
    for slice in slices {
        out.extend_from_slice(&stripper.feed(&Bytes::copy_from_slice(slice)));
    }
    out.extend_from_slice(&stripper.finish());
    out
}

/// What a client that did not ask would have got, told apart with an ordinary JSON parser.
fn without_usage(stream: &str) -> Vec<Value> {
    let chunks = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = chunks.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    chunks
        .filter(|chunk| {
            let is_empty = chunk["choices"].as_array().is_some_and(Vec::is_empty);
            !(is_empty && chunk["usage"].is_object())
        })
        .map(|mut chunk| {
            if chunk.get("usage").is_some_and(Value::is_null) {
                chunk.as_object_mut().unwrap().remove("usage");
            }
            chunk
        })
        .collect()
}

#[test]
fn a_client_that_did_not_ask_gets_the_stream_it_would_have_got() {
    let Some(records) = chat_streams() else {
        return;
    };
    let (mut changed, mut unchanged) = (0, 0);
    for record in records {
        let body = text(&record, "response_body");
        let stripped = strip(&[body.as_bytes()]);
        let single: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        assert_eq!(strip(&single), stripped, "{} byte by byte", record["id"]);
        let stripped = String::from_utf8(stripped).unwrap();
        if body.contains("\"usage\"") {
            changed += 1;
        } else {
            unchanged += 1;
            assert_eq!(stripped, body, "{}", record["id"]);
        }
        let expected = without_usage(&body);
        let read: Vec<Value> = stripped
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter_map(|data| serde_json::from_str(data).ok())
            .collect();
        assert_eq!(read, expected, "{}", record["id"]);
        // As the members are always written, cutting the text comes to the same bytes.
        for line in stripped.lines().filter(|line| !line.is_empty()) {
            let cut = |given: &str| given.replacen(",\"usage\":null", "", 1) == line;
            assert!(body.lines().any(|given| given == line || cut(given)), "{}", record["id"]);
        }
    }
    println!("{changed} streams changed, {unchanged} passed untouched");
    assert!(changed > 100 && unchanged > 20);
}

#[test]
fn every_recorded_request_is_made_to_ask_and_otherwise_left_alone() {
    let Some(records) = chat_streams() else {
        return;
    };
    let mut spliced = 0;
    for record in records.filter(|record| record["request_body"].is_object()) {
        let body = Bytes::from(record["request_body"].to_string());
        let mut expected = record["request_body"].clone();
        if !expected["stream_options"].is_object() {
            expected["stream_options"] = json!({});
        }
        expected["stream_options"]["include_usage"] = json!(true);
        match include_usage(&body).unwrap() {
            Injection::AsItIs => assert_eq!(expected, record["request_body"], "{}", record["id"]),
            Injection::Spliced(splice) => {
                spliced += 1;
                let sent = splice.pieces().concat();
                let sent: Value = serde_json::from_slice(&sent).unwrap();
                assert_eq!(sent, expected, "{}", record["id"]);
            }
        }
    }
    assert!(spliced > 20, "only {spliced} requests needed it");
}

#[test]
fn recorded_batch_results_are_metered_line_by_line() {
    let Some(records) = records() else {
        return;
    };
    let mut lines = 0;
    for record in records.filter(|r| r["status"] == 200 && text(r, "path").ends_with("/results")) {
        let body = text(&record, "response_body");
        let mut expected = Vec::new();
        for line in body.lines().filter(|line| !line.trim().is_empty()) {
            let line: Value = serde_json::from_str(line).unwrap();
            let message = &line["result"]["message"];
            expected.push((line["custom_id"].clone(), message["usage"]["output_tokens"].as_u64()));
        }
        let mut read = Vec::new();
        let mut meter = BatchMeter::new(Dialect::Anthropic);
        let mut take = |line: BatchLine| {
            let output = line.usage.quantities().get(Meter::Output);
            assert_eq!(line.usage.conditions.get("processing"), Some("batch"));
            read.push((json!(line.custom_id), output));
        };
        for slice in body.as_bytes().chunks(7) {
            meter.feed(slice, &mut take);
        }
        meter.finish(&mut take);
        lines += read.len();
        assert_eq!((read, meter.skipped()), (expected, 0), "{}", record["id"]);
    }
    assert!(lines > 0, "no batch line was recorded");
}
