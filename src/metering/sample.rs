//! An estimate for very long text: random places tokenized, scaled by bytes.

use std::hash::{BuildHasher, RandomState};

use super::boundary;
use super::tokenizer::{self, Encoding, TokenizeError};

/// One sample is taken in each of this many equal parts of the text.
const STRATA: usize = 256;
/// The length of a sample.
const SAMPLE_BYTES: usize = 1024;
/// The bytes of all samples: no text up to this long is worth sampling.
pub(super) const SAMPLED_BYTES: usize = STRATA * SAMPLE_BYTES;
/// How far a sample's start may move to a hard boundary, so that it begins with a whole token.
const SNAP_BYTES: usize = 256;

/// Estimates the tokens of several texts together. The places are drawn by `places`, which only
/// this process knows: a sender who knew them could hide text between them.
///
/// # Errors
/// As [`tokenizer::count`].
pub(super) fn estimate<T: AsRef<str>>(
    encoding: Encoding,
    texts: &[T],
    places: &RandomState,
    draw: u64,
) -> Result<u64, TokenizeError> {
    // Where each text ends in the row of all of them.
    let ends: Vec<usize> = texts
        .iter()
        .scan(0, |end, text| {
            *end += text.as_ref().len();
            Some(*end)
        })
        .collect();
    let total = ends.last().copied().unwrap_or(0);
    let (mut tokens, mut bytes) = (0_u64, 0_u64);
    for stratum in 0..STRATA {
        let start = stratum_start(total, stratum);
        let width = stratum_start(total, stratum + 1) - start;
        if width == 0 {
            continue;
        }
        // The remainder is below `width`, which came from a usize.
        let offset = usize::try_from(places.hash_one((draw, stratum)) % width as u64).unwrap_or(0);
        let place = start + offset;
        let index = ends.partition_point(|end| *end <= place);
        let Some(text) = texts.get(index).map(AsRef::as_ref) else { continue };
        let text_start = ends[index] - text.len();
        let sample = sample_at(text, place - text_start);
        tokens += tokenizer::count(encoding, sample)?.tokens;
        bytes += sample.len() as u64;
    }
    Ok(scaled(tokens, total as u64, bytes))
}

const fn stratum_start(total: usize, stratum: usize) -> usize {
    // Split so that no product can overflow.
    total / STRATA * stratum + total % STRATA * stratum / STRATA
}

/// The sample that begins near a place, from one hard boundary to another where it can.
fn sample_at(text: &str, place: usize) -> &str {
    let start = text.floor_char_boundary(place);
    let snap = text.floor_char_boundary((start + SNAP_BYTES).min(text.len()));
    let start = match boundary::first(&text[start..snap]) {
        Some(at) if place > 0 => start + at,
        _ => start,
    };
    let end = text.ceil_char_boundary((start + SAMPLE_BYTES).min(text.len()));
    let sample = &text[start..end];
    if end == text.len() {
        return sample;
    }
    boundary::last_within(sample, 1).map_or(sample, |at| &sample[..at])
}

fn scaled(tokens: u64, total: u64, bytes: u64) -> u64 {
    if bytes == 0 {
        return 0;
    }
    let (tokens, total, bytes) = (u128::from(tokens), u128::from(total), u128::from(bytes));
    u64::try_from((tokens * total + bytes / 2) / bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_of_mixed_text_is_within_a_few_percent() {
        let prose = "The counterfoil stays in the book when the cheque is torn off. ".repeat(9_000);
        let code = "if (items[i] != null) { total += items[i].price_cents; }\n".repeat(9_000);
        let texts = [prose.as_str(), code.as_str(), "", "tail"];
        let exact: u64 = texts
            .iter()
            .map(|text| tokenizer::count(Encoding::O200kBase, text).unwrap().tokens)
            .sum();
        let guess = estimate(Encoding::O200kBase, &texts, &RandomState::new(), 1).unwrap();
        assert!(guess.abs_diff(exact) * 100 <= exact * 4, "{guess} against {exact}");
    }

    #[test]
    fn nothing_is_estimated_as_nothing_and_tiny_texts_are_no_trouble() {
        let places = RandomState::new();
        assert_eq!(estimate::<&str>(Encoding::O200kBase, &[], &places, 0).unwrap(), 0);
        let many = vec!["é"; 5_000];
        let guess = estimate(Encoding::O200kBase, &many, &places, 0).unwrap();
        assert_eq!(guess, 5_000);
    }
}
