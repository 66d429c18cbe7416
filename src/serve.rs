//! The gateway put together: built from a configuration, started on its listeners, ended in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::access::caller::{Caller, Callers};
use crate::bookkeeping::captures::Capturing;
use crate::bookkeeping::post::{PostError, Poster};
use crate::bookkeeping::retention;
use crate::config::error::ConfigError;
use crate::config::{self, Config, OnJournalFailure};
use crate::dashboard;
use crate::dashboard::drops::Drops;
use crate::dashboard::state::DashboardState;
use crate::failpoint;
use crate::gateway::call::Gateway;
use crate::gateway::capture::CaptureQueue;
use crate::gateway::counting::{CountingPool, StartCountingError};
use crate::gateway::incoming::Provider;
use crate::gateway::later::LaterUsage;
use crate::gateway::record::{Recorder, counted_entry};
use crate::gateway::running::Running as RunningCalls;
use crate::gateway::shared::{CallLimits, Shared};
use crate::ingress::listener::{listen, told_to_stop};
use crate::ingress::native::{self, IngressOptions};
use crate::journal::book::{Journal, JournalOptions, Opened};
use crate::journal::error::JournalError;
use crate::names::{Clock, ProviderName};
use crate::owner_only;
use crate::period::Timestamp;
use crate::pricing::problem::PriceError;
use crate::pricing::table::PriceTable;
use crate::sandbox;
use crate::sandbox::provider::Sandbox;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::facts;
use crate::telemetry::clock_jump;
use crate::telemetry::free_space::SpaceWatch;
use crate::upstream::client::{ClientError, UpstreamClient};
use crate::upstream::fingerprint::{FingerprintError, Fingerprinter};

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Everything configured: listeners (port 0 picks a free one), data folder, providers ...
    pub config: Config,
    /// The time of day.
    pub clock: Clock,
    /// A line above every page of the dashboard.
    pub banner: Option<String>,
}

