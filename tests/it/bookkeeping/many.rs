//! Many attempts: each is read back whole, and how long that takes.

use std::collections::BTreeSet;
use std::time::Instant;

use counterfoil::names::ProviderName;
use counterfoil::period::BillingPeriod;
use counterfoil::store::facts;

use crate::bookkeeping::house::{House, cost, number};
use crate::calls::{Call, Node};

/// Copies of the only attempt, spread evenly over October 2026.
const COPIES: [&str; 4] = [
    "INSERT INTO intents SELECT printf('01a10000-%04x-7000-8000-%012x', number / 65536, number), request, \
     ordinal, node, boot, 1000 + number, 1790812800000000 + number * (2678400000000 / $1), provider, endpoint, \
     method, path, model_requested, stream, credential, caller, team, app, end_user, tags, \
     label_source, max_output, request_bytes, price_version, reservation, prev_hash, hash \
     FROM intents, numbers",
    "INSERT INTO settlements SELECT printf('01a10000-%04x-7000-8000-%012x', number / 65536, number), revision, \
     reason, actor, node, boot, 1000 + number, 1790812801000000 + number * (2678400000000 / $1), outcome, \
     http_status, error, first_byte_us, duration_us, response_bytes, model_served, \
     provider_request_id, provider_response_id, organization, project, workspace, usage_source, \
     usage_raw, usage_flags, conditions, usage_parts, reported_cost, billing_class, body_hash, \
     prev_hash, hash FROM settlements, numbers",
    "INSERT INTO valuations SELECT printf('01a10000-%04x-7000-8000-%012x', number / 65536, number), revision, \
     reason, status, currency, total, unpriced, price_version, engine, valued_at \
     FROM valuations, numbers WHERE $1 > 0",
    "INSERT INTO charges SELECT printf('01a10000-%04x-7000-8000-%012x', number / 65536, number), revision, seq, \
     model, meter, quantity, rate_id, unit_price, per, factors, amount, rounded \
     FROM charges, numbers WHERE $1 > 0",
];

#[tokio::test]
async fn many_attempts_are_read_back_whole() {
    // COUNTERFOIL_TEST_ATTEMPTS=1000000 for the figure that counts.
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration to read it from")]
    let count =
        std::env::var("COUNTERFOIL_TEST_ATTEMPTS").ok().and_then(|count| count.parse().ok());
    let count: i64 = count.unwrap_or(5_000);
    let house = House::new();
    let books = house.books().await;
    let mut node = Node::new(&books);
    let (input, output) = (1_000_000, 1_000);
    node.call(Call { at: "2026-09-15T12:00:00Z", input, output, ..Call::default() });
    node.post().await;
    for copy in COPIES {
        let sql = format!(
            "WITH RECURSIVE numbers (number) AS (SELECT 0 UNION ALL SELECT number + 1 \
             FROM numbers WHERE number + 1 < $1) {copy}"
        );
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::query(sql).bind(count).execute(books.writer()).await.unwrap();
    }
    let expected = usize::try_from(count).unwrap();
    assert_eq!(number(&books, "SELECT COUNT(*) FROM charges").await, count * 2 + 2);

    let month: BillingPeriod = "2026-10".parse().unwrap();
    let own = BTreeSet::from(["org-1".to_owned()]);
    let (start, openai) = (Instant::now(), ProviderName::new("openai"));
    let read = facts::attempts(&books, &openai, &own, month.span()).await.unwrap();
    println!("{count} attempts were read in {:?}", start.elapsed());
    assert_eq!(read.len(), expected);
    let whole = read.iter().filter(|fact| {
        let charged = |part: usize| fact.metered[part].charge.as_ref().map(|one| one.amount.pico());
        fact.metered.len() == 2
            && charged(0) == Some(1_250_000_000_000)
            && charged(1) == Some(10_000_000_000)
            && fact.metered[0].charge.as_ref().is_some_and(|one| one.unit_price.is_some())
            && fact.scope.as_deref() == Some("proj_1")
            && month.span().contains(fact.started_at)
    });
    assert_eq!(whole.count(), expected);
    drop(read);

    house.imported(&house.file("cost.csv", cost(&[(1, "1.25", "gpt-5, input")])));
    books.close().await;
    let start = Instant::now();
    let report = house.report("openai", "2026-10", &[]);
    println!("{count} attempts were explained in {:?}", start.elapsed());
    let population = &report["population"];
    let left_out: u64 = population["attempts_left_out"]
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    let compared = population["attempts_compared"].as_u64().unwrap();
    assert_eq!(compared + left_out, u64::try_from(count).unwrap());
}
