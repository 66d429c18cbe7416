//! Names that follow a model's own form: anchored, dated, never fuzzy.

/// The variable end of a snapshot name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tail {
    /// `2026-04-23`.
    Date,
    /// `20260423`.
    CompactDate,
    /// Owner, name and id of a tuned model: anything but nothing.
    Tuned,
}

/// A snapshot pattern: fixed text, then one variable end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SnapshotPattern {
    /// The text before the end.
    pub prefix: String,
    /// The end.
    pub tail: Tail,
}

const PLACEHOLDERS: [(&str, Tail); 3] =
    [("{date}", Tail::Date), ("{yyyymmdd}", Tail::CompactDate), ("{tuned}", Tail::Tuned)];

impl SnapshotPattern {
    /// Reads `gpt-5.6-sol-{date}`. `None` for a text without braces, which is a plain name; an
    /// error for braces that are none of ours or stand anywhere but at the end.
    ///
    /// # Errors
    /// The text itself.
    pub(crate) fn read(text: &str) -> Result<Option<Self>, String> {
        for (placeholder, tail) in PLACEHOLDERS {
            if let Some(prefix) = text.strip_suffix(placeholder) {
                let plain = !prefix.is_empty() && !prefix.contains(['{', '}']);
                let pattern = Self { prefix: prefix.to_owned(), tail };
                return if plain { Ok(Some(pattern)) } else { Err(text.to_owned()) };
            }
        }
        if text.contains(['{', '}']) || text.is_empty() {
            return Err(text.to_owned());
        }
        Ok(None)
    }
}

/// The patterns a name could be an instance of: its fixed beginning and its kind of end.
pub(crate) fn readings(name: &str) -> impl Iterator<Item = (&str, Tail)> {
    let dated = split_tail(name, 10, is_date).map(|prefix| (prefix, Tail::Date));
    let compact = split_tail(name, 8, is_compact_date).map(|prefix| (prefix, Tail::CompactDate));
    let tuned = name
        .strip_prefix("ft:")
        .and_then(|rest| rest.find(':').map(|colon| "ft:".len() + colon + 1))
        .filter(|end| *end < name.len())
        .and_then(|end| name.get(..end))
        .map(|prefix| (prefix, Tail::Tuned));
    [dated, compact, tuned].into_iter().flatten()
}

fn split_tail(name: &str, width: usize, fits: fn(&[u8]) -> bool) -> Option<&str> {
    let start = name.len().checked_sub(width)?;
    let (prefix, tail) = (name.get(..start)?, name.get(start..)?);
    (!prefix.is_empty() && fits(tail.as_bytes())).then_some(prefix)
}

fn is_date(tail: &[u8]) -> bool {
    match tail {
        [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] => {
            is_compact_date(&[*y1, *y2, *y3, *y4, *m1, *m2, *d1, *d2])
        }
        _ => false,
    }
}

fn is_compact_date(tail: &[u8]) -> bool {
    let digits = tail.len() == 8 && tail.iter().all(u8::is_ascii_digit);
    let two = |at: usize| tail.get(at..at + 2).map_or(0, |d| (d[0] - b'0') * 10 + d[1] - b'0');
    digits && tail.starts_with(b"20") && (1..=12).contains(&two(4)) && (1..=31).contains(&two(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_date_at_the_very_end_is_a_snapshot() {
        let read = |name| readings(name).collect::<Vec<_>>();
        assert_eq!(read("gpt-5.6-sol-2026-07-13"), [("gpt-5.6-sol-", Tail::Date)]);
        assert_eq!(read("claude-opus-5-20260701"), [("claude-opus-5-", Tail::CompactDate)]);
        assert_eq!(read("ft:gpt-4o:acme::x1"), [("ft:gpt-4o:", Tail::Tuned)]);
        for name in [
            "gpt-5.6-sol-2026-13-01",
            "gpt-5.6-sol-2026-07-13-beta",
            "claude-opus-5-2026070",
            "20260701",
            "ft:gpt-4o:",
            "ft:gpt-4o",
            "é2026-07-1",
            "",
        ] {
            assert_eq!(read(name), [], "{name}");
        }
    }

    #[test]
    fn braces_elsewhere_are_refused() {
        assert!(SnapshotPattern::read("gpt-{date}-x").is_err());
        assert!(SnapshotPattern::read("{date}").is_err());
        assert!(SnapshotPattern::read("gpt-{year}").is_err());
        assert_eq!(SnapshotPattern::read("gpt-5"), Ok(None));
    }
}
