//! Acceptor: makes encrypted streams of accepted ones, with the certificate of the moment.
//!
//! ```text
//!  files ─▶ build ─▶ Arc<ServerConfig> ─▶ connections that come from now on
//!    ▲                    │ swapped by reload(), and by look() when what is in the files has changed
//!    └────────────────────┘ what can't be used is told once, and the old one stays
//! ```

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::crypto::ring::Ticketer;
use futures_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use futures_rustls::rustls::{self, RootCertStore, ServerConfig};

use super::facts::Facts;
use super::files::PemFile;
use super::stream::{Counted, Tls};
use super::{BUFFER, provider, words};
use crate::config::TlsConfig;
use crate::error::StartError;
use crate::net::stream::ByteStream;
use crate::sync::lock;

/// How often the files are looked at. By their content, as neither time nor name tell of a link that was
/// turned to another directory, which is how certbot and Kubernetes do it.
pub const LOOK: Duration = Duration::from_secs(2);

/// The protocols that may be agreed on (RFC 7301).
const HTTP: &[u8] = b"http/1.1";

/// Makes encrypted streams.
#[derive(Debug)]
pub struct Acceptor {
    config: TlsConfig,
    /// Locked for a moment by each connection that begins.
    current: Mutex<Arc<ServerConfig>>,
    /// What was last read, used or not; whoever reads again holds it.
    seen: Mutex<Content>,
}

/// Why a connection did not become an encrypted one.
#[derive(Debug)]
pub enum Failure {
    /// The client hung up before it said anything, as probes of load balancers do.
    Silent,
    /// It speaks HTTP without TLS.
    PlainHttp,
    /// The handshake failed; the text says how.
    Handshake(String),
}

/// What is in the files.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    cert: PemFile,
    /// `None`: it stands beside the certificate.
    key: Option<PemFile>,
    client_ca: Option<PemFile>,
}

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// [`StartError::Environment`]: what is wrong with them, and what to type.
    pub fn open(config: &TlsConfig) -> Result<Self, StartError> {
        let seen = Content::read(config);
        let current = seen.build().map_err(StartError::Environment)?;
        let (current, seen) = (Mutex::new(Arc::new(current)), Mutex::new(seen));
        Ok(Acceptor { config: config.clone(), current, seen })
    }

    /// Reads the files again; it logs how that went.
    pub fn reload(&self) {
        let mut seen = lock(&self.seen);
        *seen = Content::read(&self.config);
        self.swap(&seen);
    }

    /// Reads the files again, and uses what is in them if that has changed.
    pub fn look(&self) {
        let mut seen = lock(&self.seen);
        let now = Content::read(&self.config);
        if *seen != now {
            *seen = now;
            self.swap(&seen);
        }
    }

    fn swap(&self, content: &Content) {
        match content.build() {
            Ok(new) => {
                *lock(&self.current) = Arc::new(new);
                tracing::info!(file = content.cert.name(), "certificate reloaded");
            }
            Err(why) => tracing::warn!(why, "certificate not reloaded: the old one is kept"),
        }
    }

    /// Whether it was made of this.
    pub fn is_of(&self, config: &TlsConfig) -> bool {
        let TlsConfig { cert, key, client_ca, redirect_port: _ } = &self.config;
        (cert, key, client_ca) == (&config.cert, &config.key, &config.client_ca)
    }

    /// Does the handshake. There is no limit of time.
    ///
    /// # Errors
    /// [`Failure`], and the stream if there is somebody to be told.
    pub async fn accept(
        &self,
        io: ByteStream,
    ) -> Result<(ByteStream, Facts), (Failure, ByteStream)> {
        let mut first = [0];
        match io.peek(&mut first).await {
            Ok(0) => return Err((Failure::Silent, io)),
            // TLS begins with a 22 (RFC 8446, section 5.1), HTTP with the name of a method.
            Ok(_) if first[0].is_ascii_uppercase() => return Err((Failure::PlainHttp, io)),
            Ok(_) => {}
            Err(_) => return Err((Failure::Silent, io)),
        }
        let config = lock(&self.current).clone();
        let accepting = TlsAcceptor::from(config)
            .accept_with(Counted::new(io), |tls| tls.set_buffer_limit(Some(BUFFER)));
        match accepting.into_fallible().await {
            Ok(stream) => {
                let facts = Facts::of(stream.get_ref().1);
                Ok((ByteStream::tls(Tls::from(stream)), facts))
            }
            Err((error, io)) => {
                Err((Failure::Handshake(words::of_client(&error)), io.into_inner()))
            }
        }
    }
}

impl Content {
    fn read(config: &TlsConfig) -> Self {
        let read = |option: &str, path| PemFile::read(option, path);
        Content {
            cert: read("--tls-cert", &config.cert),
            key: config.key.as_deref().map(|path| read("--tls-key", path)),
            client_ca: config.client_ca.as_deref().map(|path| read("--tls-client-ca", path)),
        }
    }

    /// What connections are made with.
    fn build(&self) -> Result<ServerConfig, String> {
        let (cert, chain) = (self.cert.name(), self.cert.certificates()?);
        let key_file = self.key.as_ref().unwrap_or(&self.cert);
        let key = key_file.key()?.ok_or_else(|| match &self.key {
            Some(file) => format!("{} has no private key", file.name()),
            None => format!("{cert} has no private key: add --tls-key FILE"),
        })?;
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|e| e.to_string())?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let roots = Arc::new(roots(file)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = verifier.build().map_err(|e| format!("{}: {e}", file.name()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => format!(
                "the key in {} does not belong to the certificate in {cert}: give the one it was made with",
                key_file.name()
            ),
            rustls::Error::General(_) => format!(
                "the key in {} can't be used: make one that is RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519",
                key_file.name()
            ),
            other => format!("{cert} can't be used: {other}"),
        })?;
        config.alpn_protocols = vec![HTTP.to_vec()];
        if self.client_ca.is_some() {
            // A session that is taken up again is not asked for its certificate, which may have expired.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            // Sealed by keys of this process: nothing is kept for clients that may come back.
            config.ticketer = Ticketer::new().map_err(|e| e.to_string())?;
        }
        Ok(config)
    }
}

/// The certificates of a file, as those whose word is taken.
pub fn roots(file: &PemFile) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for cert in file.certificates()? {
        roots.add(cert).map_err(|e| format!("{}: {e}", file.name()))?;
    }
    Ok(roots)
}
