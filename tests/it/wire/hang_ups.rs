//! Clients that go away: before the answer, in it, and at its very end.

use std::time::Duration;

use counterfoil::ledger::settlement::{BillingClass, Outcome};
use counterfoil::meter::Meter;
use counterfoil::usage::UsageSource;

use crate::wire::client::Client;
use crate::wire::house::{CHAT_HEADERS, House, MESSAGE_HEADERS};
use crate::wire::upstream::{Act, Upstream, chunk, json_reply, stream_head};

const ANSWER: &str = r#"{"id":"c1","model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}"#;
const ASK: &str = r#"{"model":"gpt-4o-mini","messages":[]}"#;
const STREAM: &str = r#"{"model":"claude-sonnet-4-20250514","stream":true,"messages":[]}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\
    \"model\":\"claude-sonnet-4-20250514\",\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n";
const STOP: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\
    \"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\nevent: message_stop\ndata: {\"type\":\
    \"message_stop\"}\n\n";

async fn until(what: impl Fn() -> bool) {
    for _ in 0..500 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within five seconds");
}

#[tokio::test]
async fn a_json_answer_is_read_to_its_end_when_its_client_left_before_the_first_byte() {
    let upstream = Upstream::start(|_| vec![Act::Gate, Act::Write(json_reply(200, ANSWER))]).await;
    let house = House::over(&upstream.url()).await;
    let mut client = Client::connect(house.running.proxy_addr).await;
    client.send("POST /openai/v1/chat/completions", CHAT_HEADERS, ASK.as_bytes()).await;
    until(|| !upstream.seen().is_empty()).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(100)).await;
    upstream.open_gate();
    let book = house.book(1).await;
    let (_, settlement) = book.only();
    assert_eq!(settlement.outcome, Outcome::ClientGone);
    assert_eq!(settlement.usage.source, UsageSource::Reported);
    assert_eq!(settlement.usage.quantities().get(Meter::Input), Some(10));
    assert_eq!(settlement.billing_class, BillingClass::Billed);
    assert_eq!(upstream.hung_up(), 0);
}

#[tokio::test]
async fn a_json_answer_is_read_to_its_end_when_its_client_left_in_the_middle() {
    let reply = json_reply(200, ANSWER);
    let (first, second) = reply.split_at(reply.len() - 20);
    let acts = vec![Act::Write(first.to_vec()), Act::Gate, Act::Write(second.to_vec())];
    let upstream = Upstream::start(move |_| acts.clone()).await;
    let house = House::over(&upstream.url()).await;
    let mut client = Client::connect(house.running.proxy_addr).await;
    client.send("POST /openai/v1/chat/completions", CHAT_HEADERS, ASK.as_bytes()).await;
    until(|| !upstream.seen().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(50)).await;
    upstream.open_gate();
    let book = house.book(1).await;
    let (_, settlement) = book.only();
    assert_eq!(
        (settlement.outcome, settlement.usage.source),
        (Outcome::ClientGone, UsageSource::Reported)
    );
}

#[tokio::test]
async fn past_the_cap_an_unfinished_answer_is_given_up_and_unknown() {
    let upstream = Upstream::start(|_| vec![Act::Gate]).await;
    let house = House::with(&upstream.url(), "timeouts = { drain_s = 1 }").await;
    let mut client = Client::connect(house.running.proxy_addr).await;
    client.send("POST /openai/v1/chat/completions", CHAT_HEADERS, ASK.as_bytes()).await;
    until(|| !upstream.seen().is_empty()).await;
    drop(client);
    let book = house.book(1).await;
    let (_, settlement) = book.only();
    assert_eq!(settlement.outcome, Outcome::ClientGone);
    assert_eq!(settlement.usage.source, UsageSource::Absent);
    assert_eq!(settlement.billing_class, BillingClass::Uncertain);
    until(|| upstream.hung_up() == 1).await;
}

#[tokio::test]
async fn a_stream_is_canceled_upstream_when_its_client_left_and_keeps_the_input_it_told() {
    let upstream = Upstream::start(|_| {
        vec![Act::Write([stream_head(""), chunk(START.as_bytes())].concat()), Act::Gate]
    })
    .await;
    let house = House::over(&upstream.url()).await;
    let mut client = Client::connect(house.running.proxy_addr).await;
    client.send("POST /anthropic/v1/messages", MESSAGE_HEADERS, STREAM.as_bytes()).await;
    client.read_some(START.len()).await;
    drop(client);
    let book = house.book(1).await;
    let (_, settlement) = book.only();
    assert_eq!(settlement.outcome, Outcome::ClientGone);
    assert_eq!(settlement.usage.source, UsageSource::Partial);
    assert_eq!(settlement.usage.quantities().get(Meter::Input), Some(25));
    assert_eq!(settlement.billing_class, BillingClass::Uncertain);
    until(|| upstream.hung_up() == 1).await;
}

