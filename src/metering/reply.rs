//! Meters an answer that is one JSON body, while the same bytes pass to the client.

use super::reported::answer::Answer;
use super::reported::split::split;
use super::stream::StreamFacts;
use super::text::OutputText;
use crate::dialect::endpoint::Dialect;
use crate::dialect::request::RequestFacts;
use crate::names::Endpoint;
use crate::usage::{Conditions, ReportedUsage, UsageSource};

/// A body larger than this is not kept, and reports nothing.
pub(crate) const LARGEST_REPLY: usize = 32 * 1024 * 1024;

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

    /// Reads the answer. `whole` says that its last byte came; of a part nothing is reported.
    pub fn finish(
        self,
        whole: bool,
        asked: Option<&RequestFacts>,
        context: &Conditions,
    ) -> StreamFacts {
        let mut text = OutputText::default();
        let answer = Answer::read_with_text(self.endpoint, &self.body, &mut text);
        text.truncated |= self.overlong;
        let mut usage = split(self.dialect, self.endpoint, asked, context, &answer);
        if self.status >= 400 && usage.parts.is_empty() {
            // A refused request uses nothing that is billed; what is, reports usage.
            usage.source = UsageSource::NotMetered;
        } else if !whole || self.overlong {
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
