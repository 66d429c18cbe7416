//! Reads counts out of a usage object: whole, not negative, or flagged and left out.

use serde_json::{Map, Value};

use crate::meter::{Meter, Quantities};
use crate::usage::UsageFlag;

/// The members of a usage object, read one by one; what is odd about them is collected.
pub(crate) struct Counts<'a> {
    object: &'a Map<String, Value>,
    /// What was noticed so far.
    pub flags: Vec<UsageFlag>,
}

impl<'a> Counts<'a> {
    /// Reads from this object.
    pub(crate) const fn of(object: &'a Map<String, Value>) -> Self {
        Self { object, flags: Vec::new() }
    }

    /// A nested object, under the first of these keys that holds one.
    pub(crate) fn nested(&self, keys: &[&str]) -> Option<&'a Map<String, Value>> {
        keys.iter().find_map(|key| self.object.get(*key)?.as_object())
    }

    /// The count under the first of these keys that is present and not null.
    pub(crate) fn count(&mut self, keys: &[&str]) -> Option<u64> {
        self.count_in(self.object, keys)
    }

    /// The same in another object of this usage.
    pub(crate) fn count_in(&mut self, object: &Map<String, Value>, keys: &[&str]) -> Option<u64> {
        let value = keys.iter().find_map(|key| object.get(*key).filter(|v| !v.is_null()))?;
        let read = whole(value);
        if read.is_none() {
            self.flags.push(UsageFlag::MalformedCount);
        }
        read
    }

    /// The same in a nested object that may be absent.
    pub(crate) fn count_inside(
        &mut self,
        object: Option<&Map<String, Value>>,
        key: &str,
    ) -> Option<u64> {
        object.and_then(|object| self.count_in(object, &[key]))
    }

    /// A whole less its parts. Parts that exceed it are flagged and leave nothing over.
    pub(crate) fn rest(&mut self, whole: u64, parts: &[Option<u64>]) -> u64 {
        let inside = parts.iter().flatten().fold(0_u64, |sum, part| sum.saturating_add(*part));
        whole.checked_sub(inside).unwrap_or_else(|| {
            self.flags.push(UsageFlag::PartExceedsWhole);
            0
        })
    }
}

/// Puts a count down under its meter if it was reported.
pub(crate) fn put(quantities: &mut Quantities, meter: Meter, count: Option<u64>) {
    if let Some(count) = count {
        quantities.add(meter, count);
    }
}

/// No answer uses this much; a larger number is no count, and sums of counts stay in range.
const LARGEST: u64 = 1_000_000_000_000_000;

/// A whole number; a fraction of zero (`28.0`), which some servers write, is one too.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    let number = value.as_number()?;
    let read = number.as_u64().or_else(|| number.to_string().strip_suffix(".0")?.parse().ok());
    read.filter(|count| *count <= LARGEST)
}

/// Seconds in thousandths, the finest that is kept; finer ones are rounded up at a half.
pub(crate) fn milliseconds(value: &Value) -> Option<u64> {
    let text = value.as_number()?.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |range: std::ops::Range<usize>| -> Option<u64> {
        let digits: String =
            range.map(|at| fraction.as_bytes().get(at).map_or('0', |d| char::from(*d))).collect();
        digits.parse().ok()
    };
    let thousandths = digits(0..3)?;
    let round_up = u64::from(digits(3..4)? >= 5);
    fraction.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    let seconds = whole.parse::<u64>().ok().filter(|seconds| *seconds <= LARGEST / 1_000)?;
    Some(seconds * 1_000 + thousandths + round_up)
}

/// The meter of a unit counted outside the body: a meter's name, or the plural some callers use.
pub(crate) fn unit_meter(name: &str) -> Option<Meter> {
    match name {
        "web_searches" => Some(Meter::WebSearch),
        "file_searches" => Some(Meter::FileSearch),
        "code_sessions" => Some(Meter::CodeSession),
        _ => name.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_whole_numbers_that_are_not_negative_count() {
        assert_eq!(whole(&json!(28)), Some(28));
        assert_eq!(whole(&json!(28.0)), Some(28));
        for odd in [
            json!(-1),
            json!(1.5),
            json!("3"),
            json!(null),
            json!(1e300),
            json!(u64::MAX),
            json!({}),
        ] {
            assert_eq!(whole(&odd), None, "{odd}");
        }
    }

    #[test]
    fn seconds_keep_three_digits() {
        assert_eq!(milliseconds(&json!(4)), Some(4_000));
        assert_eq!(milliseconds(&json!(0.1)), Some(100));
        assert_eq!(milliseconds(&json!(3.2575)), Some(3_258));
        for odd in [json!(-0.5), json!(1e300), json!(1e-9), json!("4")] {
            assert_eq!(milliseconds(&odd), None, "{odd}");
        }
    }
}
