//! Acceptor: makes encrypted streams of accepted ones, with the current certificate.
//!
//! ```text
//!  files ─▶ build ─▶ Arc<ServerConfig> ─▶ connections that come from now on
//!    ▲                    │ swapped by reload(), and by look() when what is in the files has changed
//!    └────────────────────┘ what can't be used is logged once, and the old one stays
//! ```
//!
//! Where the certificate comes from an [authority](super::acme), each handshake uses the one issued last.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures::future::pending;
use rustls::crypto::ring::Ticketer;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WantsServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{CommonState, ConfigBuilder, ServerConfig};
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

use super::acme::{ACME_TLS_ALPN_NAME, Acme, Certificates};
use super::config::{CertSource, TlsConfig};
use super::facts::Facts;
use super::files::PemFile;
use super::stream::Tls;
use super::{provider, words};
use crate::error::StartError;
use crate::net::plain::Plain;
use crate::net::stream::ByteStream;
use crate::sync::lock;

/// How often the files are looked at. Their content is compared, as neither time nor name change with a
/// link that is turned to another directory, which is how certbot and Kubernetes do it.
pub const LOOK: Duration = Duration::from_secs(2);

/// The protocols that may be agreed on (RFC 7301).
const HTTP: &[u8] = b"http/1.1";

/// Makes encrypted streams.
#[derive(Debug)]
pub struct Acceptor {
    config: TlsConfig,
    /// Orders and renews the certificate, if it is in no file.
    acme: Option<Acme>,
    /// Locked for a moment by each connection that begins.
    current: Mutex<Rules>,
    /// The content last read, used or not; locked while the files are read again, for as long as the disk takes.
    seen: Mutex<Content>,
}

/// The reason why a connection did not become an encrypted one.
#[derive(Debug)]
pub enum HandshakeFailure {
    /// The client hung up before it said anything, as probes of load balancers do.
    Silent,
    /// It speaks HTTP without TLS.
    PlainHttp,
    /// The handshake failed; the text says how.
    Handshake(String),
    /// There is no certificate yet, which is logged elsewhere.
    NoCertificate,
    /// It is the authority, which has validated our challenge.
    Proof,
}

/// The configurations of handshakes.
#[derive(Debug)]
struct Rules {
    usual: Arc<ServerConfig>,
    /// Used while the authority may connect: it has no client certificate, where clients must have one.
    proving: Option<Arc<ServerConfig>>,
    /// The CAs of the certificates that clients must have, if they must.
    authorities: Option<Arc<PemFile>>,
}

/// The content of the files.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    /// `None`: it comes from an authority.
    cert: Option<PemFile>,
    /// `None`: it is in the file of the certificate.
    key: Option<PemFile>,
    client_ca: Option<PemFile>,
}

/// The certificates of one handshake. It notes the name that the client asks for, which a connection of rustls without
/// buffers does not give.
#[derive(Debug)]
struct Asked {
    certificates: Arc<dyn ResolvesServerCert>,
    server_name: OnceLock<String>,
}

impl Asked {
    fn new(certificates: Arc<dyn ResolvesServerCert>) -> Self {
        Asked { certificates, server_name: OnceLock::new() }
    }

    fn server_name(&self) -> Option<String> {
        self.server_name.get().cloned()
    }
}

