//! TlsConfig: TLS at the listeners, and where the certificate comes from.

use std::path::PathBuf;

/// Let's Encrypt, whose certificates every browser accepts.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// TLS at every listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The source of our certificate.
    pub source: CertSource,
    /// The CAs of the certificates that clients must have, if they must have any.
    pub client_ca: Option<PathBuf>,
}

/// The source of a listener's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertSource {
    /// Files.
    Files {
        /// The certificate and its chain, as PEM.
        cert: PathBuf,
        /// Its key; `None`: in the same file.
        key: Option<PathBuf>,
    },
    /// A certificate authority, by ACME.
    Acme(AcmeConfig),
}

/// The certificate to order, and the authority to order it from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeConfig {
    /// The names and addresses that it is for; not empty, in lower case, addresses in their shortest form.
    pub domains: Vec<String>,
    /// The contacts of the account, as `mailto:` URLs (RFC 8555, section 7.3).
    pub contact: Vec<String>,
    /// The directory of the certificate, its key and the account's key.
    pub cache: PathBuf,
    /// The URL of the authority's directory (RFC 8555, section 7.1.1).
    pub directory: String,
    /// The CAs that the directory's own certificate may be from; the system's if `None`.
    pub ca: Option<PathBuf>,
}
