//! Certificates made for a test, and both sides of TLS connections on blocking sockets.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_tungstenite::tungstenite::WebSocket;
use async_tungstenite::tungstenite::client::client_with_config;
use async_tungstenite::tungstenite::protocol::Role;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, PublicKeyData,
};
use rustls::crypto::ring::default_provider;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion, version,
};
use tempfile::TempDir;

use super::{Backend, Client, HttpResponse, Relay, Steady, handshake, relay};

/// The client's end of an encrypted connection.
pub type Tls = StreamOwned<ClientConnection, Steady>;

/// The server's end.
pub type TlsServer = StreamOwned<ServerConnection, Steady>;

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Pair {
    pub cert: String,
    pub key: String,
}

/// An authority, and a directory for what it issues.
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub pem: String,
    dir: TempDir,
}

impl Ca {
    pub fn new() -> Self {
        // Each has a name of its own, as authorities are distinguished by name first.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut params = params(&[], &format!("CA {}", COUNT.fetch_add(1, Ordering::Relaxed)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pem = issuer.pem();
        let ca = Ca { issuer, pem, dir: TempDir::new().unwrap() };
        ca.write("ca.pem", &ca.pem.clone());
        ca
    }

    /// A certificate of this authority, with other parameters.
    pub fn issue_with(
        &self,
        names: &[&str],
        cn: &str,
        more: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let mut params = params(names, cn);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        more(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Pair { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A certificate for another key, as PEM.
    pub fn certify(&self, names: &[&str], key: &impl PublicKeyData) -> String {
        params(names, "certified").signed_by(key, &self.issuer).unwrap().pem()
    }

    /// A certificate for these names, or for a client.
    pub fn issue(&self, names: &[&str], cn: &str) -> Pair {
        self.issue_with(names, cn, |_| {})
    }

    /// An expired certificate.
    pub fn issue_expired(&self, names: &[&str], cn: &str) -> Pair {
        self.issue_with(names, cn, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1))
    }

    /// Writes a file into the authority's directory, and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The options of a relay with a certificate for this machine.
    pub fn options(&self) -> Vec<String> {
        let pair = self.issue(&["localhost", "127.0.0.1"], "relay");
        let cert = self.write("cert.pem", &pair.cert);
        let key = self.write("key.pem", &pair.key);
        ["--tls-cert", &cert, "--tls-key", &key].map(str::to_owned).into()
    }

    /// A relay that speaks TLS.
    pub fn relay(&self, options: &[&str]) -> Relay {
        let ours = self.options();
        let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
        relay(&[&ours, options].concat())
    }

    /// A relay in front of `backend` that speaks TLS.
    pub fn relay_to(&self, backend: SocketAddr, options: &[&str]) -> Relay {
        self.relay(&[&["--to", &backend.to_string()], options].concat())
    }

    /// The configuration of a client that trusts this authority.
    pub fn client(&self, certificate: Option<&Pair>) -> Arc<ClientConfig> {
        self.client_of(certificate, &[&version::TLS12, &version::TLS13])
    }

    /// The same with these versions of the protocol.
    pub fn client_of(
        &self,
        certificate: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        Arc::new(match certificate {
            None => config.with_no_client_auth(),
            Some(pair) => config.with_client_auth_cert(chain(pair), key(pair)).unwrap(),
        })
    }

    /// A WebSocket client of a relay that speaks TLS.
    pub fn connect(&self, relay: &Relay, path: &str) -> Client<Tls> {
        connect(relay, path, self.client(None))
    }

    /// Sends an HTTP request over TLS.
    pub fn http(&self, relay: &Relay, request: &str) -> HttpResponse {
        let mut tls = tls(relay.tcp(), self.client(None)).expect("a handshake");
        tls.write_all(request.as_bytes()).unwrap();
        HttpResponse::read(&mut tls)
    }
}

fn params(names: &[&str], cn: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, cn);
    params
}

fn chain(pair: &Pair) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pair.cert.as_bytes()).collect::<Result<_, _>>().unwrap()
}

fn key(pair: &Pair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap()
}

/// Does the handshake on a socket.
pub fn tls(tcp: TcpStream, config: Arc<ClientConfig>) -> std::io::Result<Tls> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(config, name).unwrap(), Steady(tcp));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A WebSocket client with these settings.
pub fn connect(relay: &Relay, path: &str, config: Arc<ClientConfig>) -> Client<Tls> {
    let tls = tls(relay.tcp(), config).expect("a handshake");
    let url = format!("wss://localhost:{}{path}", relay.addr.port());
    Client(client_with_config(url, tls, None).unwrap_or_else(|e| panic!("{e}")).0)
}

