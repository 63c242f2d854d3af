use futures::executor::block_on as run;
use futures::future::join_all;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// The limit of every wait here, long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// The most names that are kept here.
const KNOWN: usize = 50;

/// A name server that answers only when it is told to.
struct NameServer {
    lookups: &'static Lookups<Addresses>,
    /// The names that it was asked for, and where each answer goes.
    asked: Receiver<(String, Sender<io::Result<Addresses>>)>,
}

type Answer = Sender<io::Result<Addresses>>;

fn name_server(most: usize) -> NameServer {
    let (asked, receiver) = channel();
    let asked = Mutex::new(asked);
    let look_up = move |name: &str| {
        let (answer, answered) = channel();
        lock(&asked).send((name.to_owned(), answer)).unwrap();
        answered.recv().unwrap_or_else(|_| Err(io::Error::other("no such name")))
    };
    let kept = Kept { holds: HOLDS, most: KNOWN };
    let lookups = Box::leak(Box::new(Lookups::new(most, kept, look_up)));
    NameServer { lookups, asked: receiver }
}

impl NameServer {
    /// The next question.
    fn asked(&self, name: &str) -> Answer {
        let (got, answer) = self.asked.recv_timeout(DEADLINE).expect("a look-up");
        assert_eq!(got, name);
        answer
    }

    fn is_silent(&self) -> bool {
        self.asked.try_recv().is_err()
    }

    /// What somebody is told who waits for as long as it takes.
    fn wait(&self, name: &str) -> io::Result<Addresses> {
        block_on(self.lookups.resolve(name), DEADLINE)
    }

    /// The same on a thread of its own.
    fn ask(&self, name: &'static str) -> thread::JoinHandle<io::Result<Addresses>> {
        let pending = self.lookups.ask(name);
        thread::spawn(move || match pending {
            Ok(addrs) => Ok(addrs),
            Err(pending) => block_on(
                async { Ok(pending.await.unwrap_or(Err(LookupError::NoThread))?) },
                DEADLINE,
            ),
        })
    }

    fn threads(&self) -> usize {
        lock(&self.lookups.state).threads
    }

    /// Waits until so many threads are left.
    fn wait_for_threads(&self, left: usize) {
        let end = Instant::now() + DEADLINE;
        while self.threads() != left {
            assert!(Instant::now() < end, "{} threads", self.threads());
            thread::yield_now();
        }
    }
}

fn addr(last: u8) -> Addresses {
    [SocketAddr::from(([127, 0, 0, last], 0))].into()
}

#[test]
fn all_who_wait_share_a_look_up_and_its_answer_holds_for_a_while() {
    let server = name_server(4);
    let waiting: Vec<_> = (0..1000).map(|_| server.lookups.resolve("a.example")).collect();
    let waiting = thread::spawn(move || run(join_all(waiting)));
    server.asked("a.example").send(Ok(addr(1))).unwrap();
    assert!(waiting.join().unwrap().into_iter().all(|found| found.unwrap() == addr(1)));
    assert_eq!(server.wait("a.example").unwrap(), addr(1));
    assert!(server.is_silent(), "it was known");
    // As if it had been a second ago.
    for name in lock(&server.lookups.state).names.values_mut() {
        if let Name::Known(_, since) = name {
            *since -= HOLDS;
        }
    }
    let again = server.ask("a.example");
    server.asked("a.example").send(Ok(addr(2))).unwrap();
    assert_eq!(again.join().unwrap().unwrap(), addr(2));
    assert_eq!(server.threads(), 1);
}

#[test]
fn a_failure_is_not_kept() {
    let server = name_server(4);
    let first = server.ask("a.example");
    drop(server.asked("a.example"));
    assert_eq!(first.join().unwrap().unwrap_err().to_string(), "the name does not resolve");
    let second = server.ask("a.example");
    server.asked("a.example").send(Ok(addr(1))).unwrap();
    assert_eq!(second.join().unwrap().unwrap(), addr(1));
}

#[test]
fn addresses_that_do_not_answer_are_forgotten_but_no_newer_ones() {
    let server = name_server(4);
    let first = server.ask("a.example");
    server.asked("a.example").send(Ok(addr(1))).unwrap();
    let failed = first.join().unwrap().unwrap();
    server.lookups.forget("a.example", &failed);
    let second = server.ask("a.example");
    server.asked("a.example").send(Ok(addr(1))).unwrap();
    second.join().unwrap().unwrap();
    server.lookups.forget("a.example", &failed);
    assert_eq!(server.wait("a.example").unwrap(), addr(1));
    assert!(server.is_silent());
}

