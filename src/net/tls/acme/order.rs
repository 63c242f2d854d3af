//! Order: what is said to the authority for one certificate (RFC 8555, section 7.4), and the proof
//! that the names are ours (RFC 8737).
//!
//! instant-acme says the protocol's words, over [`Http`]. Its own waits are not used: they need tokio's timers.

use std::sync::Arc;
use std::time::Duration;

use futures_rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use futures_rustls::rustls::ClientConfig;
use futures_rustls::rustls::crypto::ring::sign::any_ecdsa_type;
use futures_rustls::rustls::sign::CertifiedKey;
use instant_acme::{
    Account, AuthorizationState, AuthorizationStatus, ChallengeHandle, ChallengeType, Identifier,
    Key, NewOrder, Order, OrderState, OrderStatus,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};

use super::certificates::{Certificates, Proof};
use super::http::{Http, RetryAfter};
use super::trouble::Trouble;
use crate::clock::Deadline;
use crate::net::tls::AcmeConfig;

/// The profile in which Let's Encrypt issues for addresses, and in no other: six days.
const FOR_ADDRESSES: &str = "shortlived";

const NO_CHALLENGE: &str = "the authority does not take proofs at port 443 (tls-alpn-01)";

/// The wait before the authority is asked how far it is: the first one, doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// The party that orders.
#[derive(Clone, Copy, Debug)]
pub struct Customer<'a> {
    /// What is ordered, and where.
    pub config: &'a AcmeConfig,
    /// How the authority is connected to.
    pub client: &'a Arc<ClientConfig>,
    /// The account's key (PKCS #8).
    pub account: &'a [u8],
    /// Where proofs are shown.
    pub certificates: &'a Certificates,
}

/// Waits that get longer, or are as long as the authority says.
struct Waits<'a> {
    next: Duration,
    retry_after: &'a RetryAfter,
}

impl<'a> Waits<'a> {
    fn new(retry_after: &'a RetryAfter) -> Self {
        Waits { next: FIRST_WAIT, retry_after }
    }

    async fn wait(&mut self) {
        Deadline::after(self.next.max(self.retry_after.get().unwrap_or_default())).await;
        self.next = (self.next * 2).min(LONGEST_WAIT);
    }
}

impl<'a> Customer<'a> {
    /// Orders a certificate; gives back its new key and its chain (PEM). The caller sets the limit of
    /// time.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn order(self) -> Result<String, Trouble> {
        let retry_after = RetryAfter::default();
        let account = self.account(&retry_after).await?;
        let (key, request) =
            request(&self.config.domains).map_err(|e| Trouble::refused(e.to_string()))?;
        let mut order = self.begin(&account).await?;
        let mut waits = Waits::new(&retry_after);
        // Up to the end: authorities look from several places, of which the last may come late.
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
                        waits.wait().await;
                        order.refresh().await?;
                        continue;
                    }
                }
                // The rest is the authority's to do, also if it says `ready` still: to finalize again would
                // only hold it up.
                OrderStatus::Ready | OrderStatus::Processing => order.refresh().await.map(drop)?,
                OrderStatus::Valid => {
                    let chain = order.certificate().await?;
                    let chain =
                        chain.ok_or_else(|| Trouble::foreign("the order has no certificate"))?;
                    return Ok(format!("{}\n{chain}", key.serialize_pem()));
                }
                OrderStatus::Invalid => return Err(invalid(order.state())),
            }
            let now = order.state().status;
            if now == before || now == OrderStatus::Processing {
                waits.wait().await;
            }
        }
    }

    /// The account, which is made if there is none with its key.
    async fn account(&self, retry_after: &RetryAfter) -> Result<Account, Trouble> {
        let http = Http::new(self.client.clone(), retry_after.clone());
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

    /// Says what the certificate is to be for.
    async fn begin(&self, account: &Account) -> Result<Order, Trouble> {
        let identifiers: Vec<Identifier> =
            self.config.domains.iter().map(|one| identifier(one)).collect();
        let order = NewOrder::new(&identifiers);
        let is_for_address = identifiers.iter().any(|one| matches!(one, Identifier::Ip(_)));
        let has_profile = account.profiles().any(|profile| profile.name == FOR_ADDRESSES);
        let order =
            if is_for_address && has_profile { order.profile(FOR_ADDRESSES) } else { order };
        Ok(account.new_order(&order).await?)
    }

    /// Proves that the names are ours, but for those that the authority remembers.
    async fn prove(
        &self,
        order: &mut Order,
        retry_after: &RetryAfter,
    ) -> Result<Vec<Proof<'a>>, Trouble> {
        let mut shown = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Pending {
                let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
                let challenge = challenge.ok_or_else(|| Trouble::refused(NO_CHALLENGE))?;
                shown.push(self.show(challenge).await?);
            }
        }
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            let mut waits = Waits::new(retry_after);
            while authorization.status == AuthorizationStatus::Pending {
                waits.wait().await;
                authorization.refresh().await?;
            }
            check(&authorization)?;
        }
        Ok(shown)
    }

    /// Shows the proof for one name, and tells the authority to look.
    async fn show(&self, mut challenge: ChallengeHandle<'_>) -> Result<Proof<'a>, Trouble> {
        let domain = challenge.identifier().to_string();
        let key = proof(&domain, challenge.key_authorization().digest().as_ref());
        let key = key.map_err(|e| Trouble::refused(e.to_string()))?;
        let shown = self.certificates.prove(&domain, Arc::new(key));
        challenge.set_ready().await?;
        Ok(shown)
    }
}

/// A name or an address as ACME tells them apart (RFC 8738, section 3).
fn identifier(domain: &str) -> Identifier {
    domain.parse().map_or_else(|_| Identifier::Dns(domain.to_owned()), Identifier::Ip)
}

/// Asks for the certificate; whether the order was ready for that, which it may be a moment after it said so
/// (section 7.4).
async fn finalize(order: &mut Order, request: &[u8]) -> Result<bool, Trouble> {
    match order.finalize_csr(request).await.map_err(Trouble::from) {
        Ok(()) => Ok(true),
        Err(trouble) if trouble.is_not_ready() => Ok(false),
        Err(trouble) => Err(trouble),
    }
}

/// Why an order is invalid.
fn invalid(order: &OrderState) -> Trouble {
    let why = order.error.as_ref().and_then(|problem| problem.detail.clone());
    Trouble::refused(why.unwrap_or_else(|| "the authority does not say why".into()))
}

/// Makes sure that an authorization ended well.
fn check(authorization: &AuthorizationState) -> Result<(), Trouble> {
    if authorization.status == AuthorizationStatus::Valid {
        return Ok(());
    }
    let mut challenges = authorization.challenges.iter();
    let ours = challenges.find(|challenge| challenge.r#type == ChallengeType::TlsAlpn01);
    let problem = ours.and_then(|challenge| challenge.error.clone());
    Err(Trouble::unproven(authorization.identifier().to_string(), problem))
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
