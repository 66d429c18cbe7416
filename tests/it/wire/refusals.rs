//! What the gateway answers itself, always in the caller's dialect.

use counterfoil::ledger::intent::{CredentialKind, LabelSource};
use counterfoil::ledger::settlement::{BillingClass, Outcome};

use crate::wire::client::{self, Answer, Client};
use crate::wire::house::{CHAT_HEADERS, House, MESSAGE_HEADERS};
use crate::wire::process::Process;
use crate::wire::upstream::{Act, Upstream, json_reply};

const ANSWER: &str = r#"{"id":"c1","model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
const ASK: &str = r#"{"model":"gpt-4o-mini","messages":[]}"#;
const CALLERS: &str = "[callers.web]\ntoken = 'token-of-the-web-app'\nteam = 'search'";

fn openai_error(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json = answer.json();
    assert_eq!(json["error"]["code"], code);
    json["error"]["message"].as_str().unwrap().to_owned()
}

fn anthropic_error(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    let json = answer.json();
    assert_eq!(json["type"], "error");
    let message = json["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains(code), "{message}");
    message
}

#[tokio::test]
async fn a_doubled_version_is_answered_with_the_right_base_url() {
    let house = House::over("http://127.0.0.1:9").await;
    let answer = house.ask("POST /openai/v1/v1/chat/completions", CHAT_HEADERS, ASK).await;
    let message = openai_error(&answer, 404, "doubled_version");
    let url = house.running.proxy_url();
    assert!(message.contains(&format!("{url}/openai/v1 ")), "{message}");
    let answer = house.ask("POST /anthropic/v1/v1/messages", MESSAGE_HEADERS, ASK).await;
    let message = anthropic_error(&answer, 404, "doubled_version");
    assert!(message.contains(&format!("{url}/anthropic ")), "{message}");
}

#[tokio::test]
async fn an_unknown_path_names_the_base_urls() {
    let house = House::over("http://127.0.0.1:9").await;
    for path in ["/", "/v1/chat/completions", "/@search", "/nobody/v1/models", "/openai"] {
        let answer = house.ask(&format!("GET {path}"), "", "").await;
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 404);
        assert!(message.contains("/openai/v1"), "{path}: {message}");
    }
    let answer = house.ask("POST /v1/messages", MESSAGE_HEADERS, "{}").await;
    anthropic_error(&answer, 404, "unknown_path");
    let climbing = house.ask("GET /openai/v1/%2e%2e/admin", "", "").await;
    openai_error(&climbing, 400, "unusable_path");
    assert_eq!(house.ask("GET /healthz", "", "").await.text(), "ok\n");
    assert_eq!(house.ask("GET /readyz", "", "").await.status, 200);
    assert_eq!(house.journal().await.intents.len(), 0);
}

#[tokio::test]
async fn two_different_keys_are_refused() {
    let house = House::over("http://127.0.0.1:9").await;
    let headers = "authorization: Bearer one\r\nx-api-key: two\r\n";
    let answer = house.ask("POST /openai/v1/chat/completions", headers, ASK).await;
    openai_error(&answer, 400, "unusable_credentials");
    let answer = house.ask("POST /anthropic/v1/messages", headers, ASK).await;
    anthropic_error(&answer, 400, "unusable_credentials");
}

