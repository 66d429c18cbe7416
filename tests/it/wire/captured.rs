//! Content is kept of callers that are set to it, of nobody else, and only until its time is over.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use counterfoil::bookkeeping::backup::backup;
use counterfoil::names::Clock;
use counterfoil::period::{DAY_US, Timestamp};
use counterfoil::store::captured::{Captured, KeptContent};

use crate::wire::house::{House, configured};
use crate::wire::upstream::{Act, Upstream, chunk, json_reply, last_chunk, stream_head};

const ANSWER: &str = r#"{"id":"c1","model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"canary in the answer"}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
const ASK: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"canary in the question, my key is sk-proj-0123456789abcdefCANARY"}]}"#;
const EVENTS: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"canary in the stream\"}}]}\n\n\
    data: [DONE]\n\n";

const CALLERS: &str = "[callers.open]\ntoken = 'token-of-open-00000'\ncapture = '30d'\n\
    [callers.shut]\ntoken = 'token-of-shut-00000'\n";

/// A provider's own key; no caller's token is ever sent on.
fn config(upstream: &Upstream, callers: &str) -> counterfoil::config::Config {
    let mut config = configured(&upstream.url(), "");
    let text = format!("{callers}\n[providers.openai]\napi_key = 'sk-test-00000000000000'\n");
    let more = counterfoil::config::Config::from_text(&text, "test", []).unwrap();
    let key = more.providers["openai"].api_key.clone();
    config.providers.get_mut("openai").unwrap().api_key = key;
    config.callers = more.callers;
    config
}

async fn upstream() -> Upstream {
    Upstream::start(|seen| {
        if seen.json()["stream"] == true {
            let bytes = [stream_head(""), chunk(EVENTS.as_bytes()), last_chunk()].concat();
            return vec![Act::Write(bytes)];
        }
        vec![Act::Write(json_reply(200, ANSWER))]
    })
    .await
}

/// Calls as a caller; the request's id.
async fn call(house: &House, caller: &str, body: &str) -> String {
    let headers = format!(
        "content-type: application/json\r\nauthorization: Bearer token-of-{caller}-00000\r\n"
    );
    let answer = house.ask("POST /openai/v1/chat/completions", &headers, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-counterfoil-request-id").unwrap().to_owned()
}

async fn kept(folder: &Path, request: &str, now: Timestamp) -> Vec<KeptContent> {
    let captured = Captured::open(folder).await.unwrap();
    let kept = captured.of_request(request, now).await.unwrap();
    captured.close().await;
    kept
}

/// Files of the folder that hold a word.
fn files_with(folder: &Path, word: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let holds = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(word.len()).any(|it| it == word.as_bytes())
    };
    files
        .filter(holds)
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

/// A clock that a test moves.
fn movable() -> (Clock, Arc<AtomicI64>) {
    let time = Arc::new(AtomicI64::new(1_790_000_000_000_000));
    let told = Arc::clone(&time);
    (Clock::new(move || Timestamp::from_micros(told.load(Ordering::Relaxed))), time)
}

#[tokio::test]
async fn content_is_kept_of_the_caller_that_is_set_to_it_and_erased_when_its_time_is_over() {
    let upstream = upstream().await;
    let (clock, time) = movable();
    let folder = tempfile::tempdir().unwrap();
    let house = House::start_in(folder, clock.clone(), config(&upstream, CALLERS)).await;
    let whole = call(&house, "open", ASK).await;
    let streamed = call(&house, "open", &ASK.replacen('{', r#"{"stream":true,"#, 1)).await;
    let others = call(&house, "shut", &ASK.replace("question", "secret")).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let shown = house.page(&format!("/requests/{whole}")).await.text();
    assert!(shown.contains("captured because caller <b>open</b> is set to"), "{shown}");
    assert!(shown.contains("canary in the question") && shown.contains("canary in the answer"));
    assert!(!house.page(&format!("/requests/{whole}.json")).await.text().contains("canary"));
    assert!(!house.page(&format!("/requests/{others}")).await.text().contains("captured because"));
    let House { running, folder } = house;
    running.shutdown(std::future::pending()).await.unwrap();
    let data = folder.path().join("data");

    let of_whole = kept(&data, &whole, clock.now()).await;
    let [call] = of_whole.as_slice() else { panic!("{of_whole:?}") };
    assert_eq!(
        call.asked.as_deref(),
        Some(ASK.replace("sk-proj-0123456789abcdefCANARY", "sk-(masked)").as_str())
    );
    assert_eq!(call.answer.as_deref(), Some(ANSWER));
    assert_eq!((call.caller.as_str(), call.days), ("open", 30));
    assert_eq!(call.expires_at, clock.now().plus_micros(30 * DAY_US));
    let of_stream = kept(&data, &streamed, clock.now()).await;
    assert_eq!(of_stream[0].answer.as_deref(), Some(EVENTS));
    assert!(kept(&data, &others, clock.now()).await.is_empty());
    // In no other file, and no key and no other caller's word in any.
    assert_eq!(files_with(&data, "canary in the answer"), ["captured.db"]);
    for word in ["CANARY", "canary in the secret", "token-of-"] {
        assert!(files_with(&data, word).is_empty(), "{word}");
    }
    let copy = folder.path().join("copy");
    backup(&data, &copy).await.unwrap();
    assert!(files_with(&copy, "canary").is_empty(), "a backup keeps no content");

    // A month later nobody is set to it any more, and what was kept goes all the same.
    time.fetch_add(30 * DAY_US, Ordering::Relaxed);
    assert!(kept(&data, &whole, clock.now()).await.is_empty());
    let house = House::start_in(folder, clock, config(&upstream, "")).await;
    let (_book, folder) = house.end().await;
    assert!(files_with(&folder.path().join("data"), "canary").is_empty());
}

#[tokio::test]
async fn nothing_is_kept_by_default_and_what_is_kept_is_forgotten_when_somebody_says_so() {
    let upstream = upstream().await;
    let shut = CALLERS.replace("capture = '30d'", "");
    let folder = tempfile::tempdir().unwrap();
    let clock = counterfoil::serve::wall_clock();
    let house = House::start_in(folder, clock.clone(), config(&upstream, &shut)).await;
    call(&house, "open", ASK).await;
    let (_book, folder) = house.end().await;
    assert!(!folder.path().join("data/captured.db").exists());

    let house = House::start_in(folder, clock, config(&upstream, CALLERS)).await;
    let (first, second) = (call(&house, "open", ASK).await, call(&house, "open", ASK).await);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let data = house.folder.path().join("data");
    let forget = |what: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
        let done = command.arg("forget").args(what).arg("--data").arg(&data).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    assert!(forget(&[&first]).contains("of 1 attempts"), "beside the gateway that runs");
    assert!(forget(&[&first]).contains("of 0 attempts"));
    assert_eq!(kept(&data, &second, Timestamp::from_micros(0)).await.len(), 1);
    assert!(forget(&["--caller", "open"]).contains("of 1 attempts"));
    assert!(files_with(&data, "canary").is_empty(), "it was hidden and not erased");
    let (book, _folder) = house.end().await;
    assert_eq!((book.intents.len(), book.settlements.len()), (3, 3));
}
