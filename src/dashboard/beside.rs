//! A provider's token count beside ours: the ratio, what is usual for the model, and what is odd.

use serde::Serialize;

use crate::dashboard::format;
use crate::metering::model_tokens::{UsualBand, ratio_permille, usual_band};

/// One side of a call or of a month, reported and counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Beside {
    /// Reported ÷ counted in thousandths; none where a side is unknown or nothing was counted.
    pub(crate) ratio_permille: Option<u64>,
    /// Where the ratio usually is, for a model whose tokenizer is not one we have.
    pub(crate) usual_band: Option<UsualBand>,
    /// The ratio is outside its band, and the text long enough for that to mean something.
    pub(crate) is_unusual: bool,
    #[serde(skip)]
    pub(crate) ratio: String,
}

/// Below this many counted tokens, what is put around a text outweighs how it is split.
const LONG_ENOUGH: u64 = 100;

/// What a provider reported beside what was counted for a model.
pub(crate) fn beside(model: &str, reported: Option<u64>, counted: Option<u64>) -> Beside {
    let (Some(reported), Some(counted @ 1..)) = (reported, counted) else {
        let ratio = "–".to_owned();
        return Beside { ratio_permille: None, usual_band: None, is_unusual: false, ratio };
    };
    let usual_band = usual_band(model);
    let is_outside = usual_band.is_some_and(|band| !band.holds(reported, counted));
    Beside {
        ratio_permille: ratio_permille(reported, counted),
        usual_band,
        is_unusual: is_outside && counted >= LONG_ENOUGH,
        ratio: ratio(reported, counted),
    }
}

impl Beside {
    /// `for this model 1.20–1.50 ×, here 1.31 ×`, where a band is known.
    pub(crate) fn words(&self) -> Option<String> {
        let band = self.usual_band?;
        Some(format!("for this model {band}, here {}", self.ratio))
    }
}

/// `1.31 ×`, rounded half to even.
fn ratio(reported: u64, counted: u64) -> String {
    let hundredths =
        format::divide_half_even(u128::from(reported) * 100, u128::from(counted).max(1));
    format!("{}.{:02} ×", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_band_is_said_and_only_a_long_text_outside_it_is_odd() {
        let usual = beside("claude-sonnet-5", Some(1_310), Some(1_000));
        assert_eq!(usual.words().as_deref(), Some("for this model 1.20–1.50 ×, here 1.31 ×"));
        assert_eq!((usual.ratio_permille, usual.is_unusual), (Some(1_310), false));
        assert!(beside("claude-sonnet-5", Some(1_900), Some(1_000)).is_unusual);
        assert!(!beside("claude-sonnet-5", Some(19), Some(10)).is_unusual);
    }

    #[test]
    fn a_model_with_a_tokenizer_of_ours_has_no_band_and_an_unknown_side_no_ratio() {
        let own = beside("gpt-4.1", Some(1_900), Some(1_000));
        assert_eq!((own.words(), own.is_unusual), (None, false));
        for unknown in [
            beside("claude-sonnet-5", None, Some(10)),
            beside("claude-sonnet-5", Some(10), None),
            beside("claude-sonnet-5", Some(10), Some(0)),
        ] {
            assert_eq!((unknown.ratio_permille, unknown.words()), (None, None));
            assert_eq!(unknown.ratio, "–");
        }
    }
}
