//! The few facts of a request that routing, metering and pricing act on, read from its bytes.

use super::error::is_short_name;
use super::members::{Members, member, string_text, whole_number};
use super::multipart;
use crate::names::ModelName;
use crate::usage::Conditions;

/// Whether a stream was asked to report its usage (`stream_options.include_usage`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeUsage {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// The client wants the usage event.
    Wanted,
    /// The client said no.
    Declined,
}

/// How much of the body could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BodyKind {
    /// No body.
    #[default]
    Empty,
    /// A JSON object.
    Json,
    /// A form with files.
    Multipart,
    /// Neither, or broken: the bytes go on as they are, and the provider answers for them.
    Unreadable,
}

/// What a request says about itself. A field that is absent was not said, or not readably.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// How much could be read.
    pub body: BodyKind,
    /// The model asked for.
    pub model: Option<ModelName>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the stream is to report usage.
    pub include_usage: IncludeUsage,
    /// The most output tokens the caller allows.
    pub max_output_tokens: Option<u64>,
    /// How many answers are asked for (`n`).
    pub choices: Option<u64>,
    /// The service tier asked for; the answer says which served.
    pub service_tier: Option<String>,
    /// Anthropic's `speed`.
    pub speed: Option<String>,
    /// Anthropic's `inference_geo`.
    pub inference_geo: Option<String>,
    /// OpenAI's `prompt_cache_retention`.
    pub cache_retention: Option<String>,
    /// Whether the answer comes later (`background`).
    pub background: bool,
    /// The user the body names: claimed, never proved.
    pub claimed_user: Option<String>,
    /// Characters of text to be spoken (`input` of a speech call), which some models bill.
    pub input_characters: Option<u64>,
    /// An image call's `quality`.
    pub quality: Option<String>,
    /// An image call's `size`.
    pub size: Option<String>,
}

/// A metered member stands twice in the request. Parsers differ on which one counts, so a
/// gateway that meters one and forwards both could be made to account for another call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request body has {0:?} more than once; send it once")]
pub struct DuplicateMember(pub &'static str);

/// Members that may stand once only, because money or routing hangs on them.
pub(super) const SINGLE: &[&str] = &[
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "service_tier",
    "speed",
    "inference_geo",
    "prompt_cache_retention",
    "background",
    "n",
];

impl RequestFacts {
    /// Reads a body. One that is no JSON object and no form is [`BodyKind::Unreadable`]: refusing
    /// it is the provider's business.
    ///
    /// # Errors
    /// A metered member that stands twice.
    pub fn read(content_type: Option<&str>, body: &[u8]) -> Result<Self, DuplicateMember> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        if let Some(boundary) = content_type.and_then(multipart::boundary) {
            return Ok(Self::read_form(&boundary, body));
        }
        Self::read_json(body)
    }

    /// Reads the beginning of a form whose files follow; `None` where the type names no form.
    pub(crate) fn read_beginning(content_type: &str, beginning: &[u8]) -> Option<Self> {
        let boundary = multipart::boundary(content_type)?;
        Some(Self::read_form(&boundary, multipart::whole_parts(&boundary, beginning)))
    }

    /// What selects a price, as far as the request tells it: `service_tier`, `speed`, `region`
    /// (from `inference_geo`) and `cache_retention`. The answer has the last word on each.
    pub(crate) fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        let said = [
            ("service_tier", &self.service_tier),
            ("speed", &self.speed),
            ("region", &self.inference_geo),
            ("cache_retention", &self.cache_retention),
        ];
        for (key, value) in said {
            if let Some(value) = value {
                conditions.set(key, value.as_str());
            }
        }
        conditions
    }

    fn read_json(body: &[u8]) -> Result<Self, DuplicateMember> {
        let unreadable = Self { body: BodyKind::Unreadable, ..Self::default() };
        let Ok(members) = Members::of(body) else {
            return Ok(unreadable);
        };
        let mut facts = Self { body: BodyKind::Json, ..Self::default() };
        let mut seen: u32 = 0;
        for found in members {
            let Ok(found) = found else {
                return Ok(unreadable);
            };
            if let Some(index) = SINGLE.iter().position(|key| found.key == *key) {
                let bit = 1 << index;
                if seen & bit != 0 {
                    return Err(DuplicateMember(SINGLE.get(index).copied().unwrap_or_default()));
                }
                seen |= bit;
            }
            facts.take(&found.key, found.value)?;
        }
        Ok(facts)
    }

    fn take(&mut self, key: &str, value: &[u8]) -> Result<(), DuplicateMember> {
        match key {
            "model" => {
                let name = string_text(value).filter(|text| (1..=256).contains(&text.len()));
                self.model = name.map(|text| ModelName::new(&*text));
            }
            "stream" => self.stream = value == b"true",
            "stream_options" => self.include_usage = read_include_usage(value)?,
            "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
                // Both spellings may stand; the larger bounds what can be billed.
                self.max_output_tokens = self.max_output_tokens.max(whole_number(value));
            }
            "n" => self.choices = whole_number(value),
            "service_tier" => self.service_tier = short_text(value),
            "speed" => self.speed = short_text(value),
            "inference_geo" => self.inference_geo = short_text(value),
            "prompt_cache_retention" => self.cache_retention = short_text(value),
            "background" => self.background = value == b"true",
            "user" => self.claimed_user = claimed(value),
            "metadata" => {
                if let Some(user) = member(value, "user_id").and_then(claimed) {
                    self.claimed_user = Some(user);
                }
            }
            "quality" => self.quality = short_text(value),
            "size" => self.size = short_text(value),
            // Speech takes a few thousand characters; a longer text is for another endpoint.
            "input" if value.len() <= 64 * 1024 => {
                self.input_characters =
                    string_text(value).and_then(|text| u64::try_from(text.chars().count()).ok());
            }
            _ => {}
        }
        Ok(())
    }

    fn read_form(boundary: &str, body: &[u8]) -> Self {
        let mut facts = Self { body: BodyKind::Multipart, ..Self::default() };
        for field in multipart::text_fields(boundary, body) {
            match field.name {
                "model" if (1..=256).contains(&field.value.len()) => {
                    facts.model = Some(ModelName::new(field.value));
                }
                "stream" => facts.stream = field.value == "true",
                "n" => facts.choices = field.value.parse().ok(),
                "user" => facts.claimed_user = label(field.value),
                "quality" if is_short_name(field.value) => {
                    facts.quality = Some(field.value.to_owned());
                }
                "size" if is_short_name(field.value) => facts.size = Some(field.value.to_owned()),
                _ => {}
            }
        }
        facts
    }
}

