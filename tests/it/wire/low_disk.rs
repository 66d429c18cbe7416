//! A disk that is nearly full: calls still pass, and whoever asks is told to send none.

use std::time::Duration;

use crate::small_disk::SmallDisk;
use crate::wire::house::House;
use crate::wire::upstream::Upstream;

const ANSWER: &str = r#"{"id":"c1","model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
const ASK: &str = r#"{"model":"gpt-4o-mini","messages":[]}"#;

#[tokio::test]
async fn with_little_room_left_the_gateway_is_not_ready_and_serves_on() {
    let Some(disk) = SmallDisk::mount(128 << 10) else {
        println!("no right to mount a small disk here: the low-disk test did not run");
        return;
    };
    let folder = tempfile::tempdir_in(disk.path()).unwrap();
    let upstream = Upstream::json(ANSWER).await;
    let config = crate::wire::house::configured(&upstream.url(), "");
    let house = House::start_in(folder, counterfoil::serve::wall_clock(), config).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let ready = house.ask("GET /readyz", "", "").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.text(), "the disk of the data folder is nearly full\n");
    assert_eq!(house.ask("GET /healthz", "", "").await.status, 200);
    assert_eq!(house.chat(ASK).await.status, 200);
    let (book, _folder) = house.end().await;
    book.only();
}
