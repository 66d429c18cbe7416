//! Hard boundaries: places in a text that no token can span, whatever follows.
//!
//! Every encoding first splits text into pieces by a pattern and then merges bytes inside a piece
//! only. In each of those patterns letters are followed, inside a piece, by letters, marks or a
//! contraction; digits by digits; punctuation by punctuation and newlines; and only a run of white
//! space looks ahead. A place that breaks all of these is safe to cut: left and right tokenize to
//! exactly what the whole would. What is not listed here counts as "might join".

/// The last hard boundary `at` with `from <= at < text.len()`, searched backwards from the end.
/// The end itself is none: what follows it is not known.
pub(super) fn last_within(text: &str, from: usize) -> Option<usize> {
    let mut right: Option<char> = None;
    for (start, left) in text.char_indices().rev() {
        let at = start + left.len_utf8();
        if at < from {
            return None;
        }
        if right.is_some_and(|right| is_hard(left, right)) {
            return Some(at);
        }
        right = Some(left);
    }
    None
}

/// The first hard boundary of a text, if there is one.
pub(super) fn first(text: &str) -> Option<usize> {
    let mut left: Option<char> = None;
    for (at, right) in text.char_indices() {
        if left.is_some_and(|left| is_hard(left, right)) {
            return Some(at);
        }
        left = Some(right);
    }
    None
}

/// Whether no token of any encoding can hold both `left` and the `right` that follows it.
fn is_hard(left: char, right: char) -> bool {
    let right_is_newline = matches!(right, '\r' | '\n');
    if right.is_whitespace() && !right_is_newline {
        return !left.is_whitespace();
    }
    if left.is_ascii_digit() {
        return right.is_ascii() && !right.is_ascii_digit();
    }
    // An apostrophe may open a contraction, which belongs to the word before it.
    let right_ends_a_word = right.is_ascii_digit()
        || right_is_newline
        || (right.is_ascii_punctuation() && right != '\'');
    if left.is_ascii_alphabetic() {
        return right_ends_a_word;
    }
    is_east_asian_letter(left) && (right_ends_a_word || is_east_asian_punctuation(right))
}

/// Han, kana and Hangul letters that every Unicode version in use calls letters.
const fn is_east_asian_letter(letter: char) -> bool {
    matches!(
        letter,
        '\u{3041}'..='\u{3096}'
            | '\u{30A1}'..='\u{30FA}'
            | '\u{3400}'..='\u{4DB5}'
            | '\u{4E00}'..='\u{9FA5}'
            | '\u{AC00}'..='\u{D7A3}'
    )
}

const fn is_east_asian_punctuation(mark: char) -> bool {
    matches!(
        mark,
        '、' | '。'
            | '，'
            | '！'
            | '？'
            | '：'
            | '；'
            | '（'
            | '）'
            | '「'
            | '」'
            | '『'
            | '』'
            | '《'
            | '》'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_blanks_digits_and_marks_but_not_before_an_apostrophe() {
        assert_eq!(first("don't stop"), Some(5));
        assert_eq!(first("ab1"), Some(2));
        assert_eq!(first("ab.c"), Some(2));
        assert_eq!(first("12ab"), Some(2));
        assert_eq!(first("漢字。"), Some(6));
        assert_eq!(first("don't"), None);
        assert_eq!(first("   x"), None);
        assert_eq!(first("é1"), None);
    }

    #[test]
    fn the_search_backwards_finds_the_last_place_and_stops_where_it_was_told() {
        let text = "one two three";
        assert_eq!(last_within(text, 0), Some(7));
        assert_eq!(last_within(text, 7), Some(7));
        assert_eq!(last_within(text, 8), None);
        assert_eq!(last_within("", 0), None);
    }
}
