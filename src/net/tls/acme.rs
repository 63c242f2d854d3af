//! ACME: a certificate that is ordered, kept, served and renewed without anybody's doing (RFC 8555).

mod cache;
mod certificates;
mod http;
mod order;
mod trouble;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_channel::{Receiver, Sender};
use futures::future::{Either, select};
use instant_acme::Key;

use self::cache::Cache;
use self::certificates::Certificate;
pub use self::certificates::Certificates;
use self::order::Customer;
use self::trouble::Trouble;
use super::connector::Authorities;
use crate::clock::{Deadline, timeout};
use crate::error::StartError;
use crate::net::tls::AcmeConfig;
use crate::threads::CERTIFICATES;

/// The name of the protocol in which an authority asks for a proof (RFC 8737, section 6.2).
pub const ACME_TLS_ALPN_NAME: &[u8] = b"acme-tls/1";

/// How long an order may take, and what each name may add: each is a few requests more.
const LONGEST_ORDER: Duration = Duration::from_secs(240);
const LONGEST_PROOF: Duration = Duration::from_secs(60);

/// The shortest time between two certificates, however short-lived they are.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// How often the time of day is looked at while a certificate is good: a machine's clock may be set.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// One certificate, for all its names.
#[derive(Debug)]
pub struct Acme {
    config: AcmeConfig,
    /// Whom the authority's own certificate has to be of.
    authorities: Authorities,
    cache: Cache,
    /// The account's key (PKCS #8).
    account: Vec<u8>,
    certificates: Arc<Certificates>,
    /// Ends a pause after a failure.
    hurry: (Sender<()>, Receiver<()>),
}

impl Acme {
    /// Opens the cache, and serves the certificate that is in it.
    ///
    /// # Errors
    /// [`StartError::Environment`]: what can't be read or written.
    pub fn open(config: &AcmeConfig) -> Result<Self, StartError> {
        let cache = Cache::open(config)?;
        let account = account(&cache)?;
        let authorities = Authorities::open("--acme-ca", config.ca.clone());
        let acme = Acme {
            authorities: authorities.map_err(StartError::Environment)?,
            account,
            certificates: Arc::default(),
            hurry: async_channel::bounded(1),
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

    /// What TLS handshakes ask.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// Reads the file of `--acme-ca` again, and ends a pause after a failure: the operator may have put
    /// right what was wrong.
    pub fn reload(&self) {
        self.authorities.reload();
        // If it is full, that is on its way already.
        let _ = self.hurry.0.try_send(());
    }

    /// Orders and renews, for ever. Whatever happens, what is served goes on being served.
    pub async fn run(&self) {
        if let Some(certificate) = self.certificates.served() {
            until(certificate.renewal()).await;
        }
        let mut failures = 0;
        loop {
            if let Some(certificate) = self.find().await {
                failures = 0;
                until(certificate.renewal()).await;
                continue;
            }
            // A reload before this order has had its effect; one while it lasts asks for another.
            let _ = self.hurry.1.try_recv();
            match self.order().await {
                Ok(certificate) => {
                    failures = 0;
                    // By the time that passes, not by that of day: if ours is wrong by months, the
                    // next order must not follow at once.
                    Deadline::after((certificate.lifetime() / 3).max(LEAST_PAUSE)).await;
                    until(certificate.renewal()).await;
                }
                Err(trouble) => {
                    failures += 1;
                    self.pause(&trouble, failures).await;
                }
            }
        }
    }

    /// Serves what another process has got and kept in the same cache, if there is no need to order then:
    /// authorities limit how often the same is, and the proof may reach only one of us.
    async fn find(&self) -> Option<Arc<Certificate>> {
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

    /// Gets a certificate, serves it and keeps it.
    async fn order(&self) -> Result<Arc<Certificate>, Trouble> {
        let Acme { config, account, certificates, .. } = self;
        let client = &self.authorities.current();
        let order = Customer { config, client, account, certificates }.order();
        let names = u32::try_from(config.domains.len()).unwrap_or(u32::MAX);
        let limit = LONGEST_ORDER.saturating_add(LONGEST_PROOF.saturating_mul(names));
        let pem = timeout(limit, order).await;
        let pem = pem.unwrap_or_else(|_| Err(Trouble::timed_out(limit)))?.into_bytes();
        let certificate = Arc::new(Certificate::from_pem(&pem).map_err(Trouble::refused)?);
        let cache = self.cache.clone();
        if let Err(error) = CERTIFICATES.run(move || cache.keep_certificate(&pem)).await {
            let why = self.cache.trouble("write to", &error).to_string();
            tracing::error!(names = self.names(), why, "a restart will have to order anew");
        }
        let is_first = certificates.served().is_none();
        let what = if is_first { "certificate obtained" } else { "certificate renewed" };
        self.serve(certificate.clone(), what);
        Ok(certificate)
    }

    fn serve(&self, certificate: Arc<Certificate>, what: &str) {
        let until = httpdate::fmt_http_date(certificate.not_after);
        // First, so that whoever reads of it is shown it.
        self.certificates.serve(certificate);
        tracing::info!(names = self.names(), until, "{what}");
    }

    /// Tells of a failure, and leaves the authority alone for a while.
    async fn pause(&self, trouble: &Trouble, failures: u32) {
        let pause = trouble.pause(failures);
        // A value, which is escaped: it is somebody else's text.
        let why = trouble.to_string();
        macro_rules! tell {
            ($level:ident, $what:literal) => {
                tracing::$level!(
                    names = self.names(),
                    why,
                    check = trouble.check(&self.config.directory),
                    again_in_s = pause.as_secs(),
                    $what
                )
            };
        }
        match self.certificates.served() {
            Some(old) if old.not_after > SystemTime::now() => {
                tell!(warn, "can't renew the certificate, the old one still holds");
            }
            Some(_) => tell!(error, "can't renew the certificate, and the old one has expired"),
            None => tell!(error, "can't get a certificate"),
        }
        let hurry = pin!(self.hurry.1.recv());
        if let Either::Right(_) = select(Deadline::after(pause), hurry).await {
            tracing::info!(names = self.names(), "asking for a certificate again");
        }
    }

    fn names(&self) -> String {
        self.config.domains.join(",")
    }
}

/// The key of the account that was kept, or of a new one.
fn account(cache: &Cache) -> Result<Vec<u8>, StartError> {
    if let Some(key) = cache.account()? {
        match Key::from_pkcs8_der(key.as_slice().into()) {
            Ok(_) => return Ok(key),
            Err(error) => tracing::warn!(%error, "the account's key that was kept is unusable"),
        }
    }
    let (_, key) = Key::generate_pkcs8().map_err(|e| StartError::Environment(e.to_string()))?;
    let key = key.secret_pkcs8_der().to_vec();
    cache.keep_account(&key).map_err(|e| cache.trouble("write to", &e))?;
    Ok(key)
}

/// Waits for a time of day.
async fn until(time: SystemTime) {
    while let Ok(left) = time.duration_since(SystemTime::now())
        && !left.is_zero()
    {
        Deadline::after(left.min(LOOK_EVERY)).await;
    }
}
