//! How an answer is read while it passes: as a stream, as one JSON body, as result lines, or not.

use bytes::Bytes;
use http::HeaderMap;

use crate::dialect::endpoint::{Dialect, Purpose, Route};
use crate::dialect::request::RequestFacts;
use crate::dialect::strip::UsageStripper;
use crate::gateway::batch::BatchReader;
use crate::gateway::decode;
use crate::metering::reply::ReplyMeter;
use crate::metering::stream::{StreamEnd, StreamFacts, UsageMeter};
use crate::metering::text::OutputText;
use crate::names::Endpoint;
use crate::upstream::headers::{content_encoding, media_type};
use crate::usage::{Conditions, ReportedUsage, UsageFlag, UsageSource};

/// What reads an answer.
#[derive(Debug)]
pub(crate) enum Reading {
    /// A server-sent event stream, and what takes out of it what we put in.
    Stream(Box<UsageMeter>, Option<UsageStripper>),
    /// One JSON body.
    Reply(ReplyMeter),
    /// Either of them, compressed against our wish: a bounded copy is read at the end.
    Packed(PackedCopy),
    /// The result lines of a batch job.
    Lines(Box<BatchReader>),
    /// A body that is billed and says nothing of it, such as audio.
    Opaque(ReplyMeter),
    /// An answer that does not say what it is, or perhaps wrongly: its first byte will tell.
    Undecided(Undecided),
    /// Nothing: it passes.
    Passed,
}

/// What an answer is read by, once its first byte has told what it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undecided {
    dialect: Dialect,
    endpoint: Endpoint,
    status: u16,
    stream: bool,
    injected: bool,
}

/// A compressed copy and what it holds once unpacked.
#[derive(Debug)]
pub(crate) struct PackedCopy {
    encoding: String,
    copy: Vec<u8>,
    overlong: bool,
    inside: Box<Reading>,
}

/// What the caller asked, as far as reading the answer needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The formats.
    pub dialect: Dialect,
    /// The kind of call, and what it does with usage.
    pub route: &'a Route,
    /// Whether usage was injected that the caller must not see.
    pub injected: bool,
    /// Whether the caller asked for a stream.
    pub stream: bool,
}

impl Reading {
    /// Chooses by status and headers.
    pub(crate) fn choose(asked: Asked<'_>, status: u16, headers: &HeaderMap) -> Self {
        let plain = Self::choose_plain(asked, status, headers);
        match (content_encoding(headers), plain) {
            (_, plain @ (Self::Passed | Self::Opaque(_))) => plain,
            (None, plain) => plain,
            (Some(encoding), plain) => Self::Packed(PackedCopy {
                encoding,
                copy: Vec::new(),
                overlong: false,
                inside: Box::new(plain),
            }),
        }
    }

    fn choose_plain(asked: Asked<'_>, status: u16, headers: &HeaderMap) -> Self {
        let Asked { dialect, route: Route { endpoint, purpose }, .. } = asked;
        let endpoint = *endpoint;
        let media = media_type(headers).unwrap_or_default();
        let json = media == "application/json" || media.ends_with("+json");
        let is_error = status >= 400;
        match purpose {
            Purpose::BatchResults { .. } if !is_error => {
                Self::Lines(Box::new(BatchReader::new(dialect)))
            }
            Purpose::Call | Purpose::LaterReading { .. } if media == "text/event-stream" => {
                Self::stream(dialect, endpoint, asked.injected)
            }
            Purpose::Call | Purpose::LaterReading { .. } if is_error || json && !asked.stream => {
                Self::Reply(ReplyMeter::new(dialect, endpoint, status))
            }
            Purpose::Call | Purpose::LaterReading { .. } => {
                let Asked { stream, injected, .. } = asked;
                Self::Undecided(Undecided { dialect, endpoint, status, stream, injected })
            }
            Purpose::BatchOrder | Purpose::BatchState { .. } if json => {
                Self::Reply(ReplyMeter::new(dialect, endpoint, status))
            }
            _ if is_error && json => Self::Reply(ReplyMeter::new(dialect, endpoint, status)),
            _ => Self::Passed,
        }
    }

    fn stream(dialect: Dialect, endpoint: Endpoint, injected: bool) -> Self {
        let stripper = injected.then(UsageStripper::new);
        Self::Stream(Box::new(UsageMeter::new(dialect, endpoint)), stripper)
    }

