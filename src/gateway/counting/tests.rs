//! Jobs that are counted, dropped and waited for.

use std::sync::mpsc::{self, Receiver};

use uuid::Uuid;

use super::*;
use crate::metering::counted::CountMethod;
use crate::metering::text::OutputKind;

const SOON: Duration = Duration::from_secs(60);

fn job(number: u128, text: &str) -> CountingJob {
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let mut answer = OutputText::default();
    answer.push(OutputKind::Content, 0, 0, "hello world");
    CountingJob {
        attempt: AttemptId::from_uuid(Uuid::from_u128(number)),
        endpoint: Endpoint::Chat,
        model: "gpt-4o".into(),
        configured: None,
        request: body.into(),
        answer: Some(answer),
    }
}

fn listen() -> (impl Fn(AttemptId, CountedTokens) + Send + Sync, Counts) {
    let (sender, receiver) = mpsc::channel();
    let listener = move |attempt: AttemptId, counted| {
        sender.send((attempt.uuid().as_u128(), counted)).unwrap();
    };
    (listener, receiver)
}

#[test]
fn every_job_is_counted_once() {
    let (listener, counts) = listen();
    let pool = CountingPool::start(2, QUEUE_BYTES, listener).unwrap();
    for number in 0..100 {
        pool.try_submit(job(number, "hello world"));
    }
    pool.shut_down(SOON);
    let mut seen: Vec<u128> = counts
        .iter()
        .map(|(number, counted)| {
            assert_eq!((counted.input, counted.output), (Some(9), Some(2)));
            assert_eq!(counted.method, CountMethod::Exact);
            number
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
}

type Counts = Receiver<(u128, CountedTokens)>;

/// A pool whose one thread stands at a gate with its first job in hand.
fn held_pool(queue_bytes: usize) -> (CountingPool, mpsc::Sender<()>, Receiver<()>, Counts) {
    let (listener, counts) = listen();
    let (open, gate) = mpsc::channel::<()>();
    let (arrive, arrived) = mpsc::channel();
    let gate = Mutex::new(gate);
    let count = move |_: &CountingJob, go_on: &dyn Fn() -> bool| {
        arrive.send(()).unwrap();
        let gate = gate.lock().unwrap();
        while go_on() {
            if gate.recv_timeout(Duration::from_millis(5)).is_ok() {
                return CountedTokens::not_counted(NotCounted::NoTextEndpoint);
            }
        }
        CountedTokens::not_counted(NotCounted::ShuttingDown)
    };
    let pool = CountingPool::start_with(1, queue_bytes, count, listener).unwrap();
    (pool, open, arrived, counts)
}

#[test]
fn a_job_that_finds_no_room_is_reported_at_once() {
    let room = job(0, "x").bytes();
    let (pool, open, arrived, counts) = held_pool(room);
    pool.try_submit(job(0, "x"));
    arrived.recv().unwrap();
    pool.try_submit(job(1, "x"));
    {
        let queue = pool.desk.lock();
        assert_eq!((queue.jobs.len(), queue.bytes), (1, room));
    }
    pool.try_submit(job(2, "x"));
    let (number, skipped) = counts.recv().unwrap();
    assert_eq!((number, skipped.method), (2, CountMethod::SkippedBusy));
    assert_eq!(skipped.not_counted, Some(NotCounted::QueueFull));
    pool.try_submit(job(3, "a text longer than the whole queue"));
    let (number, skipped) = counts.recv().unwrap();
    assert_eq!((number, skipped.method), (3, CountMethod::SkippedSize));
    open.send(()).unwrap();
    open.send(()).unwrap();
    pool.shut_down(SOON);
    assert_eq!(counts.iter().count(), 2);
}

#[test]
fn the_number_of_waiting_jobs_is_bounded_too() {
    let (pool, _open, arrived, counts) = held_pool(QUEUE_BYTES);
    pool.try_submit(job(0, "x"));
    arrived.recv().unwrap();
    for number in 1..=QUEUE_JOBS as u128 + 1 {
        pool.try_submit(job(number, "x"));
    }
    let (number, skipped) = counts.recv().unwrap();
    assert_eq!(number, QUEUE_JOBS as u128 + 1);
    assert_eq!(skipped.not_counted, Some(NotCounted::QueueFull));
    pool.shut_down(Duration::ZERO);
    assert_eq!(counts.iter().count(), QUEUE_JOBS + 1);
}

#[test]
fn a_shutdown_waits_as_long_as_it_was_told_and_reports_what_is_left() {
    let (pool, _open, arrived, counts) = held_pool(QUEUE_BYTES);
    pool.try_submit(job(0, "x"));
    arrived.recv().unwrap();
    pool.try_submit(job(1, "x"));
    pool.shut_down(Duration::from_millis(20));
    let mut left: Vec<_> = counts.iter().collect();
    left.sort_by_key(|(number, _)| *number);
    assert_eq!(left.len(), 2);
    for (_, counted) in left {
        assert_eq!(counted.not_counted, Some(NotCounted::ShuttingDown));
    }
}

#[test]
fn a_job_that_breaks_is_reported_and_the_thread_goes_on() {
    let (listener, counts) = listen();
    let count = |job: &CountingJob, _: &dyn Fn() -> bool| {
        assert_ne!(job.attempt.uuid().as_u128(), 0, "planted");
        CountedTokens::not_counted(NotCounted::NoTextEndpoint)
    };
    let pool = CountingPool::start_with(1, QUEUE_BYTES, count, listener).unwrap();
    pool.try_submit(job(0, "x"));
    pool.try_submit(job(1, "x"));
    let (number, broken) = counts.recv().unwrap();
    assert_eq!((number, broken.method), (0, CountMethod::Failed));
    assert_eq!(broken.not_counted, Some(NotCounted::Panicked));
    assert_eq!(counts.recv().unwrap().0, 1);
    pool.shut_down(SOON);
}

/// Only the counting threads are moved back, not the threads that serve calls.
#[cfg(target_os = "linux")]
#[test]
fn a_counting_thread_runs_after_others_and_leaves_their_priority_alone() {
    let before = rustix::process::getpriority_process(None).unwrap();
    let (sender, priorities) = mpsc::channel();
    let count = move |_: &CountingJob, _: &dyn Fn() -> bool| {
        sender.send(rustix::process::getpriority_process(None).unwrap()).unwrap();
        CountedTokens::not_counted(NotCounted::NoTextEndpoint)
    };
    let pool = CountingPool::start_with(1, QUEUE_BYTES, count, |_, _| {}).unwrap();
    pool.try_submit(job(0, "x"));
    assert_eq!(priorities.recv().unwrap(), (before + 10).min(19));
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), before);
    pool.shut_down(SOON);
}

#[test]
fn a_listener_that_breaks_stops_nobody() {
    let (sender, counts) = mpsc::channel();
    let listener = move |attempt: AttemptId, _| {
        let number = attempt.uuid().as_u128();
        assert_ne!(number, 0, "planted");
        sender.send(number).unwrap();
    };
    let pool = CountingPool::start(1, QUEUE_BYTES, listener).unwrap();
    pool.try_submit(job(0, "x"));
    pool.try_submit(job(1, "x"));
    assert_eq!(counts.recv().unwrap(), 1);
    pool.shut_down(SOON);
}
