//! Clients that vanish while the relay does not read from them, as their backend takes nothing: the kernel reports it.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::Message;
use support::faults::{Flood, SlowReader, Stall, reset, upgrade};
use support::program::{wait_childless, wait_until};
use support::tls::{Ca, Tls, flood, upgraded};
use support::{Backend, HttpResponse, Peer, Relay, frame, handshake, relay_to, start, unix};

/// A client with a session, on whatever socket.
trait Vanish {
    /// Sends lines until nothing is taken any more.
    fn flood(&mut self);

    /// Sends lines until the relay does not read them any more, but all are in its kernel: an end behind
    /// them is there too.
    fn fill(&mut self);

    /// Ends its stream, and stays.
    fn end_stream(&mut self);

    /// Goes, so that the relay's socket has an error.
    fn reset(self: Box<Self>);
}

/// One message, which is longer than what the relay sends at once.
fn unit() -> Vec<u8> {
    frame(0x81, &[b'x'; 60_000])
}

impl Vanish for TcpStream {
    fn flood(&mut self) {
        Flood(&unit()).run(self, usize::MAX);
    }

    fn fill(&mut self) {
        let sent = self.try_clone().unwrap();
        fill(&sent, || self.write_all(&frame(0x81, &[b'x'; 16_000])).unwrap());
    }

    fn end_stream(&mut self) {
        self.shutdown(Shutdown::Write).unwrap();
    }

    fn reset(self: Box<Self>) {
        reset(*self);
    }
}

impl Vanish for Tls {
    fn flood(&mut self) {
        flood(self, &unit());
    }

    fn fill(&mut self) {
        let sent = self.sock.try_clone().unwrap();
        fill(&sent, || self.write_all(&frame(0x81, &[b'x'; 16_000])).unwrap());
    }

    fn end_stream(&mut self) {
        self.sock.0.shutdown(Shutdown::Write).unwrap();
    }

    fn reset(self: Box<Self>) {
        reset(self.sock.0);
    }
}

impl Vanish for UnixStream {
    fn flood(&mut self) {
        self.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        while self.write_all(&unit()).is_ok() {}
    }

    fn fill(&mut self) {
        // What a Unix socket has taken is with the other side already.
        self.flood();
    }

    fn end_stream(&mut self) {
        self.shutdown(Shutdown::Write).unwrap();
    }

    fn reset(self: Box<Self>) {}
}

type Connect = fn(&Relay, &Ca, &Path) -> Box<dyn Vanish>;

const CLIENTS: [(&str, Connect); 3] = [
    ("TCP", |relay, _, _| {
        let mut tcp = relay.tcp();
        upgrade(&mut tcp, &[]);
        Box::new(tcp)
    }),
    ("TLS", |relay, ca, _| Box::new(upgraded(relay, ca.client(None), &[]))),
    ("Unix", |_, _, path| {
        let mut unix = unix(path);
        unix.write_all(handshake("/", "").as_bytes()).unwrap();
        assert_eq!(HttpResponse::read(&mut unix).status, 101);
        // Of the answer one byte is left unread: closing is then an error to the other side.
        unix.write_all(&frame(0x89, b"")).unwrap();
        unix.read_exact(&mut [0]).unwrap();
        Box::new(unix.0)
    }),
];

/// For every kind of client and these backends: a session whose backend takes nothing, and whose client says a lot
/// and `vanish`es, which must end it for this reason. There are no pings.
fn vanished(
    backends: &[&str],
    options: &[&str],
    least: Duration,
    why: &str,
    vanish: impl Fn(Box<dyn Vanish>) -> (Instant, Option<Box<dyn Vanish>>),
) {
    for ((name, connect), backend) in
        CLIENTS.iter().flat_map(|client| backends.iter().map(move |backend| (client, *backend)))
    {
        println!("{name}, {backend}");
        let ca = Ca::new();
        let (ours, theirs) = (ca.path("ours"), ca.path("theirs"));
        // Nobody accepts: the kernel does, and takes what fits into its buffers.
        let tcp = Backend::listen();
        let _unix = UnixListener::bind(&theirs).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
        command.args(["--listen", "127.0.0.1:0", "--listen"]);
        command.arg(format!("unix:{}", ours.display()));
        command.args(["--ping-interval", "0", "--close-timeout", "300ms"]).args(options);
        if *name == "TLS" {
            command.args(ca.options());
        }
        match backend {
            TCP => command.args(["--to", &tcp.addr.to_string()]),
            UNIX => command.args(["--to", &format!("unix:{}", theirs.display())]),
            _ => command.args(["--kill-grace", "100ms", "--", "sleep", "1000"]),
        };
        let mut relay = start(command);
        let (began, _left) = vanish(connect(&relay, &ca, &ours));
        let line = relay.wait_log(&["session closed", "by=\"client\"", why, "code=1006"]);
        assert!(began.elapsed() >= least, "{line}");
        wait_childless(&relay);
    }
}

const TCP: &str = "a server";
const UNIX: &str = "a server on a Unix socket";
const PROGRAM: &str = "a program";

#[test]
fn a_reset_ends_the_session_at_once() {
    // Nothing else would end it.
    let options = ["--write-timeout", "0"];
    let why = "reason=\"connection reset by peer\"";
    vanished(&[TCP, UNIX, PROGRAM], &options, Duration::ZERO, why, |mut client| {
        client.flood();
        client.reset();
        (Instant::now(), None)
    });
}

#[test]
fn an_end_behind_what_nobody_takes_is_given_the_write_timeout() {
    let limit = Duration::from_millis(700);
    let why = "reason=\"connection ended, and the backend takes nothing of what it said\"";
    // With TCP the kernel's buffers grow whenever they like, and then something is taken.
    vanished(&[UNIX, PROGRAM], &["--write-timeout", "700ms"], limit, why, |mut client| {
        client.fill();
        let began = Instant::now();
        client.end_stream();
        (began, Some(client))
    });
}

