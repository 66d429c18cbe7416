//! Real exchanges, recorded by others, through the running proxy: bytes and meters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use counterfoil::meter::{Meter, Quantities};
use counterfoil::usage::UsageSource;
use serde_json::{Value, json};

use crate::recorded::{ARGUED, differences, exchanges, text};
use crate::wire::client::Client;
use crate::wire::house::House;
use crate::wire::upstream::{Act, Upstream, chunk, last_chunk, reply, stream_head};

/// What one exchange came to.
struct Replayed {
    record: Value,
    received: Vec<u8>,
    status: u16,
    request_id: String,
    injected: bool,
}

fn records() -> Option<Vec<Value>> {
    Some(exchanges()?.filter(|record| record["response_body_encoding"] != "elided").collect())
}

fn body_of(record: &Value, side: &str) -> Vec<u8> {
    let body = &record[format!("{side}_body")];
    match record[format!("{side}_body_encoding")].as_str().unwrap() {
        "json" => serde_json::to_vec(body).unwrap(),
        "text" | "utf8" => body.as_str().unwrap().as_bytes().to_vec(),
        "base64" => from_base64(body.as_str().unwrap()),
        _ => Vec::new(),
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = text.bytes().filter(|b| b.is_ascii_graphic() && *b != b'=').collect();
    let mut bytes = Vec::with_capacity(letters.len() * 3 / 4);
    for four in letters.chunks(4) {
        let bits = four.iter().fold(0_u32, |bits, letter| bits << 6 | u32::from(value(*letter)));
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

/// Answers each request with the record its own header names.
async fn fake_upstream(records: Arc<Vec<Value>>) -> Upstream {
    Upstream::start(move |seen| {
        let number: usize = seen.header("x-client-request-id").unwrap().parse().unwrap();
        let record = &records[number];
        let body = body_of(record, "response");
        let status = u16::try_from(record["status"].as_u64().unwrap()).unwrap();
        let mut headers = String::new();
        for (name, value) in record["response_headers"].as_object().unwrap() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            headers.push_str(&format!("{name}: {value}\r\n"));
        }
        if status == 204 || status == 304 {
            return vec![Act::Write(format!("HTTP/1.1 {status} X\r\n{headers}\r\n").into_bytes())];
        }
        if record["is_stream"] == true {
            // Slices of odd sizes, another for each record.
            let size = 1 + number % 97;
            let head = stream_head("");
            let head = String::from_utf8(head).unwrap().replacen(
                "content-type: text/event-stream\r\n",
                "",
                1,
            );
            let mut bytes = head.trim_end_matches("\r\n").as_bytes().to_vec();
            bytes.extend_from_slice(format!("\r\n{headers}\r\n").as_bytes());
            for piece in body.chunks(size) {
                bytes.extend_from_slice(&chunk(piece));
            }
            bytes.extend_from_slice(&last_chunk());
            return vec![Act::Write(bytes)];
        }
        vec![Act::Write(reply(status, &headers, &body))]
    })
    .await
}

async fn replay(client: &mut Client, number: usize, record: &Value) -> Option<Replayed> {
    let provider = text(record, "provider");
    let path = text(record, "path");
    // One recording went through a router that puts its own prefix before the version.
    let path = path.strip_prefix("/api").unwrap_or(&path).to_owned();
    let query = text(record, "query");
    let query = if query.is_empty() { query } else { format!("?{query}") };
    let mut headers =
        format!("x-client-request-id: {number}\r\nx-api-key: sk-made-up-00000000\r\n");
    for (name, value) in record["request_headers"].as_object().unwrap() {
        headers.push_str(&format!("{name}: {}\r\n", value.as_str().unwrap()));
    }
    let line = format!("{} /{provider}{path}{query}", text(record, "method"));
    client.send(&line, &headers, &body_of(record, "request")).await;
    let answer = client.answer().await;
    assert!(answer.complete, "{}", record["id"]);
    let request_id = answer.header("x-counterfoil-request-id")?.to_owned();
    Some(Replayed {
        record: record.clone(),
        received: answer.body,
        status: answer.status,
        request_id,
        injected: false,
    })
}

#[tokio::test]
async fn every_recorded_exchange_passes_byte_for_byte_and_is_metered_as_reported() {
    let Some(records) = records() else { return };
    let records = Arc::new(records);
    let upstream = fake_upstream(Arc::clone(&records)).await;
    let house = House::over(&upstream.url()).await;
    let done = Arc::new(Mutex::new(Vec::new()));
    let mut workers = Vec::new();
    for worker in 0..4 {
        let (records, done) = (Arc::clone(&records), Arc::clone(&done));
        let addr = house.running.proxy_addr;
        workers.push(tokio::spawn(async move {
            let mut client = Client::connect(addr).await;
            for (number, record) in records.iter().enumerate().skip(worker).step_by(4) {
                let replayed = replay(&mut client, number, record).await;
                let replayed = replayed.unwrap_or_else(|| panic!("refused: {}", record["id"]));
                done.lock().unwrap().push(replayed);
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    let mut sent = BTreeMap::new();
    for seen in upstream.seen() {
        let number: usize = seen.header("x-client-request-id").unwrap().parse().unwrap();
        sent.insert(records[number]["id"].to_string(), seen.body);
    }
    let (book, _folder) = house.end().await;
    let mut replayed = std::mem::take(&mut *done.lock().unwrap());
    assert_eq!((replayed.len(), book.settlements.len()), (records.len(), records.len()));
    let mut altered = Vec::new();
    for each in &mut replayed {
        each.injected = check_request(&each.record, &sent[&each.record["id"].to_string()]);
        let id = text(&each.record, "id");
        altered.extend(check_bytes(each).map(|fault| format!("{id}: {fault}")));
    }
    assert!(altered.is_empty(), "{} were altered:\n{}", altered.len(), altered.join("\n"));
    let injected: Vec<String> =
        replayed.iter().filter(|it| it.injected).map(|it| text(&it.record, "id")).collect();
    println!("usage was injected for {} records: {}", injected.len(), injected.join(" "));
    let by_request: BTreeMap<String, usize> =
        book.intents.iter().enumerate().map(|(at, it)| (it.request.to_string(), at)).collect();
    let settlements: BTreeMap<_, _> = book.settlements.iter().map(|it| (it.attempt, it)).collect();
    let (mut compared, mut wrong) = (0, Vec::new());
    for each in &replayed {
        let intent = &book.intents[by_request[&each.request_id]];
        let settlement = settlements[&intent.attempt];
        let faults = compare(each, &settlement.usage.parts.first().map(|it| it.quantities.clone()));
        compared += usize::from(!settlement.usage.parts.is_empty());
        let id = text(&each.record, "id");
        let later = settlement.usage.source == UsageSource::Awaiting
            || intent.method == "GET"
            || intent.path.contains("/batches");
        if !faults.is_empty() && !later && !ARGUED.iter().any(|(argued, _)| *argued == id) {
            wrong.push(format!("{id} {} {:?}: {faults:?}", intent.path, settlement.usage.source));
        }
    }
    println!("{} exchanges replayed, {compared} usages compared", replayed.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 2_000, "only {compared} usages were compared");
}

/// The provider got what the client sent, but for the one option. Whether that was put in.
fn check_request(record: &Value, sent: &[u8]) -> bool {
    let original = body_of(record, "request");
    if sent == original {
        return false;
    }
    let mut expected: Value = serde_json::from_slice(&original).unwrap();
    if !expected["stream_options"].is_object() {
        expected["stream_options"] = json!({});
    }
    expected["stream_options"]["include_usage"] = json!(true);
    assert_eq!(serde_json::from_slice::<Value>(sent).unwrap(), expected, "{}", record["id"]);
    true
}

/// Where what the client received differs from what it should have.
fn check_bytes(replayed: &Replayed) -> Option<String> {
    let Replayed { record, received, status, injected, .. } = replayed;
    if u64::from(*status) != record["status"].as_u64().unwrap() {
        return Some(format!("status {status}"));
    }
    let mut expected = body_of(record, "response");
    if *injected {
        // Less exactly what an answer holds because usage was asked for.
        let original = String::from_utf8(expected).unwrap();
        let kept = original.split_inclusive("\n\n").filter(|event| !is_usage_event(event));
        expected = kept.map(|it| it.replacen(",\"usage\":null", "", 1)).collect::<String>().into();
    }
    if *received == expected {
        return None;
    }
    let same = received.iter().zip(&expected).take_while(|(ours, theirs)| ours == theirs).count();
    let around = |bytes: &[u8]| {
        let from = same.saturating_sub(60);
        let to = bytes.len().min(same + 60);
        String::from_utf8_lossy(bytes.get(from..to).unwrap_or_default()).into_owned()
    };
    Some(format!("from byte {same}: {:?}, not {:?}", around(received), around(&expected)))
}

fn is_usage_event(event: &str) -> bool {
    let data = event.trim().strip_prefix("data: ").unwrap_or_default();
    let chunk: Value = serde_json::from_str(data).unwrap_or_default();
    chunk["choices"].as_array().is_some_and(Vec::is_empty) && chunk["usage"].is_object()
}

fn compare(replayed: &Replayed, used: &Option<Quantities>) -> Vec<String> {
    let reported = &replayed.record["usage_reported"];
    let nothing = reported.is_null()
        || reported["present_but_empty"] == true
        || reported["count_only"] == true;
    match used {
        None if nothing => Vec::new(),
        None => vec!["usage was not found".to_owned()],
        Some(used) if nothing && used.iter().any(|(meter, _)| meter != Meter::Images) => {
            // Images and characters are our own measure where a provider says nothing.
            let own =
                used.iter().all(|(meter, _)| matches!(meter, Meter::Images | Meter::Characters));
            if own { Vec::new() } else { vec![format!("nothing was reported, ours {used:?}")] }
        }
        Some(_) if nothing => Vec::new(),
        Some(used) => differences(&replayed.record, used),
    }
}
