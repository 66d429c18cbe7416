//! Calls answered by an event stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use counterfoil::ledger::settlement::{BillingClass, Outcome, Settlement};
use counterfoil::meter::Meter;
use counterfoil::usage::{UsageFlag, UsageSource};

use crate::wire::client::{Answer, Client};
use crate::wire::house::{CHAT_HEADERS, House};
use crate::wire::upstream::{Act, Upstream, chunk, last_chunk, stream_acts, stream_head};

const CHAT: &str =
    r#"{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const CHAT_ASKING: &str = r#"{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
const MESSAGE: &str =
    r#"{"model":"claude-sonnet-4-20250514","stream":true,"max_tokens":9,"messages":[]}"#;

/// A chat stream; `usage_null` as it comes when usage was asked for.
fn chat_stream(usage_null: bool, usage: &str) -> String {
    let null = if usage_null { r#","usage":null"# } else { "" };
    let mut stream = String::new();
    for word in ["He", "llo", " wörld"] {
        stream.push_str(&format!(
            "data: {{\"id\":\"c1\",\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":\"{word}\"}}}}]{null}}}\n\n"
        ));
    }
    stream.push_str(usage);
    stream.push_str("data: [DONE]\n\n");
    stream
}

const USAGE_EVENT: &str = "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\
    \"completion_tokens\":3,\"total_tokens\":8}}\n\n";

const MESSAGE_STREAM: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":\
    {\"id\":\"msg_1\",\"model\":\"claude-sonnet-4-20250514\",\"usage\":{\"input_tokens\":25,\
    \"cache_read_input_tokens\":100,\"output_tokens\":1}}}\n\n\
    event: ping\ndata: {\"type\":\"ping\"}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":\
    {\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n\
    event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\
    \"usage\":{\"output_tokens\":15}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

async fn streaming(body: &str, piece: usize) -> (Upstream, House) {
    let body = body.as_bytes().to_vec();
    let upstream = Upstream::start(move |_| stream_acts("", &body, piece)).await;
    let house = House::over(&upstream.url()).await;
    (upstream, house)
}

async fn settled(house: &House) -> Settlement {
    let book = house.book(1).await;
    book.only().1.clone()
}

fn chat_usage(settlement: &Settlement) -> (Option<u64>, Option<u64>) {
    let used = settlement.usage.quantities();
    (used.get(Meter::Input), used.get(Meter::Output))
}

#[tokio::test]
async fn what_was_injected_never_reaches_a_client_that_did_not_ask() {
    let (upstream, house) = streaming(&chat_stream(true, USAGE_EVENT), 37).await;
    let answer = house.chat(CHAT).await;
    assert_eq!(answer.text(), chat_stream(false, ""));
    assert!(answer.complete);
    let sent = upstream.seen()[0].json();
    assert_eq!(sent["stream_options"]["include_usage"], true);
    let settlement = settled(&house).await;
    assert_eq!(chat_usage(&settlement), (Some(5), Some(3)));
    assert_eq!(settlement.usage.source, UsageSource::Reported);
    assert_eq!(settlement.billing_class, BillingClass::Billed);
    assert!(settlement.first_byte_us.is_some());
}

#[tokio::test]
async fn a_client_that_asked_gets_every_byte_and_the_request_goes_unchanged() {
    let stream = chat_stream(true, USAGE_EVENT);
    let (upstream, house) = streaming(&stream, 37).await;
    let answer = house.chat(CHAT_ASKING).await;
    assert_eq!(answer.text(), stream);
    assert_eq!(upstream.seen()[0].body, CHAT_ASKING.as_bytes());
    assert_eq!(chat_usage(&settled(&house).await), (Some(5), Some(3)));
}

#[tokio::test]
async fn the_same_is_read_and_passed_wherever_the_provider_cuts_its_chunks() {
    let stream = chat_stream(true, USAGE_EVENT);
    let body = stream.clone().into_bytes();
    let upstream = Upstream::start(move |seen| {
        // Every border is another request: cut once, at the byte its user names.
        let cut: usize = seen.json()["user"].as_str().unwrap().parse().unwrap();
        let mut acts = vec![Act::Write(stream_head(""))];
        acts.push(Act::Write(chunk(&body[..cut])));
        acts.push(Act::Sleep(Duration::from_millis(1)));
        acts.push(Act::Write([chunk(&body[cut..]), last_chunk()].concat()));
        acts
    })
    .await;
    let house = House::over(&upstream.url()).await;
    let mut client = Client::connect(house.running.proxy_addr).await;
    for cut in 1..stream.len() {
        let request = CHAT.replace("{\"model\"", &format!("{{\"user\":\"{cut}\",\"model\""));
        client.send("POST /openai/v1/chat/completions", CHAT_HEADERS, request.as_bytes()).await;
        let answer = client.answer().await;
        assert_eq!(answer.text(), chat_stream(false, ""), "cut at {cut}");
    }
    let (book, _folder) = house.end().await;
    assert_eq!(book.settlements.len(), stream.len() - 1);
    for settlement in &book.settlements {
        assert_eq!(chat_usage(settlement), (Some(5), Some(3)));
        assert_eq!(settlement.outcome, Outcome::Completed);
    }
}

#[tokio::test]
async fn a_stream_byte_by_byte_passes_byte_for_byte() {
    let (_upstream, house) = streaming(MESSAGE_STREAM, 1).await;
    let answer = house.message(MESSAGE).await;
    assert_eq!(answer.text(), MESSAGE_STREAM);
    let settlement = settled(&house).await;
    assert_eq!(chat_usage(&settlement), (Some(25), Some(15)));
    assert_eq!(settlement.usage.quantities().get(Meter::InputCacheRead), Some(100));
    assert_eq!(settlement.provider_response_id.as_deref(), Some("msg_1"));
}

#[tokio::test]
async fn comments_crlf_and_several_data_lines_are_understood_and_passed() {
    let stream = ": keep-alive\r\n\r\nevent: message_start\r\ndata: {\"type\":\"message_start\",\r\n\
        data: \"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\r\n\r\n\
        : again\r\n\r\nevent: message_delta\r\ndata: {\"type\":\"message_delta\",\r\n\
        data: \"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":4}}\r\n\r\n\
        event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n";
    for piece in [1, 2, 3, 1000] {
        let (_upstream, house) = streaming(stream, piece).await;
        assert_eq!(house.message(MESSAGE).await.text(), stream);
        assert_eq!(chat_usage(&settled(&house).await), (Some(7), Some(4)));
    }
}

