//! A month explained from what the books hold: whose attempts, which prices, what covers it, and
//! what becomes of a report when something arrives late.

use std::fmt::Write as _;

use bytes::Bytes;
use counterfoil::bookkeeping::close::{self, DocumentWords};
use counterfoil::bookkeeping::export_file::{ExportBytes, ExportFile, ImportChoice};
use counterfoil::bookkeeping::import::import;
use counterfoil::bookkeeping::month::{CloseError, Month};
use counterfoil::names::{Clock, ProviderName};
use counterfoil::period::Timestamp;
use counterfoil::pricing::table::PriceTable;
use counterfoil::reconcile::verdict::MonthState;
use counterfoil::store::books::Books;
use counterfoil::store::reports::{self, MonthOf};
use serde_json::{Value, json};

use crate::bookkeeping::house::{CostRow, House, cost, cost_of, number};
use crate::calls::{Call, Node};

const INPUT: &str = "gpt-5-2025-08-07, input";
const LATER: &str = "2026-11-20T09:00:00Z";

fn clock(at: &str) -> Clock {
    let at: Timestamp = at.parse().unwrap();
    Clock::new(move || at)
}

fn october() -> Month {
    Month {
        provider: ProviderName::new("openai"),
        account: None,
        period: "2026-10".parse().unwrap(),
    }
}

fn prices() -> PriceTable {
    PriceTable::builtin().unwrap()
}

/// Rows of the same amount for each of these days.
fn daily(days: std::ops::RangeInclusive<u32>, amount: &str) -> Vec<CostRow<'_>> {
    days.map(|day| (day, amount, INPUT)).collect()
}

async fn bring(books: &Books, text: &str, at: &str) {
    let file = ExportFile {
        name: "cost.csv".to_owned(),
        bytes: ExportBytes::Memory(Bytes::copy_from_slice(text.as_bytes())),
    };
    let choice = ImportChoice { account: None, personal_key: b"key of a test".to_vec() };
    import(books, &file, &choice, at.parse().unwrap()).await.unwrap();
}

/// One call a day, a dollar and a quarter each.
async fn call_daily(books: &Books, days: std::ops::RangeInclusive<u32>) -> Node<'_> {
    let mut node = Node::new(books);
    for day in days {
        node.call(Call { at: &format!("2026-10-{day:02}T12:00:00Z"), ..Call::default() });
    }
    node.post().await;
    node
}

#[tokio::test]
async fn a_month_that_agrees_is_compared_to_the_last_cent() {
    let house = House::new();
    let books = house.books().await;
    call_daily(&books, 1..=31).await;
    bring(&books, &cost(&daily(1..=31, "1.25")), LATER).await;
    books.close().await;
    let report = house.report("openai", "2026-10", &[]);
    assert_eq!((&report["recorded"], &report["billed"]), (&json!("38.75"), &json!("38.75")));
    assert_eq!((&report["agrees"], &report["unexplained"]), (&json!(true), &json!("0")));
    assert_eq!(report["population"]["attempts_compared"], 31);
    assert_eq!(report["account"], "org-1");
    assert_eq!(report["findings"], json!([]));
}

#[tokio::test]
async fn only_attempts_of_the_exports_organization_are_compared() {
    let house = House::new();
    let books = house.books().await;
    let mut node = Node::new(&books);
    let of = |organization, key, settled| Call { organization, key, settled, ..Call::default() };
    node.call(of(Some("org-1"), "key of one", true));
    node.call(of(Some("org-2"), "key of two", true));
    node.call(of(Some("org-2"), "key of two", true));
    // What was never answered named no organization: its key tells whose it is.
    node.call(of(None, "key of one", false));
    node.call(of(None, "key of two", false));
    node.post().await;
    bring(&books, &cost_of("org-1", &[(1, "1.25", INPUT)]), LATER).await;
    bring(&books, &cost_of("org-2", &[(1, "2.5", INPUT)]), LATER).await;
    books.close().await;
    for (account, billed, calls) in [("org-1", "1.25", 1), ("org-2", "2.5", 2)] {
        let report = house.report("openai", "2026-10", &["--account", account]);
        assert_eq!((&report["recorded"], &report["billed"]), (&json!(billed), &json!(billed)));
        let population = &report["population"];
        assert_eq!(population["attempts_compared"], calls, "{account}");
        assert_eq!(population["attempts_of_unknown_usage"], 1, "{account}");
    }
}

