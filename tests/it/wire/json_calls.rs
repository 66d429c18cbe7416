//! Calls answered by one JSON body.

use counterfoil::ledger::intent::{CredentialKind, LabelSource};
use counterfoil::ledger::settlement::{BillingClass, Outcome};
use counterfoil::meter::Meter;
use counterfoil::usage::UsageSource;

use crate::wire::house::House;
use crate::wire::upstream::{Act, Upstream, json_reply, reply};

const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":0}}}"#;
const REQUEST: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}],"user":"ann","max_tokens":9}"#;

#[tokio::test]
async fn a_chat_completion_passes_untouched_and_is_settled_with_its_price() {
    let headers = "content-type: application/json\r\nx-request-id: req_1\r\n\
        openai-organization: org-1\r\nopenai-project: proj_1\r\nset-cookie: a=b\r\n";
    let bytes = reply(200, headers, ANSWER.as_bytes());
    let upstream = Upstream::start(move |_| vec![Act::Write(bytes.clone())]).await;
    let house = House::over(&upstream.url()).await;
    let answer = house.chat(REQUEST).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ANSWER));
    assert_eq!(answer.header("x-request-id"), Some("req_1"));
    assert_eq!(answer.header("openai-organization"), Some("org-1"));
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("x-counterfoil-attempts"), Some("1"));
    let seen = &upstream.seen()[0];
    assert_eq!(seen.line, "POST /v1/chat/completions");
    assert_eq!(seen.body, REQUEST.as_bytes());
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert_eq!(seen.header("authorization"), Some("Bearer sk-test-0000000000004Qm"));
    // The answer's last byte waited for this, so it is there at once.
    let book = house.journal().await;
    let (intent, settlement) = book.only();
    let request_id = answer.header("x-counterfoil-request-id").unwrap();
    assert_eq!(intent.request.to_string(), request_id);
    assert_eq!(intent.model_requested.as_ref().unwrap().as_str(), "gpt-4o-mini");
    assert_eq!(intent.labels.user.as_deref(), Some("ann"));
    assert_eq!(intent.labels.source, LabelSource::Claimed);
    assert_eq!(intent.max_output, Some(9));
    let credential = intent.credential.as_ref().unwrap();
    assert_eq!(
        (credential.hint.as_str(), credential.kind),
        ("04Qm", CredentialKind::PassedThrough)
    );
    assert_eq!(settlement.outcome, Outcome::Completed);
    assert_eq!(settlement.billing_class, BillingClass::Billed);
    assert_eq!(settlement.provider_request_id.as_deref(), Some("req_1"));
    assert_eq!(settlement.provider_response_id.as_deref(), Some("chatcmpl-1"));
    assert_eq!(settlement.account.organization.as_deref(), Some("org-1"));
    assert_eq!(settlement.account.project.as_deref(), Some("proj_1"));
    let used = settlement.usage.quantities();
    assert_eq!(used.get(Meter::Input), Some(6));
    assert_eq!(used.get(Meter::InputCacheRead), Some(4));
    assert_eq!(used.get(Meter::Output), Some(2));
    // 6 × 0.15 + 4 × 0.075 + 2 × 0.60, per million.
    assert_eq!(answer.header("x-counterfoil-cost"), Some("0.0000024"));
    assert_eq!(settlement.valuation.total.unwrap().to_string(), "0.0000024");
    let (book, _folder) = house.end().await;
    assert_eq!(book.counts, 1);
}

#[tokio::test]
async fn a_message_is_settled_under_its_workspace() {
    let body = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-20250514","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":3,"cache_read_input_tokens":100,"cache_creation_input_tokens":0}}"#;
    let headers = "content-type: application/json\r\nrequest-id: req_a\r\n\
        anthropic-organization-id: org-a\r\nanthropic-workspace-id: wrk-a\r\n";
    let bytes = reply(200, headers, body.as_bytes());
    let upstream = Upstream::start(move |_| vec![Act::Write(bytes.clone())]).await;
    let house = House::over(&upstream.url()).await;
    let answer =
        house.message(r#"{"model":"claude-sonnet-4-20250514","max_tokens":5,"messages":[]}"#).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, body));
    assert_eq!(upstream.seen()[0].header("x-api-key"), Some("sk-ant-test-000000000x4Qm"));
    let book = house.journal().await;
    let (_, settlement) = book.only();
    assert_eq!(settlement.account.workspace.as_deref(), Some("wrk-a"));
    assert_eq!(settlement.provider_request_id.as_deref(), Some("req_a"));
    assert_eq!(settlement.usage.source, UsageSource::Reported);
    assert!(answer.header("x-counterfoil-cost").is_some());
}

#[tokio::test]
async fn a_providers_error_passes_byte_for_byte_with_its_retry_after_and_bills_nothing() {
    for status in [400, 401, 404, 429, 500, 503, 529] {
        let body = r#"{"error":{"message":"no: secret words","type":"tokens","code":"rate_limit_exceeded"}}"#;
        let headers =
            "content-type: application/json\r\nretry-after: 7\r\nx-should-retry: true\r\n";
        let bytes = reply(status, headers, body.as_bytes());
        let upstream = Upstream::start(move |_| vec![Act::Write(bytes.clone())]).await;
        let house = House::over(&upstream.url()).await;
        let answer = house.chat(REQUEST).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, body));
        assert_eq!(answer.header("retry-after"), Some("7"));
        let book = house.journal().await;
        let (_, settlement) = book.only();
        assert_eq!(settlement.outcome, Outcome::ProviderError);
        assert_eq!(settlement.billing_class, BillingClass::NotBilled);
        assert_eq!(settlement.error.as_deref(), Some("tokens/rate_limit_exceeded"));
        assert!(!format!("{settlement:?}").contains("secret words"));
    }
}

