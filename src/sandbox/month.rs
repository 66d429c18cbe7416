//! A month's story: who asks what, when, and what the provider will get wrong about it.

use serde_json::{Value, json};

use crate::period::{BillingPeriod, HOUR_US, SECOND_US, Timestamp};
use crate::sandbox::book::{SandboxKey, Served, Side};
use crate::sandbox::faults::Fault;
use crate::sandbox::provider::Sandbox;
use crate::sandbox::rates::SandboxModel;
use crate::sandbox::words;

/// One call a client is going to make.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlannedCall {
    /// When.
    pub at: Timestamp,
    /// Which provider's path of the gateway.
    pub side: Side,
    /// The provider key the client holds.
    pub secret: String,
    /// The team it names itself.
    pub team: &'static str,
    /// The path at the provider.
    pub path: &'static str,
    /// The request.
    pub body: Value,
}

/// A client of the story.
struct Client {
    side: Side,
    key: &'static str,
    name: &'static str,
    project: &'static str,
    team: &'static str,
    model: &'static str,
    calls_a_day: u64,
    /// Words of a question, at least and at most.
    question: (u64, u64),
    /// Words of an answer, at least and at most.
    answer: (u64, u64),
    habit: Habit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Short chats in office hours, every fifth a stream.
    Chats,
    /// A long standing instruction in front, so that the provider caches it.
    LongPrefix,
    /// All calls in the last minute of the day.
    BeforeMidnight,
    /// Texts to embed.
    Embeddings,
    /// Never through the gateway.
    Bypasses,
}

const CLIENTS: &[Client] = &[
    Client {
        side: Side::OpenAi,
        key: "key_search",
        name: "search production",
        project: "proj_search",
        team: "search",
        model: "gpt-5.4-mini",
        calls_a_day: 250,
        question: (60, 500),
        answer: (40, 220),
        habit: Habit::Chats,
    },
    Client {
        side: Side::OpenAi,
        key: "key_index",
        name: "search index",
        project: "proj_index",
        team: "search",
        model: "text-embedding-3-small",
        calls_a_day: 60,
        question: (40, 500),
        answer: (0, 0),
        habit: Habit::Embeddings,
    },
    Client {
        side: Side::OpenAi,
        key: "key_support",
        name: "support desk",
        project: "proj_support",
        team: "support",
        model: "gpt-5-mini",
        calls_a_day: 110,
        question: (40, 240),
        answer: (40, 260),
        habit: Habit::LongPrefix,
    },
    Client {
        side: Side::OpenAi,
        key: "key_research",
        name: "research",
        project: "proj_research",
        team: "research",
        model: "gpt-5.6-sol",
        calls_a_day: 25,
        question: (400, 2_400),
        answer: (250, 900),
        habit: Habit::Chats,
    },
    Client {
        side: Side::OpenAi,
        key: "key_nightly",
        name: "nightly jobs",
        project: "proj_nightly",
        team: "platform",
        model: "gpt-4.1",
        calls_a_day: 60,
        question: (80, 600),
        answer: (60, 300),
        habit: Habit::BeforeMidnight,
    },
    Client {
        side: Side::OpenAi,
        key: "key_crawler",
        name: "crawler",
        project: "proj_crawler",
        team: "",
        model: "gpt-4.1-mini",
        calls_a_day: 40,
        question: (800, 4_000),
        answer: (100, 600),
        habit: Habit::Bypasses,
    },
    Client {
        side: Side::Anthropic,
        key: "apikey_assistant",
        name: "assistant",
        project: "wrkspc_assistant",
        team: "assistant",
        model: "claude-sonnet-5",
        calls_a_day: 80,
        question: (60, 400),
        answer: (200, 700),
        habit: Habit::LongPrefix,
    },
    Client {
        side: Side::Anthropic,
        key: "apikey_triage",
        name: "triage",
        project: "wrkspc_triage",
        team: "support",
        model: "claude-haiku-4-5",
        calls_a_day: 75,
        question: (120, 700),
        answer: (60, 320),
        habit: Habit::Chats,
    },
];

/// The credit the demo's invoice document grants, in dollars; no export shows it.
pub(crate) const DOCUMENT_CREDIT: &str = "5.00";

/// The keys of everyone in the story.
pub(crate) fn keys() -> Vec<SandboxKey> {
    let key = |client: &Client| SandboxKey {
        side: client.side,
        secret: secret(client),
        id: client.key.to_owned(),
        name: client.name.to_owned(),
        project: client.project.to_owned(),
    };
    CLIENTS.iter().map(key).collect()
}

/// What the provider's billing gets wrong, or has agreed, in this story.
pub(crate) fn faults() -> Vec<Fault> {
    let old = SandboxModel {
        alias: "gpt-5.6-sol",
        served: "gpt-5.6-sol",
        display: "",
        input: "5",
        cache_read: "0.5",
        cache_write_5m: "",
        output: "30",
        tokens_per_100_words: 100,
    };
    vec![
        Fault::CachedBilledAsUncached { model: "gpt-5-mini-2025-08-07" },
        Fault::StalePrice { old },
        Fault::BookedWhenDone { model: "gpt-4.1-2025-04-14", after_s: 90 },
        Fault::Discount { pay_permille: 900 },
    ]
}

