//! Order: what is said to the authority for one certificate (RFC 8555, section 7.4), and the proof
//! that the names are ours (RFC 8737).
//!
//! rustls-acme speaks the protocol; its own `AcmeState` is not used, as it waits for a silent authority
//! for ever, gives up the whole order for a stale nonce, and tries a refused one again after a second,
//! which uses up Let's Encrypt's five failures an hour at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::rustls::ClientConfig;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_acme::acme::{
    Account, AcmeError, Auth, AuthStatus, ChallengeType, Directory, Identifier, OrderStatus,
};

use super::certificates::{Certificates, Proof};
use super::trouble::Trouble;
use crate::clock::Deadline;
use crate::net::tls::AcmeConfig;

/// How often a request is made again whose nonce was stale.
const TRIES: usize = 5;

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

/// Waits that get longer.
struct Waits(Duration);

impl Waits {
    fn new() -> Self {
        Waits(FIRST_WAIT)
    }

    async fn wait(&mut self) {
        Deadline::after(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_WAIT);
    }
}

impl<'a> Customer<'a> {
    /// Orders a certificate; gives back its new key and its chain (PEM). The caller sets the limit of
    /// time.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn order(self) -> Result<String, Trouble> {
        let Customer { config, client, .. } = self;
        let directory = Directory::discover(client, &config.directory).await?;
        let account = insist(|| {
            Account::create_with_keypair(client, directory.clone(), &config.contact, self.account)
        });
        let account = account.await?;
        let (key, request) = request(&config.domains).map_err(AcmeError::from)?;
        let (url, mut order) = insist(|| account.new_order(client, config.domains.clone())).await?;
        let mut waits = Waits::new();
        // Up to the end: authorities look from several places, of which the last may come late.
        let mut shown = Vec::new();
        loop {
            order = match order.status {
                OrderStatus::Pending => {
                    for url in &order.authorizations {
                        shown.extend(self.authorize(&account, url).await?);
                    }
                    insist(|| account.order(client, &url)).await?
                }
                OrderStatus::Ready => {
                    insist(|| account.finalize(client, &order.finalize, &request)).await?
                }
                OrderStatus::Processing => insist(|| account.order(client, &url)).await?,
                OrderStatus::Valid { certificate } => {
                    let chain = insist(|| account.certificate(client, &certificate)).await?;
                    return Ok(format!("{}\n{chain}", key.serialize_pem()));
                }
                OrderStatus::Invalid => {
                    let why = order.error.and_then(|problem| problem.detail);
                    let why = why.unwrap_or_else(|| "the authority does not say why".into());
                    return Err(Trouble::refused(why));
                }
            };
            if matches!(order.status, OrderStatus::Pending | OrderStatus::Processing) {
                waits.wait().await;
            }
        }
    }

    /// Proves that one name is ours, unless the authority remembers it.
    async fn authorize(&self, account: &Account, url: &str) -> Result<Option<Proof<'a>>, Trouble> {
        let ask = || insist(|| account.auth(self.client, url));
        let auth = ask().await?;
        let Identifier::Dns(domain) = auth.identifier.clone();
        let AuthStatus::Pending = auth.status else { return settled(domain, auth).map(|()| None) };
        let (challenge, proof) = account.tls_alpn_01(&auth.challenges, domain.clone())?;
        let shown = self.certificates.prove(domain.clone(), Arc::new(proof));
        insist(|| account.challenge(self.client, &challenge.url)).await?;
        let mut waits = Waits::new();
        loop {
            waits.wait().await;
            match ask().await? {
                Auth { status: AuthStatus::Pending, .. } => {}
                auth => return settled(domain, auth).map(|()| Some(shown)),
            }
        }
    }
}

/// How an authorization ended that is not pending any more.
fn settled(domain: String, auth: Auth) -> Result<(), Trouble> {
    if let AuthStatus::Valid = auth.status {
        return Ok(());
    }
    let ours = |typ: &ChallengeType| *typ == ChallengeType::TlsAlpn01;
    let challenge = auth.challenges.into_iter().find(|challenge| ours(&challenge.typ));
    Err(Trouble::unproven(domain, challenge.and_then(|challenge| challenge.error)))
}

/// A new key, and the request to certify it for these names (DER).
fn request(domains: &[String]) -> Result<(KeyPair, Vec<u8>), rcgen::Error> {
    let mut params = CertificateParams::new(domains)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    let request = params.serialize_request(&key)?.der().to_vec();
    Ok((key, request))
}

/// Makes a request again whose nonce the authority does not take any more, which is nobody's fault
/// (RFC 8555, section 6.5).
async fn insist<T, F>(mut ask: impl FnMut() -> F) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, AcmeError>>,
{
    let mut tries = 1;
    loop {
        match ask().await.map_err(Trouble::from) {
            Err(trouble) if trouble.is_stale_nonce() && tries < TRIES => tries += 1,
            answered => return answered,
        }
    }
}
