//! What every page promises: it answers without a script, its twins have their schema, and nobody
//! writes or reads through a foreign host or page.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};

use crate::pages::house::{HOST, house, text};
use crate::pages::schema::fits;

#[tokio::test]
async fn every_page_answers_with_a_policy_and_without_running_foreign_text() {
    let house = house().await;
    for path in [
        "/",
        "/?range=7d&group=team&team=%3Cb%3E",
        "/requests?status=errors",
        "/accounts",
        "/invoices",
        "/reconcile",
        "/reconcile/openai/2026-10",
        "/reconcile/openai/2026-10/claim",
        "/reconcile/openai/2026-09?account=org-FIXTURE",
        "/prices",
    ] {
        let answer = house.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        let html = text(answer).await;
        assert!(!html.contains("<script>alert"), "{path}");
        assert!(!html.contains(" style=\"") && !html.contains("onclick"), "{path}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_or_found_is_said() {
    let house = house().await;
    assert_eq!(house.get("/nothing").await.status(), StatusCode::NOT_FOUND);
    let missing = house.get("/requests/0190.json").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(text(missing).await.contains("x-counterfoil-request-id"));
    for path in ["/?range=soon", "/requests?limit=0", "/reconcile/openai/oct", "/prices?day=x"] {
        assert_eq!(house.get(path).await.status(), StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn a_foreign_host_or_page_neither_reads_nor_writes() {
    let house = house().await;
    let foreign = Request::get("/").header(header::HOST, "evil.example:4181");
    let answer = house.ask(foreign.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let form = |origin: &str| {
        Request::post("/accounts/remark")
            .header(header::HOST, HOST)
            .header(header::ORIGIN, origin)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from("subject=key%3Aopenai%2Fkey_1&known=playground"))
            .unwrap()
    };
    let answer = house.ask(form("http://evil.example")).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let answer = house.ask(form("http://127.0.0.1:4181")).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn every_json_twin_has_its_schema() {
    let house = house().await;
    for (path, schema) in [
        ("/overview.json", "overview"),
        ("/requests.json", "requests"),
        ("/accounts.json", "accounts"),
        ("/invoices.json", "invoices"),
        ("/reconcile.json", "reconcile"),
        ("/prices.json?model=gpt", "prices"),
        ("/reconcile/openai/2026-10.json", "report"),
        ("/reconcile/openai/2026-08.json", "report_missing"),
    ] {
        fits(schema, &house.json(path).await, path);
    }
}

#[tokio::test]
async fn a_csv_twin_is_a_download_and_assets_keep_their_name() {
    let house = house().await;
    let answer = house.get("/invoices.csv").await;
    let said = answer.headers()[header::CONTENT_DISPOSITION].to_str().unwrap().to_owned();
    assert_eq!(said, "attachment; filename=\"imports.csv\"");
    let html = text(house.get("/").await).await;
    let from = html.find("/assets/style.").unwrap();
    let style = &html[from..from + html[from..].find('"').unwrap()];
    let answer = house.get(style).await;
    assert!(answer.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
}
