//! Our count against what providers reported, on recorded exchanges that stand outside the project.
//!
//! No rule is tuned to a single record: constants belong to classes of models and of requests. A
//! second half of the records is kept by others.

#![expect(clippy::print_stdout, reason = "the table is the point of the test")]

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::count::{Counter, Passed};
use super::counted::{CountedTokens, EstimatedPart};
use super::model_tokens::{self, CountBasis, Framing};
use super::reply::ReplyMeter;
use super::stream::{StreamEnd, UsageMeter};
use super::text::{OutputKind, OutputText};
use crate::dialect::endpoint::Dialect;
use crate::names::Endpoint;
use crate::usage::Conditions;

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
    format!("{request} / {}", family(framing))
}

const fn family(framing: Framing) -> &'static str {
    match framing {
        Framing::Chat | Framing::FirstChat => "chat",
        Framing::OSeries | Framing::Gpt5 => "reasoning",
        Framing::Claude { .. } => "claude",
    }
}

type Table = BTreeMap<(Endpoint, String), Row>;

/// A recorded call we can judge ourselves by: answered, metered, whole, of a model we know.
fn judged(record: &Value) -> Option<(Endpoint, String)> {
    let endpoint = endpoint_of(record)?;
    let is_whole = record["elided"].is_null() || record["elided"].to_string().len() <= 2;
    if !is_whole || record["status"] != 200 || !record["request_body"].is_object() {
        return None;
    }
    let answered = record["model"].as_str().or_else(|| record["model_requested"].as_str())?;
    let basis = model_tokens::resolve(answered, None).basis;
    let is_known = matches!(basis, CountBasis::ModelMap | CountBasis::OtherTokenizer);
    is_known.then(|| (endpoint, answered.to_owned()))
}

fn count(
    record: &Value,
    endpoint: Endpoint,
    model: &str,
    answer: Option<&OutputText>,
) -> CountedTokens {
    let request = record["request_body"].to_string();
    let passed = Passed { endpoint, model, configured: None, request: request.as_bytes(), answer };
    Counter::default().count(&passed, &|| true)
}

fn measure_prompts() -> Option<Table> {
    let mut rows = Table::new();
    let mut seen = HashSet::new();
    for record in records()? {
        let Some((endpoint, model)) = judged(&record) else { continue };
        let reported = record["usage_reported"]["input"].as_u64().unwrap_or(0);
        if reported == 0 || !seen.insert(record["request_key"].to_string()) {
            continue;
        }
        let counted = count(&record, endpoint, &model, None);
        let Some(ours) = counted.input else { continue };
        let framing = model_tokens::resolve(&model, None).framing;
        let class = class_of(&record["request_body"], &counted, framing);
        rows.entry((endpoint, class)).or_default().pairs.push((ours, reported));
    }
    Some(rows)
}

/// What the meters keep of a recorded answer, and whether reasoning is seen in it.
fn answer_of(record: &Value, endpoint: Endpoint) -> Option<OutputText> {
    let dialect = if endpoint == Endpoint::Messages { Dialect::Anthropic } else { Dialect::OpenAi };
    let body = record["response_body"].as_str()?;
    let is_stream = record["is_stream"] == true;
    let facts = if is_stream {
        let mut meter = UsageMeter::new(dialect, endpoint);
        meter.feed(body.as_bytes());
        meter.finish(StreamEnd::Complete, None, &Conditions::default())
    } else {
        let mut meter = ReplyMeter::new(dialect, endpoint, 200);
        meter.feed(body.as_bytes());
        meter.finish(true, None, &Conditions::default())
    };
    facts.saw_end.then_some(facts.text)
}