#[tokio::test]
async fn of_two_usage_events_the_last_counts_and_it_is_said() {
    let later = USAGE_EVENT.replace("5", "6").replace("8", "9");
    let (_upstream, house) =
        streaming(&chat_stream(true, &format!("{USAGE_EVENT}{later}")), 100).await;
    house.chat(CHAT).await;
    let settlement = settled(&house).await;
    assert_eq!(chat_usage(&settlement), (Some(6), Some(3)));
    assert!(settlement.usage.flags.contains(&UsageFlag::SeveralUsageEvents));
}

#[tokio::test]
async fn a_stream_without_usage_is_unknown_and_never_zero() {
    for usage in ["", "data: {\"id\":\"c1\",\"choices\":[],\"usage\":null}\n\n"] {
        let (_upstream, house) = streaming(&chat_stream(true, usage), 100).await;
        house.chat(CHAT).await;
        let settlement = settled(&house).await;
        assert_eq!(settlement.usage.source, UsageSource::Absent);
        assert_eq!(chat_usage(&settlement), (None, None));
        assert_eq!(settlement.valuation.total, None);
    }
}

#[tokio::test]
async fn a_reported_zero_stays_a_zero() {
    let zero = USAGE_EVENT.replace("5", "0").replace("3", "0").replace("8", "0");
    let (_upstream, house) = streaming(&chat_stream(true, &zero), 100).await;
    house.chat(CHAT).await;
    let settlement = settled(&house).await;
    assert_eq!(chat_usage(&settlement), (Some(0), Some(0)));
    assert_eq!(settlement.usage.source, UsageSource::Reported);
}

#[tokio::test]
async fn an_error_inside_a_good_answer_is_recorded_as_one() {
    let stream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\
        \"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\nevent: error\ndata: {\"type\":\
        \"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
    let (_upstream, house) = streaming(stream, 50).await;
    assert_eq!(house.message(MESSAGE).await.text(), stream);
    let settlement = settled(&house).await;
    assert_eq!(settlement.outcome, Outcome::ErrorInAnswer);
    assert_eq!(settlement.error.as_deref(), Some("overloaded_error"));
    assert_eq!(settlement.usage.source, UsageSource::Partial);
    assert_eq!(settlement.billing_class, BillingClass::Uncertain);
}

#[tokio::test]
async fn usage_is_taken_from_incomplete_and_failed_responses_too() {
    for (kind, status) in [("incomplete", "incomplete"), ("failed", "failed")] {
        let stream = format!(
            "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"id\":\
             \"resp_1\",\"model\":\"gpt-4o\",\"status\":\"in_progress\",\"usage\":null}}}}\n\n\
             event: response.{kind}\ndata: {{\"type\":\"response.{kind}\",\"response\":{{\"id\":\
             \"resp_1\",\"model\":\"gpt-4o\",\"status\":\"{status}\",\"usage\":{{\"input_tokens\":9,\
             \"output_tokens\":2,\"total_tokens\":11}}}}}}\n\n"
        );
        let (_upstream, house) = streaming(&stream, 64).await;
        let body = r#"{"model":"gpt-4o","input":"hi","stream":true}"#;
        let answer = house.ask("POST /openai/v1/responses", CHAT_HEADERS, body).await;
        assert_eq!(answer.text(), stream);
        assert_eq!(chat_usage(&settled(&house).await), (Some(9), Some(2)), "{kind}");
    }
}

