//! Requests two parsers could read differently: refused, the connection closed, nothing sent on.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wire::house::House;
use crate::wire::upstream::Upstream;

const ASK: &str = r#"{"model":"gpt-4o-mini","messages":[]}"#;
const LINE: &str = "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n\
    content-type: application/json\r\nauthorization: Bearer sk-test-0000000000004Qm\r\n";
/// What a smuggler hides behind its first request.
const HIDDEN: &str = "GET /openai/v1/models HTTP/1.1\r\nhost: gateway\r\n\r\n";

/// Sends these bytes as they are and reads until the other side closes.
async fn told(house: &House, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(house.running.proxy_addr).await.unwrap();
    // The gateway may close before it has read all.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "left open after: {}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Refused once with a status of the 400s, then closed: what is hidden behind is not answered.
async fn is_refused(what: &str, request: &[u8]) {
    let upstream = Upstream::json("{}").await;
    let house = House::over(&upstream.url()).await;
    let answer = told(&house, &[request, HIDDEN.as_bytes()].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{what}: {answer:?}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: {answer:?}");
    assert!(upstream.seen().is_empty(), "{what}: {:?}", upstream.seen());
    let (book, _folder) = house.end().await;
    assert!(book.intents.is_empty() && book.settlements.is_empty(), "{what}: {book:#?}");
}

#[tokio::test]
async fn a_body_with_two_lengths_is_refused() {
    let length = ASK.len();
    let both =
        format!("{LINE}content-length: {length}\r\ncontent-length: {}\r\n\r\n{ASK}", length + 1);
    is_refused("two lengths that differ", both.as_bytes()).await;
    for value in ["+5", "-1", "5, 6", "0x10", "5 5", "99999999999999999999999"] {
        let request = format!("{LINE}content-length: {value}\r\n\r\n{ASK}");
        is_refused(value, request.as_bytes()).await;
    }
}

/// Read in one way only and sent on in that way: one call, told from what follows, whole.
async fn is_read_in_one_way(what: &str, request: &[u8]) {
    let upstream = Upstream::json("{}").await;
    let house = House::over(&upstream.url()).await;
    let next = "GET /openai/v1/models HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
    let answer = told(&house, &[request, next.as_bytes()].concat()).await;
    let seen = upstream.seen();
    assert!(answer.starts_with("HTTP/1.1 200"), "{what}: {answer:?}");
    assert_eq!(seen[0].line, "POST /v1/chat/completions", "{what}");
    assert_eq!(seen[0].body, ASK.as_bytes(), "{what}");
    let framing = ["content-length", "transfer-encoding"];
    let framed = framing.iter().filter(|name| seen[0].header(name).is_some()).count();
    assert_eq!(framed, 1, "{what}: {:?}", seen[0].headers);
    // What follows is the next request, or is not read at all.
    assert!(seen.len() == 1 || seen.len() == 2 && seen[1].line == "GET /v1/models", "{what}");
    let (book, _folder) = house.end().await;
    assert_eq!(book.intents.len(), seen.len(), "{what}");
}

#[tokio::test]
async fn a_body_with_a_length_and_chunks_is_refused_whichever_comes_first_and_however_it_is_spelled()
 {
    // What hides behind is a request to whoever believes the other header.
    let chunked = format!("{:x}\r\n{ASK}\r\n0\r\n\r\n", ASK.len());
    for (length, body) in [(4, chunked.as_str()), (ASK.len(), ASK), (chunked.len(), &chunked)] {
        for coding in [
            "transfer-encoding: chunked",
            "Transfer-Encoding: Chunked",
            "TRANSFER-ENCODING:\tchunked",
            "transfer-encoding:chunked ",
        ] {
            let fields = [
                format!("content-length: {length}\r\n{coding}\r\n"),
                format!("{coding}\r\nx-a: 1\r\nContent-Length:{length}\r\n"),
            ];
            for fields in fields {
                is_refused(&fields, format!("{LINE}{fields}\r\n{body}").as_bytes()).await;
            }
        }
    }
}

#[tokio::test]
async fn a_coding_that_is_hidden_or_said_twice_is_refused() {
    for fields in [
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: x\r\n",
        "transfer-encoding: x\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding : chunked\r\ncontent-length: 2\r\n",
        " transfer-encoding: chunked\r\ncontent-length: 2\r\n",
        "x-a: 1\r\n transfer-encoding: chunked\r\ncontent-length: 2\r\n",
        "x-a: 1\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n",
        "transfer-encoding\n: chunked\r\ncontent-length: 2\r\n",
        "transfer-encoding: \0chunked\r\n",
        "transfer-encoding: \"chunked\"\r\n",
    ] {
        let request = format!("{LINE}{fields}\r\n0\r\n\r\n");
        is_refused(fields, request.as_bytes()).await;
    }
}

#[tokio::test]
async fn one_length_said_twice_is_refused_too() {
    let length = ASK.len();
    for fields in [
        format!("content-length: {length}\r\ncontent-length: {length}\r\n"),
        format!("content-length: {length}\r\nContent-Length: {length}\r\n"),
        format!("content-length: {length}, {length}\r\n"),
    ] {
        is_refused(&fields, format!("{LINE}{fields}\r\n{ASK}").as_bytes()).await;
    }
}

#[tokio::test]
async fn lines_that_end_in_a_bare_line_feed_are_refused() {
    let head = format!("{LINE}content-length: {}\r\n\r\n", ASK.len());
    is_refused("all of them", format!("{}{ASK}", head.replace("\r\n", "\n")).as_bytes()).await;
    is_refused("the last", format!("{}\n{ASK}", &head[..head.len() - 2]).as_bytes()).await;
    is_refused("the first", head.replacen("\r\n", "\n", 1).as_bytes()).await;
    is_refused("before the request", format!("\n{head}{ASK}").as_bytes()).await;
}

#[tokio::test]
async fn a_body_in_chunks_is_sent_on_as_one_body_without_what_was_said_between_them() {
    let (first, second) = ASK.split_at(10);
    let sizes = (first.len(), second.len());
    for body in [
        format!("{:x}\r\n{first}\r\n{:X}\r\n{second}\r\n0\r\n\r\n", sizes.0, sizes.1),
        format!("00{:x};a=b\r\n{first}\r\n{:x} ; c\r\n{second}\r\n0;d\r\n\r\n", sizes.0, sizes.1),
        format!(
            "{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\ncontent-length: 2\r\nx-b: 1\r\n\r\n",
            sizes.0, sizes.1
        ),
    ] {
        let request = format!("{LINE}transfer-encoding: chunked\r\n\r\n{body}");
        is_read_in_one_way(&body, request.as_bytes()).await;
    }
}

#[tokio::test]
async fn whatever_form_a_target_has_the_provider_is_asked_for_its_path_only() {
    let fields = LINE.split_once("\r\n").unwrap().1;
    let body = format!("content-length: {}\r\n\r\n{ASK}", ASK.len());
    for target in [
        "http://gateway/openai/v1/chat/completions",
        "http://elsewhere.example:81/openai/v1/chat/completions",
        "https://user@elsewhere.example/openai/v1/chat/completions",
    ] {
        let request = format!("POST {target} HTTP/1.1\r\n{fields}{body}");
        is_read_in_one_way(target, request.as_bytes()).await;
    }
    for target in [
        "//elsewhere.example/openai/v1/chat/completions",
        "/openai/../admin",
        "/openai/v1/../../admin",
        "/openai/v1/%2e%2e/admin",
        "/openai/v1/a%2F..%2fadmin",
        "/openai/v1/a%5c..%5Cadmin",
        "/openai/./v1/models",
        "/%6fpenai/v1/models",
        "elsewhere.example:443",
        "*",
    ] {
        let request = format!("POST {target} HTTP/1.1\r\n{fields}connection: close\r\n{body}");
        is_refused(target, request.as_bytes()).await;
    }
    let request =
        format!("CONNECT elsewhere.example:443 HTTP/1.1\r\n{fields}connection: close\r\n\r\n");
    is_refused("CONNECT", request.as_bytes()).await;
}

#[tokio::test]
async fn a_transfer_coding_nobody_knows_is_refused() {
    for coding in ["identity", "chunked, gzip", "xchunked", "chunked\u{b}"] {
        let request = format!("{LINE}transfer-encoding: {coding}\r\n\r\n0\r\n\r\n");
        is_refused(coding, request.as_bytes()).await;
    }
}

#[tokio::test]
async fn chunk_sizes_that_are_no_hexadecimal_numbers_are_refused() {
    for size in ["xyz", "-1", "+5", "0x5", "fffffffffffffffff", "5 5", ""] {
        let request =
            format!("{LINE}transfer-encoding: chunked\r\n\r\n{size}\r\n{ASK}\r\n0\r\n\r\n");
        is_refused(size, request.as_bytes()).await;
    }
}

#[tokio::test]
async fn lines_and_names_that_are_no_http_are_refused() {
    for (what, fields) in [
        ("a name with a blank", "content-length : 2\r\n"),
        ("a folded line", "x-a: 1\r\n content-length: 2\r\n"),
        ("a line without a colon", "content-length\r\n"),
        ("a bare carriage return", "x-a: 1\rcontent-length: 2\r\n"),
        ("a zero byte", "x-a: \0\r\n"),
    ] {
        let request = format!("{LINE}{fields}\r\n");
        is_refused(what, request.as_bytes()).await;
    }
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused() {
    let upstream = Upstream::json("{}").await;
    let house = House::over(&upstream.url()).await;
    let large = format!("{LINE}x-a: {}\r\n\r\n", "a".repeat(1024 * 1024));
    // The answer may be lost where the connection is reset under what is still being sent.
    let answer = told(&house, large.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer:?}");
    assert!(upstream.seen().is_empty());
    let (book, _folder) = house.end().await;
    assert!(book.intents.is_empty(), "{book:#?}");
    let many = format!("{LINE}{}\r\n", "x-a: 1\r\n".repeat(500));
    is_refused("many headers", many.as_bytes()).await;
}

#[tokio::test]
async fn a_head_of_sixty_four_kibibytes_is_read_and_one_of_a_byte_more_is_refused() {
    let upstream = Upstream::json("{}").await;
    let house = House::over(&upstream.url()).await;
    let start = "GET /healthz HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\nx-a: ";
    for (size, status) in [(65_536, "HTTP/1.1 200"), (65_537, "HTTP/1.1 431")] {
        let head = format!("{start}{}\r\n\r\n", "a".repeat(size - start.len() - 4));
        let answer = told(&house, head.as_bytes()).await;
        assert!(answer.starts_with(status), "{size}: {answer:?}");
    }
}
