//! Words: what went wrong with a handshake, so that its reader knows what to do. Pure.

use std::io;

use futures_rustls::rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::text::reason;

/// What is told of a client that should have one.
pub const NO_CERTIFICATE: &str = "TLS handshake failed: the client has no certificate";

/// Why a client's handshake failed, for the log.
pub fn of_client(error: &io::Error) -> String {
    let how = match tls_error(error) {
        Some(Error::NoCertificatesPresented) => "the client has no certificate".into(),
        Some(Error::InvalidCertificate(error)) => {
            format!("the client's certificate {}", certificate(error))
        }
        Some(Error::InvalidMessage(_)) => "the client does not speak TLS".into(),
        Some(Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
            // What older ones do not send is looked for first.
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

/// Why a backend's handshake failed, for client and operator. `has_ca`: there is a `--backend-ca`.
pub fn of_backend(error: &io::Error, host: &str, has_ca: bool) -> String {
    match tls_error(error) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => match has_ca {
            // Clients read it too: the file's name is none of their business.
            true => "its certificate is of no issuer in the file of --backend-ca".into(),
            false => "its certificate is of an unknown issuer: add --backend-ca FILE".into(),
        },
        Some(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!("its certificate is not for the name {host}"),
        Some(Error::InvalidCertificate(error)) => format!("its certificate {}", certificate(error)),
        Some(Error::InvalidMessage(_)) => "it does not speak TLS".into(),
        Some(Error::AlertReceived(alert)) => format!("it refused the TLS handshake ({alert:?})"),
        Some(error) => format!("TLS handshake failed: {error}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it hung up during the TLS handshake".into()
        }
        None => reason(error),
    }
}

/// What is wrong with the certificate of an authority of certificates itself; `None` if it is not that which
/// made the handshake fail.
pub fn of_authority(error: &io::Error) -> Option<String> {
    match tls_error(error)? {
        Error::InvalidCertificate(error) => {
            Some(format!("the authority's own certificate {}", certificate(error)))
        }
        _ => None,
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet".into()
        }
        CertificateError::UnknownIssuer => "is of an unknown issuer".into(),
        CertificateError::BadSignature => "has a bad signature".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is for another purpose".into()
        }
        CertificateError::BadEncoding => "can't be read".into(),
        other => match other.to_string() {
            // What `openssl req -x509` and `openssl x509 -req` make, unless told better.
            text if text.contains("CaUsedAsEndEntity") => {
                "is marked as an authority's: make it with basicConstraints=CA:FALSE".into()
            }
            text if text.contains("UnsupportedCertVersion") => {
                "is of version 1: make it with extensions, which takes version 3".into()
            }
            text => format!("is not valid: {text}"),
        },
    }
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
                "TLS handshake failed: the client's certificate has expired",
                "its certificate has expired",
            ),
            (
                CertificateError::NotValidForName,
                "TLS handshake failed: the client's certificate is not valid: NotValidForName",
                "its certificate is not for the name db.example",
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