/// A session with a backend that reads nothing until it is told.
fn session(options: &[&str]) -> (Relay, TcpStream, Peer) {
    let backend = Stall::backend();
    let relay = relay_to(backend.addr, &[&["--ping-interval", "0"], options].concat());
    let mut client = relay.tcp();
    upgrade(&mut client, &[]);
    (relay, client, backend.accept())
}

/// What the kernel holds of a connection: what its sender has sent and the receiver's kernel has not got, and
/// what that holds for its receiver.
fn queued(sender: &TcpStream) -> (usize, usize) {
    let ports =
        |tcp: &TcpStream| [tcp.local_addr(), tcp.peer_addr()].map(|addr| addr.unwrap().port());
    let [from, to] = ports(sender);
    let hex = |word: &str| usize::from_str_radix(word, 16).unwrap();
    let port = |word: &str| hex(word.rsplit(':').next().unwrap()) as u16;
    let mut sizes = (None, None);
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (sent, received) = words[4].split_once(':').unwrap();
            if (port(words[1]), port(words[2])) == (from, to) {
                sizes.0 = Some(hex(sent));
            } else if (port(words[1]), port(words[2])) == (to, from) {
                sizes.1 = Some(hex(received));
            }
        }
    }
    (sizes.0.expect("the kernel knows both ends"), sizes.1.expect("the kernel knows both ends"))
}

/// Bytes that a socket has sent and that are not in the other's kernel yet.
fn unsent(tcp: &TcpStream) -> usize {
    queued(tcp).0
}

/// `send`s a little until what is there is not read any more.
fn fill(tcp: &TcpStream, mut send: impl FnMut()) {
    let paused = Duration::from_millis(500);
    let mut last = Instant::now();
    while last.elapsed() < paused {
        if queued(tcp) == (0, 0) {
            send();
            last = Instant::now();
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(unsent(tcp), 0);
}

/// Resets a client's connection, and gives the relay the time to notice while its backend takes nothing: a backend
/// that reads at once would get all of it before anybody looks at the reset.
fn reset_before_the_backend_reads(client: TcpStream) {
    reset(client);
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn all_that_came_before_a_reset_goes_to_a_backend_that_takes_it() {
    let (mut relay, client, mut peer) = session(&[]);
    let messages = frame(0x81, &[b'x'; 1000]).repeat(16);
    let mut lines = 0;
    fill(&client, || {
        (&client).write_all(&messages).unwrap();
        lines += 16;
    });
    reset_before_the_backend_reads(client);
    let heard = peer.read_to_end();
    assert_eq!(heard.len(), lines * 1001, "of {lines} lines");
    drop(peer);
    relay.wait_log(&["session closed", "connection reset by peer", &format!("lines_up={lines}")]);
}

#[test]
fn a_close_before_a_reset_is_what_ended_it() {
    let (mut relay, client, mut peer) = session(&[]);
    let messages = frame(0x81, &[b'x'; 1000]).repeat(16);
    fill(&client, || (&client).write_all(&messages).unwrap());
    (&client).write_all(&frame(0x88, &4000u16.to_be_bytes())).unwrap();
    wait_until("the Close has arrived", || unsent(&client) == 0);
    reset_before_the_backend_reads(client);
    peer.read_to_end();
    drop(peer);
    relay.wait_log(&["session closed", "by=\"client\"", "closed by the client", "code=4000"]);
}

#[test]
fn an_end_before_a_backend_that_takes_its_time_is_no_reason_to_lose_a_line() {
    let (mut relay, client, mut peer) = session(&["--write-timeout", "1s"]);
    let (_, rest) = Flood(&unit()).run(&client, usize::MAX);
    let mut sending = client.try_clone().unwrap();
    let sent = std::thread::spawn(move || {
        sending.write_all(&rest).unwrap();
        sending.shutdown(Shutdown::Write).unwrap();
    });
    // Slowly, for longer than the timeout; then all.
    let mut heard = vec![0; 6_000_000];
    for sip in heard.chunks_mut(200_000) {
        peer.0.read_exact(sip).unwrap();
        std::thread::sleep(Duration::from_millis(80));
    }
    sent.join().unwrap();
    heard.extend(peer.read_to_end());
    drop(peer);
    let line = relay.wait_log(&["session closed", "by=\"client\"", "ended without a Close"]);
    assert!(line.contains(&format!("bytes_up={}", heard.len())), "{} {line}", heard.len());
    assert!(heard.len().is_multiple_of(60_001), "whole lines only");
    drop(client);
}

#[test]
fn all_that_came_before_a_backends_reset_goes_to_a_client_that_takes_its_time() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &["--ping-interval", "0"]);
    let client = SlowReader::connect(&relay);
    let peer = backend.accept();
    let line = [&[b'x'; 60_000][..], b"\n"].concat();
    let (taken, _) = Flood(&line).run(peer.tcp(), usize::MAX);
    let received = taken - unsent(peer.tcp());
    peer.reset();
    let mut client = client.hurry();
    let mut heard = 0;
    loop {
        match client.next() {
            Message::Text(text) => heard += text.len() + 1,
            Message::Close(Some(close)) => {
                let why = "backend failed: connection reset by peer";
                assert_eq!((u16::from(close.code), close.reason.as_str()), (1011, why));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    // What is cut short is the last message.
    let tail = usize::from(!received.is_multiple_of(line.len()));
    assert_eq!(heard, received + tail, "{taken} taken");
    client.expect_end();
    drop(client);
    relay.wait_log(&["session closed", "by=\"backend\"", "code=1011"]);
}
