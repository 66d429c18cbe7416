//! Which kind of call a path is, in the dialect of the provider it goes to.

use crate::names::{Endpoint, ProviderName};

/// A family of wire formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's formats, spoken by many others.
    OpenAi,
    /// Anthropic's formats.
    Anthropic,
}

/// What a call does with usage, beyond the kind of endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A call that makes the provider work: what it reports is billed to this attempt.
    Call,
    /// A reading of an answer that another call ordered: it settles that call, once, and is
    /// never billed itself.
    LaterReading {
        /// The provider's id of the answer.
        response_id: String,
    },
    /// The order of a batch job: what that uses comes with its results.
    BatchOrder,
    /// The state of a batch job: its totals, if any, belong to the job.
    BatchState {
        /// The provider's id of the job, where the path names it.
        batch_id: Option<String>,
    },
    /// The result lines of a batch job; each line carries its own usage.
    BatchResults {
        /// The id in the path: the job at Anthropic, the output file at OpenAI.
        id: String,
    },
    /// Anything that uses nothing billable by token.
    PassThrough,
}

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The kind of call.
    pub endpoint: Endpoint,
    /// What it does with usage.
    pub purpose: Purpose,
}

impl Route {
    /// Whether it makes the provider work in a way that is known, so that usage is looked for.
    pub(crate) fn is_metered(&self) -> bool {
        self.purpose == Purpose::Call && self.endpoint != Endpoint::Other
    }
}

impl Dialect {
    /// The dialect a provider speaks at an endpoint. Messages are Anthropic's wherever they are
    /// served; a provider with a name of its own is taken to speak as OpenAI does.
    pub fn of(provider: &ProviderName, endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Messages | Endpoint::CountTokens if provider.as_str() != "openai" => {
                Self::Anthropic
            }
            _ if provider.as_str() == "anthropic" => Self::Anthropic,
            _ => Self::OpenAi,
        }
    }
}

/// Whether a path has its version twice, as a base URL that ends in `/v1` makes it.
pub(crate) fn has_doubled_version(path: &str) -> bool {
    path.starts_with("/v1/v1/") || path == "/v1/v1"
}

/// Reads a path that stands after the provider's prefix, such as `/v1/chat/completions`. A query
/// is ignored, and so is a missing `/v1`, which some compatible servers leave out.
pub fn classify(dialect: Dialect, method: &str, path: &str) -> Route {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.first() == Some(&"v1") {
        segments.remove(0);
    }
    match dialect {
        Dialect::OpenAi => classify_openai(method, &segments),
        Dialect::Anthropic => classify_anthropic(method, &segments),
    }
}

fn classify_openai(method: &str, segments: &[&str]) -> Route {
    let called = |endpoint| Route {
        endpoint,
        purpose: if method == "POST" { Purpose::Call } else { Purpose::PassThrough },
    };
    let later = |endpoint, id: &str| Route {
        endpoint,
        purpose: Purpose::LaterReading { response_id: id.to_owned() },
    };
    let passed = Route { endpoint: Endpoint::Other, purpose: Purpose::PassThrough };
    match (method, segments) {
        (_, ["chat", "completions"]) => called(Endpoint::Chat),
        ("GET", ["chat", "completions", id]) => later(Endpoint::Chat, id),
        (_, ["completions"]) => called(Endpoint::Completions),
        (_, ["responses"] | ["responses", "compact"]) => called(Endpoint::Responses),
        (_, ["responses", "input_tokens"]) => {
            Route { endpoint: Endpoint::CountTokens, purpose: Purpose::PassThrough }
        }
        ("GET", ["responses", id]) | ("POST", ["responses", id, "cancel"]) => {
            later(Endpoint::Responses, id)
        }
        (_, ["embeddings"]) => called(Endpoint::Embeddings),
        (_, ["images", "generations" | "edits" | "variations"]) => called(Endpoint::Images),
        (_, ["audio", "transcriptions" | "translations"]) => called(Endpoint::Transcription),
        (_, ["audio", "speech"]) => called(Endpoint::Speech),
        (_, ["realtime", ..]) => called(Endpoint::Realtime),
        (_, ["moderations"]) => called(Endpoint::Moderations),
        ("POST", ["batches"]) => batch_order(),
        (_, ["batches"]) => batch_state(None),
        (_, ["batches", id] | ["batches", id, "cancel"]) => batch_state(Some(id)),
        ("GET", ["files", id, "content"]) => batch_results(id),
        ("POST", ["threads", "runs"] | ["threads", _, "runs"]) => called(Endpoint::Other),
        ("GET", ["threads", _, "runs", id])
        | ("POST", ["threads", _, "runs", id] | ["threads", _, "runs", id, _]) => {
            later(Endpoint::Other, id)
        }
        _ => passed,
    }
}

