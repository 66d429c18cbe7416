//! What posting promises: exactly once, in order, and sums that are what the records say.

use std::time::{Duration, Instant};

use counterfoil::bookkeeping::post::{PostError, Poster};
use counterfoil::ledger::count::Count;
use counterfoil::ledger::entry::Entry;
use counterfoil::store::error::StoreError;
use counterfoil::store::rollups;
use counterfoil::store::{posting, projection::PostingRecord};

use crate::journal::house::House;
use crate::journal::samples::{
    START, attempt, corrected, intent, intent_at, sent, settled, settlement,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_settled_stands_in_the_books_once() {
    let mut house = House::build().await;
    house.write([sent(intent(1)), settled(settlement(1, 100, 20)), sent(intent(2))]).await;
    assert_eq!(house.poster.post_once().await.unwrap().records, 3);
    assert_eq!(house.poster.post_once().await.unwrap().records, 0);
    assert_eq!(house.number("SELECT COUNT(*) FROM intents").await, 2);
    assert_eq!(house.number("SELECT COUNT(*) FROM settlements").await, 1);
    assert_eq!(house.number("SELECT SUM(attempts) FROM attempt_rollups").await, 1);
    let spent = "SELECT amount FROM usage_rollups WHERE meter = 'input'";
    assert_eq!(house.number(spent).await, 125_000_000);
    let unpriced = "SELECT quantity FROM usage_rollups WHERE meter = 'output' AND rate_id = ''";
    assert_eq!(house.number(unpriced).await, 20);
    assert!(rollups::equal_the_records(&house.books).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answered_call_never_stands_in_the_books_as_one_under_way() {
    let house = House::build().await;
    let poster = Poster::new(house.journal.clone(), house.books.clone()).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let posting = tokio::spawn(poster.run(async move { drop(stopped.await) }));
    let unsettled = "SELECT COUNT(*) FROM intents i \
        WHERE NOT EXISTS (SELECT 1 FROM settlements s WHERE s.attempt = i.attempt)";
    for number in 1..=5 {
        let began = Instant::now();
        house.write([sent(intent(number))]).await;
        // Longer than the time between two rounds of posting.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let early = house.number(unsettled).await;
        // On a machine that held us up the call did take long.
        assert!(early == 0 || began.elapsed() > Duration::from_millis(600));
        house.write([settled(settlement(number, 100, 20))]).await;
    }
    // One that does take long is shown, and what ends meanwhile is not kept waiting by it.
    house.write([sent(intent(6)), sent(intent(7)), settled(settlement(7, 100, 20))]).await;
    let patience = Instant::now() + Duration::from_secs(20);
    while house.number("SELECT COUNT(*) FROM settlements").await < 6 {
        assert!(Instant::now() < patience);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(house.number(unsettled).await, 1);
    house.write([sent(intent(8))]).await;
    stop.send(()).unwrap();
    posting.await.unwrap();
    assert_eq!(house.number("SELECT COUNT(*) FROM intents").await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_twice_the_same_is_nothing_and_differently_is_a_conflict() {
    let mut house = House::build().await;
    house.write([sent(intent(1)), settled(settlement(1, 100, 20))]).await;
    house.write([settled(settlement(1, 100, 20))]).await;
    assert_eq!(house.poster.post_once().await.unwrap().conflicts, 0);
    house.write([settled(settlement(1, 999, 20))]).await;
    assert_eq!(house.poster.post_once().await.unwrap().conflicts, 1);
    assert_eq!(house.number("SELECT COUNT(*) FROM settlements").await, 1);
    assert_eq!(house.number("SELECT COUNT(*) FROM settlement_conflicts").await, 1);
    assert_eq!(house.number("SELECT SUM(attempts) FROM attempt_rollups").await, 1);
    assert!(rollups::equal_the_records(&house.books).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_moves_the_sums_by_the_difference_and_keeps_the_old_row() {
    let mut house = House::build().await;
    house.write([sent(intent(1)), settled(settlement(1, 100, 20))]).await;
    house.poster.post_once().await.unwrap();
    house.write([corrected(settlement(1, 300, 20)), corrected(settlement(1, 200, 0))]).await;
    house.poster.post_once().await.unwrap();
    assert_eq!(house.number("SELECT COUNT(*) FROM settlements").await, 3);
    let spent = "SELECT amount FROM usage_rollups WHERE meter = 'input'";
    assert_eq!(house.number(spent).await, 250_000_000);
    assert_eq!(house.number("SELECT COUNT(*) FROM usage_rollups").await, 1);
    assert!(rollups::equal_the_records(&house.books).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_in_the_same_batch_as_its_settlement_counts_once() {
    let mut house = House::build().await;
    let entries =
        [sent(intent(1)), settled(settlement(1, 100, 0)), corrected(settlement(1, 40, 0))];
    house.post(entries).await;
    assert_eq!(house.number("SELECT SUM(attempts) FROM attempt_rollups").await, 1);
    assert_eq!(house.number("SELECT quantity FROM usage_rollups").await, 40);
    assert!(rollups::equal_the_records(&house.books).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_posted_before_its_intent_counts_when_the_intent_comes() {
    let house = House::build().await;
    let record = |n: i64, entry: Entry| PostingRecord {
        n,
        boot: 1,
        body: serde_json::to_string(&entry).unwrap(),
        entry,
        prev_hash: format!("hash {}", n - 1),
        hash: format!("hash {n}"),
    };
    let books = &house.books;
    let first = [record(1, settled(settlement(1, 100, 20)))];
    posting::post(books, "elsewhere", &first).await.unwrap();
    assert_eq!(house.number("SELECT COUNT(*) FROM attempt_rollups").await, 0);
    posting::post(books, "elsewhere", &[record(2, sent(intent(1)))]).await.unwrap();
    assert_eq!(house.number("SELECT SUM(attempts) FROM attempt_rollups").await, 1);
    assert!(rollups::equal_the_records(books).await.unwrap());
    let hole = posting::post(books, "elsewhere", &[record(4, sent(intent(2)))]).await;
    assert!(matches!(hole, Err(StoreError::DoesNotContinue { posted: 2, offered: 4, .. })));
    let again = posting::post(books, "elsewhere", &first).await.unwrap();
    assert_eq!(again.records, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_repeats_its_ids_is_posted_as_often_as_it_answered() {
    let mut house = House::build().await;
    for number in 1..=100 {
        let mut empty = settlement(number, 1, 1);
        if number % 3 == 0 {
            empty.provider_response_id = None;
        } else if number % 3 == 1 {
            empty.provider_response_id = Some(String::new());
        }
        house.write([sent(intent(number)), settled(empty)]).await;
    }
    house.poster.post_once().await.unwrap();
    assert_eq!(house.number("SELECT COUNT(*) FROM settlements").await, 100);
    assert_eq!(house.number("SELECT SUM(attempts) FROM attempt_rollups").await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_books_are_away_the_journal_goes_on_and_nothing_is_lost() {
    let mut house = House::build().await;
    house.post([sent(intent(1))]).await;
    let away = "ALTER TABLE settlements RENAME TO settlements_away";
    sqlx::query(away).execute(house.books.writer()).await.unwrap();
    house.write([settled(settlement(1, 10, 0)), sent(intent(2))]).await;
    assert!(matches!(house.poster.post_once().await, Err(PostError::Store(_))));
    assert_eq!(house.number("SELECT COUNT(*) FROM intents").await, 1);
    house.write([settled(settlement(2, 10, 0))]).await;
    let back = "ALTER TABLE settlements_away RENAME TO settlements";
    sqlx::query(back).execute(house.books.writer()).await.unwrap();
    assert_eq!(house.poster.post_once().await.unwrap().records, 3);
    assert_eq!(house.number("SELECT COUNT(*) FROM settlements").await, 2);
    assert!(rollups::equal_the_records(&house.books).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_stands_beside_the_settlement_and_the_first_one_holds() {
    let mut house = House::build().await;
    let count = |input| {
        Entry::Count(Box::new(Count {
            attempt: attempt(1),
            counted_at: START,
            input: Some(input),
            output: None,
            method: "exact".to_owned(),
            encoding: "o200k_base".to_owned(),
            basis: "model_map".to_owned(),
            estimated_parts: vec!["tools".to_owned()],
        }))
    };
    house.post([sent(intent(1)), settled(settlement(1, 100, 20)), count(99), count(98)]).await;
    assert_eq!(house.number("SELECT input FROM counts").await, 99);
    assert_eq!(house.number("SELECT COUNT(*) FROM counts WHERE output IS NULL").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_known_from_its_first_to_its_last_use() {
    let mut house = House::build().await;
    let at = |number, seconds: i64| sent(intent_at(number, START.plus_micros(seconds * 1_000_000)));
    house.post([at(1, 50), at(2, 10)]).await;
    house.post([at(3, 70), at(4, 30)]).await;
    let span = "SELECT last_used - first_used FROM credentials WHERE hint = 'x4Qm'";
    assert_eq!(house.number(span).await, 60_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn quantities_and_amounts_beyond_the_books_are_named_not_cut_and_block_nothing() {
    let mut house = House::build().await;
    let mut huge = settlement(1, 10, 0);
    huge.valuation.charges[0].amount = counterfoil::money::Amount::from_pico(1 << 70);
    huge.valuation.total = Some(huge.valuation.charges[0].amount);
    huge.response_bytes = u64::MAX;
    house
        .post([sent(intent(1)), settled(huge), sent(intent(2)), settled(settlement(2, 5, 0))])
        .await;
    let named = "SELECT COUNT(*) FROM valuations WHERE status = 'unpriced' AND total IS NULL \
                 AND unpriced LIKE '%out_of_range%'";
    assert_eq!(house.number(named).await, 1);
    assert_eq!(house.number("SELECT COUNT(*) FROM charges").await, 1);
    assert!(rollups::equal_the_records(&house.books).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_poster_s_loop_posts_within_a_second_and_once_more_at_the_end() {
    let House { journal, books, poster, folder, .. } = House::build().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let posting = tokio::spawn(poster.run(async { drop(stopped.await) }));
    journal.commit(&sent(intent(1))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let count = "SELECT COUNT(*) FROM intents";
    let seen: i64 = sqlx::query_scalar(count).fetch_one(books.pool()).await.unwrap();
    assert_eq!(seen, 1);
    let last = journal.commit(&sent(intent(2))).await.unwrap();
    journal.synced(last.n).await.unwrap();
    stop.send(()).unwrap();
    posting.await.unwrap();
    let seen: i64 = sqlx::query_scalar(count).fetch_one(books.pool()).await.unwrap();
    assert_eq!(seen, 2);
    journal.close().await.unwrap();
    drop(folder);
}
