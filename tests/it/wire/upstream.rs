//! A scripted upstream at byte level: it reads a request whole and then does as it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One request as it came over the wire.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// `POST /v1/chat/completions`.
    pub line: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the upstream does next on a connection.
#[derive(Clone, Debug)]
pub enum Act {
    /// Writes these bytes as they are.
    Write(Vec<u8>),
    /// Writes the same bytes this many times, and counts how often they were taken.
    Repeat(Arc<Vec<u8>>, usize, Arc<AtomicUsize>),
    Sleep(Duration),
    /// Waits until the test calls [`Upstream::open_gate`].
    Gate,
    /// Closes the connection here.
    Close,
}

type Script = dyn Fn(&Seen) -> Vec<Act> + Send + Sync;

pub struct Upstream {
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    hung_up: Arc<Mutex<usize>>,
    gate: watch::Sender<bool>,
}

impl Upstream {
    /// Answers every request by a script.
    pub async fn start(script: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let script: Arc<Script> = Arc::new(script);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let hung_up = Arc::new(Mutex::new(0));
        let (gate, opened) = watch::channel(false);
        let shared = (Arc::clone(&seen), Arc::clone(&hung_up));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, hung_up) = shared.clone();
                let (script, opened) = (Arc::clone(&script), opened.clone());
                tokio::spawn(async move {
                    if serve(stream, &*script, &seen, opened).await.is_none() {
                        *hung_up.lock().unwrap() += 1;
                    }
                });
            }
        });
        Self { addr, seen, hung_up, gate }
    }

    /// Always the same JSON.
    pub async fn json(body: &str) -> Self {
        let reply = json_reply(200, body);
        Self::start(move |_| vec![Act::Write(reply.clone())]).await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Connections the gateway closed before the script had ended.
    pub fn hung_up(&self) -> usize {
        *self.hung_up.lock().unwrap()
    }

    pub fn open_gate(&self) {
        self.gate.send_replace(true);
    }
}

/// `None` once the other side is gone in the middle of a script.
async fn serve(
    mut stream: TcpStream,
    script: &Script,
    seen: &Mutex<Vec<Seen>>,
    mut opened: watch::Receiver<bool>,
) -> Option<()> {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    loop {
        let Some(request) = read_request(&mut stream, &mut buffer).await else { return Some(()) };
        seen.lock().unwrap().push(request.clone());
        for act in script(&request) {
            let mut probe = [0_u8; 1];
            match act {
                Act::Write(bytes) => stream.write_all(&bytes).await.ok()?,
                Act::Repeat(bytes, times, taken) => {
                    for _ in 0..times {
                        stream.write_all(&bytes).await.ok()?;
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Act::Sleep(time) => {
                    tokio::select! {
                        () = tokio::time::sleep(time) => {}
                        _ = stream.peek(&mut probe) => return None,
                    }
                }
                Act::Gate => {
                    tokio::select! {
                        _ = opened.wait_for(|open| *open) => {}
                        _ = stream.peek(&mut probe) => return None,
                    }
                }
                Act::Close => return Some(()),
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer.drain(..head_end).collect()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let line = line.strip_suffix(" HTTP/1.1").unwrap_or(line).to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut request = Seen { line, headers, body: Vec::new() };
    if let Some(length) = request.header("content-length") {
        let length: usize = length.parse().unwrap();
        while buffer.len() < length {
            more(stream, buffer).await?;
        }
        request.body = buffer.drain(..length).collect();
    } else if request.header("transfer-encoding").is_some() {
        request.body = read_chunks(stream, buffer).await?;
    }
    Some(request)
}

async fn read_chunks(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(2).position(|two| two == b"\r\n") {
                break at;
            }
            more(stream, buffer).await?;
        };
        let size = usize::from_str_radix(std::str::from_utf8(&buffer[..end]).unwrap(), 16).unwrap();
        while buffer.len() < end + 2 + size + 2 {
            more(stream, buffer).await?;
        }
        body.extend_from_slice(&buffer[end + 2..end + 2 + size]);
        buffer.drain(..end + 2 + size + 2);
        if size == 0 {
            return Some(body);
        }
    }
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0_u8; 16 * 1024];
    let length = stream.read(&mut piece).await.ok().filter(|length| *length > 0)?;
    buffer.extend_from_slice(&piece[..length]);
    Some(())
}

/// A whole JSON reply with its length.
pub fn json_reply(status: u16, body: &str) -> Vec<u8> {
    reply(status, "content-type: application/json\r\n", body.as_bytes())
}

/// A whole reply with its length and these header lines.
pub fn reply(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut reply =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n", body.len())
            .into_bytes();
    reply.extend_from_slice(body);
    reply
}

/// The head of an event stream.
pub fn stream_head(headers: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\
         {headers}\r\n"
    )
    .into_bytes()
}

/// One chunk of a chunked body.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// The end of a chunked body.
pub fn last_chunk() -> Vec<u8> {
    b"0\r\n\r\n".to_vec()
}

/// A whole stream in one script: head, body in pieces of `size` bytes, end.
pub fn stream_acts(headers: &str, body: &[u8], size: usize) -> Vec<Act> {
    let mut bytes = stream_head(headers);
    for piece in body.chunks(size.max(1)) {
        bytes.extend_from_slice(&chunk(piece));
    }
    bytes.extend_from_slice(&last_chunk());
    vec![Act::Write(bytes)]
}
