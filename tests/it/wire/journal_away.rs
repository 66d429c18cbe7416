//! A journal that takes nothing: calls are refused, or pass and leave a gap.

use counterfoil::ledger::settlement::Outcome;
use counterfoil::meter::Meter;
use counterfoil::serve::wall_clock;

use crate::wire::client::Client;
use crate::wire::house::{House, MESSAGE_HEADERS, configured};
use crate::wire::upstream::{Act, Upstream, chunk, json_reply, last_chunk, stream_head};

const ANSWER: &str = r#"{"id":"c1","model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
const STREAM: &str = r#"{"model":"claude-sonnet-4-20250514","stream":true,"messages":[]}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\
    \"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n";
const STOP: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\
    \"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\nevent: message_stop\ndata: {\"type\":\
    \"message_stop\"}\n\n";

async fn upstream() -> Upstream {
    Upstream::start(|seen| {
        if seen.line.contains("messages") {
            return vec![
                Act::Write([stream_head(""), chunk(START.as_bytes())].concat()),
                Act::Gate,
                Act::Write([chunk(STOP.as_bytes()), last_chunk()].concat()),
            ];
        }
        vec![Act::Write(json_reply(200, ANSWER))]
    })
    .await
}

/// A long user makes each record large, so that a small journal is soon full.
fn ask(turn: u32) -> String {
    let tag = "x".repeat(200);
    format!(r#"{{"model":"gpt-4o-mini","messages":[],"user":"{turn}{tag}"}}"#)
}

#[tokio::test]
async fn a_full_journal_refuses_new_calls_and_keeps_those_under_way() {
    let upstream = upstream().await;
    let house = House::with(&upstream.url(), "limits = { journal_mib = 1 }").await;
    let mut under_way = Client::connect(house.running.proxy_addr).await;
    under_way.send("POST /anthropic/v1/messages", MESSAGE_HEADERS, STREAM.as_bytes()).await;
    under_way.read_some(START.len()).await;
    let mut refused = None;
    for turn in 0..5_000 {
        let answer = house.chat(&ask(turn)).await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("one MiB was never full");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "journal_unavailable");
    assert_eq!(refused.header("retry-after"), Some("2"));
    assert_eq!(refused.header("x-counterfoil-attempts"), Some("0"));
    let seen = upstream.seen().len();
    assert_eq!(house.chat(&ask(0)).await.status, 503);
    assert_eq!(upstream.seen().len(), seen, "what is not on record is not sent");
    assert_eq!(house.ask("GET /healthz", "", "").await.status, 200);
    // The stream under way ends as it should; its settlement waits for room, and is not lost.
    upstream.open_gate();
    let answer = under_way.answer().await;
    assert!(answer.complete && answer.text().ends_with(STOP));
    let book = house.journal().await;
    assert_eq!(book.intents.len(), seen);
    let House { running, folder } = house;
    running.shutdown(std::future::pending()).await.unwrap();
    // The next start takes out of the lifeboat what the journal had no room for.
    let house = House::start_in(folder, wall_clock(), configured(&upstream.url(), "")).await;
    assert!(house.running.opened.orphans.is_empty(), "{:#?}", house.running.opened);
    let (book, _folder) = house.end().await;
    assert_eq!((book.intents.len(), book.settlements.len()), (seen, seen));
    assert!(book.settlements.iter().all(|it| it.outcome == Outcome::Completed));
    let streamed = book.intents.iter().find(|it| it.stream).unwrap().attempt;
    let settlement = book.settlements.iter().find(|it| it.attempt == streamed).unwrap();
    assert_eq!(settlement.usage.quantities().get(Meter::Output), Some(5));
}

#[tokio::test]
async fn allowed_untracked_calls_pass_and_the_next_start_prints_a_gap() {
    let upstream = upstream().await;
    let more = "on_journal_failure = 'allow_untracked'\nlimits = { journal_mib = 1 }";
    let house = House::with(&upstream.url(), more).await;
    let mut book = house.journal().await;
    for turn in 0..5_000 {
        let answer = house.chat(&ask(turn)).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, ANSWER));
        if turn % 100 == 99 {
            book = house.journal().await;
            if upstream.seen().len() > book.intents.len() {
                break;
            }
        }
    }
    assert!(upstream.seen().len() > book.intents.len(), "one MiB was never full");
    assert!(book.settlements.iter().all(|it| it.outcome == Outcome::Completed));
    let House { running, folder } = house;
    // Whether the full journal can be closed in order or not, the span does not go unsaid.
    drop(running.shutdown(std::future::pending()).await);
    let house = House::start_in(folder, wall_clock(), configured(&upstream.url(), "")).await;
    assert_eq!(house.chat(&ask(0)).await.status, 200);
    let (book, _folder) = house.end().await;
    let untracked = upstream.seen().len() - book.intents.len();
    let said: u64 = book.gaps.iter().filter_map(|gap| gap.at_most).sum();
    assert!(said >= untracked as u64, "{untracked} passed untracked: {:#?}", book.gaps);
}
