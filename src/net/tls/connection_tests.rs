//! Two connections, joined by bytes that are cut anywhere.

use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, SupportedProtocolVersion};

use super::*;
use crate::net::tls::provider;

/// The configurations of both ends, with a certificate for `localhost`.
pub fn configs(
    version: &'static SupportedProtocolVersion,
    clients: CryptoProvider,
) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let cert = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(issuer.der().to_vec())).unwrap();
    let server = ServerConfig::builder_with_provider(provider());
    let server = server.with_protocol_versions(&[version]).unwrap().with_no_client_auth();
    let mut server = server.with_single_cert(vec![cert.der().clone()], key).unwrap();
    server.send_tls13_tickets = 0;
    let client = ClientConfig::builder_with_provider(clients.into());
    let client = client.with_protocol_versions(&[version]).unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

/// The name in the certificate.
pub fn name() -> ServerName<'static> {
    "localhost".try_into().unwrap()
}

/// One end, with what it holds for want of the rest.
struct End {
    tls: Connection,
    partial: Vec<u8>,
    /// What is on its way to the other end.
    out: Vec<u8>,
    plain: Vec<u8>,
    ended: bool,
}

impl End {
    fn new(tls: Connection) -> Self {
        let (partial, out, plain) = (Vec::new(), Vec::new(), Vec::new());
        let mut end = End { tls, partial, out, plain, ended: false };
        end.receive(&[]);
        end
    }

    fn receive(&mut self, bytes: &[u8]) {
        let mut received = std::mem::take(&mut self.partial);
        received.extend_from_slice(bytes);
        let take = |bytes: &[u8]| self.plain.extend_from_slice(bytes);
        let (used, next) = self.tls.receive(&mut received, take, &mut self.out);
        self.partial = received[used..].to_vec();
        self.ended |= next.unwrap() == Next::Ended;
    }

    fn send(&mut self, bytes: &[u8]) {
        let mut sealed = vec![0; SEALED];
        for record in bytes.chunks(RECORD) {
            let len = self.tls.encrypt(&mut self.partial, record, &mut sealed).unwrap();
            self.out.extend_from_slice(&sealed[..len]);
        }
    }

    fn close(&mut self) {
        let mut sealed = [0; 64];
        let len = self.tls.close(&mut self.partial, &mut sealed).unwrap();
        self.out.extend_from_slice(&sealed[..len]);
    }

    /// Gives the other end at most so many of the bytes on their way; whether there were any.
    fn pass(&mut self, to: &mut End, size: usize) -> bool {
        let passed: Vec<u8> = self.out.drain(..size.min(self.out.len())).collect();
        to.receive(&passed);
        !passed.is_empty()
    }
}

fn ends(version: &'static SupportedProtocolVersion) -> [End; 2] {
    static CONFIGS: OnceLock<[(Arc<ServerConfig>, Arc<ClientConfig>); 2]> = OnceLock::new();
    let configs = CONFIGS
        .get_or_init(|| [&TLS12, &TLS13].map(|version| configs(version, ring::default_provider())));
    let (server, client) = configs[usize::from(version.version == TLS13.version)].clone();
    [Connection::client(client, name()), Connection::server(server)]
        .map(|tls| End::new(tls.unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_arrive_however_the_records_are_cut(
        is_new in any::<bool>(),
        sizes in vec(1..2000_usize, 1..8),
        said in vec((any::<bool>(), 1..40_000_usize), 0..8),
    ) {
        let [mut client, mut server] = ends(if is_new { &TLS13 } else { &TLS12 });
        let (mut sizes, mut said) = (sizes.into_iter().cycle(), said.into_iter());
        let mut sent = [Vec::new(), Vec::new()];
        let mut closed = false;
        loop {
            let size = sizes.next().unwrap();
            let up = client.pass(&mut server, size);
            let down = server.pass(&mut client, size);
            if client.tls.is_handshaking() || server.tls.is_handshaking() {
                prop_assert!(up || down, "the handshake is stuck");
                continue;
            }
            // Some is said while other bytes are still on their way, and parts of records are held.
            if let Some((up, len)) = said.next() {
                let (from, sent) = if up { (&mut client, &mut sent[0]) } else { (&mut server, &mut sent[1]) };
                let start = sent.len();
                sent.extend((start..start + len).map(|at| (at % 251) as u8));
                from.send(&sent[start..]);
            } else if !std::mem::replace(&mut closed, true) {
                client.close();
                server.close();
            } else if !up && !down {
                break;
            }
        }
        prop_assert!(server.plain == sent[0] && client.plain == sent[1]);
        prop_assert!(client.ended && server.ended);
        prop_assert!(client.partial.is_empty() && server.partial.is_empty());
    }
}
