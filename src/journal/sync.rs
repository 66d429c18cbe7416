//! The sync thread: makes what is committed survive a power cut, many commits at a time.

use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

/// How long a commit nobody waits for may stay unsynced.
const LAZY: Duration = Duration::from_millis(100);

/// How far the journal has come, and whether it can go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Everything up to here survives a power cut.
    pub(crate) synced: i64,
    /// Why the journal stopped for good.
    pub(crate) failed: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct Wanted {
    committed: i64,
    urgent: i64,
    stop: bool,
    /// The thread sleeps without a time limit: nothing was unsynced.
    asleep: bool,
}

/// What the writer tells the sync thread and what that thread tells everybody.
#[derive(Debug)]
pub(crate) struct Syncer {
    wanted: Mutex<Wanted>,
    changed: Condvar,
    progress: watch::Sender<Progress>,
}

impl Syncer {
    /// Starts the thread on a WAL of which everything up to `synced` is already safe.
    pub(crate) fn start(wal: File, synced: i64) -> std::io::Result<Arc<Self>> {
        let syncer = Arc::new(Self {
            wanted: Mutex::new(Wanted { committed: synced, urgent: synced, ..Wanted::default() }),
            changed: Condvar::new(),
            progress: watch::Sender::new(Progress { synced, failed: None }),
        });
        let own = Arc::clone(&syncer);
        let thread = thread::Builder::new().name("journal-sync".to_owned());
        thread.spawn(move || own.run(&wal))?;
        Ok(syncer)
    }

    /// Says that everything up to `committed` is in the WAL; `urgent` if someone waits for it.
    pub(crate) fn committed(&self, committed: i64, urgent: bool) {
        let mut wanted = self.wanted();
        wanted.committed = wanted.committed.max(committed);
        if urgent {
            wanted.urgent = wanted.urgent.max(committed);
        }
        if urgent || wanted.asleep {
            drop(wanted);
            self.changed.notify_one();
        }
    }

    /// Asks for a sync up to `n` without waiting the lazy while.
    pub(crate) fn hurry(&self, n: i64) {
        let mut wanted = self.wanted();
        wanted.urgent = wanted.urgent.max(n);
        drop(wanted);
        self.changed.notify_one();
    }

    /// Where the journal stands.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Where the journal stands now.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Waits until everything up to `n` is synced, or for the reason it never will be.
    pub(crate) async fn reached(&self, n: i64) -> Result<(), Arc<str>> {
        let mut progress = self.watch();
        if progress.borrow().synced < n {
            self.hurry(n);
        }
        let seen = progress.wait_for(|it| it.synced >= n || it.failed.is_some()).await;
        match seen {
            Ok(now) if now.synced >= n => Ok(()),
            Ok(now) => Err(now.failed.clone().unwrap_or_else(|| "stopped".into())),
            Err(_) => Err("the sync thread is gone".into()),
        }
    }

    /// Stops the journal for good. The first reason stays.
    pub(crate) fn fail(&self, reason: &str) {
        self.progress.send_if_modified(|progress| {
            let first = progress.failed.is_none();
            progress.failed.get_or_insert_with(|| reason.into());
            first
        });
    }

    /// Lets the thread sync what is committed and end.
    pub(crate) fn stop(&self) {
        self.wanted().stop = true;
        self.changed.notify_one();
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, wal: &File) {
        let mut synced = self.progress.borrow().synced;
        loop {
            let (goal, last) = self.next_goal(synced);
            if goal > synced {
                // A failed sync is never retried: the kernel may have dropped the pages.
                if let Err(error) = wal.sync_data() {
                    return self.fail(&format!("syncing the journal's WAL failed: {error}"));
                }
                synced = goal;
                self.progress.send_modify(|progress| progress.synced = goal);
            }
            if last {
                return;
            }
        }
    }

    /// Waits until something is worth a sync; with it, whether this is the last one.
    fn next_goal(&self, synced: i64) -> (i64, bool) {
        let mut wanted = self.wanted();
        while wanted.urgent.min(wanted.committed) <= synced && !wanted.stop {
            if wanted.committed <= synced {
                wanted.asleep = true;
                wanted = self.changed.wait(wanted).unwrap_or_else(PoisonError::into_inner);
                wanted.asleep = false;
                continue;
            }
            let waited = self.changed.wait_timeout(wanted, LAZY);
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            wanted = next;
            if timeout.timed_out() {
                break;
            }
        }
        (wanted.committed, wanted.stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(path: &std::path::Path) -> Arc<Syncer> {
        Syncer::start(std::fs::OpenOptions::new().write(true).open(path).unwrap(), 0).unwrap()
    }

    #[tokio::test]
    async fn a_commit_nobody_waits_for_is_synced_soon_and_one_that_is_waited_for_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let syncer = on(file.path());
        syncer.committed(3, false);
        let mut progress = syncer.watch();
        progress.wait_for(|it| it.synced == 3).await.unwrap();
        syncer.committed(5, false);
        syncer.reached(5).await.unwrap();
        syncer.committed(9, true);
        progress.wait_for(|it| it.synced == 9).await.unwrap();
        syncer.stop();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_sync_that_fails_is_not_retried_and_stops_everything_for_good() {
        // The null device takes writes and refuses to be synced.
        let syncer = on(std::path::Path::new("/dev/null"));
        syncer.committed(1, true);
        let reason = syncer.reached(1).await.unwrap_err();
        assert!(reason.contains("syncing the journal's WAL failed"), "{reason}");
        syncer.committed(2, true);
        assert!(syncer.reached(2).await.is_err());
        assert_eq!(syncer.progress().synced, 0);
    }
}
