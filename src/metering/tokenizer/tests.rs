use proptest::prelude::*;

use super::*;

fn whole(encoding: Encoding, text: &str) -> u64 {
    encoding.tables().encode_ordinary(text).len() as u64
}

/// Strings that try every rule of the split patterns: white-space kinds, contractions in odd case,
/// marks, title case, special-token text, emoji, several scripts.
fn hostile_text() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        4 => "[a-zA-Z]{1,8}",
        2 => "[0-9]{1,6}",
        2 => "[ \t\r\n]{1,4}",
        2 => "[!-/:-@\\[-`{-~]{1,4}",
        1 => "\\PC{1,4}",
        1 => "[\u{3041}-\u{3060}\u{4e00}-\u{4e40}\u{ac00}-\u{ac20}。、，！]{1,5}",
        1 => "[\u{300}-\u{310}\u{200d}\u{1f600}-\u{1f610}\u{a0}\u{2003}\u{85}]{1,3}",
        2 => prop::sample::select(vec![
            "don't", "DON'T", "we'LL", "'s", "'", "<|endoftext|>", "<|im_start|>", "ǅ", "ß",
            "\r\n", "\n\n  ", "http://a/b", "//\n", "Iİı", "١٢٣", "½", "x²", "_a_", "ーカ", "e\u{301}",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(fragment, 0..60).prop_map(|fragments| fragments.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_cut_at_any_hard_boundary_changes_no_count(text in hostile_text()) {
        for encoding in [Encoding::O200kBase, Encoding::Cl100kBase] {
            let mut end = text.len();
            while let Some(at) = boundary::last_within(&text[..end], 1) {
                let (left, right) = text.split_at(at);
                prop_assert_eq!(
                    whole(encoding, left) + whole(encoding, right),
                    whole(encoding, &text),
                    "cut at {} of {:?}", at, text
                );
                end = at;
            }
        }
    }

    #[test]
    fn a_stream_counts_what_the_whole_text_counts_however_it_is_sliced(
        text in hostile_text(),
        slices in prop::collection::vec(1_usize..60, 1..40),
        flush in 1_usize..200,
    ) {
        for encoding in [Encoding::O200kBase, Encoding::Cl100kBase] {
            let mut counter = StreamCounter::new(encoding, flush);
            let mut rest = text.as_str();
            for width in slices.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, behind) = rest.split_at(rest.ceil_char_boundary((*width).min(rest.len())));
                counter.push(piece).unwrap();
                rest = behind;
                let consumed = &text[..text.len() - rest.len()];
                prop_assert_eq!(counter.so_far().unwrap().tokens, whole(encoding, consumed));
            }
            prop_assert_eq!(counter.so_far().unwrap().tokens, whole(encoding, &text));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_text_of_many_spans_counts_as_the_whole(text in hostile_text()) {
        let mut text = text;
        text.push_str(" and so on, ");
        let text = text.repeat(100_000 / text.len());
        for encoding in [Encoding::O200kBase, Encoding::Cl100kBase] {
            let counted = count(encoding, &text).unwrap();
            prop_assert_eq!(counted.tokens, whole(encoding, &text));
            prop_assert!(!counted.forced_cut);
        }
    }
}

#[test]
fn a_million_blanks_before_a_letter_are_counted() {
    let text = " ".repeat(1_000_001) + "x";
    for encoding in Encoding::ALL {
        let counted = count(*encoding, &text).unwrap();
        assert!(counted.tokens > 1_000, "{encoding}: {counted:?}");
        assert!(counted.forced_cut);
    }
}

/// Two megabytes of each shape known to be slow or fatal. A debug build is several times slower than
/// the figure in the rule (one second of CPU), so what is held here is that each comes to an end
/// with a sensible count.
#[test]
fn two_megabytes_of_anything_are_counted_without_a_panic() {
    let shapes: &[(&str, &str)] = &[
        ("blanks", " "),
        ("tabs", "\t"),
        ("newlines", "\n"),
        ("newline and blanks", "\n   "),
        ("exclamation marks", "!"),
        ("one letter", "a"),
        ("one Han letter", "漢"),
        ("one emoji", "😀"),
        ("digits", "7"),
        ("a combining mark", "\u{301}"),
        ("special text", "<|endoftext|>"),
        ("hex", "deadbeef0123"),
        ("JSON", "{\"a\":[1,2.5,null],"),
    ];
    for (name, unit) in shapes {
        let text = unit.repeat(2_000_000 / unit.len()) + "x";
        let counted = count(Encoding::O200kBase, &text).unwrap();
        assert!(counted.tokens > 0 && counted.tokens <= text.len() as u64, "{name}: {counted:?}");
    }
}

#[test]
fn two_megabytes_of_random_letters_have_almost_no_error() {
    let mut state = 7_u64;
    let letters: String = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
    })
    .take(300_000)
    .collect();
    let counted = count(Encoding::O200kBase, &letters).unwrap();
    let exact = whole(Encoding::O200kBase, &letters);
    assert!(counted.forced_cut);
    assert!(counted.tokens.abs_diff(exact) <= 20, "{} against {exact}", counted.tokens);
}

#[test]
fn special_tokens_typed_by_a_user_are_ordinary_text() {
    let text = "<|endoftext|>".repeat(40);
    let counted = count(Encoding::O200kBase, &text).unwrap();
    assert_eq!(counted.tokens, whole(Encoding::O200kBase, &text));
    assert!(counted.tokens > 200);
}

#[test]
fn counting_stops_between_spans_when_told() {
    let text = "word ".repeat(40_000);
    let mut spans = 0;
    let stopped = count_while(Encoding::O200kBase, &text, || {
        spans += 1;
        spans < 3
    });
    assert_eq!(stopped, Err(TokenizeError::Stopped));
    assert_eq!(spans, 3);
}
