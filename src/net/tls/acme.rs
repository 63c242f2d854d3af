//! Automatic certificates: ordered, stored, served and renewed by ACME (RFC 8555).

mod cache;
mod certificates;
mod error;
mod http;
mod order;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_channel::{Receiver, Sender};
use futures::future::{Either, select};
use instant_acme::Key;

use self::cache::Cache;
use self::certificates::Certificate;
pub use self::certificates::{ACME_TLS_ALPN_NAME, Certificates};
use self::error::AcmeError;
use self::order::AcmeClient;
use super::connector::Authorities;
use crate::clock::{Deadline, timeout};
use crate::error::StartError;
use crate::net::tls::AcmeConfig;
use crate::threads::CERTIFICATES;

/// The time that an order may take, plus that for each name, which needs a few more requests.
const LONGEST_ORDER: Duration = Duration::from_secs(240);
const LONGEST_PROOF: Duration = Duration::from_secs(60);

/// The shortest time between two certificates, however short-lived they are.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// How often the time of day is read while a certificate is valid: the machine's clock may be set.
const CHECK_EVERY: Duration = Duration::from_secs(3600);

/// The certificate of a server, for all of its names.
#[derive(Debug)]
pub struct Acme {
    config: AcmeConfig,
    /// The CAs that the ACME server's own certificate must be from.
    authorities: Authorities,
    cache: Cache,
    /// The account's key (PKCS #8).
    account: Vec<u8>,
    certificates: Arc<Certificates>,
    /// Ends the pause after a failed order.
    retry_now: (Sender<()>, Receiver<()>),
}

impl Acme {
    /// Opens the cache, and serves the certificate that is in it.
    ///
    /// # Errors
    /// [`StartError::Environment`] names the file that can't be read or written.
    pub fn open(config: &AcmeConfig) -> Result<Self, StartError> {
        let cache = Cache::open(config)?;
        let account = account(&cache)?;
        let authorities = Authorities::open("--acme-ca", config.ca.clone());
        let acme = Acme {
            authorities: authorities.map_err(StartError::Environment)?,
            account,
            certificates: Arc::default(),
            retry_now: async_channel::bounded(1),
            cache,
            config: config.clone(),
        };
        if let Some(pem) = acme.cache.certificate()? {
            match Certificate::from_pem(&pem) {
                Ok(certificate) => acme.serve(Arc::new(certificate), "certificate found"),
                Err(why) => {
                    tracing::warn!(
                        names = acme.names(),
                        why,
                        "the certificate that was kept is unusable"
                    );
                }
            }
        }
        Ok(acme)
    }

    /// The resolver for TLS handshakes.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// Reads the file of `--acme-ca` again, and ends a pause after a failure, as the operator may have fixed
    /// the cause.
    pub fn reload(&self) {
        self.authorities.reload();
        // A full channel means that one is pending already.
        let _ = self.retry_now.0.try_send(());
    }

    /// Orders and renews, without end. A failure leaves the old certificate in service.
    pub async fn run(&self) {
        if let Some(certificate) = self.certificates.served() {
            until(certificate.renewal()).await;
        }
        let mut failures = 0;
        loop {
            if let Some(certificate) = self.load_newer().await {
                failures = 0;
                until(certificate.renewal()).await;
                continue;
            }
            // A reload before this order is served by it; one during it asks for another order.
            let _ = self.retry_now.1.try_recv();
            match self.order().await {
                Ok(certificate) => {
                    failures = 0;
                    // Waits by the monotonic clock first: if the time of day is wrong by months, the next
                    // order must not follow at once.
                    Deadline::after((certificate.lifetime() / 3).max(LEAST_PAUSE)).await;
                    until(certificate.renewal()).await;
                }
                Err(error) => {
                    failures += 1;
                    self.pause(&error, failures).await;
                }
            }
        }
    }