/// The first `whole` events of the message stream, then the connection breaks.
async fn cut_after(bytes: usize) -> (Answer, Settlement) {
    let upstream = Upstream::start(move |_| {
        vec![
            Act::Write([stream_head(""), chunk(&MESSAGE_STREAM.as_bytes()[..bytes])].concat()),
            Act::Sleep(Duration::from_millis(20)),
            Act::Close,
        ]
    })
    .await;
    let house = House::over(&upstream.url()).await;
    let answer = house.message(MESSAGE).await;
    let settlement = settled(&house).await;
    (answer, settlement)
}

#[tokio::test]
async fn a_cut_stream_is_still_charged_for_what_it_sent() {
    let between = MESSAGE_STREAM.find("event: message_delta").unwrap();
    let (answer, settlement) = cut_after(between).await;
    // Between two events the client is told in its own dialect ...
    assert!(answer.text().starts_with(&MESSAGE_STREAM[..between]));
    let told = &answer.text()[between..];
    assert!(told.starts_with("event: error\ndata: {"), "{told}");
    assert_eq!(settlement.outcome, Outcome::UpstreamCut);
    assert_eq!(settlement.usage.source, UsageSource::Partial);
    assert_eq!(settlement.billing_class, BillingClass::Uncertain);
    assert_eq!(settlement.usage.quantities().get(Meter::Input), Some(25));
    // ... inside one the connection breaks, since half an event cannot be taken back.
    let (answer, settlement) = cut_after(between + 10).await;
    assert_eq!(answer.text(), &MESSAGE_STREAM[..between + 10]);
    assert!(!answer.complete);
    assert_eq!(settlement.outcome, Outcome::UpstreamCut);
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_ended_and_settled() {
    let upstream = Upstream::start(|_| {
        let start = MESSAGE_STREAM.find("event: ping").unwrap();
        let bytes = [stream_head(""), chunk(&MESSAGE_STREAM.as_bytes()[..start])].concat();
        vec![Act::Write(bytes), Act::Gate]
    })
    .await;
    let house = House::with(&upstream.url(), "timeouts = { idle_s = 1 }").await;
    let answer = house.message(MESSAGE).await;
    assert!(answer.text().contains("provider_idle"), "{}", answer.text());
    let settlement = settled(&house).await;
    assert_eq!(settlement.outcome, Outcome::Timeout);
    assert_eq!(settlement.usage.source, UsageSource::Partial);
}

#[tokio::test]
async fn a_compressed_stream_passes_as_it_is_and_its_copy_is_read() {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(chat_stream(true, USAGE_EVENT).as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let body = packed.clone();
    let upstream =
        Upstream::start(move |_| stream_acts("content-encoding: gzip\r\n", &body, 20)).await;
    let house = House::over(&upstream.url()).await;
    let answer = house.chat(CHAT_ASKING).await;
    assert_eq!(answer.body, packed);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(chat_usage(&settled(&house).await), (Some(5), Some(3)));
}

#[tokio::test]
async fn a_slow_reader_makes_the_provider_wait_and_not_the_memory_grow() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 1600;
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let comment = Arc::new(chunk(format!(": {}\n\n", "x".repeat(PIECE - 4)).as_bytes()));
    let upstream = Upstream::start(move |_| {
        vec![
            Act::Write(stream_head("")),
            Act::Repeat(Arc::clone(&comment), PIECES, Arc::clone(&counted)),
            Act::Write([chunk(USAGE_EVENT.as_bytes()), last_chunk()].concat()),
        ]
    })
    .await;
    let house = House::over(&upstream.url()).await;
    let mut client = Client::connect(house.running.proxy_addr).await;
    client.send("POST /openai/v1/chat/completions", CHAT_HEADERS, CHAT_ASKING.as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    // 100 MiB are on offer. What the provider could hand over lies in four socket buffers and in
    // the gateway; so the gateway holds less than that, however long the reader takes.
    let taken_early = taken.load(Ordering::Relaxed);
    assert!(taken_early * PIECE < 40 * 1024 * 1024, "{taken_early} pieces were taken unread");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(taken.load(Ordering::Relaxed), taken_early, "the provider was not made to wait");
    assert_eq!(house.journal().await.settlements.len(), 0);
    let answer = client.answer().await;
    assert!(answer.complete);
    assert_eq!(chat_usage(&settled(&house).await), (Some(5), Some(3)));
}
