//! Words: texts for failed handshakes that say what is wrong and what to do. Pure.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};

use crate::text::reason;

/// The text about a client that has no certificate and needs one.
pub const NO_CERTIFICATE: &str = "TLS handshake failed: the client has no certificate";

/// The reason why a client's handshake failed, for the log.
pub fn of_client(error: &io::Error) -> String {
    let how = match tls_error(error) {
        Some(Error::NoCertificatesPresented) => "the client has no certificate".into(),
        Some(Error::InvalidCertificate(error)) => {
            format!("the client's certificate {}", certificate(error, Purpose::Client))
        }
        Some(Error::InvalidMessage(_)) => "the client does not speak TLS".into(),
        Some(Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
            // Extensions that older clients do not send are looked for first.
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired,
        )) => "the client knows no TLS 1.2 or 1.3".into(),
        Some(Error::AlertReceived(alert)) => match alert {
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown => {
                format!("the client does not trust our certificate ({alert:?})")
            }
            AlertDescription::CertificateExpired => {
                format!("to the client our certificate has expired ({alert:?})")
            }
            alert => format!("the client gave up ({alert:?})"),
        },
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the client hung up".into(),
        None => reason(error),
    };
    format!("TLS handshake failed: {how}")
}

/// The reason why a backend's handshake failed, for client and operator. `has_ca`: there is a `--backend-ca`.
pub fn of_backend(error: &io::Error, host: &str, has_ca: bool) -> String {
    match tls_error(error) {
        Some(Error::InvalidCertificate(error)) => {
            format!("its certificate {}", backend_certificate(error, host, has_ca))
        }
        Some(Error::InvalidMessage(_)) => {
            "it does not speak TLS: leave out tls://, or give the port where it does".into()
        }
        Some(Error::AlertReceived(alert)) => alert_of_backend(*alert, host),
        Some(Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )) => NO_VERSION.into(),
        Some(Error::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon,
        )) => NO_CIPHER.into(),
        Some(error) => format!("TLS handshake failed: {error}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it hung up during the TLS handshake".into()
        }
        None => reason(error),
    }
}

/// The defect of the certificate of the certificate authority's own server; `None` if the handshake failed for
/// another reason.
pub fn of_authority(error: &io::Error) -> Option<String> {
    match tls_error(error)? {
        Error::InvalidCertificate(error) => {
            Some(format!("the authority's own certificate {}", certificate(error, Purpose::Server)))
        }
        _ => None,
    }
}

const NO_VERSION: &str = "it speaks neither TLS 1.2 nor TLS 1.3";
const NO_CIPHER: &str = "it has no cipher suite in common with wsrelay";
const NO_CLIENT_CERTIFICATE: &str = "it asks for a client certificate, which wsrelay does not have";

/// The meaning of an alert that a backend sent (RFC 8446, section 6.2).
fn alert_of_backend(alert: AlertDescription, host: &str) -> String {
    let why = match alert {
        AlertDescription::ProtocolVersion => NO_VERSION.to_owned(),
        AlertDescription::InsufficientSecurity => NO_CIPHER.to_owned(),
        // OpenSSL sends it too if a certificate is missing.
        AlertDescription::HandshakeFailure => format!("{NO_CIPHER}, or {NO_CLIENT_CERTIFICATE}"),
        AlertDescription::CertificateRequired => NO_CLIENT_CERTIFICATE.to_owned(),
        AlertDescription::UnrecognisedName => format!("it does not serve the name {host}"),
        _ => "it refused the TLS handshake".to_owned(),
    };
    format!("{why} ({alert:?})")
}

fn backend_certificate(error: &CertificateError, host: &str, has_ca: bool) -> String {
    let self_signed = matches!(flaw(error), Some(Flaw::SelfSigned));
    match error {
        // Clients read it too, and must not learn the file's name.
        _ if self_signed && has_ca => {
            "is self-signed, and not in the file of --backend-ca: add it there".into()
        }
        _ if self_signed => "is self-signed: add --backend-ca FILE, which holds it".into(),
        CertificateError::UnknownIssuer if has_ca => {
            "is of no issuer in the file of --backend-ca".into()
        }
        CertificateError::UnknownIssuer => "is of an unknown issuer: add --backend-ca FILE".into(),
        CertificateError::NotValidForNameContext { expected, presented }
            if presented.is_empty() =>
        {
            let kind = if matches!(expected, ServerName::IpAddress(_)) { "IP" } else { "DNS" };
            format!(
                "names no host in its subjectAltName, and a common name does not count: make it \
                 with subjectAltName={kind}:{host}"
            )
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("is not for the name {host}")
        }
        error => certificate(error, Purpose::Server),
    }
}

/// The purpose of a certificate.
#[derive(Clone, Copy)]
enum Purpose {
    Client,
    Server,
}

/// The defect of a certificate, of client or server.
fn certificate(error: &CertificateError, purpose: Purpose) -> String {
    match error {
        CertificateError::Expired => "has expired: renew it".into(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("has expired ({}): renew it", date(not_after))
        }
        CertificateError::NotValidYet => "is not valid yet: check the clocks".into(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid yet (from {}): check the clocks", date(not_before))
        }
        CertificateError::UnknownIssuer => "is of an unknown issuer".into(),
        CertificateError::BadSignature => "has a bad signature".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            match purpose {
                Purpose::Client => "is not for clients: make it with extendedKeyUsage=clientAuth",
                Purpose::Server => "is not for servers: make it with extendedKeyUsage=serverAuth",
            }
            .into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is not for the name that was asked for".into()
        }
        CertificateError::BadEncoding => "can't be read".into(),
        CertificateError::UnhandledCriticalExtension => CRITICAL.into(),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "is signed in a way that is too weak or not known here: make it with SHA-256".into()
        }
        CertificateError::Other(other) => match flaw(error) {
            Some(flaw) => flaw.to_string(),
            None => of_webpki(&other.0.to_string()),
        },
        other => format!("is not valid: {other}"),
    }
}