fn read_include_usage(options: &[u8]) -> Result<IncludeUsage, DuplicateMember> {
    let Ok(members) = Members::of(options) else {
        return Ok(IncludeUsage::Unsaid);
    };
    let mut said = None;
    for found in members.map_while(Result::ok) {
        if found.key == "include_usage" {
            let reading = match found.value {
                b"true" => IncludeUsage::Wanted,
                b"false" => IncludeUsage::Declined,
                _ => IncludeUsage::Unsaid,
            };
            if said.replace(reading).is_some() {
                return Err(DuplicateMember("stream_options.include_usage"));
            }
        }
    }
    Ok(said.unwrap_or_default())
}

fn short_text(value: &[u8]) -> Option<String> {
    string_text(value).filter(|text| is_short_name(text)).map(std::borrow::Cow::into_owned)
}

/// A label of the caller's own making, cut to what a column should hold.
fn claimed(value: &[u8]) -> Option<String> {
    label(&string_text(value)?)
}

fn label(text: &str) -> Option<String> {
    let label: String = text.chars().filter(|letter| !letter.is_control()).take(256).collect();
    (!label.is_empty()).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(body: &str) -> RequestFacts {
        RequestFacts::read(Some("application/json"), body.as_bytes()).unwrap()
    }

    #[test]
    fn the_facts_are_read_whatever_surrounds_them() {
        let facts = json(
            r#"{"messages":[{"role":"user","content":"{\"model\":\"no\"}"}],"model":"gpt-5.6",
                "stream":true,"stream_options":{"include_usage":false},"n":3,
                "max_tokens":10,"max_completion_tokens":20,"service_tier":"flex",
                "user":"ann","prompt_cache_retention":"12h"}"#,
        );
        assert_eq!(facts.model, Some(ModelName::from("gpt-5.6")));
        assert!(facts.stream);
        assert_eq!(facts.include_usage, IncludeUsage::Declined);
        assert_eq!((facts.choices, facts.max_output_tokens), (Some(3), Some(20)));
        assert_eq!(facts.claimed_user.as_deref(), Some("ann"));
        assert_eq!(facts.conditions().get("service_tier"), Some("flex"));
        assert_eq!(facts.conditions().get("cache_retention"), Some("12h"));
    }

    #[test]
    fn a_metered_member_that_stands_twice_is_refused_even_when_escaped() {
        for key in SINGLE {
            let body = format!(r#"{{"{key}":1,"x":{{"{key}":1}},"{key}":2}}"#);
            let fault = RequestFacts::read(None, body.as_bytes()).unwrap_err();
            assert_eq!(fault, DuplicateMember(key));
        }
        let hidden = r#"{"model":"cheap","mod\u0065l":"dear"}"#;
        assert!(RequestFacts::read(None, hidden.as_bytes()).is_err());
        let inner = r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#;
        assert!(RequestFacts::read(None, inner.as_bytes()).is_err());
        assert!(RequestFacts::read(None, br#"{"messages":1,"messages":2}"#).is_ok());
    }

    #[test]
    fn a_broken_body_is_unreadable_and_no_refusal_of_ours() {
        for body in ["{", "[]", "\"x\"", "{\"model\":}", "\u{0}", "{\"a\":1,}}"] {
            assert_eq!(json(body).body, BodyKind::Unreadable, "{body}");
        }
        assert_eq!(json("").body, BodyKind::Empty);
    }

    #[test]
    fn a_form_tells_its_model_and_its_file_is_left_alone() {
        let body = "--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\
            Content-Type: audio/mpeg\r\n\r\nname=\"model\"\r\n\r\n--b0\r\n\
            Content-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b0--\r\n";
        let facts = RequestFacts::read(Some("multipart/form-data; boundary=b0"), body.as_bytes());
        let facts = facts.unwrap();
        assert_eq!(facts.body, BodyKind::Multipart);
        assert_eq!(facts.model, Some(ModelName::from("whisper-1")));
    }

    #[test]
    fn characters_to_be_spoken_are_counted_as_characters() {
        assert_eq!(json(r#"{"model":"tts-1","input":"né\n"}"#).input_characters, Some(3));
        assert_eq!(json(r#"{"input":["a","b"]}"#).input_characters, None);
    }
}
