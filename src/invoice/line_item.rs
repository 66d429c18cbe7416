//! The grammar of OpenAI's `line_item`: `[surface | ] model [modality], direction[, long context]`.

use crate::invoice::line::ChargeCategory;
use crate::meter::Meter;

/// What a `line_item` says, as far as the grammar goes. What it does not say is `None`; money whose
/// line item does not parse stays visible as unmapped money under the verbatim text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineItem {
    /// The model as spelled.
    pub model: Option<String>,
    /// What was counted, by the words of the item alone.
    pub meter: Option<Meter>,
    /// `priority`, `flex`, `batch`, `scale`, where the item begins with it.
    pub service_tier: Option<String>,
    /// `evals`, `assistants api`: the product in front of the model.
    pub surface: Option<String>,
    /// Said to be of the long-context band.
    pub long_context: Option<bool>,
    /// What kind of money it is, by its words.
    pub category: Option<ChargeCategory>,
}

/// What flows: a row's tokens are text unless it says otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Modality {
    Text,
    Audio,
    Image,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Input,
    CachedInput,
    CacheWrite,
    Output,
    VoiceSession,
}

const TIERS: &[&str] = &["batch", "flex", "priority", "scale"];

impl LineItem {
    /// Reads a line item. Never fails: what is not understood is left out.
    pub(crate) fn parse(text: &str) -> Self {
        let mut item = Self::default();
        let mut rest = text.trim();
        while let Some((front, behind)) = rest.split_once(" | ") {
            let front = front.trim().to_lowercase();
            if TIERS.contains(&front.as_str()) {
                item.service_tier = Some(front);
            } else {
                item.surface = Some(front);
            }
            rest = behind.trim();
        }
        let mut parts = rest.split(", ").map(str::trim);
        let name = parts.next().unwrap_or_default();
        let (mut direction, mut modality) = (None, Modality::Text);
        for part in parts {
            let part = part.to_lowercase();
            if part == "long context" {
                item.long_context = Some(true);
            } else if TIERS.contains(&part.as_str()) {
                item.service_tier = Some(part);
            } else if let Some((found, of)) = direction_of(&part) {
                direction = Some(found);
                modality = of.unwrap_or(modality);
            } else {
                // A word of a later grammar could change what is charged: leave the meter open.
                item.model = model_of(name, &mut Modality::Text, &mut None);
                return item;
            }
        }
        if direction.is_none() {
            return item.bare(rest);
        }
        item.model = model_of(name, &mut modality, &mut item.service_tier);
        item.meter = direction.and_then(|direction| meter_of(direction, modality));
        item
    }

    /// A product without a direction: a tool, storage, or a model billed by time or by piece.
    fn bare(mut self, name: &str) -> Self {
        let lower = name.to_lowercase();
        if lower.contains("web search") {
            self.meter = Some(Meter::WebSearch);
        } else if lower.contains("file search") && lower.contains("call") {
            self.meter = Some(Meter::FileSearch);
        } else if lower.contains("code interpreter") || lower.contains("container session") {
            self.meter = Some(Meter::CodeSession);
        } else if is_model_id(name) {
            self.model = Some(name.to_owned());
        }
        self.category = category_of(&lower);
        self
    }
}

/// The kind of money a bare product name speaks of, where its words say.
fn category_of(lower: &str) -> Option<ChargeCategory> {
    let word = |wanted: &str| {
        lower.split(|letter: char| !letter.is_alphanumeric()).any(|word| word == wanted)
    };
    if word("tax") || word("vat") || word("gst") {
        Some(ChargeCategory::Tax)
    } else if word("grant") || word("credit") || word("credits") {
        Some(ChargeCategory::Credit)
    } else if word("refund") || word("adjustment") || word("rounding") {
        Some(ChargeCategory::Adjustment)
    } else if word("fee") || word("minimum") || word("subscription") || word("seat") {
        Some(ChargeCategory::Purchase)
    } else {
        None
    }
}

fn direction_of(text: &str) -> Option<(Direction, Option<Modality>)> {
    let text =
        text.strip_suffix(" tokens").or_else(|| text.strip_suffix("_tokens")).unwrap_or(text);
    let text = text.replace('_', " ");
    let (cached, text) = match text.strip_prefix("cached ") {
        Some(rest) => (true, rest.to_owned()),
        None => (false, text),
    };
    let (modality, text) = match text.split_once(' ') {
        Some(("audio", rest)) => (Some(Modality::Audio), rest),
        Some(("image", rest)) => (Some(Modality::Image), rest),
        Some(("text", rest)) => (Some(Modality::Text), rest),
        _ => (None, text.as_str()),
    };
    let direction = match (text, cached) {
        ("input", false) => Direction::Input,
        ("input", true) | ("cached input" | "cache read" | "cache reads", false) => {
            Direction::CachedInput
        }
        ("cache write" | "cache writes" | "input cache write", false) => Direction::CacheWrite,
        ("output", false) => Direction::Output,
        ("voice session", false) => Direction::VoiceSession,
        _ => return None,
    };
    Some((direction, modality))
}

