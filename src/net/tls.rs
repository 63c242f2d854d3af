//! TLS: makes encrypted streams, at a listener ([`Acceptor`]) and to a backend ([`TlsConnector`]), with
//! rustls. [`acme`] orders certificates.

mod acceptor;
pub mod acme;
mod config;
mod connection;
mod connector;
mod facts;
mod files;
mod names;
mod pem;
mod stream;
mod suites;
mod words;

use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, ring};

pub use self::acceptor::{Acceptor, HandshakeFailure, LOOK};
pub use self::config::{AcmeConfig, CertSource, LETS_ENCRYPT, TlsConfig};
pub use self::connector::{Authorities, TlsConnector};
pub use self::facts::Facts;
pub use self::names::CertificateSubject;
pub use self::stream::Tls;

/// The cryptography of all connections: TLS 1.2 and 1.3 with forward secrecy, as rustls knows no
/// other.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let make = || {
        let usual = ring::default_provider();
        let suites = usual.cipher_suites.into_iter().map(suites::expanded_later).collect();
        Arc::new(CryptoProvider { cipher_suites: suites, ..usual })
    };
    PROVIDER.get_or_init(make).clone()
}