#[test]
fn a_look_up_that_hangs_stops_no_other() {
    let server = name_server(4);
    let short = Duration::from_millis(20);
    // As clients do that come and give up, one after the other.
    for _ in 0..20 {
        let error = block_on(server.lookups.resolve("hangs.example"), short).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
    let hangs = server.asked("hangs.example");
    assert!(server.is_silent(), "it is looked up once");
    let other = server.ask("works.example");
    server.asked("works.example").send(Ok(addr(2))).unwrap();
    assert_eq!(other.join().unwrap().unwrap(), addr(2));
    // Late, it serves those who wait now, and ends with its thread.
    let late = server.ask("hangs.example");
    hangs.send(Ok(addr(1))).unwrap();
    assert_eq!(late.join().unwrap().unwrap(), addr(1));
    assert_eq!(server.wait("hangs.example").unwrap(), addr(1));
    assert!(server.is_silent());
    server.wait_for_threads(KEPT);
}

/// As relays do that are reloaded with new names while a name server is silent.
#[test]
fn names_that_hang_take_no_more_threads_than_there_may_be_and_leave_nothing() {
    let server = name_server(3);
    let mut hang = Vec::new();
    for n in 0..100 {
        let name = format!("{n}.example");
        let error = block_on(server.lookups.resolve(&name), Duration::from_millis(5)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        if n < 3 {
            hang.push(server.asked(&name));
        }
    }
    assert_eq!(server.threads(), 3);
    let last = server.ask("last.example");
    {
        let state = lock(&server.lookups.state);
        let (names, queued) = (state.names.len(), state.queue.len());
        assert!(names <= 2 * FEW && queued <= 2 * FEW, "{names} names, {queued} queued");
    }
    // The first thread that is free again takes the name for which somebody still waits.
    drop(hang.pop());
    server.asked("last.example").send(Ok(addr(9))).unwrap();
    assert_eq!(last.join().unwrap().unwrap(), addr(9));
    drop(hang);
    server.wait_for_threads(KEPT);
    assert!(server.is_silent());
}

#[test]
fn who_waits_for_a_thread_that_can_not_start_is_told() {
    let server = name_server(0);
    let waiting = server.ask("a.example");
    lock(&server.lookups.state).threads += 1;
    server.lookups.not_started();
    let error = waiting.join().unwrap().unwrap_err();
    assert!(error.to_string().contains("no thread can be started"), "{error}");
}

#[test]
fn the_system_is_asked() {
    start().unwrap();
    let found = wait("localhost", DEADLINE).unwrap();
    assert!(found.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 0), "{found:?}");
    assert!(!found.is_empty());
}

/// As clients come from many addresses.
#[test]
fn no_more_answers_are_kept_than_there_may_be() {
    let server = name_server(4);
    for n in 0..10 * KNOWN {
        let name: &'static str = format!("{n}.example").leak();
        let asked = server.ask(name);
        server.asked(name).send(Ok(addr(1))).unwrap();
        asked.join().unwrap().unwrap();
        assert!(lock(&server.lookups.state).names.len() <= KNOWN);
    }
    // The last one is among them.
    assert_eq!(server.wait(&format!("{}.example", 10 * KNOWN - 1)).unwrap(), addr(1));
    assert!(server.is_silent());
}

/// Otherwise each of 10,000 clients that come at once would have to wait while all others are looked at.
#[test]
fn many_who_wait_do_not_make_each_look_up_dearer() {
    let server = name_server(4);
    let all = 10 * KNOWN;
    let mut looked_at = 0;
    let waiting: Vec<_> = (0..all)
        .map(|n| {
            let state = lock(&server.lookups.state);
            looked_at += if state.names.len() >= state.tidy_at { state.names.len() } else { 0 };
            drop(state);
            server.lookups.ask(&n.to_string()).unwrap_err()
        })
        .collect();
    assert!(looked_at <= 2 * all, "{looked_at} names");
    assert_eq!(lock(&server.lookups.state).names.len(), all);
    drop(waiting);
    for n in 0..all {
        drop(server.lookups.ask(&format!("another {n}")).unwrap_err());
    }
    let state = lock(&server.lookups.state);
    let (names, queued) = (state.names.len(), state.queue.len());
    assert!(names <= 2 * FEW && queued <= 2 * FEW, "{names} names, {queued} queued");
}

#[test]
fn names_that_a_host_may_have() {
    for (name, want) in [
        ("localhost", Some("localhost")),
        ("a-1.b_c.example", Some("a-1.b_c.example")),
        ("a.example.", Some("a.example")),
        ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
        ("", None),
        (".", None),
        ("a..example", None),
        ("a.example..", None),
        ("a b.example", None),
        ("a\nb.example", None),
        ("b\u{fc}cher.example", None),
        ("a/b.example", None),
        ("192.0.2.1", None),
        ("0x7f.1", None),
        ("16909060", None),
        ("::1", None),
        ("a.1", None),
    ] {
        assert_eq!(host_name(name), want, "{name:?}");
    }
    let long = ["a".repeat(60).as_str(); 4].join(".");
    assert_eq!(host_name(&format!("{long}.abcdefghi")), Some(&*format!("{long}.abcdefghi")));
    assert_eq!(host_name(&format!("{long}.abcdefghij")), None);
}

#[test]
fn a_name_counts_that_has_the_address_too() {
    let mapped = SocketAddr::from(("::ffff:127.0.0.1".parse::<IpAddr>().unwrap(), 0));
    let confirm = |name: Option<&str>, addrs: Option<Addresses>| {
        let ip = IpAddr::from([127, 0, 0, 1]);
        confirmed_name(Some(ip), |_| name.map(str::to_owned), |_| addrs)
    };
    for (name, addrs, want) in [
        (Some("a.example"), Some(addr(1)), Some("a.example")),
        (Some("a.example."), Some(addr(1)), Some("a.example")),
        (Some("a.example"), Some([addr(2)[0], addr(1)[0]].into()), Some("a.example")),
        (Some("a.example"), Some([mapped].into()), Some("a.example")),
        // Anybody can give his address the name of another.
        (Some("a.example"), Some(addr(2)), None),
        (Some("a.example"), Some([].into()), None),
        (Some("a.example"), None, None),
        (Some("127.0.0.1"), Some(addr(1)), None),
        (Some("a b"), Some(addr(1)), None),
        (None, None, None),
    ] {
        assert_eq!(confirm(name, addrs.clone()).as_deref(), want, "{name:?} {addrs:?}");
    }
}

/// `/etc/hosts` has it.
#[test]
fn the_name_of_this_machine_is_confirmed() {
    assert_eq!(run(client_name([127, 0, 0, 1].into())).as_deref(), Some("localhost"));
}