    /// Takes the next bytes of the provider and returns what the caller gets of them.
    pub(crate) fn feed(&mut self, bytes: Bytes) -> Bytes {
        if let Self::Undecided(undecided) = self {
            let Some(first) = bytes.trim_ascii_start().first() else { return bytes };
            *self = undecided.decided_by(*first);
        }
        match self {
            Self::Stream(meter, stripper) => {
                meter.feed(&bytes);
                match stripper {
                    Some(stripper) => stripper.feed(&bytes),
                    None => bytes,
                }
            }
            Self::Reply(meter) => {
                meter.feed(&bytes);
                bytes
            }
            Self::Packed(packed) => {
                packed.feed(&bytes);
                bytes
            }
            Self::Lines(reader) => {
                reader.feed(&bytes);
                bytes
            }
            Self::Opaque(_) | Self::Undecided(_) | Self::Passed => bytes,
        }
    }

    /// What was held back of a stream that has ended.
    pub(crate) fn held_back(&mut self) -> Bytes {
        match self {
            Self::Stream(_, Some(stripper)) => stripper.finish(),
            _ => Bytes::new(),
        }
    }

    /// Whether the dialect's own last word has passed.
    pub(crate) fn saw_end(&self) -> bool {
        matches!(self, Self::Stream(meter, _) if meter.saw_end())
    }

    /// Whether this is an event stream, whose upstream call is canceled when its client goes.
    pub(crate) fn is_stream(&self) -> bool {
        match self {
            Self::Stream(..) | Self::Undecided(Undecided { stream: true, .. }) => true,
            Self::Packed(packed) => packed.inside.is_stream(),
            _ => false,
        }
    }

    /// The JSON body so far, where that is what is read.
    pub(crate) fn json(&self) -> &[u8] {
        match self {
            Self::Reply(meter) => meter.body(),
            _ => &[],
        }
    }

    /// Whether the rest is worth reading without a client.
    pub(crate) fn is_drained(&self) -> bool {
        match self {
            Self::Reply(_) | Self::Lines(_) => true,
            Self::Packed(packed) => packed.inside.is_drained(),
            Self::Stream(..) | Self::Opaque(_) | Self::Undecided(_) | Self::Passed => false,
        }
    }

    /// Whether the body that passes is shorter than the provider's.
    pub(crate) const fn strips(&self) -> bool {
        matches!(self, Self::Stream(_, Some(_)) | Self::Undecided(Undecided { injected: true, .. }))
    }

    /// What the answer came to.
    pub(crate) fn finish(
        self,
        end: StreamEnd,
        asked: Option<&RequestFacts>,
        context: &Conditions,
    ) -> StreamFacts {
        let whole = end == StreamEnd::Complete;
        match self {
            Self::Stream(meter, _) => meter.finish(end, asked, context),
            Self::Reply(meter) | Self::Opaque(meter) => meter.finish(whole, asked, context),
            Self::Packed(packed) => packed.finish(end, asked, context),
            Self::Lines(reader) => {
                let usage = reader.finish(whole);
                nothing_but(usage.unwrap_or_else(|| ReportedUsage::none(UsageSource::NotMetered)))
            }
            Self::Undecided(Undecided { dialect, endpoint, status, .. }) => {
                ReplyMeter::new(dialect, endpoint, status).finish(whole, asked, context)
            }
            Self::Passed => nothing_but(ReportedUsage::none(UsageSource::NotMetered)),
        }
    }
}

impl Undecided {
    fn decided_by(self, first: u8) -> Reading {
        let Self { dialect, endpoint, status, stream, injected } = self;
        let reply = ReplyMeter::new(dialect, endpoint, status);
        match first {
            b'{' | b'[' => Reading::Reply(reply),
            _ if stream => Reading::stream(dialect, endpoint, injected),
            _ => Reading::Opaque(reply),
        }
    }
}

impl PackedCopy {
    fn feed(&mut self, bytes: &[u8]) {
        if self.overlong || self.copy.len() + bytes.len() > decode::LARGEST_COPY {
            self.overlong = true;
        } else {
            self.copy.extend_from_slice(bytes);
        }
    }

    fn finish(
        mut self,
        end: StreamEnd,
        asked: Option<&RequestFacts>,
        context: &Conditions,
    ) -> StreamFacts {
        match decode::plain(&self.encoding, &self.copy) {
            Some(plain) => {
                self.inside.feed(plain.into());
                let end = if self.overlong { StreamEnd::UpstreamCut } else { end };
                self.inside.finish(end, asked, context)
            }
            None => {
                let mut usage = ReportedUsage::none(UsageSource::Absent);
                usage.flags.push(UsageFlag::EmptyUsage);
                nothing_but(usage)
            }
        }
    }
}

/// Facts of an answer of which only the usage is known.
pub(crate) fn nothing_but(usage: ReportedUsage) -> StreamFacts {
    StreamFacts {
        usage,
        model_served: None,
        response_id: None,
        status: None,
        error: None,
        finish_reason: None,
        saw_end: false,
        text: OutputText::new(0),
    }
}
