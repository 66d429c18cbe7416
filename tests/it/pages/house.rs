//! The pages over books with a file imported and a month reconciled, asked as a browser asks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, header};
use counterfoil::bookkeeping::export_file::{ExportBytes, ExportFile, ImportChoice};
use counterfoil::bookkeeping::import::import;
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

pub(super) const HOST: &str = "127.0.0.1:4181";

pub(super) struct House {
    pub(super) _folder: tempfile::TempDir,
    pub(super) pages: Router,
}

pub(super) fn now() -> Timestamp {
    "2026-11-21T15:30:00Z".parse().unwrap()
}

/// A millisecond later at every look, so that of two reports one is the newer.
fn ticking() -> Timestamp {
    static LOOKS: AtomicI64 = AtomicI64::new(1);
    now().plus_micros(LOOKS.fetch_add(1, Ordering::Relaxed) * 1_000)
}

pub(super) async fn house() -> House {
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

pub(super) fn pages(books: Books) -> Router {
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
    pub(super) async fn ask(&self, request: Request<Body>) -> Response<Body> {
        self.pages.clone().oneshot(request).await.unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Response<Body> {
        let request = Request::get(path).header(header::HOST, HOST);
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    pub(super) async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&text(self.get(path).await).await).unwrap()
    }

    pub(super) async fn post(&self, path: &str, form: &str) -> Response<Body> {
        let request = Request::post(path)
            .header(header::HOST, HOST)
            .header(header::ORIGIN, format!("http://{HOST}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.ask(request.body(Body::from(form.to_owned())).unwrap()).await
    }
}

pub(super) async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
