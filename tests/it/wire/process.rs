//! The real binary as a process of its own, and every line it logged.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// `counterfoil serve` on free ports.
pub struct Process {
    child: Child,
    pub addr: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
    reading: Option<std::thread::JoinHandle<()>>,
}

/// A test that fails leaves no server behind.
impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Process {
    pub fn start(folder: &Path, upstream: &str, failpoint: Option<&str>) -> Self {
        let log = "warn,counterfoil=info";
        Self::try_start(folder, upstream, failpoint, log)
            .unwrap_or_else(|said| panic!("it did not start: {said:#?}"))
    }

    /// What it said instead, where it ended before it was ready.
    pub fn try_start(
        folder: &Path,
        upstream: &str,
        failpoint: Option<&str>,
        log: &str,
    ) -> Result<Self, Vec<String>> {
        let armed = failpoint.map(|failpoint| ("COUNTERFOIL_FAILPOINT", failpoint.as_ref()));
        Self::try_start_among(folder, upstream, armed.as_slice(), log)
    }

    /// The same among more variables.
    pub fn try_start_among(
        folder: &Path,
        upstream: &str,
        variables: &[(&str, &OsStr)],
        log: &str,
    ) -> Result<Self, Vec<String>> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--dashboard-listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(folder)
            .env("COUNTERFOIL_PROVIDERS__OPENAI__BASE_URL", upstream)
            .env("COUNTERFOIL_PROVIDERS__ANTHROPIC__BASE_URL", upstream)
            .env("COUNTERFOIL_LOG", log)
            .env("NO_COLOR", "1")
            .stdout(Stdio::null())
            .envs(variables.iter().copied())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut heard = Vec::new();
        let addr = loop {
            let Some(Ok(line)) = lines.next() else {
                assert!(!child.wait().unwrap().success(), "{heard:#?}");
                return Err(heard);
            };
            heard.push(line.clone());
            if let Some((_, rest)) = line.split_once("OPENAI_BASE_URL=http://") {
                break rest.split('/').next().unwrap().parse().unwrap();
            }
        };
        let said = Arc::new(Mutex::new(heard));
        let more = Arc::clone(&said);
        // Read on, so that the process never waits for a full pipe.
        let reading = std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| more.lock().unwrap().push(line));
        });
        Ok(Self { child, addr, said, reading: Some(reading) })
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ended in order, with everything it logged.
    pub fn terminate(mut self) -> (bool, Vec<String>) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let succeeded = self.child.wait().unwrap().success();
        self.reading.take().unwrap().join().unwrap();
        let said = self.said.lock().unwrap().clone();
        (succeeded, said)
    }

    /// How it ended by itself; `None` if it has not after a while, and then it is killed.
    pub async fn died(mut self) -> Option<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.kill();
        None
    }
}