fn measure_answers() -> Option<Table> {
    let mut rows = Table::new();
    for record in records()? {
        let Some((endpoint, model)) = judged(&record) else { continue };
        let usage = &record["usage_reported"];
        let hidden = usage["reasoning"].as_u64().unwrap_or(0);
        let reported = usage["output"].as_u64().unwrap_or(0).saturating_sub(hidden);
        let Some(answer) = answer_of(&record, endpoint) else { continue };
        let has = |kind| answer.pieces.iter().any(|piece| piece.kind == kind);
        // What is billed of shown reasoning is not told apart, and sound is no text.
        let speaks = usage["output_audio"].as_u64() > Some(0);
        if reported == 0 || answer.pieces.is_empty() || has(OutputKind::Reasoning) || speaks {
            continue;
        }
        let counted = count(&record, endpoint, &model, Some(&answer));
        let Some(ours) = counted.output else { continue };
        let framing = model_tokens::resolve(&model, None).framing;
        let class = format!(
            "{} / {}",
            if has(OutputKind::ToolName) { "calls" } else { "text" },
            family(framing)
        );
        rows.entry((endpoint, class)).or_default().pairs.push((ours, reported));
    }
    Some(rows)
}

fn print(title: &str, rows: &Table) {
    println!(
        "\n{title:<44} {:>5} {:>7} {:>9} {:>8} {:>8} {:>7} {:>7}",
        "n", "exact", "within 2", "median", "p95", "differ", "sum"
    );
    for ((endpoint, class), row) in rows {
        println!(
            "{:<44} {:>5} {:>6}‰ {:>8}‰ {:>7}‰ {:>7}‰ {:>7} {:>6}‰",
            format!("{endpoint}: {class}"),
            row.pairs.len(),
            row.share(0),
            row.share(2),
            row.error(50),
            row.error(95),
            row.median_difference(),
            row.sums(),
        );
    }
}

fn hold(rows: &Table, floors: &[Floor]) {
    for (endpoint, class, exact, within_two) in floors {
        let row = &rows[&(*endpoint, (*class).to_owned())];
        assert!(row.pairs.len() >= 10, "{endpoint}: {class}: only {} records", row.pairs.len());
        assert!(row.share(0) >= *exact, "{endpoint}: {class}: {}‰ exact", row.share(0));
        assert!(row.share(2) >= *within_two, "{endpoint}: {class}: {}‰ near", row.share(2));
    }
}

#[test]
fn recorded_prompts_of_plain_text_are_counted_to_the_token() {
    let Some(rows) = measure_prompts() else {
        println!("../shared/traffic is absent; nothing was measured");
        return;
    };
    print("prompt tokens", &rows);
    hold(&rows, PROMPT_FLOORS);
}

#[test]
fn recorded_answers_of_plain_text_are_counted_to_the_token() {
    let Some(rows) = measure_answers() else {
        println!("../shared/traffic is absent; nothing was measured");
        return;
    };
    print("answer tokens, hidden reasoning apart", &rows);
    hold(&rows, ANSWER_FLOORS);
}

/// Of a class at least so many thousandths exact, and within two tokens.
type Floor = (Endpoint, &'static str, usize, usize);

const ANSWER_FLOORS: &[Floor] = &[
    (Endpoint::Chat, "text / chat", 750, 970),
    (Endpoint::Chat, "calls / chat", 550, 750),
    (Endpoint::Responses, "text / chat", 650, 900),
    (Endpoint::Completions, "text / chat", 900, 980),
];

const PROMPT_FLOORS: &[Floor] = &[
    (Endpoint::Chat, "plain text / chat", 960, 980),
    (Endpoint::Chat, "plain text / reasoning", 700, 950),
    (Endpoint::Chat, "tools / chat", 400, 650),
    (Endpoint::Chat, "tools and earlier calls / chat", 250, 550),
    (Endpoint::Responses, "plain text / chat", 800, 850),
    (Endpoint::Responses, "plain text / reasoning", 800, 900),
    (Endpoint::Completions, "plain text / chat", 950, 1_000),
    (Endpoint::Embeddings, "plain text / chat", 950, 980),
];
