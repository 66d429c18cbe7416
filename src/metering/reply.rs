//! Meters an answer that is one JSON body, while the same bytes pass to the client.

use super::reported::answer::{Answer, UsageField};
use super::reported::split::split;
use super::stream::StreamFacts;
use super::text::OutputText;
use crate::dialect::endpoint::Dialect;
use crate::dialect::outline::Outline;
use crate::dialect::request::RequestFacts;
use crate::names::Endpoint;
use crate::usage::{Conditions, ReportedUsage, UsageSource};

/// A body larger than this is not kept but for its short members.
pub(crate) const LARGEST_REPLY: usize = 32 * 1024 * 1024;

/// Collects a JSON answer and reads it once it is whole.
#[derive(Debug)]
pub struct ReplyMeter {
    dialect: Dialect,
    endpoint: Endpoint,
    status: u16,
    body: Vec<u8>,
    /// In place of a body that is too large.
    outline: Option<Outline>,
}

impl ReplyMeter {
    /// For an answer of this HTTP status.
    pub const fn new(dialect: Dialect, endpoint: Endpoint, status: u16) -> Self {
        Self { dialect, endpoint, status, body: Vec::new(), outline: None }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.outline.is_none() && self.body.len() + bytes.len() > LARGEST_REPLY {
            let body = std::mem::take(&mut self.body);
            self.outline.insert(Outline::default()).feed(&body);
        }
        match &mut self.outline {
            Some(outline) => outline.feed(bytes),
            None => self.body.extend_from_slice(bytes),
        }
    }

    /// The body so far, while it is kept.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Reads the answer. `whole` says that its last byte came; of a part nothing is reported.
    pub fn finish(
        self,
        whole: bool,
        asked: Option<&RequestFacts>,
        context: &Conditions,
    ) -> StreamFacts {
        let mut text = OutputText::default();
        let overlong = self.outline.is_some();
        let body = match self.outline {
            Some(outline) => outline.finish().unwrap_or_default(),
            None => self.body,
        };
        let answer = Answer::read_with_text(self.endpoint, &body, &mut text);
        text.truncated |= overlong;
        // What was left out may hold calls of tools that are billed, but not in these.
        let says_all = matches!(self.endpoint, Endpoint::Embeddings | Endpoint::Images)
            && matches!(answer.usage, UsageField::Reported(_));
        let mut usage = split(self.dialect, self.endpoint, asked, context, &answer);
        if self.status >= 400 && usage.parts.is_empty() {
            // A refused request uses nothing that is billed; what is, reports usage.
            usage.source = UsageSource::NotMetered;
        } else if !whole || overlong && !says_all {
            usage = cut(usage);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Meter;

    fn answered(endpoint: Endpoint, body: &[u8]) -> StreamFacts {
        let mut meter = ReplyMeter::new(Dialect::OpenAi, endpoint, 200);
        body.chunks(1 << 20).for_each(|piece| meter.feed(piece));
        assert!(meter.body().len() <= LARGEST_REPLY);
        meter.finish(true, None, &Conditions::default())
    }

    #[test]
    fn an_answer_too_large_to_keep_is_metered_by_its_short_members() {
        let vectors = "0.012345678,".repeat(LARGEST_REPLY / 12);
        let body = format!(
            "{{\"object\":\"list\",\"data\":[{{\"embedding\":[{vectors}1]}}],\"model\":\
             \"text-embedding-3-large\",\"usage\":{{\"prompt_tokens\":800,\"total_tokens\":800}}}}"
        );
        let facts = answered(Endpoint::Embeddings, body.as_bytes());
        assert_eq!(facts.usage.source, UsageSource::Reported);
        assert_eq!(facts.usage.quantities().get(Meter::Input), Some(800));
        assert_eq!(facts.model_served.unwrap().as_str(), "text-embedding-3-large");
        // Elsewhere what was left out may be billed too.
        let facts = answered(Endpoint::Responses, body.replace("prompt", "input").as_bytes());
        assert_eq!(facts.usage.source, UsageSource::Partial);
    }
}
