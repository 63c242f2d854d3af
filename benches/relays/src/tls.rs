//! TLS: the certificate of the relays, and the clients' end of an encrypted connection.

use rustls::{
    ClientConfig, ClientConnection, CommonState, RootCertStore,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use std::{
    error::Error,
    fs,
    io::{BufRead, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the relays' certificate is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// A PEM file with the certificate and its key, which is what HAProxy takes.
    pub both: PathBuf,
    /// The key alone.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one for 127.0.0.1 that signs itself, with a key on P-256, as most public servers have.
    pub fn make(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let certificate = Certificate { both: dir.join("both.pem"), key: dir.join("key.pem") };
        let key = made.signing_key.serialize_pem();
        fs::write(&certificate.key, &key)?;
        fs::write(&certificate.both, made.cert.pem() + &key)?;
        Ok(certificate)
    }
}

/// What all clients of a load share. Every handshake is a full one, and all relays use the cipher that browsers prefer.
pub fn config(certificate: &Certificate) -> Result<Arc<ClientConfig>, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate.both)?)?;
    let suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let provider = CryptoProvider { cipher_suites: suites, ..ring::default_provider() };
    let config = ClientConfig::builder_with_provider(Arc::new(provider));
    let config = config.with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The client's end of one connection.
pub struct Tls(ClientConnection);

impl Tls {
    pub fn new(config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let mut tls = ClientConnection::new(config.clone(), name).expect("a right configuration");
        // What waits is bounded by the windows of the workloads.
        tls.set_buffer_limit(None);
        Tls(tls)
    }

    /// Takes what has come, and appends the data in it to `plain`.
    pub fn receive(&mut self, mut data: &[u8], plain: &mut Vec<u8>) -> Result<(), String> {
        while !data.is_empty() {
            let taken = self.0.read_tls(&mut data).map_err(|error| error.to_string())?;
            self.0.process_new_packets().map_err(|error| error.to_string())?;
            if taken == 0 {
                break;
            }
            let mut reader = self.0.reader();
            while let Ok(chunk @ [_, ..]) = reader.fill_buf() {
                let len = chunk.len();
                plain.extend_from_slice(chunk);
                reader.consume(len);
            }
        }
        Ok(())
    }

    /// Encrypts `data`, and appends what is to be sent to `out`: that, and what the handshake wants.
    pub fn send(&mut self, data: &[u8], out: &mut Vec<u8>) {
        self.0.writer().write_all(data).expect("no limit");
        while self.0.wants_write() {
            self.0.write_tls(out).expect("writing to a Vec");
        }
    }

    /// Has a close_notify sent with the next data.
    pub fn close(&mut self) {
        self.0.send_close_notify();
    }

    pub fn is_handshaking(&self) -> bool {
        CommonState::is_handshaking(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ServerConfig, ServerConnection, pki_types::PrivateKeyDer};
    use std::io::Read;

    #[test]
    fn a_certificate_made_is_one_that_clients_trust() {
        let dir = std::env::temp_dir().join(format!("relays-tls-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let certificate = Certificate::make(&dir).unwrap();
        let chain = vec![CertificateDer::from_pem_file(&certificate.both).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let server = Arc::new(server.with_single_cert(chain, key).unwrap());
        let mut server = ServerConnection::new(server).unwrap();
        let mut client = Tls::new(&config(&certificate).unwrap());
        fs::remove_dir_all(&dir).unwrap();

        let (mut seen, mut sent) = (Vec::new(), false);
        for _ in 0..4 {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            let data: &[u8] = if client.is_handshaking() || sent { b"" } else { b"up" };
            sent |= !data.is_empty();
            client.send(data, &mut up);
            let mut up = &up[..];
            while !up.is_empty() {
                server.read_tls(&mut up).unwrap();
                server.process_new_packets().unwrap();
            }
            let mut buffer = [0; 8];
            if let Ok(len) = server.reader().read(&mut buffer) {
                assert_eq!(&buffer[..len], b"up");
                server.writer().write_all(b"down").unwrap();
            }
            while server.wants_write() {
                server.write_tls(&mut down).unwrap();
            }
            client.receive(&down, &mut seen).unwrap();
        }
        assert_eq!(seen, b"down");
    }
}
