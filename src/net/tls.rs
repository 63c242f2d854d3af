//! TLS: how a stream becomes an encrypted one, at a listener ([`Acceptor`]) and towards a backend
//! ([`Connector`]). The bytes are rustls's business. [`acme`] gets certificates by itself.

mod acceptor;
pub mod acme;
mod config;
mod connector;
mod facts;
mod files;
mod names;
mod pem;
mod stream;
mod words;

use std::sync::{Arc, OnceLock};

use futures_rustls::rustls::crypto::{CryptoProvider, ring};

pub use self::acceptor::{Acceptor, Failure, LOOK};
pub use self::config::{AcmeConfig, CertSource, LETS_ENCRYPT, TlsConfig};
pub use self::connector::{Authorities, Connector};
pub use self::facts::Facts;
pub use self::names::Subject;
pub use self::stream::Tls;

/// Bytes of a connection that rustls may hold back. What it has taken counts as sent until it is flushed,
/// so this is what a peer that takes nothing can hide: one record (RFC 8446, section 5.1).
const BUFFER: usize = 16 * 1024;

/// The cryptography of all connections: TLS 1.2 and 1.3 with forward secrecy, as rustls knows no
/// other.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(ring::default_provider())).clone()
}
