//! Days on which nothing was used: Anthropic's export prints no row of them, and is not cut off.

use std::fmt::Write as _;

use bytes::Bytes;
use counterfoil::bookkeeping::close;
use counterfoil::bookkeeping::export_file::{ExportBytes, ExportFile, ImportChoice};
use counterfoil::bookkeeping::import::import;
use counterfoil::bookkeeping::month::Month;
use counterfoil::names::{Clock, ProviderName};
use counterfoil::period::Timestamp;
use counterfoil::pricing::table::PriceTable;
use counterfoil::reconcile::report::Report;

use crate::bookkeeping::house::House;
use crate::calls::{Call, Node};

const MODEL: &str = "claude-haiku-4-5-20251001";
/// The working days of October 2026, which begins on a Thursday and ends on a Saturday.
const WORKING: [u32; 22] =
    [1, 2, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 19, 20, 21, 22, 23, 26, 27, 28, 29, 30];

/// A dollar of input on each of these days.
fn cost(days: &[u32]) -> String {
    let header = "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,\
                  cost_usd,list_price_usd,cost_type,inference_geo,speed\n";
    days.iter().fold(header.to_owned(), |mut text, day| {
        writeln!(
            text,
            "2026-10-{day:02},Claude Haiku 4.5,Default,key,message,≤ 200k,input_no_cache,1.00,\
             1.00,token,global,"
        )
        .unwrap();
        text
    })
}

/// October, with calls on some days and an export of some, brought at an instant.
async fn report(called: &[u32], (name, rows): (&str, &[u32]), at: &str) -> Report {
    let house = House::new();
    let books = house.books().await;
    let mut node = Node::new(&books);
    node.call(Call { at: "2026-09-02T12:00:00Z", ..Call::default() });
    for day in called {
        let at = format!("2026-10-{day:02}T12:00:00Z");
        let (provider, project) = ("anthropic", None);
        node.call(Call { at: &at, provider, model: MODEL, project, ..Call::default() });
    }
    node.post().await;
    let bytes = ExportBytes::Memory(Bytes::from(cost(rows)));
    let file = ExportFile { name: name.to_owned(), bytes };
    let at: Timestamp = at.parse().unwrap();
    import(&books, &file, &ImportChoice::default(), at).await.unwrap();
    let month = Month {
        provider: ProviderName::new("anthropic"),
        account: None,
        period: "2026-10".parse().unwrap(),
    };
    let prices = PriceTable::builtin().unwrap();
    let clock = Clock::new(move || at);
    let report = close::explain(&books, &prices, &month, &clock).await.unwrap().report;
    books.close().await;
    report
}

const OCTOBER: &str = "claude_api_cost_2026_10.csv";
const SETTLED: &str = "2026-11-05T09:00:00Z";

#[tokio::test]
async fn a_month_with_idle_weekends_is_whole() {
    let whole = report(&WORKING, (OCTOBER, &WORKING), SETTLED).await;
    assert_eq!(whole.verdict.state, "reconciled, $0.00 unexplained");
    assert!(whole.agrees, "{:#?}", whole.findings);
    // Without a name that promises the last day, a Saturday, the export may end before it.
    let unnamed = report(&WORKING, ("cost.csv", &WORKING), SETTLED).await;
    assert_eq!(unnamed.verdict.state, "partial (1–30 of 31)");
}

#[tokio::test]
async fn a_day_without_rows_between_others_is_a_day_nothing_was_billed() {
    let rows: Vec<u32> = WORKING.into_iter().filter(|day| *day != 14).collect();
    let short = report(&WORKING, (OCTOBER, &rows), SETTLED).await;
    assert_eq!(short.verdict.state, "reconciled, $1.00 unexplained");
    assert_eq!(short.difference.to_string(), "-1");
}

#[tokio::test]
async fn a_promised_day_with_calls_or_not_yet_settled_is_not_called_unbilled() {
    let cut: Vec<u32> = WORKING.into_iter().filter(|day| *day <= 20).collect();
    let cut_off = report(&WORKING, (OCTOBER, &cut), SETTLED).await;
    assert_eq!(cut_off.difference.to_string(), "0", "{:#?}", cut_off.findings);
    assert_eq!(cut_off.verdict.state, "partial (1–20 of 31)");
    let early = report(&cut, (OCTOBER, &cut), "2026-10-21T09:00:00Z").await;
    assert_eq!(early.verdict.state, "partial (1–20 of 31)");
}
