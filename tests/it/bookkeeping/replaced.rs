//! Which export speaks for a day: re-exports, totals beside lines, accounts, and taking back.

use serde_json::{Value, json};

use crate::bookkeeping::house::{House, cost, cost_of, totals};

const ADVICE: &str = "imported as one total per day; it names no model, so only the total can be \
                      compared; export again grouped by line item, it will replace this";

/// What the engine is given as billed, in a month.
fn billed(house: &House) -> Value {
    house.report("openai", "2026-10", &[])["billed"].clone()
}

#[test]
fn a_re_export_replaces_its_days_and_says_by_how_much() {
    let house = House::new();
    let first = house.file("a.csv", cost(&[(1, "1", "gpt-5, input"), (2, "2", "gpt-5, input")]));
    let first = house.imported(&first);
    assert_eq!(billed(&house), json!("3"));
    let second = cost(&[(2, "2.25", "gpt-5, input"), (3, "4", "gpt-5, input")]);
    let second = house.file("b.csv", second);
    let told = house.run(["import".as_ref(), second.as_os_str()]);
    assert!(told.out.contains("2 USD before, 2.25 USD now"), "{told:?}");
    let listed = house.imported(&second);
    assert_eq!(billed(&house), json!("7.25"));
    let batch = listed["batch"].as_str().unwrap();
    assert_ne!(listed["batch"], first["batch"]);
    let taken = house.run(["withdraw", batch]);
    assert_eq!(taken.code, Some(0), "{taken:?}");
    assert_eq!(billed(&house), json!("3"), "what was replaced speaks again");
    assert_eq!(house.run(["withdraw", batch]).code, Some(1), "and only once");
    // The same bytes may come back after they were taken back.
    let back = house.imported(&second);
    assert_eq!((&back["unchanged"], billed(&house)), (&json!(false), json!("7.25")));
    let replaced = &back["replaced"][0];
    assert_eq!(replaced["batch"], first["batch"]);
    assert_eq!(
        (&replaced["before"], &replaced["after"]),
        (&json!(["2 USD"]), &json!(["2.25 USD"]))
    );
    assert_eq!(replaced["days"], json!(["2026-10-02"]));
}

#[test]
fn totals_by_day_come_with_advice_and_lines_replace_them() {
    let house = House::new();
    let coarse = house.file("totals.csv", totals(&[(1, "1.5"), (2, "2")]));
    let told = house.run(["import".as_ref(), coarse.as_os_str()]);
    assert!(told.out.contains(ADVICE), "{told:?}");
    assert_eq!(billed(&house), json!("3.5"));
    let fine = house.file("fine.csv", cost(&[(1, "1.25", "gpt-5, input")]));
    let fine = house.imported(&fine);
    assert_eq!(fine["replaced"][0]["days"], json!(["2026-10-01"]));
    assert_eq!(fine["replaced"][0]["before"], json!(["1.5 USD"]));
    assert_eq!(billed(&house), json!("3.25"), "the second day has its total still");
}

#[test]
fn totals_by_day_check_lines_and_never_replace_them() {
    let house = House::new();
    let lines =
        cost(&[(1, "1", "gpt-5, input"), (1, "0.5", "gpt-5, output"), (2, "2", "gpt-5, input")]);
    house.imported(&house.file("fine.csv", lines));
    let agree = house.imported(&house.file("agree.csv", totals(&[(1, "1.50"), (2, "2")])));
    assert_eq!(agree["replaced"], json!([]));
    let said = agree["warnings"].to_string();
    assert!(said.contains("agree with the lines already imported on 2 days"), "{said}");
    assert_eq!(billed(&house), json!("3.5"));
    let differ = house.imported(&house.file("differ.csv", totals(&[(1, "1.50"), (2, "9")])));
    let said = differ["warnings"].to_string();
    assert!(said.contains("differ from the lines already imported on 1 of 2 days"), "{said}");
    assert!(said.contains("2026-10-02 9 USD by its total, 2 USD by lines"), "{said}");
    assert_eq!(billed(&house), json!("3.5"), "a total never replaces lines");
    assert_eq!(differ["replaced"], json!([]));
}

#[test]
fn an_account_is_asked_for_only_where_several_are_known_and_none_is_named() {
    let house = House::new();
    let named =
        |name: &str| house.file(&format!("{name}.csv"), cost_of(name, &[(1, "1", "gpt-5, input")]));
    assert_eq!(house.imported(&named("org-1"))["account"], "org-1");
    let nameless = house.file("nameless.csv", cost_of("", &[(2, "2", "gpt-5, input")]));
    assert_eq!(house.imported(&nameless)["account"], "org-1", "there is only one");
    assert_eq!(house.imported(&named("org-2"))["account"], "org-2");
    let nameless = house.file("nameless.csv", cost_of("", &[(3, "3", "gpt-5, input")]));
    let (listed, ran) = house.import(&[&nameless], &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("--account") && ran.err.contains("org-1, org-2"), "{ran:?}");
    assert_eq!(listed[0]["batch"], Value::Null);
    let (listed, ran) = house.import(&[&nameless], &["--account", "org-2"]);
    assert_eq!((ran.code, &listed[0]["account"]), (Some(0), &json!("org-2")), "{ran:?}");
    let asked = house.run(["reconcile", "openai", "2026-10"]);
    assert_eq!(asked.code, Some(1));
    assert!(asked.err.contains("org-1, org-2"), "{asked:?}");
    let of = |account: &str| {
        house.report("openai", "2026-10", &["--account", account])["billed"].clone()
    };
    assert_eq!((of("org-1"), of("org-2")), (json!("3"), json!("4")));
}

#[test]
fn bytes_that_a_later_import_overruled_are_not_said_to_count() {
    let house = House::new();
    let right =
        house.file("right.csv", cost(&[(1, "1", "gpt-5, input"), (2, "2", "gpt-5, input")]));
    let wrong = house.file("wrong.csv", cost(&[(2, "5", "gpt-5, input")]));
    house.imported(&right);
    let later = house.imported(&wrong);
    let again = house.imported(&right);
    assert_eq!((&again["unchanged"], billed(&house)), (&json!(true), json!("6")));
    let said = again["overruled"].as_str().unwrap_or_default();
    assert!(said.contains("on 1 of its 2 days"), "{again}");
    assert!(said.contains(later["batch"].as_str().unwrap()), "{again}");
    let told = house.run(["import".as_ref(), right.as_os_str()]);
    assert!(told.out.contains("nothing to do\n  but on 1 of its 2 days"), "{told:?}");
    house.run(["withdraw", later["batch"].as_str().unwrap()]);
    assert_eq!(house.imported(&right).get("overruled"), None, "it speaks again");
}
