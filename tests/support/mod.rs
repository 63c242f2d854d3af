//! What tests stand on: the real binary on a free port, backends and clients on plain blocking
//! sockets. Everything waits on events, under one deadline.

#![allow(dead_code, missing_docs)]

pub mod faults;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::client::{IntoClientRequest, client_with_config};
use async_tungstenite::tungstenite::handshake::client::Response;
use async_tungstenite::tungstenite::protocol::CloseFrame;
use async_tungstenite::tungstenite::{self, Message, WebSocket};

/// Nothing that a test waits for takes longer, on a machine however busy.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A running relay, ended with the test.
pub struct Relay {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    log: Receiver<String>,
    out: Receiver<String>,
    /// Lines of the log that were read so far.
    pub seen: Vec<String>,
}

/// Starts wsrelay on a free port of 127.0.0.1 with these options besides.
pub fn relay(options: &[&str]) -> Relay {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--listen", "127.0.0.1:0"]).args(options);
    start(command)
}

/// Starts wsrelay in front of `backend`, with these options besides.
pub fn relay_to(backend: SocketAddr, options: &[&str]) -> Relay {
    let to = backend.to_string();
    let mut all = vec!["--to", &to];
    all.extend_from_slice(options);
    relay(&all)
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
        .unwrap_or_else(|| panic!("unexpected first line: {first:?}"));
    Relay { addr: addr.parse().expect("an address"), child, log, out, seen: Vec::new() }
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

    /// Waits for a line of the log that contains every one of `words`; gives it back.
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

    /// A WebSocket client that sends these headers besides, and the response it got.
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

    /// A plain TCP connection to the relay.
    pub fn tcp(&self) -> TcpStream {
        timed(TcpStream::connect(self.addr).expect("the relay accepts"))
    }

    /// Sends a request as it stands, and reads the response to its end (or, for a 101, its head).
    pub fn http(&self, request: &str) -> HttpResponse {
        let mut tcp = self.tcp();
        tcp.write_all(request.as_bytes()).unwrap();
        HttpResponse::read(&mut tcp)
    }

    /// A GET of `path` with these headers besides.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> HttpResponse {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        self.http(&(request + "\r\n"))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.seen.extend(self.log.try_iter());
            eprintln!("the relay's log:\n{}", self.seen.join("\n"));
        }
    }
}

/// A response, as far as tests care.
#[derive(Debug)]
pub struct HttpResponse {
    pub status: u16,
    /// The head, names in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// Reads a head, and unless it is a 101 or says `content-length`, a body up to the end.
    pub fn read(tcp: &mut TcpStream) -> Self {
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
        let mut response = HttpResponse { status, head, body: Vec::new() };
        if status == 101 || status == 304 {
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

/// The head of a correct handshake request for `path`, with these lines besides.
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

/// A WebSocket client on a blocking socket with a deadline.
pub struct Client(pub WebSocket<Steady>);

impl Client {
    pub fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("the relay takes it");
    }

    /// The next text message; pings are answered on the way.
    pub fn recv(&mut self) -> String {
        match self.next() {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    /// The next binary message.
    pub fn recv_binary(&mut self) -> Vec<u8> {
        match self.next() {
            Message::Binary(bytes) => bytes.to_vec(),
            other => panic!("expected binary, got {other:?}"),
        }
    }

    /// The next message that is no ping or pong.
    pub fn next(&mut self) -> Message {
        loop {
            match self.0.read() {
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(message) => return message,
                Err(e) => panic!("expected a message, got {e}"),
            }
        }
    }

    /// Expects a Close with this code and reason next, answers it, and expects the relay's FIN.
    pub fn expect_close(&mut self, code: u16, reason: &str) {
        match self.next() {
            Message::Close(Some(CloseFrame { code: got, reason: why })) => {
                assert_eq!((u16::from(got), why.as_str()), (code, reason));
            }
            other => panic!("expected Close {code} {reason:?}, got {other:?}"),
        }
        self.expect_end();
    }

    /// Answers the relay's Close, if that is not done, and expects its FIN: an end, no reset.
    pub fn expect_end(&mut self) {
        loop {
            match self.0.read() {
                Err(tungstenite::Error::ConnectionClosed) => return,
                Ok(Message::Close(_)) => {}
                other => panic!("expected the end, got {other:?}"),
            }
        }
    }

    /// Closes, and waits for the relay to do so too.
    pub fn close(mut self) {
        let _ = self.0.close(None);
        self.expect_end();
    }

    /// The socket.
    pub fn tcp(&self) -> &TcpStream {
        self.0.get_ref()
    }
}

/// A listening backend; what it does with a connection is the test's business.
pub struct Backend {
    listener: TcpListener,
    pub addr: SocketAddr,
}

impl Backend {
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        Backend { listener, addr }
    }

    /// The relay's next connection.
    pub fn accept(&self) -> Peer {
        self.listener.set_nonblocking(true).unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            match self.listener.accept() {
                Ok((tcp, _)) => {
                    tcp.set_nonblocking(false).unwrap();
                    return Peer(BufReader::new(timed(tcp)));
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    assert!(Instant::now() < end, "the relay does not connect");
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(e) => panic!("{e}"),
            }
        }
    }

    /// Whether a connection waits to be accepted.
    pub fn is_called(&self) -> bool {
        self.listener.set_nonblocking(true).unwrap();
        self.listener.accept().is_ok()
    }

    /// Serves every connection with `serve`, each on a thread of its own, until the test ends.
    pub fn serve(self, serve: impl Fn(Peer) + Send + Sync + Clone + 'static) -> SocketAddr {
        let addr = self.addr;
        std::thread::spawn(move || {
            for tcp in self.listener.incoming().flatten() {
                let serve = serve.clone();
                std::thread::spawn(move || serve(Peer(BufReader::new(timed(tcp)))));
            }
        });
        addr
    }
}

/// An echo server of lines, as a backend that behaves.
pub fn echo() -> SocketAddr {
    Backend::listen().serve(|mut peer| {
        let mut line = Vec::new();
        while peer.0.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if peer.0.get_mut().write_all(&line).is_err() {
                return;
            }
            line.clear();
        }
    })
}

/// The relay's connection, seen from the backend.
pub struct Peer(pub BufReader<TcpStream>);

impl Peer {
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).expect("the relay takes it");
    }

