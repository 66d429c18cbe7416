//! The overview over the books of a team with ten million attempts in twelve months.
//!
//! `cargo bench --bench overview` fills the sums (3 models x 8 keys x every hour of 365 days, three
//! meters each, errors beside) as posting would leave them, starts the gateway on them, and asks
//! for `/` over HTTP. The attempts themselves are left out: the page reads the newest by an index
//! and the rest from the sums.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints its figures and stops where it cannot go on"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use counterfoil::config::Config;
use counterfoil::serve::{self, ServeOptions};
use counterfoil::store::books::Books;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

const ROUNDS: usize = 25;

/// A row for each hour, model, key and meter; `$1` is the first hour, in microseconds.
const FILL_USAGE: &str = "
WITH RECURSIVE hours(h) AS (SELECT 0 UNION ALL SELECT h + 1 FROM hours WHERE h < 8759),
     keys(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM keys WHERE k < 7),
     models(m, p) AS (VALUES ('gpt-4o-mini-2024-07-18', 'openai'), ('gpt-4o-2024-08-06', 'openai'),
                             ('claude-sonnet-4-5-20250929', 'anthropic')),
     meters(meter) AS (VALUES ('input'), ('input.cache_read'), ('output'))
INSERT INTO usage_rollups
SELECT $1 + h * 3600000000, p, m, printf('%016x', k * 7919), 'org-1', 'proj_' || (k % 3), '',
       'team-' || (k % 4), 'app-' || k, 'billed', meter, m || meter, 'USD', 4000 + h % 50,
       600000000 + h % 700
FROM hours, keys, models, meters";

const FILL_ATTEMPTS: &str = "
WITH RECURSIVE hours(h) AS (SELECT 0 UNION ALL SELECT h + 1 FROM hours WHERE h < 8759),
     keys(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM keys WHERE k < 7),
     models(m, p) AS (VALUES ('gpt-4o-mini-2024-07-18', 'openai'), ('gpt-4o-2024-08-06', 'openai'),
                             ('claude-sonnet-4-5-20250929', 'anthropic')),
     ends(outcome, source, price, class, every) AS
         (VALUES ('completed', 'reported', 'priced', 'billed', 1),
                 ('provider_error', 'absent', 'no_usage', 'not_billed', 4))
INSERT INTO attempt_rollups
SELECT $1 + h * 3600000000, p, m, printf('%016x', k * 7919), 'org-1', 'proj_' || (k % 3), '',
       'team-' || (k % 4), 'app-' || k, outcome, source, price, class, 46, 46 * 900000
FROM hours, keys, models, ends WHERE (h + k) % every = 0";

const FOLD_USAGE: &str = "
INSERT INTO usage_days
SELECT hour - hour % 86400000000, provider, model, credential, organization, project, workspace,
       team, app, billing_class, meter, rate_id, currency, SUM(quantity), SUM(amount)
FROM usage_rollups GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13";

const FOLD_ATTEMPTS: &str = "
INSERT INTO attempt_days
SELECT hour - hour % 86400000000, provider, model, credential, organization, project, workspace,
       team, app, outcome, usage_source, price_status, billing_class, SUM(attempts),
       SUM(duration_us)
FROM attempt_rollups GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path()).await;
        let local = || "127.0.0.1:0".parse().unwrap();
        let config = Config {
            data: folder.path().to_owned(),
            listen: local(),
            dashboard_listen: local(),
            ..Config::default()
        };
        let options = ServeOptions { config, clock: serve::wall_clock(), banner: None };
        let running = serve::start(options).await.unwrap();
        let pages = running.dashboard_addr;
        for page in ["/", "/?range=30d", "/?range=year", "/?range=today"] {
            let (best, bytes) = ask(&format!("http://{pages}{page}")).await;
            println!("{page:<14} {best:>9.2?} best of {ROUNDS}, {bytes} bytes");
        }
        running.shutdown(std::future::pending()).await.unwrap();
    });
}

async fn fill(folder: &Path) {
    let books = Books::open(folder).await.unwrap();
    let hour = 3_600_000_000;
    let now = serve::wall_clock().now().micros();
    let first = now - now % hour - 8_759 * hour;
    for sql in [FILL_USAGE, FILL_ATTEMPTS, FOLD_USAGE, FOLD_ATTEMPTS] {
        let filled = sqlx::query(sql).bind(first).execute(books.writer()).await.unwrap();
        println!("{} sums", filled.rows_affected());
    }
    books.close().await;
}

/// The fastest of the rounds, and how long the page is.
async fn ask(url: &str) -> (Duration, usize) {
    let client: Client<_, Empty<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let (mut best, mut bytes) = (Duration::MAX, 0);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let answer = client.get(url.parse().unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{url} answers {}", answer.status());
        bytes = answer.into_body().collect().await.unwrap().to_bytes().len();
        best = best.min(begun.elapsed());
    }
    (best, bytes)
}
