//! The order of one certificate from the authority (RFC 8555, section 7.4), and the proof of its names
//! (RFC 8737).
//!
//! instant-acme speaks the protocol, over [`Http`]. Its own waits are not used: they need tokio's timers.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationState, AuthorizationStatus, ChallengeHandle, ChallengeType, Identifier,
    Key, NewOrder, Order, OrderState, OrderStatus,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ClientConfig;
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::certificates::{Certificates, Proof};
use super::error::AcmeError;
use super::http::{Http, RetryAfter};
use crate::clock::Deadline;
use crate::net::tls::AcmeConfig;

/// The only profile in which Let's Encrypt issues certificates for addresses: six days.
const FOR_ADDRESSES: &str = "shortlived";

const NO_CHALLENGE: &str = "the authority does not take proofs at port 443 (tls-alpn-01)";

/// The wait before the state of an order is polled: the first one, doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// The ACME client for one order.
#[derive(Clone, Copy, Debug)]
pub struct AcmeClient<'a> {
    /// The names, the authority and the contact.
    pub config: &'a AcmeConfig,
    /// The TLS configuration for connections to the authority.
    pub tls: &'a Arc<ClientConfig>,
    /// The account's key (PKCS #8).
    pub account: &'a [u8],
    /// The certificates of the server, among which proofs are shown.
    pub certificates: &'a Certificates,
}

/// The waits between polls, which get longer, or are as long as the authority says.
struct Backoff<'a> {
    next: Duration,
    retry_after: &'a RetryAfter,
}

impl<'a> Backoff<'a> {
    fn new(retry_after: &'a RetryAfter) -> Self {
        Backoff { next: FIRST_WAIT, retry_after }
    }

    async fn wait(&mut self) {
        Deadline::after(self.next.max(self.retry_after.get().unwrap_or_default())).await;
        self.next = (self.next * 2).min(LONGEST_WAIT);
    }
}

impl<'a> AcmeClient<'a> {
    /// Orders a certificate; gives its new key and its chain (PEM). The caller limits the time.
    ///
    /// # Errors
    /// Why the order failed.
    pub async fn order(self) -> Result<String, AcmeError> {
        let retry_after = RetryAfter::default();
        let account = self.account(&retry_after).await?;
        let (key, request) =
            request(&self.config.domains).map_err(|e| AcmeError::refused(e.to_string()))?;
        let mut order = self.begin(&account).await?;
        let mut backoff = Backoff::new(&retry_after);
        // The proofs stay until the end: authorities validate from several places, the last perhaps late.
        let mut shown = Vec::new();
        let mut is_finalized = false;
        loop {
            let before = order.state().status;
            match before {
                OrderStatus::Pending => {
                    shown.extend(self.prove(&mut order, &retry_after).await?);
                    order.refresh().await?;
                }
                OrderStatus::Ready if !is_finalized => {
                    is_finalized = finalize(&mut order, &request).await?;
                    if !is_finalized {
                        backoff.wait().await;
                        order.refresh().await?;
                        continue;
                    }
                }
                // The authority issues the certificate now, even if the order is still `ready`: to finalize it
                // again would only delay that.
                OrderStatus::Ready | OrderStatus::Processing => order.refresh().await.map(drop)?,
                OrderStatus::Valid => {
                    let chain = order.certificate().await?;
                    let chain =
                        chain.ok_or_else(|| AcmeError::not_acme("the order has no certificate"))?;
                    return Ok(format!("{}\n{chain}", key.serialize_pem()));
                }
                OrderStatus::Invalid => return Err(invalid(order.state())),
            }
            let now = order.state().status;
            if now == before || now == OrderStatus::Processing {
                backoff.wait().await;
            }
        }
    }

