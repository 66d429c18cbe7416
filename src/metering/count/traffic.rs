//! Our count against what providers reported, on recorded exchanges that stand outside the project.
//! No rule is tuned to a record here; a second half of the records is kept by others.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::*;
use crate::metering::counted::EstimatedPart;
use crate::metering::model_tokens::{CountBasis, Framing};

/// Counted and reported tokens of one class of requests.
#[derive(Default)]
struct Row {
    pairs: Vec<(u64, u64)>,
}

impl Row {
    fn share(&self, within: u64) -> usize {
        let near = self.pairs.iter().filter(|(ours, theirs)| ours.abs_diff(*theirs) <= within);
        near.count() * 1_000 / self.pairs.len().max(1)
    }

    fn error(&self, percentile: usize) -> u64 {
        let error = |(ours, theirs): &(u64, u64)| ours.abs_diff(*theirs) * 1_000 / (*theirs).max(1);
        let mut errors: Vec<u64> = self.pairs.iter().map(error).collect();
        errors.sort_unstable();
        errors.get((errors.len() * percentile / 100).min(errors.len() - 1)).copied().unwrap_or(0)
    }

    fn median_difference(&self) -> i64 {
        let difference = |(ours, theirs): &(u64, u64)| theirs.cast_signed() - ours.cast_signed();
        let mut differences: Vec<i64> = self.pairs.iter().map(difference).collect();
        differences.sort_unstable();
        differences[differences.len() / 2]
    }

    fn sums(&self) -> u64 {
        let ours: u64 = self.pairs.iter().map(|(ours, _)| ours).sum();
        let theirs: u64 = self.pairs.iter().map(|(_, theirs)| theirs).sum();
        theirs * 1_000 / ours.max(1)
    }
}

fn records() -> Option<impl Iterator<Item = Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/traffic/public.jsonl.gz");
    let file = File::open(path).ok()?;
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    Some(lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()))
}

fn endpoint_of(record: &Value) -> Option<Endpoint> {
    match (record["provider"].as_str()?, record["endpoint"].as_str()?) {
        ("openai" | "azure", "chat") => Some(Endpoint::Chat),
        ("openai" | "azure", "responses") => Some(Endpoint::Responses),
        ("openai", "embeddings") => Some(Endpoint::Embeddings),
        ("openai", "completions") => Some(Endpoint::Completions),
        ("anthropic", "messages") => Some(Endpoint::Messages),
        _ => None,
    }
}

fn class_of(body: &Value, counted: &CountedTokens, framing: Framing) -> String {
    let has = |part| counted.estimated_parts.contains(&part);
    let offered = ["tools", "functions"].iter().any(|name| body[name].is_array());
    let request = if has(EstimatedPart::Audio) || has(EstimatedPart::File) {
        "audio or file"
    } else if has(EstimatedPart::Image) {
        "images"
    } else if has(EstimatedPart::History) {
        "history elsewhere"
    } else if has(EstimatedPart::Schema) {
        if has(EstimatedPart::Tools) { "JSON schema and tools" } else { "JSON schema" }
    } else if has(EstimatedPart::Tools) {
        let messages = body["messages"].as_array().or_else(|| body["input"].as_array());
        let called = messages.into_iter().flatten().any(|message| {
            message["tool_calls"].is_array()
                || message["type"] == "function_call"
                || message["content"][0]["type"] == "tool_result"
        });
        match (called, offered) {
            (true, _) => "tools and earlier calls",
            (false, true) => "tools",
            (false, false) => "hidden tools",
        }
    } else if body["response_format"]["type"] == "json_object" {
        "JSON mode"
    } else {
        "plain text"
    };
    let family = match framing {
        Framing::Chat | Framing::FirstChat => "chat",
        Framing::Reasoning => "reasoning",
        Framing::Claude { .. } => "claude",
    };
    format!("{request} / {family}")
}

fn measure() -> Option<BTreeMap<(Endpoint, String), Row>> {
    let counter = Counter::default();
    let mut rows: BTreeMap<(Endpoint, String), Row> = BTreeMap::new();
    let mut seen = HashSet::new();
    for record in records()? {
        let Some(endpoint) = endpoint_of(&record) else { continue };
        let elided = record["elided"].to_string().contains("request");
        let Some(reported) = record["usage_reported"]["input"].as_u64() else { continue };
        if elided || reported == 0 || record["status"] != 200 || !record["request_body"].is_object()
        {
            continue;
        }
        if !seen.insert(record["request_key"].to_string()) {
            continue;
        }
        let body = &record["request_body"];
        let asked = record["model_requested"].as_str().unwrap_or_default();
        let answered = record["model"].as_str().unwrap_or(asked);
        let model = model_tokens::resolve(answered, None);
        if !matches!(model.basis, CountBasis::ModelMap | CountBasis::OtherTokenizer) {
            continue;
        }
        let request = body.to_string();
        let counted = counter.count(
            &Passed {
                endpoint,
                model: answered,
                configured: None,
                request: request.as_bytes(),
                output: None,
            },
            &|| true,
        );
        let Some(ours) = counted.input else { continue };
        let class = class_of(body, &counted, model.framing);
        if std::env::args().any(|arg| arg == "--nocapture") && ours.abs_diff(reported) > 2 {
            println!(
                "{endpoint} {class} {answered} ours {ours} theirs {reported} {}",
                record["id"]
            );
        }
        rows.entry((endpoint, class)).or_default().pairs.push((ours, reported));
    }
    Some(rows)
}

#[test]
fn recorded_prompts_of_plain_text_are_counted_to_the_token() {
    let Some(rows) = measure() else {
        println!("../shared/traffic is absent; nothing was measured");
        return;
    };
    let mut table = format!(
        "{:<44} {:>5} {:>7} {:>9} {:>8} {:>8} {:>7} {:>7}\n",
        "prompt tokens", "n", "exact", "within 2", "median", "p95", "differ", "sum"
    );
    for ((endpoint, class), row) in &rows {
        writeln!(
            table,
            "{:<44} {:>5} {:>6}‰ {:>8}‰ {:>7}‰ {:>7}‰ {:>7} {:>6}‰",
            format!("{endpoint}: {class}"),
            row.pairs.len(),
            row.share(0),
            row.share(2),
            row.error(50),
            row.error(95),
            row.median_difference(),
            row.sums(),
        )
        .unwrap();
    }
    println!("{table}");
    for (endpoint, class, exact, within_two) in FLOORS {
        let row = &rows[&(*endpoint, (*class).to_owned())];
        assert!(row.pairs.len() >= 10, "{endpoint} {class}: only {} records", row.pairs.len());
        assert!(row.share(0) >= *exact, "{endpoint} {class}: {}‰ exact\n{table}", row.share(0));
        assert!(row.share(2) >= *within_two, "{endpoint} {class}: {}‰ near\n{table}", row.share(2));
    }
}

/// At least so many thousandths exact, and within two tokens.
const FLOORS: &[(Endpoint, &str, usize, usize)] = &[
    (Endpoint::Chat, "plain text / chat", 950, 950),
    (Endpoint::Chat, "plain text / reasoning", 700, 950),
];
