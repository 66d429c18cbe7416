//! A client at byte level: what it is given is what came over the wire.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer, whole or cut.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether it ended as HTTP says it must.
    pub complete: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An open connection to the gateway.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::try_connect(addr).await.unwrap()
    }

    /// `None` where nobody listens any more.
    pub async fn try_connect(addr: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(addr).await.ok()?;
        drop(stream.set_nodelay(true));
        Some(Self { stream, buffer: Vec::new() })
    }

    /// Sends a request with its length. Whether the other side still lives, its answer tells.
    pub async fn send(&mut self, line: &str, headers: &str, body: &[u8]) {
        let mut bytes = format!(
            "{line} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        drop(self.stream.write_all(&bytes).await);
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads until this many bytes of anything have come, or the end.
    pub async fn read_some(&mut self, at_least: usize) -> usize {
        while self.buffer.len() < at_least {
            if self.more().await.is_none() {
                break;
            }
        }
        self.buffer.len()
    }

    /// Reads one answer to its end.
    pub async fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if self.more().await.is_none() {
                return answer;
            }
        };
        let head = String::from_utf8(self.buffer.drain(..head_end).collect()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        answer.status = status.unwrap().parse().unwrap();
        answer.headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().unwrap();
            answer.complete = self.read_some(length).await >= length;
            let there = length.min(self.buffer.len());
            answer.body = self.buffer.drain(..there).collect();
        } else if answer.header("transfer-encoding").is_some() {
            answer.complete = self.chunks(&mut answer.body).await.is_some();
        } else {
            answer.complete = true;
        }
        answer
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let end = loop {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    break at;
                }
                self.more().await?;
            };
            let size = std::str::from_utf8(&self.buffer[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            while self.buffer.len() < end + 2 + size + 2 {
                self.more().await?;
            }
            body.extend_from_slice(&self.buffer[end + 2..end + 2 + size]);
            self.buffer.drain(..end + 2 + size + 2);
            if size == 0 {
                return Some(());
            }
        }
    }

    async fn more(&mut self) -> Option<()> {
        let mut piece = vec![0_u8; 64 * 1024];
        let length = self.stream.read(&mut piece).await.ok().filter(|length| *length > 0)?;
        self.buffer.extend_from_slice(&piece[..length]);
        Some(())
    }
}

/// One request on a connection of its own.
pub async fn ask(addr: SocketAddr, line: &str, headers: &str, body: &[u8]) -> Answer {
    let mut client = Client::connect(addr).await;
    client.send(line, headers, body).await;
    client.answer().await
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