/// A WebSocket handshake by hand, and the connection behind it.
pub fn upgraded(relay: &Relay, config: Arc<ClientConfig>, early: &[u8]) -> Tls {
    let mut tls = tls(relay.tcp(), config).expect("a handshake");
    tls.write_all(&[handshake("/", "").as_bytes(), early].concat()).unwrap();
    assert_eq!(HttpResponse::read(&mut tls).status, 101);
    tls
}

/// A WebSocket client on a connection whose handshake is done.
pub fn client(tls: Tls) -> Client<Tls> {
    Client(WebSocket::from_raw_socket(tls, Role::Client, None))
}

/// The configuration of a server with this certificate. It is not checked that the key belongs to the first one, as some
/// servers send a chain in the wrong order.
pub fn server_config(pair: &Pair) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let certified = CertifiedKey::new(chain(pair), any_supported_type(&key(pair)).unwrap());
    Arc::new(config.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified))))
}

/// A backend's connection that speaks TLS.
pub fn accept(backend: &Backend, pair: &Pair) -> std::io::Result<TlsServer> {
    server(backend.accept().0.into_inner(), pair)
}

/// The line in front of TLS on a backend's connection, and that connection.
pub fn accept_behind_line(backend: &Backend, pair: &Pair) -> (String, TlsServer) {
    let mut tcp = backend.accept().0.into_inner();
    // Byte by byte, so that nothing of TLS is taken.
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        tcp.read_exact(&mut byte).unwrap();
        line.extend(byte);
    }
    (String::from_utf8(line).unwrap(), server(tcp, pair).expect("a handshake"))
}

/// Does the handshake of a server on a socket.
fn server(tcp: TcpStream, pair: &Pair) -> std::io::Result<TlsServer> {
    let connection = ServerConnection::new(server_config(pair)).unwrap();
    let mut stream = StreamOwned::new(connection, Steady(tcp));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Sends a close_notify, and shuts the socket down in this way.
pub fn shutdown_write(tls: &mut TlsServer) {
    tls.conn.send_close_notify();
    tls.flush().unwrap();
    tls.sock.shutdown(Shutdown::Write).unwrap();
}

/// Reads up to the other side's close_notify, and expects its FIN behind that.
pub fn read_to_end(tls: &mut (impl Read + Socket)) -> Vec<u8> {
    let mut all = Vec::new();
    tls.read_to_end(&mut all).expect("a close_notify");
    assert_eq!(tls.socket().read(&mut [0]).expect("a FIN, no reset"), 0);
    all
}

/// A stream with a socket.
pub trait Socket {
    fn socket(&mut self) -> &mut Steady;
}

impl Socket for Tls {
    fn socket(&mut self) -> &mut Steady {
        &mut self.sock
    }
}

impl Socket for TlsServer {
    fn socket(&mut self) -> &mut Steady {
        &mut self.sock
    }
}

/// Writes the same bytes until nothing has been taken for a while, and returns how many times. The last of them may
/// still be buffered in rustls, whose own write would go on to read.
pub fn flood(tls: &mut Tls, unit: &[u8]) -> usize {
    tls.sock.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    tls.conn.set_buffer_limit(None);
    let mut taken = 0;
    'stuck: loop {
        tls.conn.writer().write_all(unit).unwrap();
        taken += 1;
        while tls.conn.wants_write() {
            if tls.conn.write_tls(&mut tls.sock).is_err() {
                break 'stuck;
            }
        }
    }
    tls.sock.set_write_timeout(Some(super::DEADLINE)).unwrap();
    taken
}

/// Runs `openssl`; its stdout and stderr.
pub fn openssl(args: &[&str]) -> String {
    let done = Command::new("openssl").args(args).stdin(std::process::Stdio::null()).output();
    let done = done.expect("openssl is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&done.stdout) + &text(&done.stderr)
}

/// Expects an echo of a line.
pub fn assert_echoes(client: &mut Client<Tls>) {
    client.send("hello");
    assert_eq!(client.recv(), "hello");
}

/// Expects that the relay serves a new client.
pub fn assert_serves(ca: &Ca, relay: &Relay) {
    let mut client = ca.connect(relay, "/");
    client.send("hello");
    assert_eq!(client.recv(), "hello");
    client.close();
}
