//! What is counted: the closed vocabulary of meters, disjoint by definition.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! meters {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $unit:ident;)*) => {
        /// One thing a provider counts and prices. Every reported unit lands in exactly one meter.
        ///
        /// Names are paths, `direction[.kind][.ttl][.modality]`, the same in usage, charges,
        /// rollups, files and JSON.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Meter { $($(#[$doc])* $name,)* }

        impl Meter {
            /// Every meter, in the order pages and files list them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name used everywhere.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What one unit of the meter is.
            pub(crate) const fn unit(self) -> MeterUnit {
                match self { $(Self::$name => MeterUnit::$unit,)* }
            }
        }
    };
}

/// What a meter's quantity counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterUnit {
    /// Whole tokens.
    Token,
    /// Seconds, kept in thousandths.
    Second,
    /// Whole characters.
    Character,
    /// Whole things: images, calls, sessions, requests.
    Count,
}

meters! {
    /// Text input neither read from nor written to a cache.
    Input = "input", Token;
    /// Text input read from a prompt cache.
    InputCacheRead = "input.cache_read", Token;
    /// Input written to a cache whose lifetime was not reported.
    InputCacheWrite = "input.cache_write", Token;
    /// Input written to a cache for five minutes.
    InputCacheWrite5m = "input.cache_write.5m", Token;
    /// Input written to a cache for thirty minutes.
    InputCacheWrite30m = "input.cache_write.30m", Token;
    /// Input written to a cache for one hour.
    InputCacheWrite1h = "input.cache_write.1h", Token;
    /// Input written to a cache for twelve hours.
    InputCacheWrite12h = "input.cache_write.12h", Token;
    /// Audio input, not cached.
    InputAudio = "input.audio", Token;
    /// Image input, not cached.
    InputImage = "input.image", Token;
    /// Audio input read from a cache.
    InputCacheReadAudio = "input.cache_read.audio", Token;
    /// Image input read from a cache.
    InputCacheReadImage = "input.cache_read.image", Token;
    /// Prompt tokens a provider's own tools added.
    InputToolPrompt = "input.tool_prompt", Token;
    /// Visible text output.
    Output = "output", Token;
    /// Reasoning the caller does not see.
    OutputReasoning = "output.reasoning", Token;
    /// Audio output.
    OutputAudio = "output.audio", Token;
    /// Image output.
    OutputImage = "output.image", Token;
    /// Seconds of audio, where a provider bills by time.
    AudioSeconds = "audio_seconds", Second;
    /// Seconds of video.
    VideoSeconds = "video_seconds", Second;
    /// Seconds of a live voice session.
    SessionSeconds = "session_seconds", Second;
    /// Characters of text to be spoken.
    Characters = "characters", Character;
    /// Generated images, where a provider bills by piece.
    Images = "images", Count;
    /// Requests, where a provider bills by request.
    Requests = "requests", Count;
    /// Web searches run by the provider.
    WebSearch = "web_search", Count;
    /// File searches run by the provider.
    FileSearch = "file_search", Count;
    /// Code containers opened by the provider.
    CodeSession = "code_session", Count;
}

/// Quantities by meter, in atoms: whole tokens, characters and things; thousandths of a second.
/// A meter that is absent was not reported; a stored zero was reported as zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantities(BTreeMap<Meter, u64>);

/// Why a text is no meter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a meter this version knows")]
pub struct UnknownMeter(pub String);

impl Meter {
    /// Atoms in one printed unit: 1,000 for seconds, 1 for everything else.
    pub(crate) const fn atoms_per_unit(self) -> u64 {
        match self.unit() {
            MeterUnit::Second => 1_000,
            MeterUnit::Token | MeterUnit::Character | MeterUnit::Count => 1,
        }
    }

    /// Whether this is a token meter of the input side.
    pub fn is_input(self) -> bool {
        self.as_str() == "input" || self.as_str().starts_with("input.")
    }

    /// Whether this is a token meter of the output side.
    pub fn is_output(self) -> bool {
        self.as_str() == "output" || self.as_str().starts_with("output.")
    }

    /// A quantity as it is printed: `1234`, or `3.25` for seconds.
    pub fn print(self, atoms: u64) -> String {
        let per = self.atoms_per_unit();
        if atoms.is_multiple_of(per) {
            return (atoms / per).to_string();
        }
        let text = format!("{}.{:03}", atoms / per, atoms % per);
        text.trim_end_matches('0').to_owned()
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Meter {
    type Err = UnknownMeter;

    fn from_str(text: &str) -> Result<Self, UnknownMeter> {
        let found = Self::ALL.iter().find(|meter| meter.as_str() == text);
        found.copied().ok_or_else(|| UnknownMeter(text.to_owned()))
    }
}

impl Serialize for Meter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Meter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Quantities {
    /// Nothing reported.
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds atoms to a meter, saturating; a zero is kept as a reported zero.
    pub(crate) fn add(&mut self, meter: Meter, atoms: u64) {
        let sum = self.0.entry(meter).or_insert(0);
        *sum = sum.saturating_add(atoms);
    }

    /// The atoms of one meter, `None` where nothing was reported.
    pub fn get(&self, meter: Meter) -> Option<u64> {
        self.0.get(&meter).copied()
    }

    /// Every reported meter in vocabulary order.
    pub fn iter(&self) -> impl Iterator<Item = (Meter, u64)> + '_ {
        self.0.iter().map(|(meter, atoms)| (*meter, *atoms))
    }

    /// Whether nothing was reported at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All input tokens, cached ones included: what decides a long-context band.
    pub fn input_tokens(&self) -> u64 {
        self.iter().filter(|(meter, _)| meter.is_input()).map(|(_, atoms)| atoms).sum()
    }

    /// All output tokens, reasoning included.
    pub(crate) fn output_tokens(&self) -> u64 {
        self.iter().filter(|(meter, _)| meter.is_output()).map(|(_, atoms)| atoms).sum()
    }
}

impl FromIterator<(Meter, u64)> for Quantities {
    fn from_iter<I: IntoIterator<Item = (Meter, u64)>>(pairs: I) -> Self {
        let mut quantities = Self::new();
        for (meter, atoms) in pairs {
            quantities.add(meter, atoms);
        }
        quantities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_meter_is_read_back_from_its_name() {
        for meter in Meter::ALL {
            assert_eq!(meter.as_str().parse::<Meter>().unwrap(), *meter);
        }
        assert!("input.cached".parse::<Meter>().is_err());
    }

    #[test]
    fn seconds_keep_thousandths() {
        assert_eq!(Meter::AudioSeconds.print(3_250), "3.25");
        assert_eq!(Meter::AudioSeconds.print(34_000), "34");
        assert_eq!(Meter::Input.print(1_000), "1000");
    }

    #[test]
    fn a_reported_zero_is_not_nothing() {
        let mut quantities = Quantities::new();
        quantities.add(Meter::Output, 0);
        assert_eq!(quantities.get(Meter::Output), Some(0));
        assert_eq!(quantities.get(Meter::Input), None);
        assert_eq!(serde_json::to_string(&quantities).unwrap(), r#"{"output":0}"#);
    }
}
