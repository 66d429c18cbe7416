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

fn line_of(model: &str) -> String {
    format!(
        "{{\"id\":\"batch_req_1\",\"custom_id\":\"a\",\"response\":{{\"status_code\":200,\"body\":\
         {{\"id\":\"c1\",\"model\":\"{model}\",\"choices\":[],\"usage\":{{\"prompt_tokens\":10,\
         \"completion_tokens\":5,\"total_tokens\":15}}}}}},\"error\":null}}\n"
    )
}

/// Both providers' batch jobs, over as soon as they are ordered; OpenAI's has failed lines too.
async fn batch_provider() -> Upstream {
    let results = line_of("gpt-4o-mini-2024-07-18").repeat(2) + &line_of("gpt-4o-2024-08-06");
    let failed = "{\"id\":\"batch_req_9\",\"custom_id\":\"z\",\"response\":{\"status_code\":400,\
        \"body\":{\"error\":{\"message\":\"no\"}}},\"error\":null}\n";
    let messages = "{\"custom_id\":\"a\",\"result\":{\"type\":\"succeeded\",\"message\":{\"id\":\"m\",\
        \"model\":\"claude-sonnet-4-20250514\",\"usage\":{\"input_tokens\":7,\"output_tokens\":3}}}}\n";
    Upstream::start(move |seen| {
        let lines = |text: &str| reply(200, "content-type: application/jsonl\r\n", text.as_bytes());
        let words: Vec<_> = seen.line.split(' ').collect();
        vec![Act::Write(match words[..2] {
            ["POST", "/v1/batches"] => json_reply(
                200,
                r#"{"id":"batch_1","object":"batch","status":"validating","output_file_id":null}"#,
            ),
            ["POST", _] => json_reply(
                200,
                r#"{"id":"msgbatch_1","type":"message_batch","processing_status":"in_progress"}"#,
            ),
            [_, "/v1/batches/batch_1"] => json_reply(
                200,
                r#"{"id":"batch_1","object":"batch","status":"completed","output_file_id":"file-out","error_file_id":"file-bad","usage":{"input_tokens":30,"output_tokens":15,"total_tokens":45}}"#,
            ),
            [_, "/v1/files/file-out/content"] => lines(&results),
            [_, "/v1/files/file-bad/content"] => lines(failed),
            _ => lines(messages),
        })]
    })
    .await
}

#[tokio::test]
async fn a_batch_is_awaited_from_its_order_and_settled_by_the_first_reading_of_its_results() {
    let upstream = batch_provider().await;
    let house = House::over(&upstream.url()).await;
    let mut asked = Vec::new();
    for (line, headers) in [
        ("POST /@search/openai/v1/batches", CHAT_HEADERS),
        ("POST /anthropic/v1/messages/batches", MESSAGE_HEADERS),
        ("GET /openai/v1/batches/batch_1", CHAT_HEADERS),
        ("GET /openai/v1/files/file-bad/content", CHAT_HEADERS),
        ("GET /openai/v1/files/file-out/content", CHAT_HEADERS),
        ("GET /openai/v1/batches/batch_1", CHAT_HEADERS),
        ("GET /openai/v1/files/file-out/content", CHAT_HEADERS),
        ("GET /anthropic/v1/messages/batches/msgbatch_1/results", MESSAGE_HEADERS),
        ("GET /anthropic/v1/messages/batches/msgbatch_1/results", MESSAGE_HEADERS),
    ] {
        let body = if line.starts_with("POST") { "{}" } else { "" };
        assert_eq!(house.ask(line, headers, body).await.status, 200, "{line}");
        asked.push(line);
    }
    let (book, _folder) = house.end().await;
    let sources: Vec<_> = book.settlements.iter().map(|it| it.usage.source).collect();
    assert_eq!(sources[..2], [UsageSource::Awaiting; 2]);
    assert!(book.settlements[..2].iter().all(|it| it.valuation.total.is_none()));
    for (reading, line) in book.settlements.iter().zip(asked).skip(2) {
        let billed = (reading.usage.quantities().is_empty(), reading.billing_class);
        assert_eq!(billed, (true, BillingClass::NotBilled), "{line}");
    }
    let [jobs, messages] = &book.corrections[..] else { panic!("{:?}", book.corrections) };
    assert_eq!(jobs.settlement.attempt, book.intents[0].attempt);
    assert_eq!(messages.settlement.attempt, book.intents[1].attempt);
    for (job, parts, input, output) in [(jobs, 2, 30, 15), (messages, 1, 7, 3)] {
        let settled = &job.settlement;
        assert_eq!(settled.usage.source, UsageSource::Reported);
        assert_eq!(settled.usage.parts.len(), parts);
        assert_eq!(settled.usage.quantities().get(Meter::Input), Some(input));
        assert_eq!(settled.usage.quantities().get(Meter::Output), Some(output));
        assert_eq!(settled.usage.conditions.get("processing"), Some("batch"));
        assert_eq!(settled.billing_class, BillingClass::Billed);
        assert!(settled.valuation.total.is_some());
    }
}

#[tokio::test]
async fn a_restart_forgets_neither_an_ordered_batch_nor_that_it_was_settled() {
    let upstream = batch_provider().await;
    let house = House::over(&upstream.url()).await;
    let order = "POST /openai/v1/batches";
    assert_eq!(house.ask(order, CHAT_HEADERS, "{}").await.status, 200);
    let mut house = house.restarted(&upstream.url()).await;
    for _ in 0..2 {
        for line in ["GET /openai/v1/batches/batch_1", "GET /openai/v1/files/file-out/content"] {
            assert_eq!(house.ask(line, CHAT_HEADERS, "").await.status, 200);
        }
        house = house.restarted(&upstream.url()).await;
    }
    let (book, _folder) = house.end().await;
    assert_eq!(book.corrections.len(), 1);
    assert_eq!(book.corrections[0].settlement.attempt, book.intents[0].attempt);
    let metered = book.settlements.iter().filter(|it| it.usage.source == UsageSource::Reported);
    assert_eq!(metered.count(), 0);
}

#[tokio::test]
async fn an_order_of_a_batch_that_is_refused_awaits_nothing() {
    let refusal = r#"{"error":{"message":"no such file","type":"invalid_request_error"}}"#;
    let upstream = Upstream::start(move |_| vec![Act::Write(json_reply(400, refusal))]).await;
    let house = House::over(&upstream.url()).await;
    let order = "POST /openai/v1/batches";
    assert_eq!(house.ask(order, CHAT_HEADERS, "{}").await.text(), refusal);
    let book = house.journal().await;
    let (_, settlement) = book.only();
    assert_eq!(settlement.usage.source, UsageSource::NotMetered);
    assert_eq!(settlement.billing_class, BillingClass::NotBilled);
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
