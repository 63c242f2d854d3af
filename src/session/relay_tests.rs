//! A session between two ends that a test holds.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::*;
use crate::clock::ManualClock;
use crate::framing::{Event, Framing, LineRules, Mark, Payload};
use crate::net::plain::Plain;
use crate::registry::{Registration, Registry};
use crate::session::SlowClient;
use crate::session::keepalive::Limits;
use crate::task;

/// Most sessions are idle most of the time, and there are ten thousand of them.
#[test]
fn a_session_is_small() {
    assert!(size_of::<Session>() <= 600, "{} bytes", size_of::<Session>());
}

/// A protocol whose commands are a `#` and a digit, even where a read splits them. It answers each by that digit,
/// and doubles each `#` on the way up. `#>` ends a prompt, and `#m` is a message. A text message that begins with `!` is
/// its own.
#[derive(Debug, Default)]
struct Commands {
    is_command: bool,
    speaks_at: Option<Instant>,
}

impl Stage for Commands {
    fn down(
        &mut self,
        bytes: &[u8],
        rest: &mut Vec<u8>,
        marks: &mut Vec<Mark>,
        answer: &mut Vec<u8>,
    ) {
        for byte in bytes {
            match (std::mem::take(&mut self.is_command), byte) {
                (true, b'>') => marks.push(Mark { at: rest.len(), event: Event::Prompt }),
                (true, b'm') => {
                    let event = Event::Message("message".into());
                    marks.push(Mark { at: rest.len(), event });
                }
                (true, _) => answer.extend([*byte, b'\n']),
                (false, b'#') => self.is_command = true,
                (false, _) => rest.push(*byte),
            }
        }
    }

    fn up(&mut self, out: &mut Vec<u8>, start: usize) {
        let lines = out.split_off(start);
        for byte in lines {
            out.extend(std::iter::repeat_n(byte, if byte == b'#' { 2 } else { 1 }));
        }
    }

    fn takes_messages(&self) -> bool {
        true
    }

    fn take(&mut self, message: Payload<'_>, out: &mut Vec<u8>) -> bool {
        let own = message.as_bytes().strip_prefix(b"!");
        out.extend_from_slice(own.unwrap_or_default());
        own.is_some()
    }

    fn deadline(&self) -> Option<Instant> {
        self.speaks_at
    }

    fn due(&mut self, answer: &mut Vec<u8>) {
        self.speaks_at = None;
        answer.extend_from_slice(b"hello?");
    }
}

/// A session with this stage, and the ends of its client and its backend.
fn session(stage: Option<Box<dyn Stage>>) -> (Box<Session>, Registration, UnixStream, UnixStream) {
    let stream = |ours: UnixStream| {
        ours.set_nonblocking(true).unwrap();
        ByteStream::plain(Plain::unix(ours).unwrap())
    };
    let (client, theirs) = UnixStream::pair().unwrap();
    let (backend, server) = UnixStream::pair().unwrap();
    let backend = BackendIo::server(stream(backend));
    let (session, registration) = join(stream(client), backend, stage, Limits::default());
    (session, registration, theirs, server)
}

/// A session of this client and this backend.
fn join(
    client: ByteStream,
    backend: BackendIo,
    stage: Option<Box<dyn Stage>>,
    limits: Limits,
) -> (Box<Session>, Registration) {
    let rules = LineRules {
        eol: Default::default(),
        keep_eol: false,
        newlines: Default::default(),
        charset: Default::default(),
        fallback: None,
        max_line: 1024,
    };
    let config = SessionConfig {
        framing: Framing::Lines(rules),
        max_line: 1024,
        slow_client: SlowClient::Wait,
        rate: None,
        limits,
        close_timeout: Duration::from_millis(100),
        greeting: None,
        telnet: None,
        trace: false,
    };
    let registration = Registry::new().register(None);
    let session = Session::new(Terms {
        client,
        early: Bytes::new(),
        backend,
        config: Arc::new(config),
        stage,
        greeting: Greeting::default(),
        card: registration.card.clone(),
    });
    (session, registration)
}

