//! The certificates for TLS handshakes: that of clients, and those that prove names to the authority.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::parse_x509_certificate;

use crate::net::tls::files::defect;
use crate::sync::lock;

/// The ALPN name of the protocol in which an authority validates a name (RFC 8737, section 6.2).
pub const ACME_TLS_ALPN_NAME: &[u8] = b"acme-tls/1";

/// How often, at most, the log says that there is no certificate yet.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// The certificate resolver for TLS handshakes. Its lock, one of few on the way to a session, is held only to
/// copy a pointer.
#[derive(Debug, Default)]
pub struct Certificates(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    served: Option<Arc<Certificate>>,
    /// The resolver that is used until there is a certificate.
    fallback: Option<Arc<dyn ResolvesServerCert>>,
    /// The proofs, by the server name that the authority sends.
    proofs: Vec<(String, Arc<CertifiedKey>)>,
    last_warning: Option<Instant>,
}

/// A guard: the authority is shown a proof (RFC 8737, section 3) until it is dropped.
#[derive(Debug)]
pub struct Proof<'a> {
    certificates: &'a Certificates,
    name: String,
}

/// A certificate that can be served.
#[derive(Debug)]
pub struct Certificate {
    /// The private key and the chain.
    pub key: Arc<CertifiedKey>,
    /// The start of its validity.
    pub not_before: SystemTime,
    /// The end of its validity.
    pub not_after: SystemTime,
}

impl Certificates {
    /// Serves this certificate from now on.
    pub fn serve(&self, certificate: Arc<Certificate>) {
        let mut inner = lock(&self.0);
        (inner.served, inner.fallback) = (Some(certificate), None);
    }

    /// Uses `other` until there is a certificate.
    pub fn set_fallback(&self, other: Arc<dyn ResolvesServerCert>) {
        let mut inner = lock(&self.0);
        inner.fallback = inner.served.is_none().then_some(other);
    }

    /// Whether there is neither a certificate nor a fallback.
    pub fn is_empty(&self) -> bool {
        let inner = lock(&self.0);
        inner.served.is_none() && inner.fallback.is_none()
    }

    /// The certificate that is served, if there is one.
    pub fn served(&self) -> Option<Arc<Certificate>> {
        lock(&self.0).served.clone()
    }

    /// Shows the authority this proof when it connects for `domain`, a name or an address.
    pub fn prove(&self, domain: &str, proof: Arc<CertifiedKey>) -> Proof<'_> {
        let name = validation_name(domain);
        lock(&self.0).proofs.push((name.clone(), proof));
        Proof { certificates: self, name }
    }

    /// Whether the authority may connect for a proof.
    pub fn is_proving(&self) -> bool {
        !lock(&self.0).proofs.is_empty()
    }

    /// The certificate for a client. Without one the handshake fails, and a warning is logged, at most every
    /// [`WARN_EVERY`], as clients try again and again.
    fn for_client(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut inner = lock(&self.0);
        if let Some(certificate) = &inner.served {
            return Some(certificate.key.clone());
        }
        if let Some(other) = inner.fallback.clone() {
            drop(inner);
            return other.resolve(hello);
        }
        if inner.last_warning.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            inner.last_warning = Some(Instant::now());
            drop(inner);
            tracing::warn!("clients are turned away: there is no certificate yet");
        }
        None
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut protocols = hello.alpn().into_iter().flatten();
        let is_for_proof =
            protocols.next() == Some(ACME_TLS_ALPN_NAME) && protocols.next().is_none();
        if !is_for_proof {
            return self.for_client(hello);
        }
        let name = hello.server_name()?;
        let inner = lock(&self.0);
        // The latest one, if a name has several.
        let mut proofs = inner.proofs.iter().rev();
        let (_, proof) = proofs.find(|(asked, _)| asked.eq_ignore_ascii_case(name))?;
        Some(proof.clone())
    }
}

impl Drop for Proof<'_> {
    fn drop(&mut self) {
        lock(&self.certificates.0).proofs.retain(|(name, _)| *name != self.name);
    }
}

