//! Sums by hour are what the records say: in random histories, in every zone, at every border.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{Days, NaiveDate, TimeZone, Utc};
use counterfoil::ledger::entry::Entry;
use counterfoil::names::Clock;
use counterfoil::period::{HOUR_US, Timestamp};
use counterfoil::store::books::{BOOKS_FILE, Books};
use counterfoil::store::rollups;
use proptest::prelude::*;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::journal::house::House;
use crate::journal::samples::{START, corrected, intent, intent_at, sent, settled, settlement};

/// One step of a history: which attempt, what happens, how many tokens, post after it?
type Step = (u128, u8, u64, bool);

fn step() -> impl Strategy<Value = Step> {
    (0_u128..12, 0_u8..6, 0_u64..5, any::<bool>())
}

fn entry((number, what, tokens, _): Step) -> Entry {
    let hours = i64::try_from(number % 4).unwrap() * HOUR_US;
    match what {
        0 | 1 => sent(intent_at(number, START.plus_micros(hours))),
        2 | 3 => settled(settlement(number, tokens, tokens / 2)),
        4 => corrected(settlement(number, tokens, tokens)),
        _ => {
            let mut other = settlement(number, tokens, 1);
            other.model_served = None;
            other.account.project = Some("proj_2".to_owned());
            corrected(other)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_in_whatever_order_the_sums_are_what_a_rebuild_gives(
        history in proptest::collection::vec(step(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut house = House::build().await;
            for step in history {
                house.journal.commit(&entry(step)).await.unwrap();
                if step.3 {
                    house.post([]).await;
                    assert!(rollups::equal_the_records(&house.books).await.unwrap());
                }
            }
            let last = i64::try_from(house.journal.health().committed_n).unwrap();
            house.journal.synced(last).await.unwrap();
            house.poster.post_once().await.unwrap();
            assert!(rollups::equal_the_records(&house.books).await.unwrap());
            let before = dump(&house).await;
            rollups::rebuild(&house.books).await.unwrap();
            assert_eq!(before, dump(&house).await);
            house.close().await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn books_from_before_the_sums_by_day_have_them_once_opened() {
    let mut house = House::build().await;
    let hours = (0..60).map(|hour| START.plus_micros(hour * HOUR_US)).zip(1..);
    let entries = hours
        .flat_map(|(at, number)| [sent(intent_at(number, at)), settled(settlement(number, 3, 2))]);
    house.post(entries).await;
    let folder = house.close().await;
    let path = folder.path().join(BOOKS_FILE);
    for sql in [
        "DROP TABLE usage_days",
        "DROP TABLE attempt_days",
        "DELETE FROM _sqlx_migrations WHERE version = 5",
    ] {
        let options = SqliteConnectOptions::new().filename(&path);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    let books = Books::open(folder.path()).await.unwrap();
    assert!(rollups::equal_the_records(&books).await.unwrap());
    let days: i64 = sqlx::query_scalar("SELECT COUNT(DISTINCT day) FROM usage_days")
        .fetch_one(books.pool())
        .await
        .unwrap();
    assert!((3..=4).contains(&days), "{days}");
    books.close().await;
}

async fn dump(house: &House) -> Vec<String> {
    let all = "SELECT json_array(hour, model, project, meter, rate_id, quantity, amount) \
               FROM usage_rollups UNION ALL \
               SELECT json_array(hour, model, project, outcome, attempts, duration_us) \
               FROM attempt_rollups ORDER BY 1";
    sqlx::query_scalar(all).fetch_all(house.books.pool()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_distinct_sums_move_in_one_flush() {
    let mut house = House::build().await;
    let mut tasks = Vec::new();
    for number in 1..=10_000_u128 {
        let journal = house.journal.clone();
        tasks.push(tokio::spawn(async move {
            let mut asked = intent(number);
            asked.labels.app = Some(format!("app {number}"));
            journal.commit(&sent(asked)).await.unwrap();
            journal.commit(&settled(settlement(number, 7, 0))).await.unwrap().n
        }));
    }
    for task in tasks {
        let n = task.await.unwrap();
        house.journal.synced(n).await.unwrap();
    }
    assert_eq!(house.poster.post_once().await.unwrap().records, 20_000);
    assert_eq!(house.number("SELECT COUNT(*) FROM usage_rollups").await, 10_000);
    assert_eq!(house.number("SELECT SUM(quantity) FROM usage_rollups").await, 70_000);
    assert!(rollups::equal_the_records(&house.books).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn single_days_add_up_to_their_range_in_twenty_five_zones() {
    let mut house = House::build().await;
    // Three weeks around the end of summer time, an attempt every 37 minutes.
    let from = Utc.with_ymd_and_hms(2026, 10, 15, 0, 0, 0).unwrap().timestamp_micros();
    let count: u32 = 800;
    let mut entries = Vec::new();
    for number in 0..count {
        let at = from + i64::from(number) * 37 * 60_000_000;
        let asked = intent_at(u128::from(number), Timestamp::from_micros(at));
        entries.extend([sent(asked), settled(settlement(u128::from(number), 10, 0))]);
    }
    house.post(entries).await;
    let zones = chrono_tz::TZ_VARIANTS.iter().step_by(24).take(25);
    for zone in zones {
        let start_of = |day: NaiveDate| {
            let midnight = day.and_hms_opt(0, 0, 0).unwrap();
            let local = zone.from_local_datetime(&midnight).earliest();
            local.unwrap_or_else(|| zone.from_utc_datetime(&midnight)).timestamp_micros()
        };
        let first = NaiveDate::from_ymd_opt(2026, 10, 17).unwrap();
        let (mut days, mut exact) = (0, 0);
        let last = first + Days::new(14);
        for day in first.iter_days().take(14) {
            let (start, end) = (start_of(day), start_of(day + Days::new(1)));
            days += sum(&house, start, end).await;
            exact += records(&house, start, end).await;
        }
        let range = sum(&house, start_of(first), start_of(last)).await;
        assert_eq!(days, range, "{zone}");
        let whole_hours = start_of(first) % HOUR_US == 0;
        if whole_hours {
            assert_eq!(exact, range, "{zone}");
        }
        assert!(range > 4_000, "{zone}");
    }
}

async fn sum(house: &House, start: i64, end: i64) -> i64 {
    let sql = "SELECT COALESCE(SUM(quantity), 0) FROM usage_rollups WHERE hour >= $1 AND hour < $2";
    sqlx::query_scalar(sql).bind(start).bind(end).fetch_one(house.books.pool()).await.unwrap()
}

async fn records(house: &House, start: i64, end: i64) -> i64 {
    let sql = "SELECT COALESCE(SUM(c.quantity), 0) FROM intents i JOIN charges c USING (attempt) \
               WHERE i.started_at >= $1 AND i.started_at < $2";
    sqlx::query_scalar(sql).bind(start).bind(end).fetch_one(house.books.pool()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_microsecond_of_a_month_is_in_that_month_and_corrections_stay_there() {
    let mut house = House::build().await;
    let turn = Utc.with_ymd_and_hms(2026, 11, 1, 0, 0, 0).unwrap().timestamp_micros();
    let (before, after) = (Timestamp::from_micros(turn - 1), Timestamp::from_micros(turn));
    let mut late = settlement(1, 5, 0);
    late.ended_at = Timestamp::from_micros(turn + 90_000_000);
    house
        .post([
            sent(intent_at(1, before)),
            sent(intent_at(2, after)),
            settled(late.clone()),
            settled(settlement(2, 50, 0)),
        ])
        .await;
    assert_eq!(sum(&house, turn - HOUR_US, turn).await, 5);
    assert_eq!(sum(&house, turn, turn + HOUR_US).await, 50);
    late.valuation.charges[0].quantity = 8;
    house.post([corrected(late)]).await;
    assert_eq!(sum(&house, turn - HOUR_US, turn).await, 8);
    assert_eq!(sum(&house, turn, turn + HOUR_US).await, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_an_hour_either_way_changes_no_order_and_loses_nothing() {
    let time = Arc::new(AtomicI64::new(START.micros()));
    let seen = Arc::clone(&time);
    let clock = Clock::new(move || Timestamp::from_micros(seen.load(Ordering::Relaxed)));
    let mut house = House::in_folder(tempfile::tempdir().unwrap(), clock.clone()).await;
    for (number, jump) in [(1, 0), (2, HOUR_US), (3, -HOUR_US), (4, -HOUR_US), (5, HOUR_US)] {
        time.fetch_add(jump, Ordering::Relaxed);
        house.post([sent(intent_at(number, clock.now())), settled(settlement(number, 1, 0))]).await;
    }
    assert_eq!(house.number("SELECT SUM(attempts) FROM attempt_rollups").await, 5);
    let path = house.path().to_owned();
    let found = counterfoil::bookkeeping::verify::verify(&path).await.unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
    house.write([sent(intent_at(6, clock.now()))]).await;
    time.fetch_sub(HOUR_US, Ordering::Relaxed);
    let folder = house.close().await;
    // An orphan that ended before it began, by the clock, lasted nothing.
    let house = House::in_folder(folder, clock).await;
    assert_eq!(house.opened.orphans.len(), 1);
    house.close().await;
}
