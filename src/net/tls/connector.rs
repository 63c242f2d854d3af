//! TlsConnector: makes encrypted streams of connections to a backend, whose certificate is checked.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use super::files::PemFile;
use super::stream::Tls;
use super::words::Flaw;
use super::{provider, words};
use crate::net::plain::Plain;
use crate::net::stream::ByteStream;
use crate::sync::lock;

/// Makes encrypted streams to one host.
#[derive(Debug)]
pub struct TlsConnector {
    authorities: Arc<Authorities>,
    name: ServerName<'static>,
}

/// They are equal if they are for one host and share their authorities.
impl PartialEq for TlsConnector {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.authorities, &other.authorities)
    }
}

/// The trusted authorities: the system's, or those of a file, as they were when they were last read.
#[derive(Debug)]
pub struct Authorities {
    /// The option that names the file.
    option: &'static str,
    path: Option<PathBuf>,
    /// Locked for a moment by each connection that begins.
    current: Mutex<(Option<PemFile>, Arc<ClientConfig>)>,
}

impl TlsConnector {
    /// For a host by name or address, whose certificate is checked against these authorities.
    ///
    /// # Errors
    /// A sentence that says what to type.
    pub fn new(host: &str, authorities: Arc<Authorities>) -> Result<Self, String> {
        // The zone of an IPv6 address is of this machine only (RFC 4007), and in no certificate.
        let (name, _zone) = host.split_once('%').unwrap_or((host, ""));
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("{host:?} is no name that a certificate can have"))?;
        Ok(TlsConnector { authorities, name })
    }

    /// Does the handshake. There is no limit of time.
    ///
    /// # Errors
    /// What is wrong, in plain words.
    pub async fn connect(&self, io: Plain) -> io::Result<ByteStream> {
        match Tls::connect(io, self.authorities.current(), self.name.clone()).await {
            Ok(tls) => Ok(ByteStream::tls(tls)),
            Err((error, _)) => {
                let why =
                    words::of_backend(&error, &self.name.to_str(), self.authorities.path.is_some());
                Err(io::Error::new(error.kind(), why))
            }
        }
    }
}

impl Authorities {
    /// Reads the file that `option` names, or the system's.
    ///
    /// # Errors
    /// A sentence that says what to type.
    pub fn open(option: &'static str, path: Option<PathBuf>) -> Result<Self, String> {
        let file = path.as_deref().map(|path| PemFile::read(option, path));
        let config = client_config(option, file.as_ref())?;
        Ok(Authorities { option, path, current: Mutex::new((file, Arc::new(config))) })
    }

    /// The configuration of the next handshake.
    pub fn current(&self) -> Arc<ClientConfig> {
        lock(&self.current).1.clone()
    }

    /// Reads them again; it logs how that went. If they can't be used, those from before are kept.
    pub fn reload(&self) {
        let file = self.path.as_deref().map(|path| PemFile::read(self.option, path));
        let name = file.as_ref().map_or("the system's certificates", PemFile::name).to_owned();
        // If nothing has changed, a new configuration would only forget the TLS sessions.
        if file.is_none() || lock(&self.current).0 != file {
            match client_config(self.option, file.as_ref()) {
                Ok(config) => *lock(&self.current) = (file, Arc::new(config)),
                Err(why) => {
                    tracing::warn!(why, "not reloaded: the old ones are kept");
                    return;
                }
            }
        }
        tracing::info!(file = name, "reloaded");
    }
}

/// The configuration of connections to a server whose certificate is checked against the system's
/// authorities, or those of this file.
fn client_config(option: &str, file: Option<&PemFile>) -> Result<ClientConfig, String> {
    let (roots, pinned) = match file {
        None => (system_roots(option)?, Vec::new()),
        Some(file) => (file.roots()?, file.certificates()?),
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    let verifier = verifier.build().map_err(|e| e.to_string())?;
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { verifier, pinned }))
        .with_no_client_auth())
}

fn system_roots(option: &str) -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some are always too old for the library.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    match usable {
        0 => Err(format!(
            "this system has no root certificates: install ca-certificates, or add {option} FILE"
        )),
        _ => Ok(roots),
    }
}

/// webpki's check, except that a certificate which is itself in the file is trusted, whoever signed it.
/// `openssl req -x509` makes such certificates, and marks them as authorities, which webpki refuses as a
/// server's.
#[derive(Debug)]
struct Verifier {
    verifier: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = match self.pinned.contains(end_entity) {
            true => check_pinned(end_entity, server_name, now),
            false => self
                .verifier
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map(drop),
        };
        match verified {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => Err(explain(error, end_entity, intermediates)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Checks the rest of a certificate that is in the file: its dates and its name.
fn check_pinned(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    check_dates(certificate, now)?;
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
}

/// The error of a certificate, or a more precise one where a closer look finds it.
fn explain(error: Error, own: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Error {
    let parse = |der| X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate);
    let Some(own) = parse(own) else { return error };
    let of_server = |der| parse(der).is_some_and(|certificate| !certificate.is_ca());
    if own.is_ca() && others.iter().any(|der| of_server(der)) {
        return Flaw::Reversed.into();
    }
    let is_unknown = matches!(
        error,
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))
    );
    match is_unknown && own.subject() == own.issuer() {
        true => Flaw::SelfSigned.into(),
        false => error,
    }
}

fn check_dates(certificate: &[u8], now: UnixTime) -> Result<(), CertificateError> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let time = |time: ASN1Time| {
        let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    };
    let validity = certificate.validity();
    let (not_before, not_after) = (time(validity.not_before), time(validity.not_after));
    if now < not_before {
        Err(CertificateError::NotValidYetContext { time: now, not_before })
    } else if now > not_after {
        Err(CertificateError::ExpiredContext { time: now, not_after })
    } else {
        Ok(())
    }
}