#[tokio::test]
async fn with_callers_a_token_is_asked_for_in_either_header_and_the_provider_key_stays_here() {
    let upstream = Upstream::json(ANSWER).await;
    let text = format!(
        "listen = '127.0.0.1:0'\ndashboard_listen = '127.0.0.1:0'\n{CALLERS}\n\
         [providers.openai]\nbase_url = '{0}'\napi_key = 'sk-of-the-company-a1B2'\n\
         [providers.anthropic]\nbase_url = '{0}'",
        upstream.url()
    );
    let house = House::configured(&text).await;
    let line = "POST /@billing/openai/v1/chat/completions";
    for wrong in ["", "authorization: Bearer sk-of-the-company-a1B2\r\n", "x-api-key: x\r\n"] {
        openai_error(&house.ask(line, wrong, ASK).await, 401, "not_admitted");
    }
    assert!(upstream.seen().is_empty());
    for right in
        ["authorization: Bearer token-of-the-web-app\r\n", "x-api-key: token-of-the-web-app\r\n"]
    {
        assert_eq!(house.ask(line, right, ASK).await.status, 200);
    }
    for seen in upstream.seen() {
        assert_eq!(seen.header("authorization"), Some("Bearer sk-of-the-company-a1B2"));
        assert_eq!(seen.header("x-api-key"), None);
    }
    let without =
        house.ask("POST /anthropic/v1/messages", "x-api-key: token-of-the-web-app\r\n", ASK).await;
    anthropic_error(&without, 500, "provider_key_missing");
    let (book, _folder) = house.end().await;
    let intent = &book.intents[0];
    assert_eq!(intent.caller.as_deref(), Some("web"));
    assert_eq!(intent.labels.team.as_deref(), Some("search"));
    assert_eq!(intent.labels.source, LabelSource::Proved);
    let credential = intent.credential.as_ref().unwrap();
    assert_eq!((credential.hint.as_str(), credential.kind), ("a1B2", CredentialKind::Configured));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_and_an_unmetered_one_streams_through() {
    let upstream = Upstream::json("{}").await;
    let house = House::with(&upstream.url(), "limits = { body_mib = 1 }").await;
    let large = format!("{{\"model\":\"m\",\"messages\":\"{}\"}}", "x".repeat(1024 * 1024));
    openai_error(&house.chat(&large).await, 413, "body_too_large");
    // Without a length it is found out on the way.
    let mut client = Client::connect(house.running.proxy_addr).await;
    client
        .write(b"POST /anthropic/v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    for _ in 0..40 {
        client.write(&crate::wire::upstream::chunk(&[b'x'; 32 * 1024])).await;
    }
    anthropic_error(&client.answer().await, 413, "body_too_large");
    assert!(upstream.seen().is_empty());
    let headers = "content-type: multipart/form-data; boundary=x\r\n";
    let answer = house.ask("POST /openai/v1/files", headers, &large).await;
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.seen()[0].body.len(), large.len());
    let book = house.journal().await;
    assert_eq!(book.only().1.billing_class, BillingClass::NotBilled);
}

