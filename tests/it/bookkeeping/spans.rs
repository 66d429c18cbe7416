//! Sums of any span: whole days from the sums by day, the hours around them by hour, nothing twice.

use counterfoil::period::{ChargePeriod, DAY_US, HOUR_US};
use counterfoil::store::overview::{self, Dimension, SpendCell, WHOLE_SPAN};
use counterfoil::store::read::AttemptFilter;

use crate::bookkeeping::house::House;
use crate::calls::{Call, Node};

#[tokio::test]
async fn a_span_of_days_and_hours_holds_each_call_once() {
    let house = House::new();
    let books = house.books().await;
    let mut node = Node::new(&books);
    for hour in 0..96_u64 {
        let (day, hour_of_day) = (1 + hour / 24, hour % 24);
        let at = format!("2026-10-{day:02}T{hour_of_day:02}:30:00Z");
        node.call(Call { at: &at, input: 1_000 + hour, ..Call::default() });
    }
    node.post().await;
    let begin = "2026-10-01T00:00:00Z".parse::<counterfoil::period::Timestamp>().unwrap();
    for (from, until) in [(0, 96), (5, 91), (24, 72), (30, 40), (0, 47), (47, 49), (23, 96), (9, 9)]
    {
        let at = |hour: i64| begin.plus_micros(hour * HOUR_US);
        let filter = AttemptFilter {
            period: ChargePeriod { start: at(from), end: at(until) },
            provider: Some("openai".to_owned()),
            model: None,
            team: None,
            app: None,
            account: None,
            credential: None,
        };
        let (mut calls, mut tokens) = (0, 0);
        for hour in from..until {
            (calls, tokens) = (calls + 1, tokens + 1_000 + u64::try_from(hour).unwrap());
        }
        let mut sums = Vec::new();
        for grain in [HOUR_US, DAY_US, 7 * DAY_US, WHOLE_SPAN] {
            let by = Dimension::Provider;
            let cells = overview::spend(&books, &filter, by, grain).await.unwrap();
            let quantity: u64 = cells.iter().map(|cell: &SpendCell| cell.quantity).sum();
            assert_eq!(quantity, tokens, "{from}..{until} in buckets of {grain}");
            sums.push(cells.iter().map(|cell| cell.amount.pico()).sum::<i128>());
            assert!(grain != WHOLE_SPAN || cells.len() <= 1, "one bucket: {cells:?}");
        }
        assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
        let ended = overview::attempts(&books, &filter, Dimension::Provider).await.unwrap();
        assert_eq!(ended.iter().map(|cell| cell.attempts).sum::<u64>(), calls);
    }
    books.close().await;
}