    /// The next line with its end; empty at the end of the stream.
    pub fn read_line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).expect("a line within the deadline");
        String::from_utf8(line).expect("UTF-8")
    }

    /// Everything up to the relay's FIN.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.0.read_to_end(&mut all).expect("a FIN within the deadline");
        all
    }

    /// Expects the relay's FIN and nothing before it.
    pub fn expect_fin(&mut self) {
        assert_eq!(self.read_to_end().escape_ascii().to_string(), "");
    }

    /// Ends the stream to the relay, and goes on reading.
    pub fn shutdown_write(&self) {
        self.tcp().shutdown(Shutdown::Write).unwrap();
    }

    /// Closes with a reset instead of a FIN.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(self.tcp());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    pub fn tcp(&self) -> &TcpStream {
        self.0.get_ref()
    }
}

fn timed(tcp: TcpStream) -> TcpStream {
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp.set_write_timeout(Some(DEADLINE)).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp
}

/// An address that refuses connections. Bound but not listening, so that the port stays taken.
pub struct Refusing {
    socket: socket2::Socket,
    pub addr: SocketAddr,
}

impl Refusing {
    pub fn bind(ip: &str) -> Self {
        let any = SocketAddr::new(ip.parse().unwrap(), 0);
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(any),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        );
        let socket = socket.unwrap();
        socket.bind(&any.into()).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        Refusing { socket, addr }
    }

    /// Listens from now on.
    pub fn accept_from_now_on(self) -> Backend {
        self.socket.listen(128).unwrap();
        Backend { listener: self.socket.into(), addr: self.addr }
    }
}

/// An address that swallows connections without an answer: its backlog is full.
pub struct Mute {
    backend: Backend,
    waiting: Vec<TcpStream>,
    pub addr: SocketAddr,
}

impl Mute {
    pub fn listen() -> Self {
        let Refusing { socket, addr } = Refusing::bind("127.0.0.1");
        socket.listen(0).unwrap();
        let connect = || TcpStream::connect_timeout(&addr, Duration::from_millis(200)).ok();
        let waiting = std::iter::from_fn(connect).collect();
        Mute { backend: Backend { listener: socket.into(), addr }, waiting, addr }
    }

    /// Makes room in the backlog.
    pub fn accept_from_now_on(self) -> Backend {
        for _ in &self.waiting {
            self.backend.accept();
        }
        self.backend
    }
}

impl Relay {
    /// Open descriptors now.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }
}

/// Runs wsrelay with a command line that makes it end by itself.
pub fn run(args: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    let child = command
        .args(args)
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
        panic!("wsrelay {args:?} does not end");
    })
}

impl Relay {
    /// The next line on stdout; the first was read at the start.
    pub fn stdout_line(&self) -> String {
        self.out.recv_timeout(DEADLINE).expect("another line on stdout")
    }

    /// Waits for the process to end, and gives back all that it logged.
    pub fn log_to_end(&mut self) -> &[String] {
        self.wait_exit();
        self.seen.extend(self.log.iter());
        &self.seen
    }
}

/// A connection to a Unix socket, with the deadline.
pub fn unix(path: &std::path::Path) -> Steady<UnixStream> {
    let stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    Steady(stream)
}

/// The same, once somebody listens there.
pub fn wait_for_unix(path: &std::path::Path) -> Steady<UnixStream> {
    let end = Instant::now() + DEADLINE;
    while UnixStream::connect(path).is_err() {
        assert!(Instant::now() < end, "nobody listens on {}", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
    unix(path)
}

/// A socket whose reads and writes go on where a signal (of a child that ended) interrupted them.
pub struct Steady<S = TcpStream>(pub S);

/// Does it again as long as it is interrupted.
pub fn retry<T>(mut act: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    loop {
        match act() {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl<S: Read> Read for Steady<S> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        retry(|| self.0.read(buf))
    }
}

impl<S: Write> Write for Steady<S> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        retry(|| self.0.write(buf))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        retry(|| self.0.flush())
    }
}

impl<S> std::ops::Deref for Steady<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}
