//! Sockets that are bound, inherited, left behind and removed.

use super::*;
use rustix::io::fcntl_getfd;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix;
use std::os::unix::net::UnixListener;

#[test]
fn connections_have_their_listeners_options() {
    let addr = ListenAddr::Exact(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let mut listener = Listener::bind(&addr).unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().connectable().unwrap());
    let client = client.unwrap();
    let (stream, peer) = crate::task::block_on(listener.accept());
    assert_eq!(peer, client.local_addr().unwrap().into());
    let socket = stream.as_socket();
    assert!(socket.tcp_nodelay().unwrap() && socket.nonblocking().unwrap());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
}

#[test]
fn a_socket_of_somebody_else_is_listened_on_and_left() {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let theirs = TcpListener::bind(addr).unwrap();
    let addr = theirs.local_addr().unwrap();
    let mut tcp = Listener::from_fd(theirs.into()).unwrap();
    assert_eq!(*tcp.local_addr(), LocalAddr::Tcp(addr));
    let client = std::net::TcpStream::connect(addr).unwrap();
    let (stream, peer) = crate::task::block_on(tcp.accept());
    assert_eq!(peer, client.local_addr().unwrap().into());
    let socket = stream.as_socket();
    assert!(socket.tcp_nodelay().unwrap() && socket.nonblocking().unwrap());
    assert!(socket.keepalive().unwrap());

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let mut ours = Listener::from_fd(UnixListener::bind(&path).unwrap().into()).unwrap();
    assert_eq!(*ours.local_addr(), LocalAddr::Unix(path.clone()));
    let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    assert_eq!(crate::task::block_on(ours.accept()).1, PeerAddr::Unix);
    drop(ours);
    assert!(path.exists(), "it is not ours to remove");

    let name = format!("wsrelay-test-{}", std::process::id());
    let at = unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let ours = Listener::from_fd(UnixListener::bind_addr(&at).unwrap().into()).unwrap();
    assert_eq!(ours.local_addr().to_string(), format!("unix:@{name}"));
}

/// A listening socket as a service manager hands it over: blocking, and kept across exec.
fn inherited(socket: impl Into<OwnedFd>) -> OwnedFd {
    let fd = socket.into();
    fcntl_setfd(&fd, FdFlags::empty()).unwrap();
    fd
}

#[test]
fn a_socket_that_is_taken_blocks_nobody_and_is_not_handed_to_programs() {
    let dir = tempfile::tempdir().unwrap();
    for fd in [
        inherited(TcpListener::bind("127.0.0.1:0").unwrap()),
        inherited(UnixListener::bind(dir.path().join("socket")).unwrap()),
    ] {
        let listener = Listener::from_fd(fd).unwrap();
        let ListenSocket { socket, .. } = &listener.socket;
        assert!(fcntl_getfd(socket).unwrap().contains(FdFlags::CLOEXEC));
        assert!(socket.nonblocking().unwrap());
    }
}

#[test]
fn what_does_not_listen_is_no_listener() {
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    for fd in [OwnedFd::from(bound), datagrams.into(), one.into()] {
        let error = Listener::from_fd(fd).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    let file = File::open("/dev/null").unwrap();
    assert!(Listener::from_fd(file.into()).is_err());
}

fn unix(path: &Path) -> io::Result<Listener> {
    Listener::bind(&ListenAddr::Unix(path.to_owned()))
}

#[test]
fn only_the_socket_file_that_it_made_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let ours = unix(&path).unwrap();
    drop(ours);
    assert!(!path.exists(), "its own");

    let ours = unix(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let theirs = UnixListener::bind(&path).unwrap();
    drop(ours);
    std::os::unix::net::UnixStream::connect(&path).expect("another server's stays");
    drop(theirs);

    let ours = unix(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "notes").unwrap();
    drop(ours);
    assert_eq!(fs::read_to_string(&path).unwrap(), "notes");
}

/// All find the same socket that a killed server left behind, and one takes its place.
#[test]
fn of_those_that_start_at_once_one_listens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    for _ in 0..20 {
        drop(UnixListener::bind(&path).unwrap());
        let start = std::sync::Barrier::new(4);
        let listeners: Vec<_> = thread::scope(|scope| {
            let bind = || {
                start.wait();
                unix(&path).ok()
            };
            let all: Vec<_> = (0..4).map(|_| scope.spawn(bind)).collect();
            all.into_iter().filter_map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(listeners.len(), 1);
        std::os::unix::net::UnixStream::connect(&path).expect("it is reached");
    }
}
