//! Keys of the bill and credentials of ours: proposed where days agree, tied only by a person.

use counterfoil::bookkeeping::month::Month;
use counterfoil::bookkeeping::ties::{self, Proposal, TieError};
use counterfoil::names::{Clock, CredentialId, ProviderName};
use counterfoil::pricing::table::PriceTable;
use counterfoil::store::accounts::{self, Remark};
use counterfoil::store::books::Books;

use crate::bookkeeping::house::{House, number};
use crate::calls::{three_keys, tokens_of, two_projects};

fn clock() -> Clock {
    Clock::new(|| "2026-11-20T09:00:00Z".parse().unwrap())
}

/// Two keys that pass here and one that does not, over so many days.
async fn told(house: &House, days: u64) -> Books {
    let books = house.books().await;
    let export = three_keys(&books, days).await;
    house.imported(&house.file("cost.csv", export));
    books
}

async fn proposed(books: &Books) -> Vec<Proposal> {
    let month = Month {
        provider: ProviderName::new("openai"),
        account: None,
        period: "2026-10".parse().unwrap(),
    };
    ties::proposals(books, &PriceTable::builtin().unwrap(), &month).await.unwrap()
}

#[tokio::test]
async fn a_tie_is_proposed_where_three_days_agree_and_none_is_made() {
    let house = House::new();
    let books = told(&house, 3).await;
    let found = proposed(&books).await;
    let said: Vec<(&str, &str, &str, usize, u64)> = found
        .iter()
        .map(|one| {
            let credential = one.credential.as_str();
            (credential, &*one.hint, &*one.subject, one.days_agreeing, one.tokens)
        })
        .collect();
    let sum = |key| (1..=3).map(|day| tokens_of(key, day)).sum();
    assert_eq!(
        said,
        [
            ("cred-2", "ed-2", "key:openai/key_2", 3, sum(2)),
            ("cred-1", "ed-1", "key:openai/key_1", 3, sum(1)),
        ]
    );
    assert_eq!(number(&books, "SELECT COUNT(*) FROM remarks").await, 0, "nobody consented");
    books.close().await;
}

#[tokio::test]
async fn two_days_are_not_enough_to_propose_a_tie() {
    let house = House::new();
    let books = told(&house, 2).await;
    assert_eq!(proposed(&books).await, []);
    books.close().await;
}

#[tokio::test]
async fn what_a_person_said_is_applied_and_not_proposed_again() {
    let house = House::new();
    let books = told(&house, 4).await;
    let before = house.report("openai", "2026-10", &[]);
    let unlogged = |report: &serde_json::Value| {
        let findings = report["findings"].as_array().unwrap();
        let found = findings.iter().find(|one| one["cause"] == "unlogged").unwrap();
        found["confidence"].as_str().unwrap().to_owned()
    };
    assert_eq!(unlogged(&before), "consistent", "{before:#}");
    for one in proposed(&books).await {
        ties::confirm(&books, &one.credential, &one.subject, "test", &clock()).await.unwrap();
    }
    assert_eq!(proposed(&books).await, []);
    let after = house.report("openai", "2026-10", &[]);
    assert_eq!(unlogged(&after), "proven", "every key used here is confirmed to be another one");
    let what = "the batch jobs of the data team";
    let (subject, said_at) = ("key:openai/key_3", clock().now());
    let known = Remark { said_at, actor: "test", subject, attribute: "known", value: what };
    accounts::say(&books, &known).await.unwrap();
    let marked = house.report("openai", "2026-10", &[]);
    assert!(marked["findings"].to_string().contains(what), "{marked:#}");
    let remarks = accounts::remarks(&books).await.unwrap();
    assert_eq!(remarks["credential:cred-1"]["tied_to"], "key:openai/key_1");
    assert_eq!(remarks["key:openai/key_3"]["known"], what);
    books.close().await;
}

#[tokio::test]
async fn a_key_tied_to_a_project_proves_what_another_project_was_billed() {
    let house = House::new();
    let books = house.books().await;
    let text = two_projects(&books).await;
    house.imported(&house.file("cost.csv", text));
    let proven = |report: &serde_json::Value| {
        let findings = report["findings"].as_array().unwrap();
        let mut found = findings.iter().filter(|one| one["confidence"] == "proven");
        found.next().map(|one| (one["subject"].clone(), one["amount"].clone()))
    };
    assert_eq!(proven(&house.report("openai", "2026-10", &[])), None, "no project is known");
    let credential = CredentialId::new("cred-1");
    ties::confirm(&books, &credential, "project:openai/proj_1", "test", &clock()).await.unwrap();
    let report = house.report("openai", "2026-10", &[]);
    assert_eq!(proven(&report), Some(("proj_2".into(), "310".into())), "{report:#}");
    books.close().await;
}

#[tokio::test]
async fn a_word_on_nothing_is_refused() {
    let house = House::new();
    let books = told(&house, 1).await;
    let nobody = CredentialId::new("nobody");
    let refused = ties::confirm(&books, &nobody, "key:openai/key_1", "test", &clock()).await;
    assert!(matches!(refused, Err(TieError::UnknownCredential(_))));
    let known = CredentialId::new("cred-1");
    for subject in ["", "key", "key:openai", "key:/x", "key:openai/", "person:openai/x"] {
        let refused = ties::confirm(&books, &known, subject, "test", &clock()).await;
        assert!(matches!(refused, Err(TieError::NotOnABill(_))), "{subject:?}");
    }
    assert_eq!(number(&books, "SELECT COUNT(*) FROM remarks").await, 0);
    books.close().await;
}