#[tokio::test]
async fn a_whole_answer_that_asked_no_model_is_not_taken_for_billed() {
    for (status, class) in [
        (301, BillingClass::NotBilled),
        (302, BillingClass::NotBilled),
        (304, BillingClass::NotBilled),
        (307, BillingClass::NotBilled),
        (308, BillingClass::NotBilled),
        (204, BillingClass::Uncertain),
        (200, BillingClass::Billed),
    ] {
        let has_body = status == 200;
        let bytes = match has_body {
            true => reply(status, "content-type: application/json\r\n", b"{}"),
            false => {
                format!("HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\nconnection: close\r\n\r\n")
                    .into_bytes()
            }
        };
        let upstream = Upstream::start(move |_| vec![Act::Write(bytes.clone()), Act::Close]).await;
        let house = House::over(&upstream.url()).await;
        assert_eq!(house.chat(REQUEST).await.status, status);
        let book = house.journal().await;
        let (_, settlement) = book.only();
        assert_eq!(settlement.usage.source, UsageSource::Absent, "{status}");
        assert_eq!(settlement.outcome, Outcome::Completed, "{status}");
        assert_eq!(settlement.billing_class, class, "{status}");
    }
}

#[tokio::test]
async fn one_provider_id_a_hundred_times_and_none_at_all_are_all_recorded() {
    let upstream = Upstream::start(|seen| {
        let body = if seen.line.contains("embeddings") {
            r#"{"object":"list","data":[],"model":"text-embedding-3-small","usage":{"prompt_tokens":3,"total_tokens":3}}"#
        } else {
            ANSWER
        };
        vec![Act::Write(json_reply(200, body))]
    })
    .await;
    let house = House::over(&upstream.url()).await;
    for _ in 0..100 {
        assert_eq!(house.chat(REQUEST).await.status, 200);
    }
    let body = r#"{"model":"text-embedding-3-small","input":"x"}"#;
    let headers = crate::wire::house::CHAT_HEADERS;
    for _ in 0..3 {
        assert_eq!(house.ask("POST /openai/v1/embeddings", headers, body).await.status, 200);
    }
    let (book, _folder) = house.end().await;
    assert_eq!((book.intents.len(), book.settlements.len()), (103, 103));
    let repeated = book.settlements.iter().filter(|it| it.provider_response_id.is_some()).count();
    assert_eq!(repeated, 100);
}

#[tokio::test]
async fn a_clock_that_jumps_moves_no_call_out_of_the_month_it_began_in() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use counterfoil::names::Clock;
    use counterfoil::period::Timestamp;

    // The last microsecond of a month; an hour on, an hour back, and the leap day after it.
    let last: Timestamp = "2028-01-31T23:59:59.999999Z".parse().unwrap();
    let readings: Vec<i64> = [0, 3_600_000_000, -3_600_000_000, 29 * 86_400_000_000, 1]
        .map(|shift| last.micros() + shift)
        .to_vec();
    let turn = std::sync::Arc::new(AtomicUsize::new(usize::MAX));
    let asked = std::sync::Arc::clone(&turn);
    let clock = Clock::new(move || {
        // Still at the start; from the first call on, another reading each time.
        let at = asked.load(Ordering::SeqCst);
        if at == usize::MAX {
            return last;
        }
        Timestamp::from_micros(readings[asked.fetch_add(1, Ordering::SeqCst) % readings.len()])
    });
    let upstream = Upstream::json(ANSWER).await;
    let house = House::under(clock, &upstream.url(), "").await;
    assert_eq!(house.chat(REQUEST).await.status, 200);
    turn.store(0, Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(house.chat(REQUEST).await.status, 200);
    }
    let (book, _folder) = house.end().await;
    assert_eq!((book.intents.len(), book.settlements.len()), (21, 21));
    assert_eq!(book.intents[0].started_at, last);
    for settlement in &book.settlements {
        // Durations are read off another clock, which never jumps.
        assert!(settlement.duration_us < 60_000_000);
        assert_eq!(settlement.outcome, Outcome::Completed);
    }
}

#[tokio::test]
async fn a_head_is_answered_with_the_length_a_get_would_have() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 512\r\n\r\n";
    let upstream = Upstream::start(move |_| vec![Act::Write(head.to_vec())]).await;
    let house = House::over(&upstream.url()).await;
    let line = "HEAD /openai/v1/files/file-1/content";
    let answer = house.ask(line, "connection: close\r\n", "").await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("512")));
    assert_eq!(answer.text(), "");
}

#[cfg(unix)]
#[tokio::test]
async fn the_data_folder_and_all_in_it_are_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let upstream = Upstream::json(r#"{"id":"c1","choices":[]}"#).await;
    let house = House::over(&upstream.url()).await;
    assert_eq!(house.chat(r#"{"model":"gpt-4o-mini","messages":[]}"#).await.status, 200);
    let data = house.folder.path().join("data");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in std::fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    house.end().await;
}
