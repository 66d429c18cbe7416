//! What every page promises: it answers without a script, its twins have their schema, and nobody
//! writes or reads through a foreign host or page.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use counterfoil::bookkeeping::import::{ExportBytes, ExportFile, ImportChoice, import};
use counterfoil::dashboard;
use counterfoil::dashboard::drops::Drops;
use counterfoil::dashboard::state::DashboardState;
use counterfoil::names::Clock;
use counterfoil::period::Timestamp;
use counterfoil::pricing::table::PriceTable;
use counterfoil::store::books::Books;
use counterfoil::store::reports::{MonthOf, StoredReport, keep_report};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

const HOST: &str = "127.0.0.1:4181";

mod said;

struct House {
    _folder: tempfile::TempDir,
    pages: Router,
}

fn now() -> Timestamp {
    "2026-11-21T15:30:00Z".parse().unwrap()
}

/// A millisecond later at every look, so that of two reports one is the newer.
fn ticking() -> Timestamp {
    static LOOKS: AtomicI64 = AtomicI64::new(1);
    now().plus_micros(LOOKS.fetch_add(1, Ordering::Relaxed) * 1_000)
}

async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let books = Books::open(folder.path()).await.unwrap();
    let fixture = "tests/fixtures/invoices/reconstructed/openai/cost_grouped_line_item_2026-09.csv";
    let file = ExportFile {
        name: "cost_grouped_line_item_2026-09.csv".to_owned(),
        bytes: ExportBytes::Path(Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture)),
    };
    import(&books, &file, &ImportChoice::default(), now()).await.unwrap();
    let report = StoredReport {
        report: "01a1fdfc-0000-7000-8000-00000000beef".to_owned(),
        made_at: now(),
        inputs_hash: "a test".to_owned(),
        status: "reconciled".to_owned(),
        body: include_str!("../../fixtures/reconcile/example_report.json").to_owned(),
    };
    let of = MonthOf { provider: "openai", account: "org-1", period: "2026-10".parse().unwrap() };
    keep_report(&books, &of, &report).await.unwrap();
    House { pages: pages(books), _folder: folder }
}

fn pages(books: Books) -> Router {
    dashboard::router(DashboardState {
        books,
        clock: Clock::new(ticking),
        proxy_base_url: "http://127.0.0.1:4180".to_owned(),
        banner: Some("<script>alert(1)</script>".to_owned()),
        allowed_hosts: Vec::new(),
        prices: Arc::new(PriceTable::builtin().unwrap()),
        personal_key: b"key of a test".to_vec(),
        drops: Drops::default(),
    })
}

impl House {
    async fn ask(&self, request: Request<Body>) -> Response<Body> {
        self.pages.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Response<Body> {
        let request = Request::get(path).header(header::HOST, HOST);
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&text(self.get(path).await).await).unwrap()
    }

    async fn post(&self, path: &str, form: &str) -> Response<Body> {
        let request = Request::post(path)
            .header(header::HOST, HOST)
            .header(header::ORIGIN, format!("http://{HOST}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.ask(request.body(Body::from(form.to_owned())).unwrap()).await
    }
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

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

fn fits(schema: &str, body: &Value, path: &str) {
    let file = format!("{}/tests/schemas/{schema}.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    check(&schema, body, path);
}

/// The part of JSON Schema the files use: type, required, properties, items.
fn check(schema: &Value, value: &Value, at: &str) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match &schema["type"] {
        Value::String(wanted) => assert_eq!(wanted, kind, "{at}"),
        Value::Array(wanted) => assert!(wanted.contains(&kind.into()), "{at}: {kind}"),
        _ => {}
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(object.contains_key(name.as_str().unwrap()), "{at} lacks {name}");
        }
        for (name, member) in object {
            if let Some(known) = schema["properties"].get(name) {
                check(known, member, &format!("{at} {name}"));
            }
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{at}[{index}]"));
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
