//! What a person says on pages: a tie confirmed, a month closed; and what late data does to it.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use counterfoil::bookkeeping::export_file::{ExportBytes, ExportFile, ImportChoice};
use counterfoil::bookkeeping::import::import;
use counterfoil::store::books::Books;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::calls::{self, Call, Node, three_keys, tokens_of};
use crate::pages::house::{House, now, pages, text};
use crate::pages::schema::fits;

const MONTH: &str = "/reconcile/openai/2026-10";

/// Two keys that pass here and one that does not, on three days of October; billed to the token.
async fn told() -> (House, Books) {
    let folder = tempfile::tempdir().unwrap();
    let books = Books::open(folder.path()).await.unwrap();
    let export = three_keys(&books, 3).await;
    billed(folder, books, export).await
}

/// The pages over these books, with an export imported.
async fn billed(folder: TempDir, books: Books, export: String) -> (House, Books) {
    let path = folder.path().join("cost.csv");
    std::fs::write(&path, export).unwrap();
    let file = ExportFile { name: "cost.csv".to_owned(), bytes: ExportBytes::Path(path) };
    import(&books, &file, &ImportChoice::default(), now()).await.unwrap();
    (House { pages: pages(books.clone()), _folder: folder }, books)
}

fn is_seen_other(answer: &Response<Body>) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()[header::LOCATION].to_str().unwrap()
}

/// The month's state on `/reconcile`.
async fn state(house: &House) -> (String, String) {
    let body = house.json("/reconcile.json").await;
    fits("reconcile", &body, "/reconcile.json");
    let cells = body["months"]["lines"][0]["cells"].as_array().unwrap();
    let cell = cells.iter().find(|cell| cell["period"] == "2026-10").unwrap();
    let word = |name: &str| cell[name].as_str().unwrap().to_owned();
    (word("state"), word("text"))
}

