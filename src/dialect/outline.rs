//! A JSON object too large to keep, reduced to its short members while its bytes pass.

use memchr::memchr2;

/// A member longer than this is left out.
const LONGEST_MEMBER: usize = 64 * 1024;
/// All that is kept of one object.
const LARGEST_OUTLINE: usize = 1024 * 1024;

/// What is kept of an object: `{` and its short members so far.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    kept: Vec<u8>,
    /// The member under way; `None` once it is too long.
    member: Option<Vec<u8>>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    ended: bool,
}

impl Outline {
    /// Takes the next bytes, cut anywhere.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.ended {
            let step = if self.in_string { self.in_text(bytes) } else { self.outside(bytes) };
            bytes = bytes.get(step..).unwrap_or_default();
        }
    }

    /// The object without its long members; `None` where it did not come to its end.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        let mut object = self.kept;
        if !self.ended || object.is_empty() {
            return None;
        }
        object.push(b'}');
        Some(object)
    }

    /// Inside a string: to its end, or to the end of what there is.
    fn in_text(&mut self, bytes: &[u8]) -> usize {
        if self.escaped {
            self.escaped = false;
            self.keep(bytes.get(..1).unwrap_or_default());
            return 1;
        }
        let Some(at) = memchr2(b'"', b'\\', bytes) else {
            self.keep(bytes);
            return bytes.len();
        };
        self.escaped = bytes.get(at) == Some(&b'\\');
        self.in_string = self.escaped;
        self.keep(bytes.get(..=at).unwrap_or_default());
        at + 1
    }

    /// Outside a string: up to and with the next byte that has a meaning.
    fn outside(&mut self, bytes: &[u8]) -> usize {
        let is_sign = |byte: &u8| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b',');
        let Some(at) = bytes.iter().position(is_sign) else {
            self.keep(bytes);
            return bytes.len();
        };
        let sign = bytes.get(at).copied().unwrap_or_default();
        match (sign, self.depth) {
            (b'{', 0) => {
                self.depth = 1;
                self.kept = vec![b'{'];
                self.member = Some(Vec::new());
                return at + 1;
            }
            // No object: nothing of it is kept.
            (_, 0) => {
                self.ended = true;
                return at + 1;
            }
            (b',', 1) => {
                self.keep(bytes.get(..at).unwrap_or_default());
                self.close_member();
                return at + 1;
            }
            (b'}', 1) => {
                self.keep(bytes.get(..at).unwrap_or_default());
                self.close_member();
                self.ended = true;
                return at + 1;
            }
            (b'{' | b'[', _) => self.depth += 1,
            (b'}' | b']', _) => self.depth -= 1,
            (b'"', _) => self.in_string = true,
            _ => {}
        }
        self.keep(bytes.get(..=at).unwrap_or_default());
        at + 1
    }

    fn keep(&mut self, bytes: &[u8]) {
        let Some(member) = &mut self.member else { return };
        if member.len() + bytes.len() > LONGEST_MEMBER {
            self.member = None;
        } else {
            member.extend_from_slice(bytes);
        }
    }

    fn close_member(&mut self) {
        let member = self.member.replace(Vec::new()).unwrap_or_default();
        let fits = self.kept.len() + member.len() < LARGEST_OUTLINE;
        if fits && !member.trim_ascii().is_empty() {
            if self.kept.len() > 1 {
                self.kept.push(b',');
            }
            self.kept.extend_from_slice(&member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str, size: usize) -> Option<String> {
        let mut outline = Outline::default();
        text.as_bytes().chunks(size).for_each(|piece| outline.feed(piece));
        outline.finish().map(|object| String::from_utf8(object).unwrap())
    }

    #[test]
    fn short_members_stay_and_long_ones_go_wherever_the_bytes_are_cut() {
        let long = "x".repeat(LONGEST_MEMBER);
        let text = format!(
            " {{\"id\": \"a,}}\\\"\\\\\", \"data\":[{{\"b\":\"{long}\"}}], \"n\":1,\"usage\":{{\"t\":[1,2]}}}} "
        );
        let expected = "{\"id\": \"a,}\\\"\\\\\", \"n\":1,\"usage\":{\"t\":[1,2]}}";
        for size in [1, 2, 3, 7, 1000, text.len()] {
            assert_eq!(outline(&text, size).as_deref(), Some(expected), "{size}");
        }
    }

    #[test]
    fn what_does_not_end_or_is_no_object_has_no_outline() {
        assert_eq!(outline("{\"a\":1,\"b\":{}", 4), None);
        assert_eq!(outline("", 1), None);
        assert_eq!(outline("{}", 1).as_deref(), Some("{}"));
        assert_eq!(outline("[1,{\"a\":2}]", 1), None);
    }
}