#[tokio::test]
async fn a_client_that_reads_only_when_it_has_sent_everything_hears_why_it_was_refused() {
    let upstream = Upstream::json("{}").await;
    let house = House::with(&upstream.url(), "limits = { body_mib = 1 }").await;
    let large = vec![b'x'; 24 * 1024 * 1024];
    for (path, code) in [("chat/completions", "body_too_large"), ("v1/files", "doubled_version")] {
        let mut client = Client::connect(house.running.proxy_addr).await;
        let head = format!(
            "POST /openai/v1/{path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            large.len()
        );
        client.write(head.as_bytes()).await;
        client.write(&large).await;
        let answer = client.answer().await;
        openai_error(&answer, if path == "v1/files" { 404 } else { 413 }, code);
        assert_eq!(answer.header("x-counterfoil-attempts"), Some("0"));
        assert!(answer.header("x-counterfoil-request-id").is_some());
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_browser_that_uploads_too_much_is_told_so_when_it_has() {
    let house = House::over("http://127.0.0.1:9").await;
    let address = house.running.dashboard_addr;
    let large = vec![b'x'; 51 * 1024 * 1024];
    let head = format!(
        "POST /invoices/preview HTTP/1.1\r\nhost: {address}\r\norigin: http://{address}\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\r\n",
        large.len()
    );
    let mut client = Client::connect(address).await;
    client.write(head.as_bytes()).await;
    client.write(&large).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("larger than 50 MiB"), "{}", answer.text());
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_refused_at_once() {
    let house = House::with("http://127.0.0.1:9", "limits = { body_mib = 1 }").await;
    let mut client = Client::connect(house.running.proxy_addr).await;
    client
        .write(
            b"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\
              content-length: 9999999\r\n\r\n",
        )
        .await;
    openai_error(&client.answer().await, 413, "body_too_large");
}

#[tokio::test]
async fn a_metered_member_that_stands_twice_is_refused() {
    let house = House::over("http://127.0.0.1:9").await;
    let answer = house.chat(r#"{"model":"gpt-4o","model":"gpt-4o-mini"}"#).await;
    openai_error(&answer, 400, "duplicate_member");
}

#[tokio::test]
async fn a_web_socket_is_answered_501_and_recorded() {
    let house = House::over("http://127.0.0.1:9").await;
    let headers = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: x\r\n";
    let answer = house.ask("GET /openai/v1/realtime?model=gpt-realtime", headers, "").await;
    openai_error(&answer, 501, "upgrade_unsupported");
    assert!(answer.header("x-counterfoil-request-id").is_some());
    let book = house.journal().await;
    let (intent, settlement) = book.only();
    assert_eq!(intent.path, "/v1/realtime");
    assert_eq!(settlement.outcome, Outcome::Refused);
    assert_eq!(settlement.billing_class, BillingClass::NotBilled);
}

#[tokio::test]
async fn an_offer_to_speak_http_2_is_not_taken_up_and_the_call_is_placed() {
    let upstream = Upstream::start(|_| vec![Act::Write(json_reply(200, ANSWER))]).await;
    let house = House::over(&upstream.url()).await;
    let headers = format!(
        "{CHAT_HEADERS}connection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
         http2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    );
    let answer = house.ask("POST /openai/v1/chat/completions", &headers, ASK).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ANSWER));
    let seen = &upstream.seen()[0];
    assert_eq!((seen.header("upgrade"), seen.header("http2-settings")), (None, None));
    let headers = format!("{CHAT_HEADERS}connection: upgrade\r\nupgrade: h2c, WebSocket\r\n");
    let answer = house.ask("GET /openai/v1/realtime", &headers, "").await;
    openai_error(&answer, 501, "upgrade_unsupported");
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_is_a_502_and_bills_nothing() {
    // Bound and dropped: nobody listens there.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let house = House::over(&format!("http://{free}")).await;
    openai_error(&house.chat(ASK).await, 502, "provider_unreachable");
    let book = house.journal().await;
    let (_, settlement) = book.only();
    assert_eq!(settlement.outcome, Outcome::Unreachable);
    assert_eq!(settlement.billing_class, BillingClass::NotBilled);
}

#[tokio::test]
async fn a_provider_that_breaks_or_never_answers_may_have_worked() {
    let upstream = Upstream::start(|_| vec![Act::Close]).await;
    let house = House::over(&upstream.url()).await;
    let answer = house.chat(ASK).await;
    openai_error(&answer, 502, "provider_connection_broken");
    assert_eq!(answer.header("x-counterfoil-attempts"), Some("1"));
    let book = house.journal().await;
    let (_, settlement) = book.only();
    assert_eq!(settlement.outcome, Outcome::UpstreamCut);
    assert_eq!(settlement.billing_class, BillingClass::Uncertain);

    let upstream = Upstream::start(|_| vec![Act::Gate]).await;
    let house = House::with(&upstream.url(), "timeouts = { headers_s = 1 }").await;
    let answer = house.message(ASK).await;
    anthropic_error(&answer, 504, "provider_timeout");
    let book = house.journal().await;
    assert_eq!(book.only().1.outcome, Outcome::Timeout);
}

#[tokio::test]
async fn a_json_answer_that_breaks_in_the_middle_is_a_502_and_not_half_an_answer() {
    let mut half = json_reply(200, ANSWER);
    half.truncate(half.len() - 30);
    let upstream = Upstream::start(move |_| vec![Act::Write(half.clone()), Act::Close]).await;
    let house = House::over(&upstream.url()).await;
    openai_error(&house.chat(ASK).await, 502, "provider_answer_cut");
    let book = house.journal().await;
    let (_, settlement) = book.only();
    assert_eq!(settlement.outcome, Outcome::UpstreamCut);
    assert_eq!(settlement.billing_class, BillingClass::Uncertain);
}

#[tokio::test]
async fn traffic_on_a_seat_is_priced_and_outside_the_bill() {
    let body = r#"{"id":"m","model":"claude-sonnet-4-20250514","content":[],"usage":{"input_tokens":7,"output_tokens":3}}"#;
    let upstream = Upstream::json(body).await;
    let house = House::over(&upstream.url()).await;
    let headers = "authorization: Bearer sk-ant-oat01-seat-token-x4Qm\r\nuser-agent: some-cli\r\n\
        anthropic-beta: oauth-2025-04-20\r\ncontent-type: application/json\r\n";
    let ask = r#"{"model":"claude-sonnet-4-20250514","messages":[]}"#;
    assert_eq!(house.ask("POST /anthropic/v1/messages", headers, ask).await.status, 200);
    let seen = &upstream.seen()[0];
    assert_eq!(seen.header("authorization"), Some("Bearer sk-ant-oat01-seat-token-x4Qm"));
    assert_eq!(seen.header("anthropic-beta"), Some("oauth-2025-04-20"));
    let book = house.journal().await;
    let (intent, settlement) = book.only();
    assert_eq!(intent.credential.as_ref().unwrap().kind, CredentialKind::Subscription);
    assert_eq!(settlement.billing_class, BillingClass::OutsideBill);
    assert!(settlement.valuation.total.is_some());
}

#[tokio::test]
async fn no_key_and_no_prompt_is_written_anywhere() {
    let upstream = Upstream::json(ANSWER).await;
    let house = House::over(&upstream.url()).await;
    let ask =
        r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"canary-in-prompt"}]}"#;
    let line = "POST /openai/v1/chat/completions?secret=canary-in-query";
    let headers = "authorization: Bearer sk-canary-in-key-0123456789\r\n";
    assert_eq!(house.ask(line, headers, ask).await.status, 200);
    let (_, folder) = house.end().await;
    for file in std::fs::read_dir(folder.path().join("data")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        for canary in ["canary-in-prompt", "canary-in-query", "sk-canary-in-key"] {
            assert!(!text.contains(canary), "{canary} is in {}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_and_no_prompt_is_logged_whatever_happens_to_a_call() {
    let upstream = Upstream::start(|seen| match seen.line.contains("broken") {
        true => vec![Act::Close],
        false => vec![Act::Write(json_reply(500, r#"{"error":{"message":"canary-in-answer"}}"#))],
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let log = "warn,counterfoil=trace";
    let process = Process::try_start(folder.path(), &upstream.url(), None, log).unwrap();
    let prompt = r#""messages":[{"role":"user","content":"canary-in-prompt"}]"#;
    let whole = format!(r#"{{"model":"gpt-4o-mini",{prompt}}}"#);
    let twice = format!(r#"{{"model":"a","model":"b",{prompt}}}"#);
    let key = "authorization: Bearer sk-canary-in-key-0123456789\r\n";
    let upgrade = format!("{key}connection: upgrade\r\nupgrade: websocket\r\n");
    let unusable = "authorization: Bearer sk-canary-in-key \u{e4}\r\n";
    let mut statuses = Vec::new();
    for (path, headers, body) in [
        ("/openai/v1/chat/completions", key, &whole),
        ("/openai/v1/chat/completions", key, &twice),
        ("/openai/v1/chat/completions", unusable, &whole),
        ("/openai/v1/chat/completions", &upgrade, &whole),
        ("/openai/v1/broken", key, &whole),
        ("/openai/v1/v1/chat/completions", key, &whole),
        ("/nobody/v1/chat/completions", key, &whole),
        ("/anthropic/v1/messages", "x-api-key: sk-canary-in-key-0123456789\r\n", &whole),
    ] {
        let line = format!("POST {path}?secret=canary-in-query");
        statuses.push(client::ask(process.addr, &line, headers, body.as_bytes()).await.status);
    }
    assert!(statuses.iter().all(|status| *status >= 400), "{statuses:?}");
    let (succeeded, said) = process.terminate();
    assert!(succeeded && said.iter().any(|line| line.contains("a call failed")), "{said:#?}");
    for line in said {
        assert!(!line.contains("canary"), "{line}");
    }
}
