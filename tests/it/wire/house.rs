//! The real gateway in this process, on a free port, over a folder of its own.

use std::path::Path;
use std::time::Duration;

use counterfoil::config::Config;
use counterfoil::journal::reader::JournalReader;
use counterfoil::ledger::entry::{Correction, Entry};
use counterfoil::ledger::gap::CoverageGap;
use counterfoil::ledger::intent::Intent;
use counterfoil::ledger::settlement::Settlement;
use counterfoil::names::Clock;
use counterfoil::serve::{self, Running, ServeOptions};
use tempfile::TempDir;

use crate::wire::client::{self, Answer, Client};

/// A running gateway.
pub struct House {
    pub running: Running,
    pub folder: TempDir,
}

impl House {
    /// Both providers answered by this upstream.
    pub async fn over(upstream: &str) -> Self {
        Self::with(upstream, "").await
    }

    /// The same with more configuration.
    pub async fn with(upstream: &str, more: &str) -> Self {
        Self::under(serve::wall_clock(), upstream, more).await
    }

    /// The same under another clock.
    pub async fn under(clock: Clock, upstream: &str, more: &str) -> Self {
        Self::start(clock, configured(upstream, more)).await
    }

    /// Configured by this text alone.
    pub async fn configured(text: &str) -> Self {
        Self::start(serve::wall_clock(), Config::from_text(text, "test", []).unwrap()).await
    }

    /// Ended in order and started again over the same folder.
    pub async fn restarted(self, upstream: &str) -> Self {
        let (_, folder) = self.end().await;
        Self::start_in(folder, serve::wall_clock(), configured(upstream, "")).await
    }

    async fn start(clock: Clock, config: Config) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), clock, config).await
    }

    pub async fn start_in(folder: TempDir, clock: Clock, mut config: Config) -> Self {
        config.data = folder.path().join("data");
        let running = serve::start(ServeOptions { config, clock, banner: None }).await.unwrap();
        Self { running, folder }
    }

    pub async fn ask(&self, line: &str, headers: &str, body: &str) -> Answer {
        client::ask(self.running.proxy_addr, line, headers, body.as_bytes()).await
    }

    /// A chat completion with a made-up key.
    pub async fn chat(&self, body: &str) -> Answer {
        self.ask("POST /openai/v1/chat/completions", CHAT_HEADERS, body).await
    }

    /// A message with a made-up key.
    pub async fn message(&self, body: &str) -> Answer {
        self.ask("POST /anthropic/v1/messages", MESSAGE_HEADERS, body).await
    }

    /// A page of the dashboard.
    pub async fn page(&self, path: &str) -> Answer {
        let mut client = Client::connect(self.running.dashboard_addr).await;
        let host = self.running.dashboard_addr;
        client.write(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await;
        client.answer().await
    }

    /// Everything in the journal once this many settlements are.
    pub async fn book(&self, settlements: usize) -> Book {
        for _ in 0..500 {
            let book = Book::read(&self.folder.path().join("data")).await;
            if book.settlements.len() >= settlements {
                return book;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{settlements} settlements were expected: {:#?}", self.journal().await)
    }

    /// Everything in the journal now.
    pub async fn journal(&self) -> Book {
        Book::read(&self.folder.path().join("data")).await
    }

    pub async fn end(self) -> (Book, TempDir) {
        self.running.shutdown(std::future::pending()).await.unwrap();
        let book = Book::read(&self.folder.path().join("data")).await;
        (book, self.folder)
    }
}

pub const CHAT_HEADERS: &str =
    "content-type: application/json\r\nauthorization: Bearer sk-test-0000000000004Qm\r\n";
pub const MESSAGE_HEADERS: &str = "content-type: application/json\r\n\
    anthropic-version: 2023-06-01\r\nx-api-key: sk-ant-test-000000000x4Qm\r\n";

/// A configuration on free ports.
pub fn configured(upstream: &str, more: &str) -> Config {
    let text = format!(
        "listen = '127.0.0.1:0'\ndashboard_listen = '127.0.0.1:0'\n{more}\n\
         [providers.openai]\nbase_url = '{upstream}'\n[providers.anthropic]\nbase_url = '{upstream}'"
    );
    Config::from_text(&text, "test", []).unwrap()
}

/// A journal's records by kind, in order.
#[derive(Debug, Default)]
pub struct Book {
    pub intents: Vec<Intent>,
    pub settlements: Vec<Settlement>,
    pub corrections: Vec<Correction>,
    pub counts: usize,
    pub gaps: Vec<CoverageGap>,
}

impl Book {
    pub async fn read(folder: &Path) -> Self {
        let mut reader = JournalReader::open(folder).await.unwrap();
        let last = reader.head().await.unwrap().last_n;
        let records = reader.after(0, last, u32::MAX).await.unwrap();
        reader.close().await.unwrap();
        let mut book = Self::default();
        for record in records {
            match record.entry().unwrap() {
                Entry::Intent(intent) => book.intents.push(*intent),
                Entry::Settlement(settlement) => book.settlements.push(*settlement),
                Entry::Correction(correction) => book.corrections.push(*correction),
                Entry::Count(_) => book.counts += 1,
                Entry::Gap(gap) => book.gaps.push(gap),
            }
        }
        book
    }

    /// The only attempt.
    pub fn only(&self) -> (&Intent, &Settlement) {
        assert_eq!((self.intents.len(), self.settlements.len()), (1, 1), "{self:#?}");
        assert_eq!(self.intents[0].attempt, self.settlements[0].attempt);
        (&self.intents[0], &self.settlements[0])
    }
}
