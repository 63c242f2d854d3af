//! TlsConfig: TLS at the listeners, and where the certificate comes from.

use std::path::PathBuf;

/// Let's Encrypt, whose certificates every browser accepts.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// TLS at every listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Where our certificate comes from.
    pub source: CertSource,
    /// Whose certificates clients must have, if they must have any.
    pub client_ca: Option<PathBuf>,
}

/// Where a listener's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertSource {
    /// Files.
    Files {
        /// The certificate and those that vouch for it, as PEM.
        cert: PathBuf,
        /// Its key; `None`: in the same file.
        key: Option<PathBuf>,
    },
    /// An authority, which is asked for it.
    Acme(AcmeConfig),
}

/// Which certificate to order, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeConfig {
    /// The names and addresses that it is for; not empty, in lower case, addresses as short as they get.
    pub domains: Vec<String>,
    /// Whom the authority may write to, as `mailto:` URLs (RFC 8555, section 7.3).
    pub contact: Vec<String>,
    /// Where the certificate, its key and the account's key are kept.
    pub cache: PathBuf,
    /// The URL of the authority's directory (RFC 8555, section 7.1.1).
    pub directory: String,
    /// The CAs that the directory's own certificate may be from; the system's if `None`.
    pub ca: Option<PathBuf>,
}
