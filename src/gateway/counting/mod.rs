//! The counting threads: off the hot path, of low priority, behind a queue that never makes a call
//! wait. What is not counted is said to be not counted; the attempt's record never depends on it.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::metering::count::{CountLimits, Counter, Passed};
use crate::metering::counted::{CountedTokens, NotCounted};
use crate::metering::text::OutputText;
use crate::metering::tokenizer::Encoding;
use crate::names::{AttemptId, Endpoint, ModelName};

/// The bytes of request and answer that may wait, unless the configuration says otherwise: 64 MiB.
pub const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// The most jobs that may wait.
const QUEUE_JOBS: usize = 4_096;

/// What passed by in one attempt, to be counted.
#[derive(Clone, Debug)]
pub struct CountingJob {
    /// The attempt the count belongs to.
    pub attempt: AttemptId,
    /// The kind of call.
    pub endpoint: Endpoint,
    /// The model that answered, or else the one asked for; empty where neither is known.
    pub model: ModelName,
    /// The encoding the configuration names for this deployment.
    pub configured: Option<Encoding>,
    /// The request body as the provider got it.
    pub request: Bytes,
    /// What was answered; none where no answer came.
    pub answer: Option<OutputText>,
}

impl CountingJob {
    fn bytes(&self) -> usize {
        self.request.len() + self.answer.as_ref().map_or(0, OutputText::bytes)
    }

    fn passed(&self) -> Passed<'_> {
        Passed {
            endpoint: self.endpoint,
            model: self.model.as_str(),
            configured: self.configured,
            request: &self.request,
            answer: self.answer.as_ref(),
        }
    }
}

