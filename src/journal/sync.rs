//! The sync thread: makes what is committed survive a power cut, many commits at a time.

use std::fs::File;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

/// How long a commit nobody waits for may stay unsynced.
const LAZY: Duration = Duration::from_millis(100);

/// The least time from one sync to the next while so many wait for each that it makes fewer and
/// larger groups. Providers think for longer, so it is hardly ever waited for.
const SPACING: Duration = Duration::from_millis(2);
const LOAD: usize = 4;

/// Resolves once what it waits for is synced, or with the reason it never will be.
type Told = Result<(), Arc<str>>;

#[derive(Debug, Default)]
struct State {
    committed: i64,
    /// The newest record somebody waits for.
    wanted: i64,
    stop: bool,
    rest: Rest,
    /// Who waits, and for which record.
    waiting: Vec<(i64, oneshot::Sender<Told>)>,
}

/// What the sync thread sleeps for; waking one that does not sleep would cost a system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    #[default]
    Awake,
    UntilCommit,
    UntilWanted,
}

/// What the writer tells the sync thread and what that thread tells those who wait.
#[derive(Debug)]
pub(crate) struct Syncer {
    state: Mutex<State>,
    changed: Condvar,
    synced: AtomicI64,
    failed: watch::Sender<Option<Arc<str>>>,
}

impl Syncer {
    /// Starts the thread on a WAL of which everything up to `synced` is already safe.
    pub(crate) fn start(wal: File, synced: i64) -> std::io::Result<Arc<Self>> {
        let syncer = Arc::new(Self {
            state: Mutex::new(State { committed: synced, wanted: synced, ..State::default() }),
            changed: Condvar::new(),
            synced: AtomicI64::new(synced),
            failed: watch::Sender::new(None),
        });
        let own = Arc::clone(&syncer);
        let thread = thread::Builder::new().name("journal-sync".to_owned());
        thread.spawn(move || own.run(&wal))?;
        Ok(syncer)
    }

    /// Says that everything up to `committed` is in the WAL.
    pub(crate) fn committed(&self, committed: i64) {
        let mut state = self.state();
        state.committed = state.committed.max(committed);
        self.wake(state, false);
    }

