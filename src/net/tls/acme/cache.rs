//! The files of `--acme-cache`: what must outlive a restart, readable by their owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::error::StartError;
use crate::file;
use crate::net::tls::AcmeConfig;
use crate::random;
use crate::text::reason;

/// The files of one certificate. Their names depend on the domains, the authority and the contact, so that
/// several configurations can share the directory.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
    account: String,
    certificate: String,
}

impl Cache {
    /// Opens the directory, creating it if needed, and checks that it is writable.
    ///
    /// # Errors
    /// [`StartError::Environment`], if that fails: at the start, not when a certificate has been issued.
    pub fn open(config: &AcmeConfig) -> Result<Self, StartError> {
        let cache = Cache {
            dir: config.cache.clone(),
            account: format!("account-{}.der", digest(&config.directory, &config.contact)),
            certificate: format!("certificate-{}.pem", digest(&config.directory, &config.domains)),
        };
        let mut dir = DirBuilder::new();
        dir.recursive(true).mode(0o700).create(&cache.dir).map_err(|e| cache.error("make", &e))?;
        let probe = cache.temporary("probe");
        let written = create(&probe).and_then(|_| fs::remove_file(&probe));
        written.map_err(|e| cache.error("write to", &e))?;
        Ok(cache)
    }

    /// The account's key (PKCS #8), if there is one.
    ///
    /// # Errors
    /// If there is one that can't be read.
    pub fn account(&self) -> Result<Option<Vec<u8>>, StartError> {
        self.read(&self.account)
    }

    /// The certificate's key and chain (PEM), if there is one.
    ///
    /// # Errors
    /// If there is one that can't be read.
    pub fn certificate(&self) -> Result<Option<Vec<u8>>, StartError> {
        self.read(&self.certificate)
    }

    /// Stores the account's key.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn store_account(&self, key: &[u8]) -> io::Result<()> {
        self.write(&self.account, key)
    }

    /// Stores a certificate's key and chain.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn store_certificate(&self, pem: &[u8]) -> io::Result<()> {
        self.write(&self.certificate, pem)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StartError> {
        let path = self.dir.join(name);
        if matches!(path.try_exists(), Ok(false)) {
            return Ok(None);
        }
        match file::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(why) => Err(StartError::Environment(format!(
                "can't read {}: {why}; let the user that wsrelay runs as own it, or give another \
                 --acme-cache",
                path.display()
            ))),
        }
    }

    /// Writes a file atomically, also if the power fails.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let temporary = self.temporary(name);
        let write = || {
            let mut file = create(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&temporary, self.dir.join(name))
        };
        write().inspect_err(|_| drop(fs::remove_file(&temporary)))
    }

    /// A name that no other process uses. It is random, as in each container some process has the number 1.
    fn temporary(&self, name: &str) -> PathBuf {
        self.dir.join(format!(".{name}.{}", HEXLOWER.encode(&random::bytes::<8>())))
    }

    /// The error if the directory can't be used.
    pub fn error(&self, what: &str, error: &io::Error) -> StartError {
        StartError::Environment(format!(
            "can't {what} --acme-cache {}: {}; give a directory that the user wsrelay runs as may \
             write to",
            self.dir.display(),
            reason(error)
        ))
    }
}

/// An empty file, readable by its owner only.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn digest(directory: &str, words: &[String]) -> String {
    let mut hash = Sha256::new();
    for word in std::iter::once(directory).chain(words.iter().map(String::as_str)) {
        hash.update(word);
        hash.update([0]);
    }
    HEXLOWER.encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn config(dir: &Path) -> AcmeConfig {
        AcmeConfig {
            domains: vec!["a.example".into(), "b.example".into()],
            contact: Vec::new(),
            cache: dir.to_owned(),
            directory: "https://authority.example/directory".into(),
            ca: None,
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_stored_can_be_read_by_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/cache");
        let cache = Cache::open(&config(&path)).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert!(cache.account().unwrap().is_none() && cache.certificate().unwrap().is_none());
        for content in [&b"one"[..], b"two"] {
            cache.store_certificate(content).unwrap();
            assert_eq!(cache.certificate().unwrap().unwrap(), content);
        }
        cache.store_account(b"key").unwrap();
        let files: Vec<_> = fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 2, "{files:?}");
        assert!(files.iter().all(|file| mode(file) == 0o600));
    }

    /// As in containers that share a volume, where each process has the number 1.
    #[test]
    fn many_may_use_it_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let use_it = || {
            for _ in 0..100 {
                let cache = Cache::open(&config(dir.path())).unwrap();
                cache.store_certificate(&[b'x'; 5000]).unwrap();
                assert_eq!(cache.certificate().unwrap().unwrap().len(), 5000);
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(use_it))));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_configuration_has_files_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let first = config(dir.path());
        Cache::open(&first).unwrap().store_certificate(b"mine").unwrap();
        assert!(Cache::open(&first).unwrap().certificate().unwrap().is_some());
        let staging = "https://staging.example/directory".to_owned();
        for other in [
            AcmeConfig { domains: vec!["a.example".into()], ..first.clone() },
            AcmeConfig { directory: staging, ..first.clone() },
        ] {
            assert!(Cache::open(&other).unwrap().certificate().unwrap().is_none());
        }
    }

    #[test]
    fn a_directory_that_is_not_writable_is_an_error_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::open(&config(&file.join("cache"))).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().starts_with("can't make --acme-cache "), "{error}");
        let cache = Cache::open(&config(dir.path())).unwrap();
        fs::create_dir(dir.path().join(&cache.certificate)).unwrap();
        let error = cache.certificate().unwrap_err().to_string();
        assert!(error.contains("or give another --acme-cache"), "{error}");
    }
}
