//! Relays with CGI programs, and requests for those.

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;

use tempfile::TempDir;

use super::program::script;
use super::{HttpResponse, Relay, relay};

/// A relay with programs at these paths.
pub struct Cgi {
    pub relay: Relay,
    pub dir: TempDir,
}

/// Starts wsrelay with these programs and options. The backend of WebSockets is `cat`.
pub fn cgi(programs: &[(&str, &str)], options: &[&str]) -> Cgi {
    let dir = TempDir::new().unwrap();
    for (name, text) in programs {
        script(&dir.path().join("cgi").join(name), text);
    }
    let given = dir.path().join("cgi");
    let options = [&["--cgi-dir", given.to_str().unwrap()], options, &["--", "cat"]].concat();
    Cgi { relay: relay(&options), dir }
}

impl Cgi {
    /// The path of a program.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("cgi").join(name)
    }

    pub fn get(&self, path: &str) -> HttpResponse {
        self.relay.get(path, &[])
    }

    /// Sends a body and reads the answer, both at the same time.
    pub fn post(&self, path: &str, body: &[u8]) -> HttpResponse {
        let mut tcp = self.relay.tcp();
        let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
        let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        let (mut up, body) = (tcp.try_clone().unwrap(), body.to_vec());
        // A program need not read all of it.
        let sending = std::thread::spawn(move || {
            up.write_all(head.as_bytes()).and_then(|()| up.write_all(&body)).is_ok()
        });
        let response = HttpResponse::read(&mut tcp);
        drop(tcp);
        let _ = sending.join().unwrap();
        response
    }

    /// Sends a request as it stands; the connection to read the answer from.
    pub fn ask(&self, request: &str) -> TcpStream {
        let mut tcp = self.relay.tcp();
        tcp.write_all(request.as_bytes()).unwrap();
        tcp
    }
}
