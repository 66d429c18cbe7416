//! Meters an answer that is one JSON body, while the same bytes pass to the client.

use super::reported::answer::Answer;
use super::reported::split;
use super::stream::StreamFacts;
use super::text::OutputText;
use crate::dialect::endpoint::Dialect;
use crate::dialect::members::{Elements, Members, member, whole_number};
use crate::dialect::request::RequestFacts;
use crate::names::Endpoint;
use crate::usage::{Conditions, ReportedUsage, UsageSource};

/// A body larger than this is not kept, and reports nothing.
pub const LARGEST_REPLY: usize = 32 * 1024 * 1024;

/// Collects a JSON answer and reads it once it is whole.
#[derive(Debug)]
pub struct ReplyMeter {
    dialect: Dialect,
    endpoint: Endpoint,
    status: u16,
    body: Vec<u8>,
    overlong: bool,
}

impl ReplyMeter {
    /// For an answer of this HTTP status.
    pub const fn new(dialect: Dialect, endpoint: Endpoint, status: u16) -> Self {
        Self { dialect, endpoint, status, body: Vec::new(), overlong: false }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.overlong || self.body.len() + bytes.len() > LARGEST_REPLY {
            self.overlong = true;
            self.body = Vec::new();
        } else {
            self.body.extend_from_slice(bytes);
        }
    }

    /// The body so far, for a caller that needs it too (a cost header, a cache).
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Reads the answer. `whole` says that its last byte came; of a part nothing is reported.
    pub fn finish(
        self,
        whole: bool,
        asked: Option<&RequestFacts>,
        context: &Conditions,
    ) -> StreamFacts {
        let answer = Answer::read(self.endpoint, &self.body);
        let mut usage = split(self.dialect, self.endpoint, asked, context, &answer);
        if self.status >= 400 && usage.parts.is_empty() {
            // A refused request uses nothing that is billed; what is, reports usage.
            usage.source = UsageSource::NotMetered;
        } else if !whole || self.overlong {
            usage = cut(usage);
        }
        let mut text = OutputText::default();
        self.collect_text(&mut text);
        text.truncated |= self.overlong;
        StreamFacts {
            usage,
            model_served: answer.model,
            response_id: answer.id,
            status: answer.status,
            error: answer.error,
            finish_reason: answer.finish_reason,
            saw_end: whole,
            text,
        }
    }

    fn collect_text(&self, text: &mut OutputText) {
        let Ok(members) = Members::of(&self.body) else {
            return;
        };
        for found in members.map_while(Result::ok) {
            match (&*found.key, self.dialect) {
                ("choices", Dialect::OpenAi) => take_choices(found.value, text),
                ("output", Dialect::OpenAi) => text.take_openai_output(found.value),
                ("content", Dialect::Anthropic) => text.take_anthropic_content(found.value),
                _ => {}
            }
        }
    }
}

/// An answer that did not come whole: the usage it had got to, or none.
fn cut(mut usage: ReportedUsage) -> ReportedUsage {
    usage.source = match usage.source {
        UsageSource::Reported => UsageSource::Partial,
        UsageSource::NotMetered => UsageSource::NotMetered,
        _ => UsageSource::Absent,
    };
    usage
}

fn take_choices(choices: &[u8], text: &mut OutputText) {
    let choices = Elements::of(choices).into_iter().flatten().map_while(Result::ok);
    for (position, choice) in (0..).zip(choices) {
        let index = member(choice, "index").and_then(whole_number).unwrap_or(position);
        if let Some(message) = member(choice, "message") {
            text.take_openai_message(index, message);
        }
        text.push_json(super::text::OutputKind::Content, index, 0, member(choice, "text"));
    }
}