    /// Everything up to here survives a power cut.
    pub(crate) fn synced(&self) -> i64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Why the journal stopped for good, if it did.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        self.failed.borrow().clone()
    }

    /// Changes once, when the journal stops for good.
    pub(crate) fn watch_failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.failed.subscribe()
    }

    /// Waits until everything up to `n` is synced, or for the reason it never will be.
    pub(crate) async fn reached(&self, n: i64) -> Told {
        match self.ask(n) {
            Some(told) => told.await.unwrap_or_else(|_| Err(gone())),
            None => Ok(()),
        }
    }

    /// The same for a thread that may block.
    pub(crate) fn reached_blocking(&self, n: i64) -> Told {
        match self.ask(n) {
            Some(told) => told.blocking_recv().unwrap_or_else(|_| Err(gone())),
            None => Ok(()),
        }
    }

    /// Asks for a sync up to `n` without the lazy while; `None` if there was one.
    fn ask(&self, n: i64) -> Option<oneshot::Receiver<Told>> {
        if self.synced() >= n {
            return None;
        }
        let (tell, told) = oneshot::channel();
        let mut state = self.state();
        if let Some(reason) = self.failure() {
            drop(tell.send(Err(reason)));
        } else if self.synced() >= n {
            return None;
        } else if state.stop {
            drop(tell.send(Err(gone())));
        } else {
            state.waiting.push((n, tell));
            state.wanted = state.wanted.max(n);
            self.wake(state, true);
        }
        Some(told)
    }

    /// Stops the journal for good. The first reason stays.
    pub(crate) fn fail(&self, reason: &str) {
        let mut state = self.state();
        let mut first: Option<Arc<str>> = None;
        self.failed.send_if_modified(|failed| {
            let is_first = failed.is_none();
            first = Some(Arc::clone(failed.get_or_insert_with(|| reason.into())));
            is_first
        });
        for (_, tell) in state.waiting.drain(..) {
            drop(tell.send(Err(first.clone().unwrap_or_else(gone))));
        }
    }

    /// Lets the thread sync what is committed and end.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stop = true;
        self.wake(state, true);
    }

    fn wake(&self, mut state: MutexGuard<'_, State>, is_wanted: bool) {
        let is_awaited =
            state.rest == Rest::UntilCommit || is_wanted && state.rest == Rest::UntilWanted;
        if is_awaited {
            state.rest = Rest::Awake;
            drop(state);
            self.changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, wal: &File) {
        let mut synced = self.synced();
        loop {
            let (goal, last) = self.next_goal(synced);
            let begun = Instant::now();
            let mut told = 0;
            if goal > synced {
                // A failed sync is never retried: the kernel may have dropped the pages.
                if let Err(error) = wal.sync_data() {
                    return self.fail(&format!("syncing the journal's WAL failed: {error}"));
                }
                synced = goal;
                told = self.tell(goal, last);
            }
            if last {
                self.tell(synced, true);
                return;
            }
            if told >= LOAD {
                thread::sleep(SPACING.saturating_sub(begun.elapsed()));
            }
        }
    }

    /// Tells those whose record is safe, and at the end those whose record never came; how many
    /// are safe.
    fn tell(&self, synced: i64, last: bool) -> usize {
        let mut state = self.state();
        self.synced.store(synced, Ordering::Release);
        let reached: Vec<_> = state.waiting.extract_if(.., |(n, _)| *n <= synced).collect();
        let never: Vec<_> = if last { state.waiting.drain(..).collect() } else { Vec::new() };
        drop(state);
        let told = reached.len();
        for (_, tell) in reached {
            drop(tell.send(Ok(())));
        }
        for (_, tell) in never {
            drop(tell.send(Err(gone())));
        }
        told
    }

    /// Waits until something is worth a sync; with it, whether this is the last one.
    fn next_goal(&self, synced: i64) -> (i64, bool) {
        let mut state = self.state();
        let mut lazy_until = Instant::now() + LAZY;
        while state.wanted.min(state.committed) <= synced && !state.stop {
            let left = lazy_until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                // Within this time a commit is not worth waking up for, only who waits is.
                state.rest = Rest::UntilWanted;
                let waited = self.changed.wait_timeout(state, left);
                (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            } else if state.committed > synced {
                break;
            } else {
                state.rest = Rest::UntilCommit;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                lazy_until = Instant::now() + LAZY;
            }
        }
        state.rest = Rest::Awake;
        (state.committed, state.stop)
    }
}

fn gone() -> Arc<str> {
    "the sync thread has ended".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(path: &std::path::Path) -> Arc<Syncer> {
        Syncer::start(std::fs::OpenOptions::new().write(true).open(path).unwrap(), 0).unwrap()
    }

    async fn until(syncer: &Syncer, n: i64) {
        while syncer.synced() < n {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_commit_nobody_waits_for_is_synced_soon_and_one_that_is_waited_for_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let syncer = on(file.path());
        syncer.committed(3);
        until(&syncer, 3).await;
        syncer.committed(5);
        syncer.reached(5).await.unwrap();
        assert_eq!(syncer.synced(), 5);
        // Asked for before it is committed, too.
        let early = tokio::spawn({
            let syncer = Arc::clone(&syncer);
            async move { syncer.reached(9).await }
        });
        tokio::task::yield_now().await;
        syncer.committed(9);
        early.await.unwrap().unwrap();
        syncer.stop();
        assert!(syncer.reached(10).await.is_err());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_sync_that_fails_is_not_retried_and_stops_everything_for_good() {
        // The null device takes writes and refuses to be synced.
        let syncer = on(std::path::Path::new("/dev/null"));
        syncer.committed(1);
        let reason = syncer.reached(1).await.unwrap_err();
        assert!(reason.contains("syncing the journal's WAL failed"), "{reason}");
        syncer.committed(2);
        assert!(syncer.reached(2).await.is_err());
        assert_eq!(syncer.synced(), 0);
    }
}