/// The server name that an authority sends to validate a name or an address: TLS server names are no
/// addresses, so it sends the name of the reverse look-up (RFC 8738, section 6).
fn validation_name(domain: &str) -> String {
    match domain.parse() {
        Err(_) => domain.to_owned(),
        Ok(IpAddr::V4(ip)) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Ok(IpAddr::V6(ip)) => {
            let digits = ip.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            digits.map(|digit| format!("{digit:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

impl Certificate {
    /// Reads a key and a chain, the certificate first.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let key =
            PrivateKeyDer::from_pem_slice(pem).map_err(|e| format!("no key: {}", defect(&e)))?;
        let key = any_supported_type(&key).map_err(|e| format!("no usable key: {e}"))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let chain = chain.map_err(|e| format!("no certificate: {}", defect(&e)))?;
        let first = chain.first().ok_or("no certificate")?;
        let (_, parsed) = parse_x509_certificate(first).map_err(|e| format!("not X.509: {e}"))?;
        let [not_before, not_after] = [parsed.validity().not_before, parsed.validity().not_after]
            .map(|time| since_1970(time.timestamp()));
        if not_after <= not_before {
            return Err("it is never valid".into());
        }
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|_| "the key is another certificate's")?;
        Ok(Certificate { key: Arc::new(key), not_before, not_after })
    }

    /// When to get the next one: after two thirds of its life, as authorities advise, which leaves
    /// the last third for whatever may go wrong.
    pub fn renewal(&self) -> SystemTime {
        self.not_after - self.lifetime() / 3
    }

    /// How long it is valid in all.
    pub fn lifetime(&self) -> Duration {
        self.not_after.duration_since(self.not_before).unwrap_or_default()
    }
}

fn since_1970(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn pem(key: &KeyPair, certified: &KeyPair) -> String {
        pem_until(key, certified, 4)
    }

    fn pem_until(key: &KeyPair, certified: &KeyPair, month: u8) -> String {
        let mut params = CertificateParams::new(vec!["relay.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, month, 1);
        key.serialize_pem() + &params.self_signed(certified).unwrap().pem()
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
        let key = KeyPair::generate().unwrap();
        let certificate = Certificate::from_pem(pem(&key, &key).as_bytes()).unwrap();
        assert_eq!(certificate.lifetime().as_secs(), 90 * 24 * 3600);
        let since = certificate.renewal().duration_since(certificate.not_before).unwrap();
        assert_eq!(since.as_secs(), 60 * 24 * 3600);
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (pem, want) in [
            (String::new(), "no key"),
            (pem(&key, &key).replace('\n', " "), "line ends were missing"),
            (key.serialize_pem(), "no certificate"),
            (key.serialize_pem() + broken, "not X.509"),
            (pem(&other, &key), "another certificate's"),
            (pem_until(&key, &key, 1), "never valid"),
        ] {
            let error = Certificate::from_pem(pem.as_bytes()).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }

    /// The examples of RFC 8738, section 6, and of RFC 3596, section 2.5.
    #[test]
    fn addresses_are_proven_by_the_names_of_their_reverse_look_ups() {
        for (domain, asked) in [
            ("relay.example", "relay.example"),
            ("192.0.2.1", "1.2.0.192.in-addr.arpa"),
            ("2001:db8::1", &*format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23))),
            (
                "4321:0:1:2:3:4:567:89ab",
                "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa",
            ),
        ] {
            assert_eq!(validation_name(domain), asked, "{domain}");
        }
    }

    #[test]
    fn proofs_end_with_their_holders() {
        let key = KeyPair::generate().unwrap();
        let certificate = Certificate::from_pem(pem(&key, &key).as_bytes()).unwrap();
        let certificates = Certificates::default();
        let proof = certificates.prove("relay.example", certificate.key.clone());
        let other = certificates.prove("www.relay.example", certificate.key.clone());
        drop(other);
        assert!(certificates.is_proving());
        drop(proof);
        assert!(!certificates.is_proving());
    }

    #[test]
    fn another_s_certificate_is_shown_until_there_is_one() {
        let key = KeyPair::generate().unwrap();
        let certificate = Certificate::from_pem(pem(&key, &key).as_bytes()).unwrap();
        let certificates = Certificates::default();
        assert!(certificates.is_empty());
        certificates.set_fallback(Arc::new(Certificates::default()));
        assert!(!certificates.is_empty() && certificates.served().is_none());
        certificates.serve(Arc::new(certificate));
        certificates.set_fallback(Arc::new(Certificates::default()));
        assert!(certificates.served().is_some() && lock(&certificates.0).fallback.is_none());
    }
}
