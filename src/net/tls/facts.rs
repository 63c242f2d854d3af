//! Facts: the results of a TLS handshake with a client.

use std::sync::Arc;

use rustls::{CipherSuite, CommonState, ProtocolVersion};

use super::files::PemFile;
use super::names::CertificateSubject;

/// The results of a handshake. Nothing of it is the client's to choose, except the name that it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The version, as OpenSSL calls it: `TLSv1.3`.
    pub protocol: &'static str,
    /// The cipher suite, as OpenSSL calls it: `TLS_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
    /// The name of the server that the client asked for (SNI, RFC 6066).
    pub server_name: Option<String>,
    /// The subject of the client's certificate, if it was asked for one; verified.
    pub client: Option<CertificateSubject>,
    /// The CAs that the certificate was checked against, if clients must have one.
    pub(super) authorities: Option<Arc<PemFile>>,
}

impl Facts {
    /// Takes the results of a handshake in which the client's certificate was checked against these CAs, and which was for this name.
    pub fn of(
        tls: &CommonState,
        server_name: Option<String>,
        authorities: Option<Arc<PemFile>>,
    ) -> Self {
        let certificate = tls.peer_certificates().and_then(|chain| chain.first());
        Facts {
            protocol: protocol(tls.protocol_version()),
            cipher: tls.negotiated_cipher_suite().map_or("", |suite| cipher(suite.suite())),
            server_name,
            client: certificate.and_then(|der| CertificateSubject::of(der)),
            authorities,
        }
    }
}

#[cfg(test)]
impl Facts {
    /// The facts of a client that proved this name, or of one without a certificate.
    pub fn example(protocol: &'static str, cn: Option<&str>) -> Self {
        let client =
            cn.map(|cn| CertificateSubject { dn: format!("CN={cn}"), cn: Some(cn.into()) });
        Facts { protocol, cipher: "", server_name: None, client, authorities: None }
    }
}

fn protocol(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "",
    }
}

/// OpenSSL's names, which are known and configured elsewhere.
fn cipher(suite: CipherSuite) -> &'static str {
    use CipherSuite as C;
    match suite {
        C::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        C::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        C::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        C::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        C::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        C::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        C::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        C::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other.as_str().unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cipher_has_openssls_name() {
        for suite in &super::super::provider().cipher_suites {
            let name = cipher(suite.suite());
            assert!(
                !name.is_empty() && !name.contains("_WITH_") && !name.contains("TLS13"),
                "{name}"
            );
        }
    }
}