impl ResolvesServerCert for Asked {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            let _ = self.server_name.set(name.to_owned());
        }
        self.certificates.resolve(hello)
    }
}

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// [`StartError::Environment`]: what is wrong with them, and what to type.
    pub fn open(config: &TlsConfig) -> Result<Self, StartError> {
        let acme = match &config.source {
            CertSource::Acme(acme) => Some(Acme::open(acme)?),
            CertSource::Files { .. } => None,
        };
        let seen = Content::read(config);
        let current = seen.rules(acme.as_ref()).map_err(StartError::Environment)?;
        seen.warn_of_dates();
        let (current, seen) = (Mutex::new(current), Mutex::new(seen));
        Ok(Acceptor { config: config.clone(), acme, current, seen })
    }

    /// Reads the files, for an acceptor in the place of `old`, whose certificate is used until an authority has
    /// issued another.
    ///
    /// # Errors
    /// As of [`open`](Acceptor::open).
    pub fn succeed(old: &Acceptor, config: &TlsConfig) -> Result<Self, StartError> {
        let new = Acceptor::open(config)?;
        if let Some(acme) = &new.acme
            && !old.is_without_certificate()
        {
            acme.certificates().set_fallback(lock(&old.current).usual.cert_resolver.clone());
        }
        Ok(new)
    }

    /// Reads the files again; it logs how that went. A certificate that could not be had is asked for again.
    pub fn reload(&self) {
        if let Some(acme) = &self.acme {
            acme.reload();
        }
        if self.has_files() {
            let mut seen = lock(&self.seen);
            *seen = Content::read(&self.config);
            self.swap(&seen);
        }
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
        match content.rules(self.acme.as_ref()) {
            Ok(new) => {
                *lock(&self.current) = new;
                let file = content.files().next().map_or("", PemFile::name);
                tracing::info!(file, "certificate reloaded");
                content.warn_of_dates();
            }
            Err(why) => tracing::warn!(why, "certificate not reloaded: the old one is kept"),
        }
    }

    /// Whether there is anything to [look](Acceptor::look) at. It does not wait while files are read.
    pub fn has_files(&self) -> bool {
        let TlsConfig { source, client_ca } = &self.config;
        matches!(source, CertSource::Files { .. }) || client_ca.is_some()
    }

    /// Whether it was made of this configuration.
    pub fn is_of(&self, config: &TlsConfig) -> bool {
        self.config == *config
    }

    /// Orders certificates in time, for ever; without an authority it does nothing.
    pub async fn renew(&self) {
        match &self.acme {
            Some(acme) => acme.run().await,
            None => pending().await,
        }
    }

    /// Does the handshake. There is no limit of time.
    ///
    /// # Errors
    /// [`HandshakeFailure`], and the stream, on which an answer may be sent.
    pub async fn accept(
        &self,
        io: Plain,
    ) -> Result<(ByteStream, Facts), (HandshakeFailure, ByteStream)> {
        let mut first = [0];
        match io.peek(&mut first).await {
            Ok(0) => return Err((HandshakeFailure::Silent, ByteStream::plain(io))),
            // TLS begins with a 22 (RFC 8446, section 5.1), HTTP with the name of a method.
            Ok(_) if first[0].is_ascii_uppercase() => {
                return Err((HandshakeFailure::PlainHttp, ByteStream::plain(io)));
            }
            Ok(_) => {}
            Err(_) => return Err((HandshakeFailure::Silent, ByteStream::plain(io))),
        }
        let (rules, authorities) = self.rules();
        let asked = Arc::new(Asked::new(rules.cert_resolver.clone()));
        let mut config = ServerConfig::clone(&rules);
        config.cert_resolver = asked.clone();
        match Tls::accept(io, Arc::new(config)).await {
            Ok(tls) => {
                let facts = Facts::of(tls.agreed(), asked.server_name(), authorities);
                let failure = self.objection(tls.agreed());
                let io = ByteStream::tls(tls);
                match failure {
                    None => Ok((io, facts)),
                    Some(failure) => Err((failure, io)),
                }
            }
            Err((error, io)) => Err((self.explain(&error), ByteStream::plain(io))),
        }
    }

    /// Whether the client CAs are still those of the handshake. If not, a connection that is open must not be
    /// used by a client that the current CAs do not vouch for.
    pub fn still_vouches(&self, facts: &Facts) -> bool {
        // Where clients need no certificate there is nothing to compare.
        self.config.client_ca.is_none() && facts.authorities.is_none()
            || lock(&self.current).authorities == facts.authorities
    }

    /// The configuration of the next handshake, and the CAs of the client's certificate.
    fn rules(&self) -> (Arc<ServerConfig>, Option<Arc<PemFile>>) {
        let rules = lock(&self.current);
        let config = match (&rules.proving, &self.acme) {
            (Some(proving), Some(acme)) if acme.certificates().is_proving() => proving.clone(),
            _ => rules.usual.clone(),
        };
        (config, rules.authorities.clone())
    }

    /// The reason to refuse a connection whose handshake succeeded.
    fn objection(&self, tls: &CommonState) -> Option<HandshakeFailure> {
        if tls.alpn_protocol() == Some(ACME_TLS_ALPN_NAME) {
            return Some(HandshakeFailure::Proof);
        }
        let is_stranger = self.config.client_ca.is_some() && tls.peer_certificates().is_none();
        is_stranger.then(|| HandshakeFailure::Handshake(words::NO_CERTIFICATE.into()))
    }

    fn explain(&self, error: &io::Error) -> HandshakeFailure {
        if self.is_without_certificate() {
            return HandshakeFailure::NoCertificate;
        }
        HandshakeFailure::Handshake(words::of_client(error))
    }

    fn is_without_certificate(&self) -> bool {
        self.acme.as_ref().is_some_and(|acme| acme.certificates().is_empty())
    }
}

