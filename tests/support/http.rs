//! HTTP and frames by hand, right or wrong.

use std::io::Read;

use super::retry;

/// An HTTP response.
#[derive(Debug)]
pub struct HttpResponse {
    pub status: u16,
    /// The head, names in lower case.
    pub head: String,
    /// The names of its headers, in their spelling and order.
    pub names: Vec<String>,
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// Reads a head and its body, which has the length of `Content-Length`, is empty after a 101, and else ends with the stream.
    pub fn read(tcp: &mut impl Read) -> Self {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            match retry(|| tcp.read(&mut byte)) {
                Ok(1) => bytes.push(byte[0]),
                other => panic!("response ends early ({other:?}): {}", bytes.escape_ascii()),
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let head: String = text
            .lines()
            .map(|line| match line.split_once(": ") {
                Some((name, value)) => format!("{}: {value}\n", name.to_lowercase()),
                None => format!("{line}\n"),
            })
            .collect();
        let names = text.lines().filter_map(|line| Some(line.split_once(": ")?.0.to_owned()));
        let mut response = HttpResponse { status, head, names: names.collect(), body: Vec::new() };
        if matches!(status, 100 | 101 | 204 | 304) {
            return response;
        }
        if response.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = read_chunk(tcp) {
                response.body.extend(chunk);
            }
            return response;
        }
        match response.header("content-length").map(|n| n.parse().unwrap()) {
            Some(length) => {
                response.body = vec![0; length];
                tcp.read_exact(&mut response.body).unwrap();
            }
            None => drop(tcp.read_to_end(&mut response.body)),
        }
        response
    }

    /// The value of a header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A chunk (RFC 9112, section 7.1); none is the end.
fn read_chunk(tcp: &mut impl Read) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        retry(|| tcp.read_exact(&mut byte)).expect("a chunk, and no end before the last one");
        line.push(byte[0]);
    }
    let size = str::from_utf8(&line).unwrap().trim_end();
    let size = usize::from_str_radix(size, 16).expect("a chunk's size");
    let mut chunk = vec![0; size + 2];
    tcp.read_exact(&mut chunk).unwrap();
    assert!(chunk.ends_with(b"\r\n"));
    chunk.truncate(size);
    (size > 0).then_some(chunk)
}

/// The head of a correct handshake request for `path`, with these lines added.
pub fn handshake(path: &str, extra: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n"
    )
}

/// A client's frame, masked (RFC 6455, section 5.2). `first` is its first byte: 0x81 is a whole
/// text message, 0x89 a Ping, 0x88 a Close.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ 0..=125 => out.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}
