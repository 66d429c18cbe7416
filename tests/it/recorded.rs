//! Real exchanges with the two providers, recorded by others: where they are, and what they say was
//! used, compared with what we read.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use counterfoil::meter::{Meter, Quantities};
use flate2::read::GzDecoder;
use serde_json::Value;

/// Records whose reading can be argued with, and why ours differs.
pub(crate) const ARGUED: &[(&str, &str)] = &[(
    "9b271a950360-000",
    "3 reasoning and 4 audio tokens cannot both be inside 4 completion tokens; the record takes \
     the headline, we keep each part as it was reported and flag it",
)];

/// Every exchange, if they stand beside the checkout.
pub(crate) fn exchanges() -> Option<impl Iterator<Item = Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/traffic/public.jsonl.gz");
    let Ok(file) = File::open(path) else {
        println!("absent: ../shared/traffic; nothing was compared");
        return None;
    };
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    let records = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    Some(records.filter(|record| {
        let provider = record["provider"].as_str().unwrap();
        provider == "openai" || provider == "anthropic"
    }))
}

pub(crate) fn text(record: &Value, key: &str) -> String {
    record[key].as_str().unwrap_or_default().to_owned()
}

fn sum(quantities: &Quantities, meters: &[Meter]) -> Option<u64> {
    let found: Vec<u64> = meters.iter().filter_map(|meter| quantities.get(*meter)).collect();
    (!found.is_empty()).then(|| found.iter().sum())
}

/// What the record says, name by name, against what we read.
pub(crate) fn differences(record: &Value, quantities: &Quantities) -> Vec<String> {
    let reported = &record["usage_reported"];
    let all_input: Vec<Meter> = Meter::ALL.iter().copied().filter(|m| m.is_input()).collect();
    let all_output: Vec<Meter> = Meter::ALL.iter().copied().filter(|m| m.is_output()).collect();
    let writes = [
        Meter::InputCacheWrite,
        Meter::InputCacheWrite5m,
        Meter::InputCacheWrite30m,
        Meter::InputCacheWrite1h,
        Meter::InputCacheWrite12h,
    ];
    let reads = [Meter::InputCacheRead, Meter::InputCacheReadAudio, Meter::InputCacheReadImage];
    let names: [(&str, &[Meter]); 14] = [
        ("input", &all_input),
        ("output", &all_output),
        ("input_uncached", &[Meter::Input]),
        ("cached_input", &reads),
        ("cache_write", &writes),
        ("cache_write_5m", &[Meter::InputCacheWrite5m]),
        ("cache_write_1h", &[Meter::InputCacheWrite1h]),
        ("reasoning", &[Meter::OutputReasoning]),
        ("input_audio", &[Meter::InputAudio, Meter::InputCacheReadAudio]),
        ("input_image", &[Meter::InputImage, Meter::InputCacheReadImage]),
        ("output_audio", &[Meter::OutputAudio]),
        ("output_image", &[Meter::OutputImage]),
        ("web_search_requests", &[Meter::WebSearch]),
        ("audio_seconds", &[Meter::AudioSeconds]),
    ];
    let mut found = Vec::new();
    for (name, meters) in names {
        let scale = if name == "audio_seconds" { 1_000 } else { 1 };
        let Some(expected) = reported[name].as_number() else {
            continue;
        };
        let expected = expected.as_u64().or_else(|| expected.to_string().parse().ok());
        let ours = sum(quantities, meters);
        // The recorder fills in the output of calls that have none, such as embeddings.
        let raw = &reported["raw"];
        let fills_in = raw["output_tokens"].is_null() && raw["completion_tokens"].is_null();
        if name == "output" && fills_in && expected == Some(0) && ours.is_none() {
            continue;
        }
        if expected.map(|n| n * scale) != ours {
            found.push(format!("{name}: recorded {expected:?}, ours {ours:?}"));
        }
    }
    found
}