/// A gateway that runs. Ended by [`Running::shutdown`]; dropped without it, it stops unfinished.
pub struct Running {
    /// Where clients call.
    pub proxy_addr: SocketAddr,
    /// Where the dashboard answers.
    pub dashboard_addr: SocketAddr,
    /// What the journal found on opening.
    pub opened: Opened,
    gateway: Gateway,
    journal: Journal,
    books: Books,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    posting: oneshot::Receiver<()>,
    stop_posting: oneshot::Sender<()>,
    retention: JoinHandle<()>,
    capturing: Option<Capturing>,
    patience: Duration,
    /// Clock and disk; they end when this is dropped.
    _watches: JoinSet<()>,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The books cannot be opened.
    #[error(transparent)]
    Books(#[from] StoreError),
    /// The journal cannot be read for posting.
    #[error(transparent)]
    Posting(#[from] PostError),
    /// The price files do not hold.
    #[error(transparent)]
    Prices(#[from] PriceError),
    /// The user's price file cannot be read.
    #[error("cannot read price_overlay {path}: {source}")]
    Overlay {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The fingerprint key cannot be used.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The counting threads do not start.
    #[error(transparent)]
    Counting(#[from] StartCountingError),
    /// The data folder cannot be made.
    #[error("cannot make the data folder {path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A listener cannot be bound.
    #[error("cannot listen on {addr}: {source}; another process may have it, try --listen")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// What the settlements of calls that were cut by a shutdown may take.
const LAST_SETTLEMENTS: Duration = Duration::from_secs(5);

/// How long a shutdown lets the counting threads go on.
const LAST_COUNTS: Duration = Duration::from_secs(2);

/// The clock on the wall.
#[expect(clippy::disallowed_methods, reason = "here and in cli the wall clock enters")]
pub fn wall_clock() -> Clock {
    Clock::new(|| Timestamp::from_datetime(chrono::Utc::now()))
}

/// Starts a gateway: its journal is open, its listeners answer when this returns.
///
/// # Errors
/// Something it needs cannot be had; nothing keeps running, and a journal that was opened is
/// closed in order.
pub async fn start(options: ServeOptions) -> Result<Running, ServeError> {
    failpoint::arm(config::failpoint().as_deref());
    let config = &options.config;
    let providers = providers(config)?;
    let callers = callers(config)?;
    let prices = price_table(config)?;
    // Bound before the journal is opened: a taken port is no unclean stop.
    let listeners = (bind(config.listen).await?, bind(config.dashboard_listen).await?);
    owner_only::make_folder(&config.data)
        .map_err(|source| ServeError::Folder { path: config.data.clone(), source })?;
    let books = Books::open(&config.data).await?;
    // Should the journal be gone, its gap begins where the books end.
    let books_know_until = facts::books_end(&books).await?;
    let journal_options = JournalOptions { books_know_until, ..journal_options(config) };
    let (journal, opened) =
        Journal::open(&config.data, options.clock.clone(), journal_options).await?;
    let parts = (providers, callers, prices);
    let started = assemble(options, parts, listeners, (journal.clone(), books), opened).await;
    if started.is_err() {
        drop(journal.close().await);
    }
    started
}

async fn assemble(
    options: ServeOptions,
    (providers, callers, prices): (Vec<Provider>, Callers, PriceTable),
    (proxy, pages): (TcpListener, TcpListener),
    (journal, books): (Journal, Books),
    opened: Opened,
) -> Result<Running, ServeError> {
    let ServeOptions { config, clock, banner } = options;
    books.keep_price_table(prices.version(), &prices.canonical(), clock.now()).await?;
    let mut poster = Poster::new(journal.clone(), books.clone()).await?;
    let later = remembered(&mut poster, &books, clock.now()).await;
    let page_prices = Arc::new(prices.clone());
    let (captures, captured) = callers.any_captured().then(CaptureQueue::new).unzip();
    let capturing = Capturing::start(&config.data, captured, clock.clone()).await?;
    let gateway = gateway(&config, &clock, &journal, prices, (later, captures))?;
    let proxy_addr = proxy.local_addr().unwrap_or(config.listen);
    let dashboard_addr = pages.local_addr().unwrap_or(config.dashboard_listen);
    let address = format!("http://{proxy_addr}");
    let (health, space) = (journal.clone(), SpaceWatch::default());
    let room = space.clone();
    let mut watches = JoinSet::new();
    watches.spawn(space.run(config.data.clone()));
    watches.spawn(clock_jump::watch(clock.clone()));
    let routes = native::router(IngressOptions {
        gateway: gateway.clone(),
        providers,
        callers,
        body_limit: config.limits.body_mib.saturating_mul(1024 * 1024),
        address: address.clone(),
        why_not_ready: Box::new(move || why_not_ready(&health, &room)),
    });
    let dashboard = dashboard::router(DashboardState {
        books: books.clone(),
        clock: clock.clone(),
        proxy_base_url: address,
        banner,
        allowed_hosts: Vec::new(),
        prices: page_prices,
        personal_key: Fingerprinter::open(&config.data)?.personal_key(),
        drops: Drops::default(),
    });
    let (stop_posting, posting_stopped) = oneshot::channel::<()>();
    let posting = poster.run_apart(async move { drop(posting_stopped.await) });
    let posting = posting.map_err(PostError::Thread)?;
    let (stop, stopped) = watch::channel(false);
    let mut until_stopped = stopped.clone();
    let retention = tokio::spawn(retention::run(
        journal.clone(),
        books.clone(),
        clock,
        config.limits.journal_days,
        async move { told_to_stop(&mut until_stopped).await },
    ));
    let listeners = vec![
        tokio::spawn(listen(proxy, routes, stopped.clone())),
        tokio::spawn(listen(pages, dashboard, stopped)),
    ];
    let patience = config.timeouts.shutdown;
    Ok(Running {
        proxy_addr,
        dashboard_addr,
        opened,
        gateway,
        journal,
        books,
        stop,
        listeners,
        posting,
        stop_posting,
        retention,
        capturing,
        patience,
        _watches: watches,
    })
}

fn why_not_ready(journal: &Journal, space: &SpaceWatch) -> Option<&'static str> {
    let health = journal.health();
    if health.failed.is_some() || health.waiting_for_room > 0 {
        Some("the journal takes no records")
    } else if space.is_scarce() {
        Some("the disk of the data folder is nearly full")
    } else {
        None
    }
}

fn providers(config: &Config) -> Result<Vec<Provider>, ConfigError> {
    let settings = config.provider_settings()?.into_iter();
    let provider = |it: config::ProviderSettings| Provider {
        name: ProviderName::new(it.name),
        base_url: it.base_url,
        dialect: it.dialect,
        key: it.api_key,
    };
    Ok(settings.map(provider).collect())
}

fn callers(config: &Config) -> Result<Callers, ConfigError> {
    let settings = config.caller_settings()?.into_iter();
    Ok(Callers::new(settings.map(|it| {
        if let Some(days) = it.capture_days {
            tracing::warn!(caller = it.name, days, "the content of this caller's calls is kept");
        }
        (Caller { name: it.name, team: it.team, capture_days: it.capture_days }, it.token)
    })))
}

fn journal_options(config: &Config) -> JournalOptions {
    // A page of the journal is 4 KiB.
    let max_pages = config.limits.journal_mib.map(|mib| mib.saturating_mul(256));
    let calls_may_pass_untracked = config.on_journal_failure == OnJournalFailure::AllowUntracked;
    JournalOptions { max_pages, calls_may_pass_untracked, ..JournalOptions::default() }
}

/// What earlier runs left to be settled, once everything they wrote is posted. The gateway serves
/// without it while the books are away; an answer that is fetched then settles nothing.
async fn remembered(poster: &mut Poster, books: &Books, now: Timestamp) -> LaterUsage {
    if let Err(error) = poster.post_once().await {
        tracing::warn!(%error, "posting what earlier runs wrote failed; it is tried again");
    }
    LaterUsage::restored(books, now).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the books do not say which answers are awaited");
        LaterUsage::default()
    })
}

fn gateway(
    config: &Config,
    clock: &Clock,
    journal: &Journal,
    prices: PriceTable,
    (later, captures): (LaterUsage, Option<CaptureQueue>),
) -> Result<Gateway, ServeError> {
    let counts = (journal.clone(), clock.clone());
    let counting = CountingPool::start(
        CountingPool::usual_threads(),
        config.limits.counting_queue_mib.saturating_mul(1024 * 1024),
        move |attempt, counted| {
            let (journal, clock) = &counts;
            if let Err(error) = journal.append_later(&counted_entry(attempt, clock.now(), counted))
            {
                tracing::warn!(%attempt, %error, "a count was dropped");
            }
        },
    )?;
    let untracked = config.on_journal_failure == OnJournalFailure::AllowUntracked;
    let timeouts = &config.timeouts;
    Ok(Gateway::new(Arc::new(Shared {
        recorder: Recorder::new(journal.clone(), clock.clone(), untracked),
        client: UpstreamClient::new(timeouts.connect)?,
        prices: ArcSwap::from_pointee(prices),
        counting: RwLock::new(Some(counting)),
        clock: clock.clone(),
        fingerprinter: Fingerprinter::open(&config.data)?,
        limits: CallLimits {
            headers: timeouts.headers,
            idle: timeouts.idle,
            drain: timeouts.drain,
        },
        later,
        captures,
        running: RunningCalls::default(),
        runtime: tokio::runtime::Handle::current(),
    })))
}

fn price_table(config: &Config) -> Result<PriceTable, ServeError> {
    let builtin = PriceTable::builtin()?;
    let Some(path) = &config.price_overlay else { return Ok(builtin) };
    let text = std::fs::read_to_string(path)
        .map_err(|source| ServeError::Overlay { path: path.clone(), source })?;
    Ok(builtin.with_overlay(&path.display().to_string(), &text)?)
}

impl Running {
    /// The books the calls are posted to.
    pub(crate) const fn books(&self) -> &Books {
        &self.books
    }

    /// The journal the calls are written to.
    pub(crate) const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The gateway's address as a URL.
    pub fn proxy_url(&self) -> String {
        format!("http://{}", self.proxy_addr)
    }

    /// The dashboard's address as a URL.
    pub(crate) fn dashboard_url(&self) -> String {
        format!("http://{}/", self.dashboard_addr)
    }

    /// Resolves with the reason once the journal cannot go on; the process then has to end.
    pub(crate) async fn failed(&self) -> String {
        self.journal.failed().await
    }

    /// Ends in order: takes no more calls, lets those under way finish for as long as the
    /// configuration says or until `hurry` resolves, settles all, and closes the journal last.
    ///
    /// # Errors
    /// The journal could not be closed in order.
    pub async fn shutdown(self, hurry: impl Future<Output = ()>) -> Result<(), JournalError> {
        let running = self.gateway.shared().running.clone();
        self.stop.send_replace(true);
        let mut hurry = pin!(hurry);
        tokio::select! {
            () = running.idle() => {}
            () = &mut hurry => tracing::warn!(calls = running.count(), "calls are cut: hurried"),
            () = tokio::time::sleep(self.patience) => {
                tracing::warn!(calls = running.count(), "calls are cut: the time is up");
            }
        }
        // Dropping a connection drops its call, which settles with what it has.
        for listener in self.listeners {
            listener.abort();
            drop(listener.await);
        }
        if tokio::time::timeout(LAST_SETTLEMENTS, running.idle()).await.is_err() {
            tracing::error!(calls = running.count(), "calls end without a settlement");
        }
        let counting = self.gateway.shared().take_counting();
        if let Some(counting) = counting {
            let stopped = tokio::task::spawn_blocking(move || counting.shut_down(LAST_COUNTS));
            drop(stopped.await);
        }
        self.gateway.shared().recorder.close_untracked_span();
        if let Some(capturing) = self.capturing {
            capturing.stop().await;
        }
        // Posting takes only what is synced; with this it takes everything.
        let committed = self.journal.health().committed_n;
        let synced = self.journal.synced(i64::try_from(committed).unwrap_or(i64::MAX)).await;
        drop(self.stop_posting);
        drop(self.posting.await);
        drop(self.retention.await);
        let closed = self.journal.close().await;
        self.books.close().await;
        synced.and(closed)
    }
}

/// A sandbox provider that answers.
pub(crate) struct RunningSandbox {
    /// Where.
    pub addr: SocketAddr,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
}

impl RunningSandbox {
    /// Waits until it stops by itself, which it does only if its listener breaks.
    pub(crate) async fn stopped(self) {
        drop(self.listener.await);
    }

    /// Stops it; calls under way finish.
    pub(crate) async fn shutdown(self) {
        self.stop.send_replace(true);
        drop(self.listener.await);
    }
}

/// Starts a sandbox provider; it answers when this returns.
///
/// # Errors
/// [`ServeError::Listen`].
pub(crate) async fn serve_sandbox(
    addr: SocketAddr,
    sandbox: Arc<Sandbox>,
) -> Result<RunningSandbox, ServeError> {
    let listener = bind(addr).await?;
    let addr = listener.local_addr().unwrap_or(addr);
    let (stop, stopped) = watch::channel(false);
    let listener = tokio::spawn(listen(listener, sandbox::router(sandbox), stopped));
    Ok(RunningSandbox { addr, stop, listener })
}

async fn bind(addr: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(addr).await.map_err(|source| ServeError::Listen { addr, source })
}