#[tokio::test]
async fn a_proposed_tie_is_shown_with_what_speaks_for_it_and_made_only_by_its_button() {
    let (house, _books) = told().await;
    let body = house.json("/accounts.json").await;
    fits("accounts", &body, "/accounts.json");
    let first = &body["proposed"][0];
    assert_eq!(first["subject"], "key:openai/key_2");
    assert_eq!(first["days_agreeing"], 3);
    assert_eq!(first["tokens"], (1..=3).map(|day| tokens_of(2, day)).sum::<u64>());
    assert_eq!(body["proposed"].as_array().unwrap().len(), 2);
    let tied = |body: &Value| -> Vec<String> {
        let names = body["on_bills"].as_array().unwrap().iter();
        let tied = names.filter(|name| name["tied"] == true);
        tied.map(|name| name["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(tied(&body).is_empty(), "looking at the page ties nothing");
    let html = text(house.get("/accounts").await).await;
    assert!(html.contains("3 tied to nothing: tie it or mark it known"), "{html}");

    let answer = house.post("/accounts/tie", "credential=cred-2&subject=key:openai/key_2").await;
    assert!(is_seen_other(&answer).starts_with("/accounts?notice=Tied"));
    let body = house.json("/accounts.json").await;
    assert_eq!(tied(&body), ["key_2"]);
    assert_eq!(body["proposed"].as_array().unwrap().len(), 1, "what is tied is not proposed");
    for refused in ["credential=nobody&subject=key:openai/key_1", "credential=cred-1&subject=key"] {
        let answer = house.post("/accounts/tie", refused).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{refused}");
    }
    assert_eq!(tied(&house.json("/accounts.json").await), ["key_2"]);
}

#[tokio::test]
async fn a_month_is_closed_on_the_report_that_was_read_and_late_data_makes_it_stale() {
    let (house, books) = told().await;
    is_seen_other(&house.post(&format!("{MONTH}/compare"), "account=org-1").await);
    let before = house.json(&format!("{MONTH}.json")).await;
    fits("report", &before, MONTH);
    let read = before["report"].as_str().unwrap().to_owned();
    let close = format!("{MONTH}/close");
    let form =
        |report: &str, who: &str| format!("account=org-1&report={report}&who={who}&note=as+agreed");
    let nameless = house.post(&close, &form(&read, "+")).await;
    assert_eq!(nameless.status(), StatusCode::BAD_REQUEST);
    let answer = house.post(&close, &form(&read, "Ada")).await;
    assert!(is_seen_other(&answer).ends_with("#closing"));
    let closed = house.json(&format!("{MONTH}.json")).await;
    fits("report", &closed, MONTH);
    assert_eq!((&closed["closings"][0]["who"], &closed["stale"]), (&"Ada".into(), &Value::Null));
    assert_eq!(closed["closings"][0]["stands"], true);
    assert!(state(&house).await.1.ends_with("; closed"));

    let mut late = Node::new(&books);
    late.call(Call { at: "2026-10-02T08:00:00Z", key: "cred-9", ..Call::default() });
    late.post_as("node-2").await;
    let unread = house.post(&close, &form(&read, "Ada")).await;
    assert_eq!(
        unread.status(),
        StatusCode::CONFLICT,
        "nobody closes on a report they did not read"
    );
    let stale = house.json(&format!("{MONTH}.json")).await;
    fits("report", &stale, MONTH);
    assert_eq!(stale["stale"], "data came in after it was closed");
    assert_eq!(stale["closings"].as_array().unwrap().len(), 1);
    assert_eq!(stale["closings"][0]["stands"], false);
    assert_eq!(stale["closings"][0]["report"], read.as_str(), "what was closed stays as it was");
    assert_eq!(state(&house).await.0, "stale");
    let html = text(house.get(MONTH).await).await;
    assert!(html.contains("Stale: data came in after it was closed"), "{html}");

    let renewed = stale["report"].as_str().unwrap();
    is_seen_other(&house.post(&close, &form(renewed, "Grace")).await);
    let closed = house.json(&format!("{MONTH}.json")).await;
    let who: Vec<&str> = closed["closings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|closing| closing["who"].as_str().unwrap())
        .collect();
    assert_eq!(who, ["Grace", "Ada"], "a closing is added, none is edited");
    assert_eq!(closed["stale"], Value::Null);
}

#[tokio::test]
async fn the_usual_band_stands_beside_a_count_and_only_what_is_outside_is_flagged() {
    let folder = tempfile::tempdir().unwrap();
    let books = Books::open(folder.path()).await.unwrap();
    let mut node = Node::new(&books);
    let call = Call {
        model: "claude-sonnet-5",
        input: 1_310,
        output: 1_900,
        counted: Some((1_000, 1_000)),
        ..Call::default()
    };
    let attempt = node.call(call);
    node.post().await;
    let house = House { pages: pages(books), _folder: folder };
    let path = format!("/requests/{attempt}.json");
    let body = house.json(&path).await;
    fits("request", &body, &path);
    let sides = &body["attempts"][0]["usage"]["comparison"];
    assert_eq!(
        (&sides[0]["ratio_permille"], &sides[0]["is_unusual"]),
        (&1_310.into(), &false.into())
    );
    assert_eq!(
        (&sides[1]["ratio_permille"], &sides[1]["is_unusual"]),
        (&1_900.into(), &true.into())
    );
    let html = text(house.get(&format!("/requests/{attempt}")).await).await;
    assert!(html.contains("Input: for this model 1.20–1.50 ×, here 1.31 ×."), "{html}");
    assert_eq!(html.matches("outside what is usual").count(), 1);
}

#[tokio::test]
async fn a_team_given_to_a_key_answers_what_the_team_spent() {
    let (house, _books) = told().await;
    let month = "range=last-month";
    let groups = |body: &Value| -> Vec<(String, u64)> {
        let lines = body["groups"].as_array().unwrap().iter();
        let read = |line: &Value| {
            (line["group"].as_str().unwrap().to_owned(), line["attempts"].as_u64().unwrap())
        };
        lines.map(read).collect()
    };
    let by_team = format!("/overview.json?{month}&group=team");
    assert_eq!(groups(&house.json(&by_team).await), [(String::new(), 6)]);
    let form = "subject=credential%3Acred-1&team=search";
    is_seen_other(&house.post("/accounts/remark", form).await);
    let body = house.json(&by_team).await;
    let mut found = groups(&body);
    found.sort();
    assert_eq!(found, [(String::new(), 3), ("search".to_owned(), 3)]);
    let only = house.json(&format!("/overview.json?{month}&team=search")).await;
    assert_eq!(only["attempts"]["attempts"], 3);
    let list = house.json(&format!("/requests.json?{month}&team=search")).await;
    fits("requests", &list, "/requests.json");
    let attempts = list["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3);
    for attempt in attempts {
        assert_eq!((&attempt["team"], &attempt["given_team"]), (&Value::Null, &"search".into()));
    }
    is_seen_other(&house.post("/accounts/remark", "subject=credential%3Acred-1&team=").await);
    assert_eq!(groups(&house.json(&by_team).await), [(String::new(), 6)], "taken back");
}

#[tokio::test]
async fn the_overview_opens_on_last_month_while_this_one_has_hardly_a_day() {
    let (house, _books) = told().await;
    let opened = house.json("/overview.json").await;
    fits("overview", &opened, "/overview.json");
    assert_eq!(opened["period"]["start"], "2026-10-01T00:00:00Z");
    assert_eq!(opened["spend_previous"], Value::Null, "before our books is not zero");
    let html = text(house.get("/").await).await;
    assert!(html.contains("October 2026 is shown: November 2026 has traffic on no day so far."));
    assert!(html.contains("href=\"/?range=month\""), "{html}");
    let asked = house.json("/overview.json?range=month").await;
    assert_eq!(asked["period"]["start"], "2026-11-01T00:00:00Z");
}

#[tokio::test]
async fn the_requests_behind_a_finding_are_listed_with_their_cost_and_page_by_page() {
    let (house, books) = told().await;
    let mut unbilled = Node::new(&books);
    unbilled.call(Call { at: "2026-10-02T08:00:00Z", key: "cred-9", ..Call::default() });
    unbilled.post_as("node-2").await;
    is_seen_other(&house.post(&format!("{MONTH}/compare"), "account=org-1").await);
    let report = house.json(&format!("{MONTH}.json")).await;
    let findings = report["findings"].as_array().unwrap();
    let mut with_requests = 0_u32;
    for finding in findings {
        let id = finding["id"].as_str().unwrap().replace(' ', "%20");
        let link = format!("{MONTH}/requests?account=org-1&finding={id}");
        let body = house.json(&format!("{link}&format=json")).await;
        fits("behind", &body, &link);
        assert_eq!(body["amount"], finding["amount"]);
        assert_eq!(body["attempt_count"], finding["drill"]["attempt_count"]);
        if body["attempt_count"] != 0 {
            with_requests += 1;
            assert_eq!(body["is_their_cost"], true, "what is not billed is missing whole: {body}");
            assert_eq!(body["spend"], finding["amount"].as_str().unwrap().trim_start_matches('-'));
        }
        assert_eq!(house.get(&link).await.status(), StatusCode::OK);
        let beyond = house.get(&format!("{link}&page=2")).await;
        assert_eq!(beyond.status(), StatusCode::BAD_REQUEST, "there is one page only");
    }
    assert!(with_requests > 0, "{findings:?}");
    let none = house.get(&format!("{MONTH}/requests?account=org-1&finding=none")).await;
    assert_eq!(none.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_group_nothing_of_which_has_a_price_shows_no_price_and_never_zero() {
    let folder = tempfile::tempdir().unwrap();
    let books = Books::open(folder.path()).await.unwrap();
    let mut node = Node::new(&books);
    let at = "2026-11-20T12:00:00Z";
    node.call(Call { at, key: "cred-1", model: "nobody-knows", ..Call::default() });
    node.call(Call { at, key: "cred-2", ..Call::default() });
    node.call(Call { at, key: "cred-2", model: "nobody-knows", ..Call::default() });
    node.post().await;
    let house = House { pages: pages(books), _folder: folder };
    let path = "/overview.json?range=month&group=credential";
    let body = house.json(path).await;
    fits("overview", &body, path);
    let group = |name: &str| {
        let groups = body["groups"].as_array().unwrap();
        groups.iter().find(|line| line["group"] == name).unwrap().clone()
    };
    let (unknown, part) = (group("cred-1"), group("cred-2"));
    assert_eq!(unknown["spend"], Value::Null);
    assert_eq!(unknown["spend_per_attempt"], Value::Null);
    assert_eq!(unknown["attempts_without_price"], 1);
    // Averages are those of what has a price.
    assert_eq!((&part["spend"], &part["spend_per_attempt"]), (&json!("1.25"), &json!("1.25")));
    assert_eq!(part["attempts_without_price"], 1);
    let html = text(house.get("/?range=month&group=credential").await).await;
    assert!(html.contains("no price"));
    let accounts = house.json("/accounts.json").await;
    fits("accounts", &accounts, "/accounts.json");
    let spend = |name: &str| {
        let lines = accounts["credentials"].as_array().unwrap();
        lines.iter().find(|line| line["credential"] == name).unwrap()["spend_30_days"].clone()
    };
    assert_eq!((spend("cred-1"), spend("cred-2")), (Value::Null, json!("1.25")));
}

/// A key whose answers name no project, and a bill of a project of ours and of another one.
async fn two_projects() -> (House, Books) {
    let folder = tempfile::tempdir().unwrap();
    let books = Books::open(folder.path()).await.unwrap();
    let export = calls::two_projects(&books).await;
    billed(folder, books, export).await
}

#[tokio::test]
async fn a_key_is_tied_to_a_project_on_its_page_and_the_next_compare_takes_it_in() {
    let (house, _books) = two_projects().await;
    let html = text(house.get("/accounts").await).await;
    let offered = "<optgroup label=\"Projects\"><option value=\"project:openai/proj_1\">proj_1";
    assert!(html.contains(offered), "{html}");
    assert!(!html.contains("<optgroup label=\"Keys\">"), "the bill names no key");
    let compared = async || {
        is_seen_other(&house.post(&format!("{MONTH}/compare"), "account=org-1").await);
        let report = house.json(&format!("{MONTH}.json")).await;
        report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["cause"] == "unlogged")
            .map(|one| (one["subject"].clone(), one["confidence"].clone(), one["amount"].clone()))
    };
    assert_eq!(compared().await, None, "no project of ours is known");

    let form = "subject=credential%3Acred-1&tied_to=project%3Aopenai%2Fproj_1";
    is_seen_other(&house.post("/accounts/remark", form).await);
    let body = house.json("/accounts.json").await;
    fits("accounts", &body, "/accounts.json");
    assert_eq!(body["credentials"][0]["tied_to"], "project:openai/proj_1");
    let tied = |name: &str| {
        let names = body["on_bills"].as_array().unwrap();
        names.iter().find(|one| one["name"] == name).unwrap()["tied"].clone()
    };
    assert_eq!((tied("proj_1"), tied("proj_2")), (json!(true), json!(false)));
    let html = text(house.get("/accounts").await).await;
    assert!(html.contains("<option value=\"project:openai/proj_1\" selected>proj_1"), "{html}");
    assert_eq!(html.matches("project:openai/proj_1\" selected").count(), 1);
    assert_eq!(
        compared().await,
        Some((json!("proj_2"), json!("proven"), json!("310"))),
        "of every call the project is known"
    );
}

/// A call of two models every day of October, the first of them billed at half its price.
async fn half_price() -> (House, Books) {
    let folder = tempfile::tempdir().unwrap();
    let books = Books::open(folder.path()).await.unwrap();
    let mut node = Node::new(&books);
    let mut export =
        "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,\
                      quantity,quantity_unit,line_item,project_id,organization_id\n"
            .to_owned();
    for day in 1..=31 {
        let start = 1_790_812_800 + (i64::from(day) - 1) * 86_400;
        let (at, end) = (format!("2026-10-{day:02}T12:00:00Z"), start + 86_400);
        for (model, amount) in [("gpt-5-2025-08-07", "0.625"), ("gpt-5-mini-2025-08-07", "0.25")] {
            node.call(Call { at: &at, model, ..Call::default() });
            writeln!(
                export,
                "{start},{end},,,{amount},usd,1000000.0,tokens,\"{model}, input\",proj_1,org-1"
            )
            .unwrap();
        }
    }
    node.post().await;
    billed(folder, books, export).await
}

#[tokio::test]
async fn a_claim_names_every_row_and_the_price_it_rests_on() {
    let (house, _books) = half_price().await;
    is_seen_other(&house.post(&format!("{MONTH}/compare"), "account=org-1").await);
    let html = text(house.get(&format!("{MONTH}/claim")).await).await;
    let rows: Vec<String> = (0..31).map(|day| (2 * day + 1).to_string()).collect();
    assert!(html.contains(&format!("not counted): {}.", rows.join(", "))), "{html}");
    assert!(!html.contains("and more"), "{html}");
    assert!(html.contains("developers.openai.com/api/docs/pricing, read "), "{html}");
    let all = "/reconcile/openai/2026-10/requests?account=org-1";
    assert!(html.contains(all) && html.contains("format=csv"), "{html}");
    let start = html.find(all).unwrap();
    let link = html[start..].split('"').next().unwrap().replace("&#38;", "&");
    let csv = text(house.get(&link).await).await;
    assert_eq!(csv.lines().count(), 32, "{csv}");
    assert!(csv.lines().next().unwrap().contains("provider_request_id"), "{csv}");
}
