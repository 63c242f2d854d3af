//! A relay: the real binary on a free port, its output read as it comes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite;
use async_tungstenite::tungstenite::client::{IntoClientRequest, client_with_config};
use async_tungstenite::tungstenite::handshake::client::Response;
use rustix::process::{Pid, Signal, kill_process};

use super::backend::{Backend, Peer};
use super::client::Client;
use super::http::HttpResponse;
use super::{DEADLINE, Steady, timed};

/// A running relay, ended with the test.
pub struct Relay {
    child: Child,
    /// The address that it listens on.
    pub addr: SocketAddr,
    /// The first line of its stdout.
    pub first_line: String,
    log: Receiver<String>,
    out: Receiver<String>,
    /// Lines of the log that were read so far.
    pub seen: Vec<String>,
}

/// Starts wsrelay on a free port of 127.0.0.1 with these options.
pub fn relay(options: &[&str]) -> Relay {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--listen", "127.0.0.1:0"]).args(options);
    start(command)
}

/// Starts wsrelay in front of `backend`, with these options.
pub fn relay_to(backend: SocketAddr, options: &[&str]) -> Relay {
    let to = backend.to_string();
    let mut all = vec!["--to", &to];
    all.extend_from_slice(options);
    relay(&all)
}

/// A relay with these options, a client, and the backend's side of the session.
pub fn session(options: &[&str]) -> (Relay, Client, Peer) {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, options);
    let client = relay.connect("/");
    let peer = backend.accept();
    (relay, client, peer)
}

/// Starts a prepared command and waits until it listens.
pub fn start(mut command: Command) -> Relay {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("wsrelay starts");
    let out = lines_of(child.stdout.take().unwrap());
    let log = lines_of(child.stderr.take().unwrap());
    let Ok(first) = out.recv_timeout(DEADLINE) else {
        let said: Vec<_> = log.try_iter().collect();
        panic!("wsrelay did not come up: {said:?}");
    };
    let addr = first
        .strip_prefix("listening on ws://")
        .or_else(|| first.strip_prefix("listening on wss://"))
        .unwrap_or_else(|| panic!("unexpected first line: {first:?}"));
    let addr = addr.parse().expect("an address");
    Relay { addr, child, log, out, seen: Vec::new(), first_line: first }
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

impl Relay {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name: "TERM", "INT", "HUP".
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let done = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(done.success());
    }

    /// Waits for a line of the log that contains all of `words`, and returns it.
    pub fn wait_log(&mut self, words: &[&str]) -> String {
        let has_all = |line: &str| words.iter().all(|word| line.contains(word));
        if let Some(line) = self.seen.iter().find(|line| has_all(line)) {
            return line.clone();
        }
        let end = Instant::now() + DEADLINE;
        loop {
            match self.log.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if has_all(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no line with {words:?} in the log: {:#?}", self.seen)
                }
            }
        }
    }

    /// Reads the log so far.
    pub fn read_log(&mut self) {
        self.seen.extend(self.log.try_iter());
    }

    /// Waits for the process to end by itself.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait works") {
                return status;
            }
            assert!(Instant::now() < end, "wsrelay does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Resident memory now, in bytes.
    pub fn rss(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// A WebSocket client at `path`.
    pub fn connect(&self, path: &str) -> Client {
        self.connect_with(path, &[]).0
    }

    /// A WebSocket client that sends these headers too, and the response to its handshake.
    pub fn connect_with(&self, path: &str, headers: &[(&str, &str)]) -> (Client, Response) {
        let mut request = format!("ws://{}{path}", self.addr).into_client_request().unwrap();
        for (name, value) in headers {
            let name: tungstenite::http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let (ws, response) =
            client_with_config(request, Steady(self.tcp()), None).unwrap_or_else(|e| panic!("{e}"));
        (Client(ws), response)
    }

    /// A WebSocket client whose request has a target of any form, such as `http://a.example/x`.
    pub fn connect_to(&self, target: &str) -> Client {
        let mut tcp = self.tcp();
        tcp.write_all(super::handshake(target, "").as_bytes()).unwrap();
        assert_eq!(HttpResponse::read(&mut tcp).status, 101, "{target}");
        super::faults::client(tcp)
    }

    /// A plain TCP connection to the relay. With `WSRELAY_TEST_WITHOUT_FAST_PATH` in the environment, it begins with an empty
    /// line, which changes nothing but that hyper reads all of its requests.
    pub fn tcp(&self) -> TcpStream {
        let mut tcp = timed(TcpStream::connect(self.addr).expect("the relay accepts"));
        if std::env::var_os("WSRELAY_TEST_WITHOUT_FAST_PATH").is_some() {
            tcp.write_all(b"\r\n").unwrap();
        }
        tcp
    }

    /// Sends a request unchanged, and reads the response to its end (or, for a 101, its head).
    pub fn http(&self, request: &str) -> HttpResponse {
        let mut tcp = self.tcp();
        tcp.write_all(request.as_bytes()).unwrap();
        HttpResponse::read(&mut tcp)
    }

    /// A GET of `path` with these headers.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> HttpResponse {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        self.http(&(request + "\r\n"))
    }
}

impl Relay {
    /// Ends it at once by two signals, so that it ends its programs too; by SIGKILL if that fails.
    fn end(&mut self) {
        let pid = Pid::from_child(&self.child);
        for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            let _ = kill_process(pid, signal);
            if signal == Signal::INT {
                let end = Instant::now() + Duration::from_secs(2);
                while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        let _ = self.child.wait();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            self.seen.extend(self.log.try_iter());
            eprintln!("the relay's log:\n{}", self.seen.join("\n"));
        }
    }
}

impl Relay {
    /// The number of open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().count()
    }
}

/// Runs wsrelay with a command line that makes it end by itself.
pub fn run(args: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(args);
    run_command(command)
}

/// Runs a prepared command that ends by itself.
pub fn run_command(mut command: Command) -> std::process::Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("wsrelay starts");
    let pid = child.id();
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    receiver.recv_timeout(DEADLINE).unwrap_or_else(|_| {
        let _ = Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
        panic!("{command:?} does not end");
    })
}

impl Relay {
    /// The next line on stdout; the first was read at the start.
    pub fn stdout_line(&self) -> String {
        self.out.recv_timeout(DEADLINE).expect("another line on stdout")
    }

    /// Waits for the process to end, and returns all that it logged.
    pub fn log_to_end(&mut self) -> &[String] {
        self.wait_exit();
        self.seen.extend(self.log.iter());
        &self.seen
    }
}
