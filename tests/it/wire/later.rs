//! Usage that comes after its call: background responses and batch results.

use counterfoil::ledger::settlement::BillingClass;
use counterfoil::meter::Meter;
use counterfoil::usage::UsageSource;

use crate::wire::house::{CHAT_HEADERS, House, MESSAGE_HEADERS};
use crate::wire::upstream::{Act, Upstream, json_reply, reply};

const QUEUED: &str = r#"{"id":"resp_1","object":"response","status":"queued","background":true,"model":"gpt-4o","usage":null,"output":[]}"#;
const DONE: &str = r#"{"id":"resp_1","object":"response","status":"completed","background":true,"model":"gpt-4o","output":[],"usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":0},"output_tokens":20,"total_tokens":120}}"#;

#[tokio::test]
async fn a_background_response_is_awaited_and_settled_once_by_a_passing_get() {
    let polls = std::sync::atomic::AtomicUsize::new(0);
    let upstream = Upstream::start(move |seen| {
        let poll = seen.line.starts_with("GET ");
        let early = !poll || polls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        vec![Act::Write(json_reply(200, if early { QUEUED } else { DONE }))]
    })
    .await;
    let house = House::over(&upstream.url()).await;
    let ask = r#"{"model":"gpt-4o","input":"hi","background":true}"#;
    assert_eq!(house.ask("POST /openai/v1/responses", CHAT_HEADERS, ask).await.text(), QUEUED);
    let book = house.journal().await;
    assert_eq!(book.settlements[0].usage.source, UsageSource::Awaiting);
    assert_eq!(book.settlements[0].valuation.total, None);
    for expected in [QUEUED, DONE, DONE, DONE] {
        let answer = house.ask("GET /openai/v1/responses/resp_1", CHAT_HEADERS, "").await;
        assert_eq!(answer.text(), expected);
    }
    let (book, _folder) = house.end().await;
    assert_eq!((book.intents.len(), book.settlements.len()), (5, 5));
    assert_eq!(book.corrections.len(), 1);
    let corrected = &book.corrections[0].settlement;
    assert_eq!(corrected.attempt, book.intents[0].attempt);
    assert_eq!(corrected.usage.source, UsageSource::Reported);
    assert_eq!(corrected.usage.quantities().get(Meter::Input), Some(100));
    assert_eq!(corrected.billing_class, BillingClass::Billed);
    assert!(corrected.valuation.total.is_some());
    for reading in &book.settlements[1..] {
        assert_eq!(reading.usage.source, UsageSource::NotMetered);
        assert_eq!(reading.billing_class, BillingClass::NotBilled);
    }
}

#[tokio::test]
async fn batch_results_are_metered_at_their_first_reading_and_at_no_other() {
    let line = |id: u32, model: &str, input: u32| {
        format!(
            "{{\"custom_id\":\"item-{id}\",\"result\":{{\"type\":\"succeeded\",\"message\":{{\"id\":\
             \"msg_{id}\",\"model\":\"{model}\",\"usage\":{{\"input_tokens\":{input},\
             \"output_tokens\":2}}}}}}}}\n"
        )
    };
    let failed = "{\"custom_id\":\"item-9\",\"result\":{\"type\":\"expired\"}}\n";
    let file = [
        line(1, "claude-sonnet-4-20250514", 10),
        line(2, "claude-sonnet-4-20250514", 20),
        line(3, "claude-3-5-haiku-20241022", 5),
        failed.to_owned(),
    ]
    .concat();
    let bytes = reply(200, "content-type: application/x-jsonl\r\n", file.as_bytes());
    let upstream = Upstream::start(move |_| vec![Act::Write(bytes.clone())]).await;
    let house = House::over(&upstream.url()).await;
    for _ in 0..3 {
        let path = "GET /anthropic/v1/messages/batches/msgbatch_1/results";
        assert_eq!(house.ask(path, MESSAGE_HEADERS, "").await.text(), file);
    }
    let (book, _folder) = house.end().await;
    let sources: Vec<_> = book.settlements.iter().map(|it| it.usage.source).collect();
    use UsageSource::{NotMetered, Reported};
    assert_eq!(sources, [Reported, NotMetered, NotMetered]);
    let usage = &book.settlements[0].usage;
    assert_eq!(usage.conditions.get("processing"), Some("batch"));
    assert_eq!(usage.parts.len(), 2);
    assert_eq!(usage.quantities().get(Meter::Input), Some(35));
    assert_eq!(usage.quantities().get(Meter::Output), Some(6));
    assert_eq!(book.settlements[0].billing_class, BillingClass::Billed);
}

#[tokio::test]
async fn a_restart_forgets_neither_what_is_awaited_nor_what_was_metered() {
    let line = "{\"custom_id\":\"a\",\"result\":{\"type\":\"succeeded\",\"message\":{\"id\":\"m\",\
        \"model\":\"claude-sonnet-4-20250514\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}}\n";
    let upstream = Upstream::start(move |seen| {
        let reply = match seen.line.split(' ').collect::<Vec<_>>()[..] {
            ["POST", _] => json_reply(200, QUEUED),
            [_, path] if path.contains("batches") => {
                reply(200, "content-type: application/x-jsonl\r\n", line.as_bytes())
            }
            _ => json_reply(200, DONE),
        };
        vec![Act::Write(reply)]
    })
    .await;
    let batch = "GET /anthropic/v1/messages/batches/msgbatch_1/results";
    let house = House::over(&upstream.url()).await;
    let ask = r#"{"model":"gpt-4o","input":"hi","background":true}"#;
    assert_eq!(house.ask("POST /openai/v1/responses", CHAT_HEADERS, ask).await.status, 200);
    assert_eq!(house.ask(batch, MESSAGE_HEADERS, "").await.status, 200);
    let house = house.restarted(&upstream.url()).await;
    assert_eq!(house.ask(batch, MESSAGE_HEADERS, "").await.status, 200);
    for _ in 0..2 {
        let done = house.ask("GET /openai/v1/responses/resp_1", CHAT_HEADERS, "").await;
        assert_eq!(done.text(), DONE);
    }
    let house = house.restarted(&upstream.url()).await;
    assert_eq!(house.ask("GET /openai/v1/responses/resp_1", CHAT_HEADERS, "").await.status, 200);
    let (book, _folder) = house.end().await;
    assert_eq!(book.corrections.len(), 1);
    let corrected = &book.corrections[0].settlement;
    assert_eq!(corrected.attempt, book.intents[0].attempt);
    assert_eq!(corrected.usage.quantities().get(Meter::Output), Some(20));
    let metered = book.settlements.iter().filter(|it| it.usage.source == UsageSource::Reported);
    assert_eq!(metered.count(), 1);
}

#[tokio::test]
async fn an_ordinary_file_that_is_fetched_is_no_batch() {
    let upstream = Upstream::start(|_| {
        vec![Act::Write(reply(200, "content-type: text/plain\r\n", b"just\nlines\n"))]
    })
    .await;
    let house = House::over(&upstream.url()).await;
    let answer = house.ask("GET /openai/v1/files/file-1/content", CHAT_HEADERS, "").await;
    assert_eq!(answer.text(), "just\nlines\n");
    let book = house.journal().await;
    assert_eq!(book.only().1.billing_class, BillingClass::NotBilled);
}