impl Content {
    fn read(config: &TlsConfig) -> Self {
        let read = |option: &str, path| PemFile::read(option, path);
        let (cert, key) = match &config.source {
            CertSource::Files { cert, key } => (Some(cert), key.as_ref()),
            CertSource::Acme(_) => (None, None),
        };
        Content {
            cert: cert.map(|path| read("--tls-cert", path)),
            key: key.map(|path| read("--tls-key", path)),
            client_ca: config.client_ca.as_deref().map(|path| read("--tls-client-ca", path)),
        }
    }

    fn files(&self) -> impl Iterator<Item = &PemFile> {
        self.cert.iter().chain(&self.key).chain(&self.client_ca)
    }

    /// Warns of a certificate that clients will refuse. It does not fail the start: our clock may be wrong, or
    /// theirs.
    fn warn_of_dates(&self) {
        let Some(cert) = &self.cert else { return };
        let Ok(chain) = cert.certificates() else { return };
        let Ok((_, parsed)) = parse_x509_certificate(&chain[0]) else { return };
        let (file, now, dates) = (cert.name(), ASN1Time::now(), parsed.validity());
        if dates.not_after < now {
            tracing::warn!(
                file,
                since = dates.not_after.to_string(),
                "the certificate has expired: renew it"
            );
        } else if now < dates.not_before {
            tracing::warn!(
                file,
                until = dates.not_before.to_string(),
                "the certificate is not valid yet"
            );
        }
    }

    /// The configurations of handshakes with this content.
    fn rules(&self, acme: Option<&Acme>) -> Result<Rules, String> {
        let certificates = acme.map(Acme::certificates);
        let proving = match (certificates, &self.client_ca) {
            (Some(_), Some(_)) => Some(Arc::new(self.build(certificates, true)?)),
            _ => None,
        };
        let authorities = self.client_ca.clone().map(Arc::new);
        Ok(Rules { usual: Arc::new(self.build(certificates, false)?), proving, authorities })
    }

    /// One configuration of rustls; `optional`: clients may be without certificates.
    fn build(
        &self,
        certificates: Option<&Arc<Certificates>>,
        optional: bool,
    ) -> Result<ServerConfig, String> {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|e| e.to_string())?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let roots = Arc::new(file.roots()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
                let verifier = verifier.build().map_err(|e| format!("{}: {e}", file.name()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = match (certificates, &self.cert) {
            (Some(certificates), _) => builder.with_cert_resolver(certificates.clone()),
            (None, Some(cert)) => self.certify(builder, cert)?,
            (None, None) => unreachable!("what no authority is asked for is in a file"),
        };
        config.alpn_protocols = vec![HTTP.to_vec()];
        if certificates.is_some() {
            config.alpn_protocols.push(ACME_TLS_ALPN_NAME.to_vec());
        }
        if self.client_ca.is_some() {
            // A TLS session that is resumed does not check its certificate again, which may have expired.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            // Tickets are sealed with keys of this process: nothing is stored for clients that may come back.
            config.ticketer = Ticketer::new().map_err(|e| e.to_string())?;
        }
        Ok(config)
    }

    /// Adds the certificate of a file.
    fn certify(
        &self,
        builder: ConfigBuilder<ServerConfig, WantsServerCert>,
        cert_file: &PemFile,
    ) -> Result<ServerConfig, String> {
        let (cert, chain) = (cert_file.name(), cert_file.certificates()?);
        let key_file = self.key.as_ref().unwrap_or(cert_file);
        let key = key_file.key()?.ok_or_else(|| match &self.key {
            Some(file) => format!("{} has no private key", file.name()),
            None => format!("{cert} has no private key: add --tls-key FILE"),
        })?;
        let its_key = key.clone_key();
        builder.with_single_cert(chain.clone(), key).map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) if is_behind_others(&chain, &its_key) => {
                format!("{cert} has the certificate of the key behind others: put it first")
            }
            rustls::Error::InconsistentKeys(_) => format!(
                "the key in {} does not belong to the certificate in {cert}: give the one it was made with",
                key_file.name()
            ),
            rustls::Error::General(_) => format!(
                "the key in {} can't be used: make one that is RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519",
                key_file.name()
            ),
            other => format!("{cert} can't be used: {other}"),
        })
    }
}

/// Whether the key belongs to a certificate that is not the first, as in a chain in reverse order.
fn is_behind_others(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'_>) -> bool {
    let Ok(key) = any_supported_type(key) else { return false };
    let is_its = |one: &CertificateDer<'static>| {
        CertifiedKey::new(vec![one.clone()], key.clone()).keys_match().is_ok()
    };
    chain.iter().skip(1).any(is_its)
}

#[cfg(test)]
#[path = "acceptor_tests.rs"]
mod tests;
