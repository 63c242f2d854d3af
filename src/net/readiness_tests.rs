//! What is woken, cut, taken and removed.

use super::*;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};
use std::task::Wake;

fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (ours, theirs)
}

/// Drops a source when it is woken, as a runtime does that drops a cancelled task.
struct DropsSource(Mutex<Option<Source>>, Mutex<Sender<()>>);

impl Wake for DropsSource {
    fn wake(self: Arc<Self>) {
        drop(lock(&self.0).take());
        lock(&self.1).send(()).unwrap();
    }
}

#[test]
fn whoever_is_woken_may_drop_a_source() {
    let ((ours, mut theirs), (other, _its_peer)) = (pair(), pair());
    let source = Source::new(&ours, false).unwrap();
    let dropped = Source::new(&other, false).unwrap();
    let (sender, woken) = channel();
    let waker = DropsSource(Mutex::new(Some(dropped)), Mutex::new(sender));
    let waker = Arc::new(waker).into();
    assert!(source.poll_readable(&mut Context::from_waker(&waker)).is_pending());
    theirs.write_all(b"x").unwrap();
    woken.recv_timeout(Duration::from_secs(10)).expect("it is woken, and gets the lock");
    // Others are still served.
    crate::task::block_on(std::future::poll_fn(|cx| source.poll_readable(cx)));
}

/// As a listener that a process got from another, which goes on with it.
#[test]
fn a_socket_that_is_removed_is_watched_no_more_though_another_has_it() {
    let (ours, _theirs) = pair();
    let inode = std::fs::metadata(format!("/proc/self/fd/{}", ours.as_raw_fd())).unwrap().ino();
    let is_watched = || {
        let epoll = driver().unwrap().epoll.as_raw_fd();
        let watched = std::fs::read_to_string(format!("/proc/self/fdinfo/{epoll}")).unwrap();
        watched.contains(&format!("ino:{inode:x} "))
    };
    let source = Source::new(&ours, true).unwrap();
    let copy = ours.try_clone().unwrap();
    assert!(is_watched());
    source.remove(&ours);
    drop((source, ours));
    assert!(!is_watched());
    drop(copy);
}

#[test]
fn things_are_taken_one_by_one() {
    let (ours, mut theirs) = pair();
    let source = Source::new(&ours, true).unwrap();
    let cx = &mut Context::from_waker(Waker::noop());
    let mut take = || {
        source.poll_take_with(cx, || {
            let mut byte = [0];
            (&ours).read_exact(&mut byte).map(|()| byte[0])
        })
    };
    assert!(take().is_pending());
    theirs.write_all(b"ab").unwrap();
    let mut next = || loop {
        if let Poll::Ready(byte) = take() {
            return byte.unwrap();
        }
        std::thread::yield_now();
    };
    assert_eq!([next(), next()], *b"ab");
    assert!(take().is_pending());
}

/// A process writes its last words and exits, and is cut off, just after we found nothing.
#[test]
fn what_came_before_a_cut_is_read_to_the_end() {
    let (pipe, _held) = io::pipe().unwrap();
    let source = Source::new(&pipe, true).unwrap();
    let cutter = source.cutter();
    let cx = &mut Context::from_waker(std::task::Waker::noop());
    let (mut looks, mut words) = (0, &b"last words"[..]);
    let mut read = |buf: &mut [u8]| {
        looks += 1;
        if looks == 1 {
            cutter.cut();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match words.is_empty() {
            false => words.read(buf),
            true => Err(io::ErrorKind::WouldBlock.into()),
        }
    };
    let mut buf = [0; 64];
    let mut next = || match source.poll_read_with(cx, &mut buf, &mut read) {
        Poll::Ready(n) => n.unwrap(),
        Poll::Pending => panic!("nobody would wake us"),
    };
    assert_eq!([next(), next(), next()], [10, 0, 0]);
}