const CRITICAL: &str =
    "has a critical extension that is not known here: make it without, or not critical";

/// The meaning of those errors of webpki for which rustls has none, by their names: their type is not exported.
fn of_webpki(name: &str) -> String {
    let known = match name {
        "UnsupportedCriticalExtension" => CRITICAL,
        // `openssl req -x509` and `openssl x509 -req` make these by default.
        "CaUsedAsEndEntity" => {
            "is marked as an authority's: make it with basicConstraints=CA:FALSE"
        }
        "EndEntityUsedAsCa" => {
            "is of an issuer that is no authority: make that one with basicConstraints=CA:TRUE"
        }
        "UnsupportedCertVersion" => {
            "is of version 1: make it with extensions, which takes version 3"
        }
        "NameConstraintViolation" => "is for a name that its authority may not sign",
        "PathLenConstraintViolated" => "is of an authority below one that allows none (pathlen)",
        "InvalidSerialNumber" => "has a serial number that is not one of 1 to 20 bytes",
        "ExtensionValueInvalid" | "MalformedExtensions" | "EmptyEkuExtension" => {
            "has an extension that can't be read"
        }
        name => return format!("is not valid: {name}"),
    };
    known.into()
}

/// The defect of a certificate that was refused, where the refusal itself does not name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is its own issuer.
    SelfSigned,
    /// It is an authority's, and stands before that of the server itself.
    Reversed,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::SelfSigned => "is self-signed",
            Flaw::Reversed => {
                "stands behind its authority's in the chain: put the server's own first"
            }
        })
    }
}

impl std::error::Error for Flaw {}

impl From<Flaw> for Error {
    fn from(flaw: Flaw) -> Self {
        CertificateError::Other(OtherError(Arc::new(flaw))).into()
    }
}

fn flaw(error: &CertificateError) -> Option<Flaw> {
    let CertificateError::Other(other) = error else { return None };
    other.0.downcast_ref().copied()
}

/// A date in HTTP's format, which is easy to read.
fn date(time: &UnixTime) -> String {
    // httpdate knows no years beyond 9999, and panics.
    const LAST: u64 = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(time.as_secs().min(LAST)))
}

/// rustls's error, if it is one.
fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(error: Error) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_plainly() {
        for (error, client, backend) in [
            (
                CertificateError::UnknownIssuer,
                "TLS handshake failed: the client's certificate is of an unknown issuer",
                "its certificate is of an unknown issuer: add --backend-ca FILE",
            ),
            (
                CertificateError::Expired,
                "TLS handshake failed: the client's certificate has expired: renew it",
                "its certificate has expired: renew it",
            ),
            (
                CertificateError::NotValidForName,
                "TLS handshake failed: the client's certificate is not for the name that was asked for",
                "its certificate is not for the name db.example",
            ),
            (
                CertificateError::ExpiredContext {
                    time: UnixTime::since_unix_epoch(Duration::ZERO),
                    not_after: UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX)),
                },
                "TLS handshake failed: the client's certificate has expired (Fri, 31 Dec 9999 23:59:59 GMT): renew it",
                "its certificate has expired (Fri, 31 Dec 9999 23:59:59 GMT): renew it",
            ),
            (
                CertificateError::InvalidPurpose,
                "TLS handshake failed: the client's certificate is not for clients: make it with \
                 extendedKeyUsage=clientAuth",
                "its certificate is not for servers: make it with extendedKeyUsage=serverAuth",
            ),
            (
                CertificateError::Other(OtherError(Arc::new(io::Error::other("Strange")))),
                "TLS handshake failed: the client's certificate is not valid: Strange",
                "its certificate is not valid: Strange",
            ),
            (
                CertificateError::Other(OtherError(Arc::new(Flaw::SelfSigned))),
                "TLS handshake failed: the client's certificate is self-signed",
                "its certificate is self-signed: add --backend-ca FILE, which holds it",
            ),
        ] {
            let error = failed(Error::InvalidCertificate(error));
            assert_eq!(of_client(&error), client);
            assert_eq!(of_backend(&error, "db.example", false), backend);
        }
        let unknown = failed(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        let text = of_backend(&unknown, "db.example", true);
        assert_eq!(text, "its certificate is of no issuer in the file of --backend-ca");
    }

    #[test]
    fn what_the_client_has_against_us_is_said() {
        for (alert, want) in [
            (AlertDescription::UnknownCA, "the client does not trust our certificate (UnknownCA)"),
            (
                AlertDescription::CertificateExpired,
                "to the client our certificate has expired (CertificateExpired)",
            ),
            (AlertDescription::UserCanceled, "the client gave up (UserCanceled)"),
        ] {
            let text = of_client(&failed(Error::AlertReceived(alert)));
            assert_eq!(text, format!("TLS handshake failed: {want}"));
        }
    }

    #[test]
    fn a_peer_that_hangs_up_has_no_certificate_to_blame() {
        let eof = io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof");
        assert_eq!(of_client(&eof), "TLS handshake failed: the client hung up");
        assert_eq!(of_backend(&eof, "a", false), "it hung up during the TLS handshake");
        let reset = io::Error::from_raw_os_error(104);
        assert_eq!(of_backend(&reset, "a", false), "connection reset by peer");
    }
}