#[test]
fn a_stage_lies_between_the_backend_and_the_framing() {
    let (session, registration, mut client, mut server) =
        session(Some(Box::default() as Box<Commands>));
    let running = task::spawn(session.run());
    // A command that is cut, between the two halves of a line.
    server.write_all(b"hel#").unwrap();
    server.write_all(b"1lo\n#2").unwrap();
    let mut answers = [0; 4];
    server.read_exact(&mut answers).unwrap();
    assert_eq!(&answers, b"1\n2\n");
    let mut frame = [0; 7];
    client.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"\x81\x05hello");
    // Masked with zeros.
    client.write_all(b"\x81\x83\0\0\0\0a#b").unwrap();
    let mut line = [0; 5];
    server.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"a##b\n");
    server.shutdown(std::net::Shutdown::Write).unwrap();
    let mut close = [0; 18];
    client.read_exact(&mut close).unwrap();
    assert_eq!(&close, b"\x88\x10\x03\xe8backend closed");
    drop((client, server));
    assert_eq!(task::block_on(running), CloseReason::BackendClosed);
    let counts = registration.card.traffic.counts();
    // Bytes are those that passed the backend's connection; answers of the stage are nobody's lines.
    assert_eq!((counts.lines_up, counts.lines_down), (1, 1));
    assert_eq!((counts.bytes_up, counts.bytes_down), (5, 10));
}

/// Prompts and messages come in order with the lines, and the stage's own messages do not become lines.
#[test]
fn a_stage_ends_prompts_and_has_messages_of_its_own() {
    let (session, registration, mut client, mut server) =
        session(Some(Box::default() as Box<Commands>));
    let running = task::spawn(session.run());
    server.write_all(b"a\nlo#mgin: #>\n#>#>b\n").unwrap();
    let want = b"\x81\x01a\x81\x07message\x81\x07login: \x81\x01b";
    let mut frames = [0; 3 + 9 + 9 + 3];
    client.read_exact(&mut frames).unwrap();
    assert_eq!(frames.escape_ascii().to_string(), want.escape_ascii().to_string());
    client.write_all(b"\x81\x84\0\0\0\0!own\x81\x81\0\0\0\0c").unwrap();
    let mut lines = [0; 5];
    server.read_exact(&mut lines).unwrap();
    assert_eq!(&lines, b"ownc\n");
    drop((client, server));
    task::block_on(running);
    let counts = registration.card.traffic.counts();
    assert_eq!((counts.lines_up, counts.lines_down, counts.bytes_down), (2, 4, 20));
}

#[test]
fn a_stage_speaks_at_its_time() {
    let stage = Commands { is_command: false, speaks_at: Some(Instant::now()) };
    let (session, _registration, client, mut server) = session(Some(Box::new(stage)));
    let running = task::spawn(session.run());
    let mut hello = [0; 6];
    server.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello?");
    drop((client, server));
    task::block_on(running);
}

/// Answers that a backend does not take are bounded: it is not read from then.
#[test]
fn a_backend_that_takes_no_answers_is_not_read_from() {
    let (session, _registration, mut client, mut server) =
        session(Some(Box::default() as Box<Commands>));
    let running = task::spawn(session.run());
    server.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let flood = b"#7".repeat(512 * 1024);
    // It fails once the kernel's buffers are full, as nobody reads.
    assert!(server.write_all(&flood).is_err(), "all of a flood was read");
    drop(server);
    let mut close = Vec::new();
    client.read_to_end(&mut close).unwrap();
    assert!(close.ends_with(b"backend failed: connection reset by peer"), "{close:?}");
    drop(client);
    task::block_on(running);
}

/// Turning it on takes four system calls, which are not made while a session is opened.
#[test]
fn the_backend_gets_its_keepalive_after_a_while() {
    let tcp = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        (socket2::Socket::from(ours), listener.accept().unwrap().0)
    };
    let mut clock = ManualClock::new();
    for limits in [
        Limits::default(),
        Limits { ping_interval: Some(Duration::from_secs(7200)), ..Limits::default() },
        Limits { ping_interval: Some(Duration::from_secs(5)), ..Limits::default() },
    ] {
        let ((client, _theirs), (backend, _server)) = (tcp(), tcp());
        let socket = backend.try_clone().unwrap();
        let stream = |socket| ByteStream::plain(Plain::tcp(socket).unwrap());
        let backend = BackendIo::server(stream(backend));
        let (session, _registration) = join(stream(client), backend, None, limits);
        let mut running = Box::pin(session.run());
        let mut poll = || running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        assert!(!socket.keepalive().unwrap(), "{limits:?}");
        clock.advance(KEEPALIVE_AFTER);
        assert!(poll().is_pending());
        assert!(socket.keepalive().unwrap(), "{limits:?}");
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
        assert!(!socket.tcp_nodelay().unwrap(), "that is set when it is connected");
    }
}
