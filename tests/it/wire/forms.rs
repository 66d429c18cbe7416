//! Forms with files: passed through byte for byte, their model known, their answer metered.

use counterfoil::names::ModelName;
use counterfoil::usage::UsageSource;

use crate::wire::client::Client;
use crate::wire::house::House;
use crate::wire::upstream::{Act, Upstream, json_reply};

const KEY: &str = "authorization: Bearer sk-test-0000000000004Qm\r\n";
const TEXT: &str = r#"{"text":"hi","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":2,"audio_tokens":12},"output_tokens":45,"total_tokens":59}}"#;

const MODEL: &str = "--b0\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\
    gpt-4o-transcribe\r\n";

fn file(size: usize) -> String {
    let sound = "s".repeat(size);
    format!(
        "--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\
         Content-Type: audio/mpeg\r\n\r\n{sound}\r\n"
    )
}

async fn asked_for(line: &str, body: &str) -> Option<ModelName> {
    let upstream = Upstream::json(TEXT).await;
    let house = House::over(&upstream.url()).await;
    let headers = format!("content-type: multipart/form-data; boundary=b0\r\n{KEY}");
    let answer = house.ask(line, &headers, body).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, TEXT));
    let seen = upstream.seen();
    assert!(seen[0].body == body.as_bytes(), "the form came changed");
    assert_eq!(seen[0].header("content-length"), Some(body.len().to_string().as_str()));
    let (book, _folder) = house.end().await;
    let (intent, settlement) = book.only();
    assert_eq!(settlement.usage.source, UsageSource::Reported);
    intent.model_requested.clone()
}

#[tokio::test]
async fn a_form_is_metered_by_its_answer_and_its_model_is_known_before_it_is_sent() {
    let line = "POST /openai/v1/audio/transcriptions";
    let known = Some(ModelName::from("gpt-4o-transcribe"));
    assert_eq!(asked_for(line, &format!("{MODEL}{}--b0--\r\n", file(300_000))).await, known);
    assert_eq!(asked_for(line, &format!("{}{MODEL}--b0--\r\n", file(10_000))).await, known);
    let line = "POST /openai/v1/images/edits";
    assert_eq!(asked_for(line, &format!("{MODEL}{}--b0--\r\n", file(100))).await, known);
}

#[tokio::test]
async fn a_model_behind_a_large_file_is_unknown_and_the_call_is_settled_all_the_same() {
    let body = format!("{}{MODEL}--b0--\r\n", file(70_000));
    assert_eq!(asked_for("POST /openai/v1/audio/transcriptions", &body).await, None);
}

#[tokio::test]
async fn a_form_in_chunks_and_slow_pieces_is_read_as_one() {
    let upstream = Upstream::json(TEXT).await;
    let house = House::over(&upstream.url()).await;
    let form = format!("{MODEL}{}--b0--\r\n", file(5_000));
    let mut client = Client::connect(house.running.proxy_addr).await;
    let head = format!(
        "POST /openai/v1/audio/transcriptions HTTP/1.1\r\nhost: gateway\r\n{KEY}\
         transfer-encoding: chunked\r\ncontent-type: multipart/form-data; boundary=\"b0\"\r\n\r\n"
    );
    client.write(head.as_bytes()).await;
    for piece in form.as_bytes().chunks(700) {
        client.write(&crate::wire::upstream::chunk(piece)).await;
        tokio::task::yield_now().await;
    }
    client.write(&crate::wire::upstream::last_chunk()).await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(upstream.seen()[0].body, form.as_bytes());
    let (book, _folder) = house.end().await;
    let model = book.only().0.model_requested.clone();
    assert_eq!(model, Some(ModelName::from("gpt-4o-transcribe")));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_to_its_form_is_still_settled_with_its_usage() {
    let upstream = Upstream::start(|_| vec![Act::Gate, Act::Write(json_reply(200, TEXT))]).await;
    let house = House::over(&upstream.url()).await;
    let mut client = Client::connect(house.running.proxy_addr).await;
    let headers = format!("content-type: multipart/form-data; boundary=b0\r\n{KEY}");
    let form = format!("{MODEL}{}--b0--\r\n", file(5_000));
    client.send("POST /openai/v1/audio/transcriptions", &headers, form.as_bytes()).await;
    while upstream.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(client);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    upstream.open_gate();
    let book = house.book(1).await;
    assert_eq!(book.only().1.usage.source, UsageSource::Reported);
}

#[tokio::test]
async fn a_form_with_two_models_is_refused_and_never_reaches_the_provider_whole() {
    let second = MODEL.replace("gpt-4o-transcribe", "whisper-1");
    // Both in the beginning: refused in words. One behind a large file: broken off before its end.
    for (form, status, words) in [
        (format!("{MODEL}{second}{}--b0--\r\n", file(100)), 400, "more than once"),
        (format!("{MODEL}{}{second}--b0--\r\n", file(300_000)), 502, ""),
    ] {
        let upstream = Upstream::json(TEXT).await;
        let house = House::over(&upstream.url()).await;
        let headers = format!("content-type: multipart/form-data; boundary=b0\r\n{KEY}");
        let answer = house.ask("POST /openai/v1/audio/transcriptions", &headers, &form).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(words), "{}", answer.text());
        assert!(upstream.seen().is_empty());
        let (book, _folder) = house.end().await;
        assert_eq!(book.intents.len(), book.settlements.len());
        assert!(book.settlements.iter().all(|it| it.status != Some(200)));
    }
}