/// The model of `gpt-image-2-2026-04-21 image`, whose last words are modality or tier.
fn model_of(name: &str, modality: &mut Modality, tier: &mut Option<String>) -> Option<String> {
    let mut model = name.trim();
    while let Some((front, last)) = model.rsplit_once(' ') {
        match last.to_lowercase().as_str() {
            "audio" => *modality = Modality::Audio,
            "image" => *modality = Modality::Image,
            "text" => *modality = Modality::Text,
            word if TIERS.contains(&word) => *tier = Some(word.to_owned()),
            _ => break,
        }
        model = front.trim_end();
    }
    if model.is_empty() { None } else { Some(model.to_owned()) }
}

const fn meter_of(direction: Direction, modality: Modality) -> Option<Meter> {
    match (direction, modality) {
        (Direction::Input, Modality::Text) => Some(Meter::Input),
        (Direction::Input, Modality::Audio) => Some(Meter::InputAudio),
        (Direction::Input, Modality::Image) => Some(Meter::InputImage),
        (Direction::CachedInput, Modality::Text) => Some(Meter::InputCacheRead),
        (Direction::CachedInput, Modality::Audio) => Some(Meter::InputCacheReadAudio),
        (Direction::CachedInput, Modality::Image) => Some(Meter::InputCacheReadImage),
        (Direction::CacheWrite, _) => Some(Meter::InputCacheWrite),
        (Direction::Output, Modality::Text) => Some(Meter::Output),
        (Direction::Output, Modality::Audio) => Some(Meter::OutputAudio),
        (Direction::Output, Modality::Image) => Some(Meter::OutputImage),
        (Direction::VoiceSession, _) => Some(Meter::SessionSeconds),
    }
}

/// Whether a bare name is spelled like a model id (`whisper-1`), not like a product (`Vector storage`).
fn is_model_id(name: &str) -> bool {
    let spelled =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:/".contains(&byte);
    name.contains('-') && name.bytes().all(spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, Option<&'static str>) {
        let item = LineItem::parse(text);
        (item.model, item.meter.map(Meter::as_str))
    }

    #[test]
    fn every_spelling_seen_in_live_accounts_is_read() {
        for (text, model, meter) in [
            ("gpt-4o-mini-2024-07-18, input", "gpt-4o-mini-2024-07-18", "input"),
            ("gpt-5.5-2026-04-23, cached input", "gpt-5.5-2026-04-23", "input.cache_read"),
            ("gpt-5.6-luna, cache writes", "gpt-5.6-luna", "input.cache_write"),
            ("gpt-5.6-luna, output", "gpt-5.6-luna", "output"),
            ("gpt-image-2-2026-04-21 image, output", "gpt-image-2-2026-04-21", "output.image"),
            ("gpt-image-2-2026-04-21 text, input", "gpt-image-2-2026-04-21", "input"),
            ("gpt-audio-mini-2025-12-15 audio, input", "gpt-audio-mini-2025-12-15", "input.audio"),
            (
                "gpt-realtime-2.1-mini-2026-08-28, audio input",
                "gpt-realtime-2.1-mini-2026-08-28",
                "input.audio",
            ),
            ("gpt-realtime-2.1, cached audio input", "gpt-realtime-2.1", "input.cache_read.audio"),
            ("gpt-image-2 image, cached input", "gpt-image-2", "input.cache_read.image"),
            ("gpt-live-1, voice session", "gpt-live-1", "session_seconds"),
            ("gpt-5-nano, input_tokens", "gpt-5-nano", "input"),
            ("gpt-5-nano, cached_input_tokens", "gpt-5-nano", "input.cache_read"),
            ("ft:gpt-4o-mini:acme::9abc, output", "ft:gpt-4o-mini:acme::9abc", "output"),
        ] {
            assert_eq!(read(text), (Some(model.to_owned()), Some(meter)), "{text}");
        }
        assert_eq!(read("web search tool calls"), (None, Some("web_search")));
        assert_eq!(read("Vector storage"), (None, None));
        assert_eq!(read("whisper-1"), (Some("whisper-1".to_owned()), None));
    }

    #[test]
    fn surface_tier_and_band_are_told_apart() {
        let item = LineItem::parse("priority | gpt-5.6-sol, output, long context");
        assert_eq!(item.service_tier.as_deref(), Some("priority"));
        assert_eq!((item.surface, item.long_context), (None, Some(true)));
        let item = LineItem::parse("evals | gpt-4o-mini-2024-07-18, input");
        assert_eq!((item.surface.as_deref(), item.meter), (Some("evals"), Some(Meter::Input)));
        let item = LineItem::parse("assistants api | file search");
        assert_eq!((item.surface.as_deref(), item.meter), (Some("assistants api"), None));
    }

    #[test]
    fn an_unknown_word_leaves_the_meter_open_rather_than_guess() {
        assert_eq!(read("gpt-9, output, on the moon"), (Some("gpt-9".to_owned()), None));
        assert_eq!(read("gpt-9, thoughts"), (Some("gpt-9".to_owned()), None));
        assert_eq!(read(""), (None, None));
        assert_eq!(read(", , ,"), (None, None));
        assert_eq!(LineItem::parse("Promotional credit").category, Some(ChargeCategory::Credit));
    }
}
