//! The measured processes: started, watched through `/proc`, ended with the bench.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that is killed when this is dropped.
pub(crate) struct Running(Child);

/// Processor seconds of a process so far, by what its threads are for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Processor {
    /// The request path and the journal.
    pub(crate) calls: f64,
    /// Moving the journal into the books.
    pub(crate) posting: f64,
    /// Counting tokens.
    pub(crate) counting: f64,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Running {
    /// This program again, in one of its other roles.
    pub(crate) fn role(role: &str, listen: SocketAddr, upstream: SocketAddr) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--role", role, "--listen", &listen.to_string()]);
        command.args(["--upstream", &format!("http://{upstream}")]);
        let running = Self(command.spawn().unwrap());
        assert!(answers(listen, "/"), "nothing listens on {listen}");
        running
    }

    /// `counterfoil serve` on a fresh data folder, with lines of configuration of its own.
    pub(crate) fn gateway(
        folder: &Path,
        listen: SocketAddr,
        upstream: SocketAddr,
        more: &str,
    ) -> Self {
        let pages = free();
        let text = format!(
            "listen = \"{listen}\"\ndashboard_listen = \"{pages}\"\n\
             [providers.openai]\nbase_url = \"http://{upstream}\"\n{more}\n"
        );
        let config = folder.join("counterfoil.toml");
        std::fs::write(&config, text).unwrap();
        let log = folder.join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
        command.arg("serve").arg("--config").arg(&config).arg("--data").arg(folder.join("data"));
        let file = std::fs::File::create(&log).unwrap();
        let running = Self(command.stdout(Stdio::null()).stderr(file).spawn().unwrap());
        assert!(
            answers(listen, "/readyz"),
            "no gateway: {}",
            std::fs::read_to_string(&log).unwrap()
        );
        running
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Processor {
    /// What a process has used until now.
    pub(crate) fn of(pid: u32) -> Self {
        let mut used = Self::default();
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        for task in tasks.flatten() {
            // Nanoseconds on a processor come first; ticks of `stat` are too coarse.
            let Ok(stat) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
            let Ok(name) = std::fs::read_to_string(task.path().join("comm")) else { continue };
            let nanoseconds: f64 = stat.split(' ').next().unwrap().parse().unwrap();
            let purpose = match name.trim() {
                name if name.contains("counting") => &mut used.counting,
                name if name.contains("posting") || name.contains("books") => &mut used.posting,
                _ => &mut used.calls,
            };
            *purpose += nanoseconds / 1e9;
        }
        used
    }

    /// What was used since.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            calls: self.calls - before.calls,
            posting: self.posting - before.posting,
            counting: self.counting - before.counting,
        }
    }
}

/// Resident memory in MiB: now, or the most it ever was.
pub(crate) fn memory(pid: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0");
    let kib = line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1_024.0
}

/// A free port of this machine.
pub(crate) fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits until a path is answered well.
fn answers(address: SocketAddr, path: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if get(address, path).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
