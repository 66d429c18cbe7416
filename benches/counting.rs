//! What counting costs: our guarded count against the tokenizer called on the whole text, taking
//! turns in the same run, and the price of one job. `cargo bench --bench counting`.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on should stop")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use counterfoil::gateway::counting::{CountingJob, CountingPool, QUEUE_BYTES};
use counterfoil::metering::count::{CountLimits, Counter, Passed};
use counterfoil::metering::tokenizer::{self, Encoding, StreamCounter};
use counterfoil::names::{AttemptId, Endpoint};

const TEXT_BYTES: usize = 1_000_000;
const ROUNDS: usize = 9;

fn main() {
    tokenizer::count(Encoding::O200kBase, "load the tables").unwrap();
    hostile();
    println!();
    throughput();
    println!();
    jobs();
    println!();
    hand_over();
}

fn throughput() {
    println!("o200k_base, 1 MB of each text, median of {ROUNDS} rounds taking turns");
    println!(
        "{:<18} {:>10} {:>10} {:>10} {:>9} {:>10}",
        "text", "tokens", "raw MB/s", "ours MB/s", "ours/raw", "stream/raw"
    );
    let raw = tiktoken_rs::o200k_base_singleton();
    for (name, text) in texts() {
        let (mut of_raw, mut of_ours, mut of_stream) = (Vec::new(), Vec::new(), Vec::new());
        let tokens = raw.count_ordinary(&text) as u64;
        for _ in 0..ROUNDS {
            of_raw.push(time(|| raw.count_ordinary(black_box(&text))));
            of_ours.push(time(|| tokenizer::count(Encoding::O200kBase, black_box(&text))));
            of_stream.push(time(|| stream(black_box(&text))));
        }
        let counted = tokenizer::count(Encoding::O200kBase, &text).unwrap();
        assert!(
            counted.forced_cut || counted.tokens == tokens,
            "{name}: {counted:?} against {tokens}"
        );
        let (raw, ours, stream) = (median(of_raw), median(of_ours), median(of_stream));
        println!(
            "{:<18} {:>10} {:>10} {:>10} {:>9} {:>10}",
            name,
            tokens,
            per_second(text.len(), raw),
            per_second(text.len(), ours),
            ratio(ours, raw),
            ratio(stream, raw),
        );
    }
}

/// The same text in pieces of about a token, as a stream brings it.
fn stream(text: &str) -> u64 {
    let mut counter = StreamCounter::new(Encoding::O200kBase, 1_024);
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.ceil_char_boundary(4.min(rest.len())));
        counter.push(piece).unwrap();
        rest = behind;
    }
    counter.so_far().unwrap().tokens
}

/// Shapes that make the bare tokenizer panic or crawl: only ours is run.
fn hostile() {
    println!("2 MB of one shape; peak is what the process grew by");
    println!("{:<18} {:>10} {:>8} {:>8} {:>8}", "shape", "tokens", "ms", "peak kB", "forced");
    let mut random = Random(7);
    let letters: String =
        (0..2_000_000).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
    let shapes = [
        ("blanks, then x", " ".repeat(2_000_000) + "x"),
        ("tabs", "\t".repeat(2_000_000)),
        ("newline, blanks", "\n   ".repeat(500_000)),
        ("newlines", "\n".repeat(2_000_000)),
        ("!", "!".repeat(2_000_000)),
        ("a", "a".repeat(2_000_000)),
        ("random letters", letters),
        ("combining marks", "\u{301}".repeat(1_000_000)),
        ("emoji", "😀".repeat(500_000)),
        ("special text", "<|endoftext|>".repeat(153_846)),
    ];
    for (name, text) in shapes {
        let before = peak_kilobytes();
        let start = Instant::now();
        let counted = tokenizer::count(Encoding::O200kBase, &text).unwrap();
        let time = start.elapsed();
        let grown = peak_kilobytes() - before;
        assert!(grown < 16 * 1024, "{name}: the process grew by {grown} kB");
        println!(
            "{:<18} {:>10} {:>8} {:>8} {:>8}",
            name,
            counted.tokens,
            time.as_millis(),
            grown,
            counted.forced_cut,
        );
    }
}

/// The most memory the process ever held; 0 where the system does not say.
fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn jobs() {
    println!("one job: read the body, frame, count; median of {ROUNDS}, microseconds");
    println!(
        "{:<18} {:>10} {:>12} {:>12} {:>10}",
        "chat request", "tokens", "first seen", "seen before", "method"
    );
    for kilobytes in [1, 2, 20, 200, 1_000, 4_000] {
        let (mut first, mut again) = (Vec::new(), Vec::new());
        let mut last = None;
        for round in 0..ROUNDS {
            let body = conversation(kilobytes * 1_000, round as u64);
            let passed = Passed {
                endpoint: Endpoint::Chat,
                model: "gpt-4o",
                configured: None,
                request: body.as_bytes(),
                answer: None,
            };
            let counter = Counter::new(CountLimits::default());
            first.push(time(|| counter.count(&passed, &|| true)));
            again.push(time(|| counter.count(&passed, &|| true)));
            last = Some(counter.count(&passed, &|| true));
        }
        let last = last.unwrap();
        println!(
            "{:<18} {:>10} {:>12} {:>12} {:>10}",
            format!("{kilobytes} kB"),
            last.input.unwrap(),
            median(first).as_micros(),
            median(again).as_micros(),
            serde_json::to_string(&last.method).unwrap().trim_matches('"'),
        );
    }
}

