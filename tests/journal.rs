//! What the record promises, against real files: durability, order, recovery.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail loudly")]

use std::path::Path;

use counterfoil::journal::book::{Journal, JournalOptions, Opened};
use counterfoil::ledger::entry::Entry;
use counterfoil::ledger::intent::{Intent, Labels};
use counterfoil::ledger::orphan;
use counterfoil::names::{AttemptId, Clock, Endpoint, RequestId};
use counterfoil::period::Timestamp;
use uuid::Uuid;

fn clock() -> Clock {
    Clock::new(|| Timestamp::from_micros(1_790_000_000_000_000))
}

fn intent(number: u128) -> Intent {
    Intent {
        attempt: AttemptId::from_uuid(Uuid::from_u128(number)),
        request: RequestId::from_uuid(Uuid::from_u128(number)),
        ordinal: 1,
        started_at: clock().now(),
        provider: "openai".into(),
        endpoint: Endpoint::Chat,
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        model_requested: Some("gpt-5".into()),
        stream: false,
        credential: None,
        caller: None,
        labels: Labels::default(),
        max_output: Some(100),
        request_bytes: 321,
        price_version: "test".to_owned(),
        reservation: None,
    }
}

async fn open(folder: &Path) -> (Journal, Opened) {
    let options = JournalOptions { ballast_bytes: 0, ..JournalOptions::default() };
    Journal::open(folder, clock(), options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_without_a_settlement_is_an_orphan_of_the_next_boot_once() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, opened) = open(folder.path()).await;
    assert_eq!((opened.boot, opened.unclean), (1, false));
    let first = journal.commit(&Entry::Intent(Box::new(intent(1)))).await.unwrap();
    let second = journal.commit(&Entry::Intent(Box::new(intent(2)))).await.unwrap();
    assert_eq!((first.n, second.n), (1, 2));
    journal.synced(second.n).await.unwrap();
    let settled = orphan::settle(&intent(1), clock().now());
    journal.commit(&Entry::Settlement(Box::new(settled))).await.unwrap();
    journal.close().await.unwrap();
    drop(journal);

    let (journal, opened) = open(folder.path()).await;
    assert_eq!((opened.boot, opened.unclean), (2, false));
    assert_eq!(opened.orphans, [intent(2)]);
    journal.close().await.unwrap();
    let (journal, opened) = open(folder.path()).await;
    assert_eq!(opened.orphans, []);
    journal.close().await.unwrap();
}