fn classify_anthropic(method: &str, segments: &[&str]) -> Route {
    match (method, segments) {
        ("POST", ["messages"]) => Route { endpoint: Endpoint::Messages, purpose: Purpose::Call },
        (_, ["messages", "count_tokens"]) => {
            Route { endpoint: Endpoint::CountTokens, purpose: Purpose::PassThrough }
        }
        ("POST", ["messages", "batches"]) => batch_order(),
        (_, ["messages", "batches"]) => batch_state(None),
        (_, ["messages", "batches", id] | ["messages", "batches", id, "cancel"]) => {
            batch_state(Some(id))
        }
        ("GET", ["messages", "batches", id, "results"]) => batch_results(id),
        // The retired text completions still answer; they report no usage.
        ("POST", ["complete"]) => Route { endpoint: Endpoint::Completions, purpose: Purpose::Call },
        _ => Route { endpoint: Endpoint::Other, purpose: Purpose::PassThrough },
    }
}

const fn batch_order() -> Route {
    Route { endpoint: Endpoint::Batches, purpose: Purpose::BatchOrder }
}

fn batch_state(id: Option<&str>) -> Route {
    let purpose = Purpose::BatchState { batch_id: id.map(str::to_owned) };
    Route { endpoint: Endpoint::Batches, purpose }
}

fn batch_results(id: &str) -> Route {
    Route { endpoint: Endpoint::Batches, purpose: Purpose::BatchResults { id: id.to_owned() } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_openai_are_told_apart() {
        let endpoint = |method, path| classify(Dialect::OpenAi, method, path);
        let chat = endpoint("POST", "/v1/chat/completions?x=1");
        assert_eq!(chat, Route { endpoint: Endpoint::Chat, purpose: Purpose::Call });
        assert_eq!(endpoint("POST", "/chat/completions").endpoint, Endpoint::Chat);
        assert_eq!(endpoint("POST", "/v1/responses/compact").purpose, Purpose::Call);
        assert_eq!(endpoint("GET", "/v1/models").endpoint, Endpoint::Other);
        assert_eq!(endpoint("POST", "/v1/responses/input_tokens").endpoint, Endpoint::CountTokens);
        let later = endpoint("GET", "/v1/responses/resp_1");
        assert_eq!(later.purpose, Purpose::LaterReading { response_id: "resp_1".to_owned() });
        assert_eq!(endpoint("GET", "/v1/responses/resp_1/input_items").endpoint, Endpoint::Other);
        let lines = endpoint("GET", "/v1/files/file-1/content");
        assert_eq!(lines.purpose, Purpose::BatchResults { id: "file-1".to_owned() });
    }

    #[test]
    fn paths_of_anthropic_are_told_apart() {
        let endpoint = |method, path| classify(Dialect::Anthropic, method, path);
        assert_eq!(endpoint("POST", "/v1/messages").purpose, Purpose::Call);
        assert_eq!(endpoint("POST", "/v1/messages/count_tokens").endpoint, Endpoint::CountTokens);
        let state = endpoint("GET", "/v1/messages/batches/msgbatch_1");
        assert_eq!(state.purpose, Purpose::BatchState { batch_id: Some("msgbatch_1".to_owned()) });
        let lines = endpoint("GET", "/v1/messages/batches/msgbatch_1/results");
        assert_eq!(lines.purpose, Purpose::BatchResults { id: "msgbatch_1".to_owned() });
        assert_eq!(endpoint("POST", "/v1/messages/batches").purpose, Purpose::BatchOrder);
        let list = endpoint("GET", "/v1/messages/batches?limit=2").purpose;
        assert_eq!(list, Purpose::BatchState { batch_id: None });
    }

    #[test]
    fn a_doubled_version_is_noticed_and_nothing_else_is() {
        assert!(has_doubled_version("/v1/v1/chat/completions"));
        assert!(!has_doubled_version("/v1/chat/v1/x"));
        assert!(!has_doubled_version("/v1/v1beta/x"));
    }
}