/// Every call of the month that goes through the gateway, in order of time, and those of the last
/// day before it, of which the provider books some in the month.
pub(crate) fn calls(period: BillingPeriod, seed: u64) -> Vec<PlannedCall> {
    let mut state = seed;
    let mut calls = Vec::new();
    let eve = period.first_day().pred_opt().unwrap_or_default();
    for day in std::iter::once(eve).chain(period.days()) {
        for client in CLIENTS.iter().filter(|client| client.habit != Habit::Bypasses) {
            if day == eve && client.habit != Habit::BeforeMidnight {
                continue;
            }
            for number in 0..client.calls_a_day {
                let at = instant(&mut state, client.habit, Timestamp::start_of(day));
                calls.push(PlannedCall {
                    at,
                    side: client.side,
                    secret: secret(client),
                    team: client.team,
                    path: path(client),
                    body: body(&mut state, client, number),
                });
            }
        }
    }
    calls.sort_by_key(|call| call.at);
    calls
}

/// Serves what the crawler asks for past the gateway; only the sandbox's own book knows.
pub(crate) fn serve_bypassing(sandbox: &Sandbox, period: BillingPeriod, seed: u64) {
    let mut state = seed ^ 0x00b1_9a55;
    for client in CLIENTS.iter().filter(|client| client.habit == Habit::Bypasses) {
        for day in period.days() {
            for _ in 0..client.calls_a_day {
                let at = instant(&mut state, client.habit, Timestamp::start_of(day));
                let model = crate::sandbox::rates::find(client.model);
                sandbox.book.enter(Served {
                    side: client.side,
                    started_at: at,
                    ended_at: at,
                    key: client.key.to_owned(),
                    model: model.map_or(client.model, |model| model.served).to_owned(),
                    uncached: words::between(&mut state, client.question.0, client.question.1),
                    cache_read: 0,
                    cache_write_5m: 0,
                    output: words::between(&mut state, client.answer.0, client.answer.1),
                });
            }
        }
    }
}

fn secret(client: &Client) -> String {
    match client.side {
        Side::OpenAi => format!("sk-sandbox-{}", client.key),
        Side::Anthropic => format!("sk-ant-sandbox-{}", client.key),
    }
}

const fn path(client: &Client) -> &'static str {
    match (client.side, client.habit) {
        (Side::Anthropic, _) => "/v1/messages",
        (Side::OpenAi, Habit::Embeddings) => "/v1/embeddings",
        (Side::OpenAi, _) => "/v1/chat/completions",
    }
}

fn instant(state: &mut u64, habit: Habit, midnight: Timestamp) -> Timestamp {
    let within = |state: &mut u64, span_us: i64| {
        i64::try_from(words::next(state) % span_us.unsigned_abs()).unwrap_or(0)
    };
    let offset = match habit {
        Habit::BeforeMidnight => 24 * HOUR_US - 60 * SECOND_US + within(state, 59 * SECOND_US),
        // Between six and twenty-two o'clock, far from any midnight.
        _ => 6 * HOUR_US + within(state, 16 * HOUR_US),
    };
    midnight.plus_micros(offset)
}

fn body(state: &mut u64, client: &Client, number: u64) -> Value {
    let question_words = words::between(state, client.question.0, client.question.1);
    let mut question = words::run(words::next(state), question_words);
    let answer = words::between(state, client.answer.0, client.answer.1);
    question.push_str(&format!(" sandbox: words {answer}"));
    // A few calls meet a provider's bad moment.
    if words::next(state).is_multiple_of(211) {
        question.push_str(" sandbox: status 429");
    } else if words::next(state).is_multiple_of(397) {
        question.push_str(" sandbox: status 500");
    }
    let stream = number.is_multiple_of(5);
    let instruction = || words::run(words::seed_of(client.key), 2_400);
    match (client.side, client.habit) {
        (_, Habit::Embeddings) => {
            json!({"model": client.model, "input": words::run(words::next(state), question_words)})
        }
        (Side::OpenAi, Habit::LongPrefix) => json!({
            "model": client.model, "stream": stream,
            "messages": [{"role": "system", "content": instruction()},
                {"role": "user", "content": question}],
        }),
        (Side::OpenAi, _) => json!({
            "model": client.model, "stream": stream,
            "messages": [{"role": "user", "content": question}],
        }),
        (Side::Anthropic, Habit::LongPrefix) => json!({
            "model": client.model, "stream": stream, "max_tokens": 1_024,
            "system": [{"type": "text", "text": instruction(),
                "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": question}],
        }),
        (Side::Anthropic, _) => json!({
            "model": client.model, "stream": stream, "max_tokens": 1_024,
            "messages": [{"role": "user", "content": question}],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_the_same_again_and_in_order() {
        let period: BillingPeriod = "2026-10".parse().unwrap();
        let calls_once = calls(period, 1);
        assert_eq!(calls_once, calls(period, 1));
        assert!(calls_once.is_sorted_by_key(|call| call.at));
        assert!((19_000..22_000).contains(&calls_once.len()), "{}", calls_once.len());
    }

    #[test]
    fn every_client_of_the_story_holds_a_key_of_its_own() {
        let mut secrets: Vec<String> = keys().into_iter().map(|key| key.secret).collect();
        let all = secrets.len();
        secrets.sort();
        secrets.dedup();
        assert_eq!(secrets.len(), all);
    }
}