    /// The account of the key, which is created if there is none.
    async fn account(&self, retry_after: &RetryAfter) -> Result<Account, AcmeError> {
        let http = Http::new(self.tls.clone(), retry_after.clone());
        let der = PrivatePkcs8KeyDer::from(self.account.to_vec());
        let key = (Key::from_pkcs8_der(self.account.into())?, der.into());
        let account = Account::builder_with_http(Box::new(http));
        let (account, _) = account.create_from_key(key, self.config.directory.clone()).await?;
        if !self.config.contact.is_empty() {
            let contact: Vec<&str> = self.config.contact.iter().map(String::as_str).collect();
            account.update_contacts(&contact).await?;
        }
        Ok(account)
    }

    /// Creates the order.
    async fn begin(&self, account: &Account) -> Result<Order, AcmeError> {
        let identifiers: Vec<Identifier> =
            self.config.domains.iter().map(|one| identifier(one)).collect();
        let order = NewOrder::new(&identifiers);
        let is_for_address = identifiers.iter().any(|one| matches!(one, Identifier::Ip(_)));
        let has_profile = account.profiles().any(|profile| profile.name == FOR_ADDRESSES);
        let order =
            if is_for_address && has_profile { order.profile(FOR_ADDRESSES) } else { order };
        Ok(account.new_order(&order).await?)
    }

    /// Proves the names, except those that the authority has validated before.
    async fn prove(
        &self,
        order: &mut Order,
        retry_after: &RetryAfter,
    ) -> Result<Vec<Proof<'a>>, AcmeError> {
        let mut shown = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Pending {
                let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
                let challenge = challenge.ok_or_else(|| AcmeError::refused(NO_CHALLENGE))?;
                shown.push(self.show(challenge).await?);
            }
        }
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            let mut backoff = Backoff::new(retry_after);
            while authorization.status == AuthorizationStatus::Pending {
                backoff.wait().await;
                authorization.refresh().await?;
            }
            check(&authorization)?;
        }
        Ok(shown)
    }

    /// Shows the proof for one name, and tells the authority to validate it.
    async fn show(&self, mut challenge: ChallengeHandle<'_>) -> Result<Proof<'a>, AcmeError> {
        let domain = challenge.identifier().to_string();
        let key = proof(&domain, challenge.key_authorization().digest().as_ref());
        let key = key.map_err(|e| AcmeError::refused(e.to_string()))?;
        let shown = self.certificates.prove(&domain, Arc::new(key));
        challenge.set_ready().await?;
        Ok(shown)
    }
}

/// The ACME identifier of a name or an address (RFC 8738, section 3).
fn identifier(domain: &str) -> Identifier {
    domain.parse().map_or_else(|_| Identifier::Dns(domain.to_owned()), Identifier::Ip)
}

/// Finalizes the order; false if it is not ready yet, although its status says so (section 7.4).
async fn finalize(order: &mut Order, request: &[u8]) -> Result<bool, AcmeError> {
    match order.finalize_csr(request).await.map_err(AcmeError::from) {
        Ok(()) => Ok(true),
        Err(error) if error.is_not_ready() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Why an order is invalid.
fn invalid(order: &OrderState) -> AcmeError {
    let why = order.error.as_ref().and_then(|problem| problem.detail.clone());
    AcmeError::refused(why.unwrap_or_else(|| "the authority does not say why".into()))
}

/// Checks that the authority has validated a name.
fn check(authorization: &AuthorizationState) -> Result<(), AcmeError> {
    if authorization.status == AuthorizationStatus::Valid {
        return Ok(());
    }
    let mut challenges = authorization.challenges.iter();
    let ours = challenges.find(|challenge| challenge.r#type == ChallengeType::TlsAlpn01);
    let problem = ours.and_then(|challenge| challenge.error.clone());
    Err(AcmeError::unproven(authorization.identifier().to_string(), problem))
}

/// The certificate that proves a name or an address (RFC 8737, section 3).
fn proof(domain: &str, digest: &[u8]) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new([domain.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Ok(CertifiedKey::new(vec![certificate.der().clone()], any_ecdsa_type(&key)?))
}

/// A new key, and the request to certify it for these names (DER).
fn request(domains: &[String]) -> Result<(KeyPair, Vec<u8>), rcgen::Error> {
    let mut params = CertificateParams::new(domains)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    let request = params.serialize_request(&key)?.der().to_vec();
    Ok((key, request))
}