/// Why the counting threads did not start.
#[derive(Debug, thiserror::Error)]
#[error("the system refused a thread for counting tokens: {0}")]
pub struct StartCountingError(#[from] std::io::Error);

/// How long a thread that was woken waits before it counts: the call that woke it has an answer to
/// send, and on a small machine it would take its processor.
const ANSWER_FIRST: Duration = Duration::from_millis(2);

/// The threads that count. Dropping it stops them after the job in hand.
#[derive(Debug)]
pub struct CountingPool {
    desk: Arc<Desk>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl CountingPool {
    /// How many threads to start: a quarter of the cores, at least one. More would only slow the
    /// tokenizer down.
    pub(crate) fn usual_threads() -> usize {
        thread::available_parallelism().map_or(1, |cores| (cores.get() / 4).max(1))
    }

    /// Starts the threads. `on_counted` is called once for each job submitted, from a counting
    /// thread, or from the caller of [`Self::try_submit`] and [`Self::shut_down`] for a job they
    /// turn away; it should return soon.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        threads: usize,
        queue_bytes: usize,
        on_counted: impl Fn(AttemptId, CountedTokens) + Send + Sync + 'static,
    ) -> Result<Self, StartCountingError> {
        let counter = Counter::new(CountLimits::default());
        let count =
            move |job: &CountingJob, go_on: &dyn Fn() -> bool| counter.count(&job.passed(), go_on);
        Self::start_with(threads, queue_bytes, count, on_counted)
    }

    fn start_with(
        threads: usize,
        queue_bytes: usize,
        count: impl Fn(&CountingJob, &dyn Fn() -> bool) -> CountedTokens + Send + Sync + 'static,
        on_counted: impl Fn(AttemptId, CountedTokens) + Send + Sync + 'static,
    ) -> Result<Self, StartCountingError> {
        let desk = Arc::new(Desk {
            queue_bytes,
            queue: Mutex::default(),
            arrived: Condvar::new(),
            finished: Condvar::new(),
            hurry: AtomicBool::new(false),
            count: Box::new(count),
            on_counted: Box::new(on_counted),
        });
        let mut pool = Self { desk, threads: Vec::new() };
        for number in 0..threads.max(1) {
            let desk = Arc::clone(&pool.desk);
            let name = format!("counting-{number}");
            pool.threads.push(thread::Builder::new().name(name).spawn(move || desk.work())?);
        }
        Ok(pool)
    }

    /// Hands over a job and never waits: a job that finds no room is reported as not counted, at
    /// once.
    pub fn try_submit(&self, job: CountingJob) {
        let attempt = job.attempt;
        if let Err(reason) = self.desk.accept(job) {
            self.desk.report(attempt, CountedTokens::not_counted(reason));
        }
    }

    /// Takes no more jobs, lets the threads count what waits for at most this long, and reports what
    /// they did not reach as not counted.
    pub fn shut_down(mut self, patience: Duration) {
        self.desk.close(patience);
        for thread in self.threads.drain(..) {
            // A counting thread catches its own panics; one that died has nothing left to say.
            drop(thread.join());
        }
    }
}

impl Drop for CountingPool {
    fn drop(&mut self) {
        self.desk.close(Duration::ZERO);
    }
}

type CountJob = dyn Fn(&CountingJob, &dyn Fn() -> bool) -> CountedTokens + Send + Sync;
type OnCounted = dyn Fn(AttemptId, CountedTokens) + Send + Sync;

/// What the threads and the callers share.
struct Desk {
    queue_bytes: usize,
    queue: Mutex<Queue>,
    /// A job came, or the desk closed.
    arrived: Condvar,
    /// A job was done.
    finished: Condvar,
    /// The job in hand is to be given up at the next span.
    hurry: AtomicBool,
    count: Box<CountJob>,
    on_counted: Box<OnCounted>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<CountingJob>,
    bytes: usize,
    in_hand: usize,
    /// Threads that have to be woken for a job.
    asleep: usize,
    closed: bool,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queue = self.lock();
        out.debug_struct("Desk")
            .field("waiting", &queue.jobs.len())
            .field("bytes", &queue.bytes)
            .field("in_hand", &queue.in_hand)
            .field("closed", &queue.closed)
            .finish_non_exhaustive()
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing that can panic runs while the lock is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, job: CountingJob) -> Result<(), NotCounted> {
        let bytes = job.bytes();
        let mut queue = self.lock();
        if queue.closed {
            return Err(NotCounted::ShuttingDown);
        }
        if bytes > self.queue_bytes {
            return Err(NotCounted::LargerThanQueue);
        }
        if queue.jobs.len() >= QUEUE_JOBS || queue.bytes + bytes > self.queue_bytes {
            return Err(NotCounted::QueueFull);
        }
        queue.bytes += bytes;
        queue.jobs.push_back(job);
        let wakes = queue.asleep > 0;
        drop(queue);
        if wakes {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// One thread's life.
    fn work(&self) {
        lower_priority();
        while let Some(job) = self.next_job() {
            let go_on = || !self.hurry.load(Ordering::Relaxed);
            let counted = panic::catch_unwind(AssertUnwindSafe(|| (self.count)(&job, &go_on)));
            let counted =
                counted.unwrap_or_else(|_| CountedTokens::not_counted(NotCounted::Panicked));
            self.report(job.attempt, counted);
            let mut queue = self.lock();
            queue.in_hand -= 1;
            let is_awaited = queue.closed;
            drop(queue);
            if is_awaited {
                self.finished.notify_all();
            }
        }
    }

    /// The next job; none once the desk is closed and nothing waits.
    fn next_job(&self) -> Option<CountingJob> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                queue.bytes -= job.bytes();
                queue.in_hand += 1;
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue.asleep += 1;
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.asleep -= 1;
            if !queue.closed {
                drop(queue);
                thread::sleep(ANSWER_FIRST);
                queue = self.lock();
            }
        }
    }

    fn report(&self, attempt: AttemptId, counted: CountedTokens) {
        // A listener that panics must not take the thread, or the caller's request, with it.
        let told = panic::catch_unwind(AssertUnwindSafe(|| (self.on_counted)(attempt, counted)));
        if told.is_err() {
            tracing::error!(%attempt, "a token count was made but could not be handed on");
        }
    }

    fn close(&self, patience: Duration) {
        let start = Instant::now();
        let mut queue = self.lock();
        queue.closed = true;
        self.arrived.notify_all();
        while !(queue.jobs.is_empty() && queue.in_hand == 0) {
            let Some(left) = patience.checked_sub(start.elapsed()).filter(|left| !left.is_zero())
            else {
                break;
            };
            let waited = self.finished.wait_timeout(queue, left);
            (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        self.hurry.store(true, Ordering::Relaxed);
        queue.bytes = 0;
        let undone = std::mem::take(&mut queue.jobs);
        drop(queue);
        for job in undone {
            self.report(job.attempt, CountedTokens::not_counted(NotCounted::ShuttingDown));
        }
    }
}

/// Asks the system to run this thread after those that serve calls. Best effort: counting works
/// without. On Linux a thread has a priority of its own; elsewhere the whole process would slow down.
#[cfg(target_os = "linux")]
fn lower_priority() {
    const NICE: i32 = 10;
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "counting threads keep the usual priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

#[cfg(test)]
mod tests;