#[tokio::test]
async fn what_passed_of_a_stream_that_broke_off_is_estimated_by_our_own_count() {
    let words = "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\
        \"text\":\"one two three four five six seven\"}}\n\n";
    let start = format!("{START}{words}");
    let length = start.len();
    let upstream = Upstream::start(move |_| {
        vec![Act::Write([stream_head(""), chunk(start.as_bytes())].concat()), Act::Gate]
    })
    .await;
    let house = House::over(&upstream.url()).await;
    let mut client = Client::connect(house.running.proxy_addr).await;
    client.send("POST /anthropic/v1/messages", MESSAGE_HEADERS, STREAM.as_bytes()).await;
    client.read_some(length).await;
    drop(client);
    let book = house.book(1).await;
    let (intent, settlement) = book.only();
    assert_eq!(settlement.usage.quantities().get(Meter::Output), Some(1));
    let path = format!("/requests/{}.json", intent.request);
    let mut attempt = serde_json::Value::Null;
    for _ in 0..500 {
        attempt = house.page(&path).await.json()["attempts"][0].clone();
        if !attempt["usage"]["counted"].is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // 25 tokens of input as reported, at $3 a million, and the seven words counted, at $15.
    let counted = attempt["usage"]["counted"]["output"].as_u64().unwrap();
    assert!(counted >= 7, "{attempt}");
    let micros = 25 * 3 + counted * 15;
    assert_eq!(attempt["estimate"], format!("0.{micros:06}"));
    assert_eq!(attempt["total"], "0.00009");
}

#[tokio::test]
async fn a_stream_whose_client_left_before_its_first_byte_is_canceled_and_unknown() {
    let upstream = Upstream::start(|_| vec![Act::Gate]).await;
    let house = House::over(&upstream.url()).await;
    let mut client = Client::connect(house.running.proxy_addr).await;
    client.send("POST /anthropic/v1/messages", MESSAGE_HEADERS, STREAM.as_bytes()).await;
    until(|| !upstream.seen().is_empty()).await;
    drop(client);
    let book = house.book(1).await;
    let (_, settlement) = book.only();
    assert_eq!(
        (settlement.outcome, settlement.usage.source),
        (Outcome::ClientGone, UsageSource::Absent)
    );
    assert_eq!(settlement.billing_class, BillingClass::Uncertain);
    until(|| upstream.hung_up() == 1).await;
}

#[tokio::test]
async fn a_client_that_leaves_at_the_last_event_has_had_a_whole_answer() {
    // The provider sends its last event and keeps the connection open, as some do.
    let body = format!("{START}{STOP}");
    let length = body.len();
    let upstream = Upstream::start(move |_| {
        vec![Act::Write([stream_head(""), chunk(body.as_bytes())].concat()), Act::Gate]
    })
    .await;
    let house = House::over(&upstream.url()).await;
    let mut client = Client::connect(house.running.proxy_addr).await;
    client.send("POST /anthropic/v1/messages", MESSAGE_HEADERS, STREAM.as_bytes()).await;
    client.read_some(length).await;
    // It was settled before its last byte went out.
    let book = house.journal().await;
    drop(client);
    let (_, settlement) = book.only();
    assert_eq!(settlement.outcome, Outcome::Completed);
    assert_eq!(settlement.usage.quantities().get(Meter::Output), Some(15));
    let (book, _folder) = house.end().await;
    assert_eq!(book.settlements.len(), 1);
}

#[tokio::test]
async fn a_hundred_streams_that_end_with_the_process_are_all_settled() {
    let upstream = Upstream::start(|_| {
        vec![Act::Write([stream_head(""), chunk(START.as_bytes())].concat()), Act::Gate]
    })
    .await;
    let house = House::with(&upstream.url(), "timeouts = { shutdown_s = 1 }").await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = Client::connect(house.running.proxy_addr).await;
        client.send("POST /anthropic/v1/messages", MESSAGE_HEADERS, STREAM.as_bytes()).await;
        client.read_some(START.len()).await;
        clients.push(client);
    }
    let (book, _folder) = house.end().await;
    assert_eq!((book.intents.len(), book.settlements.len()), (100, 100));
    assert!(book.settlements.iter().all(|it| it.usage.source == UsageSource::Partial));
}

#[tokio::test]
async fn a_shutdown_lets_an_answer_under_way_finish() {
    let upstream = Upstream::start(|_| vec![Act::Gate, Act::Write(json_reply(200, ANSWER))]).await;
    let house = House::over(&upstream.url()).await;
    let mut client = Client::connect(house.running.proxy_addr).await;
    client.send("POST /openai/v1/chat/completions", CHAT_HEADERS, ASK.as_bytes()).await;
    until(|| !upstream.seen().is_empty()).await;
    let (ended, answer) = tokio::join!(house.end(), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        upstream.open_gate();
        client.answer().await
    });
    assert_eq!((answer.status, answer.text().as_str()), (200, ANSWER));
    assert_eq!(ended.0.only().1.outcome, Outcome::Completed);
}