fn hand_over() {
    let pool = CountingPool::start(1, QUEUE_BYTES, |_, counted| {
        black_box(counted);
    })
    .unwrap();
    let body = bytes::Bytes::from(conversation(20_000, 1));
    let job = |number: u128| CountingJob {
        attempt: AttemptId::from_uuid(uuid::Uuid::from_u128(number)),
        endpoint: Endpoint::Chat,
        model: "gpt-4o".into(),
        configured: None,
        request: body.clone(),
        answer: None,
    };
    let mut waits: Vec<Duration> =
        (0..2_000).map(job).map(|job| time(|| pool.try_submit(job))).collect();
    waits.sort_unstable();
    println!(
        "handing over a job of 20 kB: p50 {} ns, p99 {} ns",
        waits[waits.len() / 2].as_nanos(),
        waits[waits.len() * 99 / 100].as_nanos()
    );
    pool.shut_down(Duration::from_secs(10));
}

/// Texts made of word lists and a fixed seed: the same bytes on every machine.
fn texts() -> Vec<(&'static str, String)> {
    let mut random = Random(42);
    let mut made = |make: fn(&mut Random, &mut String)| {
        let mut text = String::with_capacity(TEXT_BYTES + 256);
        while text.len() < TEXT_BYTES {
            make(&mut random, &mut text);
        }
        text
    };
    vec![
        ("prose", made(prose)),
        ("code", made(code)),
        ("minified JSON", made(json)),
        ("Chinese", made(chinese)),
        ("base64", made(base64)),
        (
            "unbroken letters",
            made(|random, text| text.push(char::from(b'a' + random.below(26) as u8))),
        ),
        ("newlines", "\n".repeat(TEXT_BYTES)),
    ]
}

fn prose(random: &mut Random, text: &mut String) {
    let words = [
        "the",
        "invoice",
        "of",
        "a",
        "provider",
        "differs",
        "from",
        "what",
        "was",
        "recorded",
        "when",
        "tokens",
        "are",
        "counted",
        "twice,",
        "and",
        "nobody's",
        "books",
        "agree",
        "until",
        "someone",
        "reconciles",
        "them;",
        "unfortunately",
        "it",
        "remains",
        "uncertain",
        "whether",
        "yesterday's",
        "figures",
        "were",
        "provisional",
        "or",
        "final",
    ];
    text.push_str(random.one(&words));
    text.push_str(if random.below(12) == 0 { ". " } else { " " });
}

fn code(random: &mut Random, text: &mut String) {
    let lines = [
        "fn settle(&mut self, attempt: AttemptId) -> Result<(), SettleError> {\n",
        "    let charges = self.rates.iter().map(|rate| rate.charge(quantity));\n",
        "    if self.pending.is_empty() { return Ok(()); }\n",
        "        total += items[i].price_cents * 12;\n",
        "    }\n\n",
        "def reconcile(lines, *, month=\"2026-10\"):\n",
        "    for key, value in sorted(lines.items()):\n",
        "        assert value >= 0, f\"{key}: {value!r}\"\n",
    ];
    text.push_str(random.one(&lines));
}

fn json(random: &mut Random, text: &mut String) {
    let names = ["id", "model", "input_tokens", "createdAt", "amount", "line_item", "project_id"];
    text.push_str("{\"");
    text.push_str(random.one(&names));
    text.push_str("\":");
    text.push_str(&random.below(1_000_000).to_string());
    text.push_str(",\"ok\":true,\"items\":[1,2.5,null]},");
}

fn chinese(random: &mut Random, text: &mut String) {
    let letters = [
        '的', '账', '单', '和', '记', '录', '不', '同', '我', '们', '供', '应', '商', '计', '数',
        '令', '牌',
    ];
    text.push(random.one(&letters));
    if random.below(14) == 0 {
        text.push('，');
    }
}

fn base64(random: &mut Random, text: &mut String) {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.push(char::from(random.one(alphabet)));
}

/// A chat request of turns of about 1,500 bytes.
fn conversation(bytes: usize, seed: u64) -> String {
    let mut random = Random(seed + 1);
    let mut body =
        String::from(r#"{"model":"gpt-4o","messages":[{"role":"system","content":"Be brief."}"#);
    let mut turn = 0;
    while body.len() < bytes {
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        body.push_str(&format!(r#",{{"role":"{role}","content":""#));
        let end = body.len() + 1_500.min(bytes);
        while body.len() < end {
            prose(&mut random, &mut body);
        }
        body.push_str("\"}");
        turn += 1;
    }
    body.push_str("]}");
    body
}

/// A small generator, so that the texts need no crate and no clock.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn one<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = self.below(choices.len() as u64);
        choices[usize::try_from(index).unwrap()]
    }
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Megabytes a second, to a tenth.
fn per_second(bytes: usize, time: Duration) -> String {
    let tenths = bytes as u128 * 10_000 / time.as_nanos().max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// One time over another, to a hundredth.
fn ratio(time: Duration, other: Duration) -> String {
    let hundredths = time.as_nanos() * 100 / other.as_nanos().max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