    /// Serves a newer certificate that another process has stored in the same cache, which saves an order:
    /// authorities limit orders for the same names, and their validation may reach only one of the processes.
    async fn load_newer(&self) -> Option<Arc<Certificate>> {
        let cache = self.cache.clone();
        let pem = CERTIFICATES.run(move || cache.certificate()).await.ok()??;
        let found = Certificate::from_pem(&pem).ok()?;
        let served = self.certificates.served();
        let is_newer = served.is_none_or(|served| found.not_after > served.not_after);
        if !is_newer || found.renewal() <= SystemTime::now() {
            return None;
        }
        let found = Arc::new(found);
        self.serve(found.clone(), "certificate found");
        Some(found)
    }

    /// Orders a certificate, stores it and serves it.
    async fn order(&self) -> Result<Arc<Certificate>, AcmeError> {
        let Acme { config, account, certificates, .. } = self;
        let tls = &self.authorities.current();
        let order = AcmeClient { config, tls, account, certificates }.order();
        let names = u32::try_from(config.domains.len()).unwrap_or(u32::MAX);
        let limit = LONGEST_ORDER.saturating_add(LONGEST_PROOF.saturating_mul(names));
        let pem = timeout(limit, order).await;
        let pem = pem.unwrap_or_else(|_| Err(AcmeError::timed_out(limit)))?.into_bytes();
        let certificate = Arc::new(Certificate::from_pem(&pem).map_err(AcmeError::refused)?);
        let cache = self.cache.clone();
        if let Err(error) = CERTIFICATES.run(move || cache.store_certificate(&pem)).await {
            let why = self.cache.error("write to", &error).to_string();
            tracing::error!(names = self.names(), why, "a restart will have to order anew");
        }
        let is_first = certificates.served().is_none();
        let what = if is_first { "certificate obtained" } else { "certificate renewed" };
        self.serve(certificate.clone(), what);
        Ok(certificate)
    }

    fn serve(&self, certificate: Arc<Certificate>, what: &str) {
        let until = httpdate::fmt_http_date(certificate.not_after);
        // Served before it is logged, so that a reader of the log gets it in the next handshake.
        self.certificates.serve(certificate);
        tracing::info!(names = self.names(), until, "{what}");
    }

    /// Logs a failure, and waits before the next order.
    async fn pause(&self, error: &AcmeError, failures: u32) {
        let pause = error.pause(failures);
        // Logged as a value, which is escaped: it may be the authority's text.
        let why = error.to_string();
        macro_rules! log {
            ($level:ident, $what:literal) => {
                tracing::$level!(
                    names = self.names(),
                    why,
                    check = error.check(&self.config.directory),
                    again_in_s = pause.as_secs(),
                    $what
                )
            };
        }
        match self.certificates.served() {
            Some(old) if old.not_after > SystemTime::now() => {
                log!(warn, "can't renew the certificate, the old one still holds");
            }
            Some(_) => log!(error, "can't renew the certificate, and the old one has expired"),
            None => log!(error, "can't get a certificate"),
        }
        let retry_now = pin!(self.retry_now.1.recv());
        if let Either::Right(_) = select(Deadline::after(pause), retry_now).await {
            tracing::info!(names = self.names(), "asking for a certificate again");
        }
    }

    fn names(&self) -> String {
        self.config.domains.join(",")
    }
}

/// The account's key from the cache, or a new one.
fn account(cache: &Cache) -> Result<Vec<u8>, StartError> {
    if let Some(key) = cache.account()? {
        match Key::from_pkcs8_der(key.as_slice().into()) {
            Ok(_) => return Ok(key),
            Err(error) => tracing::warn!(%error, "the account's key that was kept is unusable"),
        }
    }
    let (_, key) = Key::generate_pkcs8().map_err(|e| StartError::Environment(e.to_string()))?;
    let key = key.secret_pkcs8_der().to_vec();
    cache.store_account(&key).map_err(|e| cache.error("write to", &e))?;
    Ok(key)
}

/// Waits until a time of day.
async fn until(time: SystemTime) {
    while let Ok(left) = time.duration_since(SystemTime::now())
        && !left.is_zero()
    {
        Deadline::after(left.min(CHECK_EVERY)).await;
    }
}
