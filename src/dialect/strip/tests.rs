//! What the filter takes out, and that nothing else is lost, wherever the stream is cut.

use super::*;

fn strip(slices: &[&[u8]]) -> String {
    let mut stripper = UsageStripper::new();
    let mut out = Vec::new();
    for slice in slices {
        out.extend_from_slice(&stripper.feed(&Bytes::copy_from_slice(slice)));
    }
    out.extend_from_slice(&stripper.finish());
    String::from_utf8(out).unwrap()
}

const GIVEN: &str = concat!(
    ": hello\n\n",
    "data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null é\"}}],",
    "\"usage\":null,\"obfuscation\":\"x\"}\n\n",
    "data: {\"usage\" : null , \"choices\":[{}]}\r\n\r\n",
    "event: e\rdata: {\"choices\":[{}], \"usage\":null}\r\r",
    "data: {\"usage\":null}\n\n",
    "data: {\"choices\":[{\"usage\":null}]}\n\n",
    "data: {\"choices\":[{}],\"usage\":{\"total_tokens\":1}}\n\n",
    "data: {\"error\":\ndata: {\"usage\":null}}\n\n",
    "data: {\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}\n\n",
    "data: {\"id\":\"1\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
    "data: {\"choices\": [ ],\"usage\":{\"prompt_tokens\":1}}\r\n\r\n",
    "data: not json \"usage\":null\n\n",
    "data: [DONE]\n\n",
);

const EXPECTED: &str = concat!(
    ": hello\n\n",
    "data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null é\"}}],",
    "\"obfuscation\":\"x\"}\n\n",
    "data: {\"choices\":[{}]}\r\n\r\n",
    "event: e\rdata: {\"choices\":[{}]}\r\r",
    "data: {}\n\n",
    "data: {\"choices\":[{\"usage\":null}]}\n\n",
    "data: {\"choices\":[{}],\"usage\":{\"total_tokens\":1}}\n\n",
    "data: {\"error\":\ndata: {\"usage\":null}}\n\n",
    "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n",
    "data: not json \"usage\":null\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn only_what_injection_added_is_taken_out() {
    assert_eq!(strip(&[GIVEN.as_bytes()]), EXPECTED);
}

#[test]
fn the_result_is_the_same_cut_at_every_byte() {
    for cut in 0..=GIVEN.len() {
        let (head, tail) = GIVEN.as_bytes().split_at(cut);
        assert_eq!(strip(&[head, tail]), EXPECTED, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = GIVEN.as_bytes().chunks(1).collect();
    assert_eq!(strip(&bytes), EXPECTED);
}

#[test]
fn a_stream_cut_off_upstream_gives_what_it_had() {
    assert_eq!(strip(&[b"data: {\"choices\":[{\"delta\""]), "data: {\"choices\":[{\"delta\"");
    assert_eq!(strip(&[b"data: {\"choices\":[],\"usage\":{}}\n"]), "");
}

#[test]
fn an_event_too_large_to_hold_passes_and_the_next_is_filtered_again() {
    let large = format!("data: {{\"x\":\"{}\",\"usage\":null}}\n\n", "y".repeat(2 * LARGEST_EVENT));
    let text = format!("{large}data: {{\"a\":1,\"usage\":null}}\n\n");
    for step in [1_000, 65_537] {
        let slices: Vec<&[u8]> = text.as_bytes().chunks(step).collect();
        assert_eq!(strip(&slices), format!("{large}data: {{\"a\":1}}\n\n"), "step {step}");
    }
}

proptest::proptest! {
    #[test]
    fn a_chunk_keeps_every_member_but_the_null_usage(
        before in proptest::collection::vec("[a-z]{1,5}", 0..4),
        after in proptest::collection::vec("[a-z]{1,5}", 0..4),
        text in "\\PC{0,30}",
        cut in 0_usize..400,
    ) {
        let value = serde_json::json!(text);
        let list = |keys: &[String], mark: char| -> Vec<String> {
            keys.iter().enumerate().map(|(n, key)| format!("\"{mark}{key}{n}\" :{value}")).collect()
        };
        let mut with = list(&before, 'b');
        let mut without = with.clone();
        with.push("\"usage\": null".to_owned());
        with.extend(list(&after, 'a'));
        without.extend(list(&after, 'a'));
        let given = format!("data: {{{}}}\n\n", with.join(" , "));
        let cut = cut.min(given.len());
        let stripped = strip(&[&given.as_bytes()[..cut], &given.as_bytes()[cut..]]);
        let json = stripped.strip_prefix("data: ").unwrap();
        let read: serde_json::Value = serde_json::from_str(json).unwrap();
        let expected: serde_json::Value =
            serde_json::from_str(&format!("{{{}}}", without.join(","))).unwrap();
        proptest::prop_assert_eq!(read, expected);
    }
}