#[tokio::test]
async fn an_account_named_by_a_person_is_known_by_the_organization_its_export_names() {
    let house = House::new();
    let books = house.books().await;
    let mut node = Node::new(&books);
    node.call(Call::default());
    node.call(Call { organization: Some("org-2"), key: "credential-2", ..Call::default() });
    node.post().await;
    books.close().await;
    let file = house.file("cost.csv", cost(&[(1, "1.25", INPUT)]));
    let (_, ran) = house.import(&[&file], &["--account", "research"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = house.report("openai", "2026-10", &["--account", "research"]);
    assert_eq!((&report["recorded"], &report["billed"]), (&json!("1.25"), &json!("1.25")));
}

#[tokio::test]
async fn days_before_the_books_began_and_days_with_a_gap_are_named() {
    let house = House::new();
    let books = house.books().await;
    let mut node = Node::new(&books);
    for day in (10..=31).filter(|day| *day != 20) {
        node.call(Call { at: &format!("2026-10-{day}T12:00:00Z"), ..Call::default() });
    }
    node.gap("2026-10-20T00:00:00Z", "2026-10-21T00:00:00Z");
    node.post().await;
    // A gap can only be told by quantities.
    let text = cost(&daily(1..=31, "1.25"))
        .replace(",amount_currency,", ",amount_currency,quantity,quantity_unit,")
        .replace(",usd,", ",usd,1000000,tokens,");
    bring(&books, &text, LATER).await;
    books.close().await;
    let report = house.report("openai", "2026-10", &[]);
    let coverage = &report["coverage"];
    assert_eq!(coverage["before_books"], "11.25", "{coverage}");
    assert_eq!(coverage["while_down"], "1.25", "{coverage}");
    assert_eq!(report["unexplained"], "0", "{}", report["findings"]);
}

#[tokio::test]
async fn a_document_is_bridged_from_the_export_and_kept_in_its_currency() {
    let house = House::new();
    let books = house.books().await;
    call_daily(&books, 1..=31).await;
    bring(&books, &cost(&daily(1..=31, "1.25")), LATER).await;
    let words = ["--invoice-total", "33.37", "--tax", "4.62", "--credits", "10"];
    let document = house.report("openai", "2026-10", &words)["document"].clone();
    assert_eq!((&document["export"], &document["total"]), (&json!("38.75"), &json!("33.37")));
    assert_eq!((&document["tax"], &document["credits"]), (&json!("4.62"), &json!("-10")));
    assert_eq!((&document["unexplained"], &document["currency"]), (&json!("0"), &json!("USD")));
    let again = house.report("openai", "2026-10", &[]);
    assert_eq!(again["document"], document, "what was said is remembered");
    let short = house.report("openai", "2026-10", &["--invoice-total", "39"]);
    assert_eq!(short["document"]["unexplained"], "0.25");

    let euros = cost_of("org-euro", &daily(1..=31, "1.25")).replace(",usd,", ",eur,");
    bring(&books, &euros, LATER).await;
    let month = Month { account: Some("org-euro".to_owned()), ..october() };
    let words = DocumentWords { total: Some("38.75".to_owned()), ..DocumentWords::default() };
    close::say_document(&books, &month, &words, "test", &clock(LATER)).await.unwrap();
    let said =
        "SELECT COUNT(*) FROM invoice_documents WHERE account = 'org-euro' AND currency = 'EUR'";
    assert_eq!(number(&books, said).await, 1);
    books.close().await;
    let ran = house.run(["reconcile", "openai", "2026-10", "--account", "org-euro"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("EUR") && ran.err.contains("USD"), "currencies never add: {ran:?}");
}

#[tokio::test]
async fn a_bill_in_another_currency_is_compared_at_the_rate_a_person_gives() {
    let house = House::new();
    let books = house.books().await;
    call_daily(&books, 1..=31).await;
    // A call of a day is $1.25 here and billed at 1.15 euros.
    let euros = cost(&daily(1..=31, "1.15")).replace(",usd,", ",eur,");
    bring(&books, &euros, LATER).await;
    books.close().await;
    for (wrong, said) in [
        ("EUR", "is no rate of exchange"),
        ("EUR=", "is no rate of exchange"),
        ("EUR=0", "is no rate of exchange"),
        ("EUR=-1.08", "is no rate of exchange"),
        ("euros=1.08", "is no rate of exchange"),
        ("USD=1", "the currency of the books themselves"),
        ("GBP=1.2", "--exchange-rate EUR=RATE"),
    ] {
        let ran = house.run(["reconcile", "openai", "2026-10", "--exchange-rate", wrong]);
        assert_eq!(ran.code, Some(1), "{wrong}: {ran:?}");
        assert!(ran.err.contains(said), "{wrong}: {ran:?}");
    }
    let words = ["--exchange-rate", "EUR=1.0832", "--exchange-source", "a bank, 30 October 2026"];
    let report = house.report("openai", "2026-10", &words);
    // 31 days at 1.15 euros are 35.65, at 1.0832 they are 38.61608.
    assert_eq!((&report["recorded"], &report["billed"]), (&json!("38.75"), &json!("38.61608")));
    assert_eq!((&report["currency"], &report["unexplained"]), (&json!("USD"), &json!("0")));
    assert_eq!(report["exchange"]["rate"], "1.0832");
    let verdict = report["verdict"]["sentences"].to_string();
    assert!(verdict.contains("EUR 1 is USD 1.0832 (a bank, 30 October 2026)"), "{verdict}");
    let again = house.report("openai", "2026-10", &[]);
    assert_eq!(again, report, "what was said is remembered");
    let other = house.report("openai", "2026-10", &["--exchange-rate", "EUR=1.1"]);
    assert_eq!(
        (&other["exchange"]["rate"], &other["exchange"]["source"]),
        (&json!("1.1"), &json!(""))
    );
}

#[tokio::test]
async fn a_report_is_kept_once_while_nothing_changes() {
    let house = House::new();
    let books = house.books().await;
    bring(&books, &cost(&daily(1..=31, "1.25")), LATER).await;
    let explain = async |at: &str| {
        close::explain(&books, &prices(), &october(), &clock(at)).await.unwrap().id
    };
    let first = explain("2026-11-20T10:00:00Z").await;
    assert_eq!(first, explain("2026-11-20T11:00:00Z").await, "an hour later, no call seen yet");
    call_daily(&books, 1..=31).await;
    let second = explain("2026-11-20T12:00:00Z").await;
    assert_ne!(first, second);
    assert_eq!(second, explain("2026-11-21T12:00:00Z").await);
    assert_eq!(number(&books, "SELECT COUNT(*) FROM reports").await, 2);
    books.close().await;
}

#[tokio::test]
async fn late_data_makes_a_closed_month_stale_and_changes_nothing_in_it() {
    let house = House::new();
    let books = house.books().await;
    let mut node = call_daily(&books, 1..=30).await;
    bring(&books, &cost(&daily(1..=31, "1.25")), LATER).await;
    let (prices, month, clock) = (prices(), october(), clock(LATER));
    let stale = async || {
        let now = close::explain(&books, &prices, &month, &clock).await.unwrap();
        let (provider, account) = (month.provider.as_str(), now.account.as_str());
        let of = MonthOf { provider, account, period: month.period };
        let closings = reports::closings(&books, &of).await.unwrap();
        closings.first().map(|closing| closing.inputs_hash != now.inputs_hash)
    };
    assert_eq!(stale().await, None, "nobody closed it");
    let said = ("test", "one dollar and a quarter is known");
    let closed = close::close(&books, &prices, &month, said, &clock).await.unwrap();
    assert_eq!(stale().await, Some(false));
    node.call(Call { at: "2026-10-31T12:00:00Z", ..Call::default() });
    node.post().await;
    assert_eq!(stale().await, Some(true));
    let sql = format!("SELECT COUNT(*) FROM closings WHERE report = '{}'", closed.id);
    assert_eq!(number(&books, &sql).await, 1, "what was closed stays as it was closed");
    close::close(&books, &prices, &month, said, &clock).await.unwrap();
    assert_eq!(stale().await, Some(false), "closed anew");
    assert_eq!(number(&books, "SELECT COUNT(*) FROM closings").await, 2);
    books.close().await;
}

#[tokio::test]
async fn the_newest_three_days_of_an_export_are_provisional() {
    let house = House::new();
    let state = async |parts: &[(std::ops::RangeInclusive<u32>, &str)]| {
        let folder = house.folder.path().join(format!("{}", parts.len() * 100) + parts[0].1);
        let books = Books::open(&folder).await.unwrap();
        call_daily(&books, 1..=31).await;
        for (days, at) in parts {
            bring(&books, &cost(&daily(days.clone(), "1.25")), at).await;
        }
        let explained = close::explain(&books, &prices(), &october(), &clock(LATER)).await;
        books.close().await;
        explained.unwrap().report.state
    };
    assert_eq!(state(&[(1..=31, "2026-11-03T23:00:00Z")]).await, MonthState::Provisional);
    assert_eq!(state(&[(1..=31, "2026-11-04T00:00:00Z")]).await, MonthState::Reconciled);
    let settled = [(1..=20, "2026-10-24T00:00:00Z"), (21..=31, "2026-11-05T00:00:00Z")];
    assert_eq!(state(&settled).await, MonthState::Reconciled, "each part had settled");
    let early = [(1..=20, "2026-10-22T00:00:00Z"), (21..=31, "2026-11-05T00:00:00Z")];
    assert_eq!(state(&early).await, MonthState::Provisional, "the 20th could still move");
    assert!(matches!(
        state(&[(1..=20, "2026-11-05T00:00:00Z")]).await,
        MonthState::Partial { covered: 20, days: 31, .. }
    ));
}

#[tokio::test]
async fn a_bill_at_another_price_of_the_book_names_that_price() {
    // A million tokens a call: at the flex price; and without the band beyond 272,000 tokens.
    for (model, billed) in [("gpt-5-2025-08-07", "0.625"), ("gpt-5.4", "2.5")] {
        let house = House::new();
        let books = house.books().await;
        let mut node = Node::new(&books);
        for day in 1..=31 {
            let at = format!("2026-10-{day:02}T12:00:00Z");
            node.call(Call { at: &at, model, ..Call::default() });
        }
        node.post().await;
        let item = format!("{model}, input");
        let rows: Vec<CostRow<'_>> = (1..=31).map(|day| (day, billed, item.as_str())).collect();
        bring(&books, &cost(&rows), LATER).await;
        books.close().await;
        let report = house.report("openai", "2026-10", &[]);
        let said = words(&report);
        println!("{model} billed at {billed}: {said}");
        assert_ne!(report["difference"], "0", "{said}");
        assert_eq!(report["unexplained"], "0", "{said}");
    }
}

/// The findings of a report, a line each.
fn words(report: &Value) -> String {
    let mut text = String::new();
    for finding in report["findings"].as_array().unwrap() {
        let part = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let (cause, amount, sure) = (part("cause"), part("amount"), part("confidence"));
        writeln!(text, "{cause} {amount} {sure}").unwrap();
    }
    text
}

#[tokio::test]
async fn an_account_nobody_knows_is_refused_with_those_known() {
    let house = House::new();
    let books = house.books().await;
    bring(&books, &cost(&daily(1..=1, "1")), LATER).await;
    let month = Month { account: Some("org-7".to_owned()), ..october() };
    let refused = close::explain(&books, &prices(), &month, &clock(LATER)).await;
    assert!(matches!(refused, Err(CloseError::UnknownAccount { .. })));
    // An organization that only answers named has a month too, without an export.
    let mut node = Node::new(&books);
    node.call(Call { organization: Some("org-7"), ..Call::default() });
    node.post().await;
    let explained = close::explain(&books, &prices(), &month, &clock(LATER)).await.unwrap();
    assert_eq!(explained.report.state, MonthState::NoExport);
    books.close().await;
}
