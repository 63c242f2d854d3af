//! Files: reads certificates and keys as PEM (RFC 7468), and says what is wrong with a file.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::pem::tidy;
use crate::file;

/// A file that an option names, as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFile {
    /// Its name in messages: option and path.
    name: String,
    path: PathBuf,
    /// The bytes in it, or why it can't be read.
    content: Result<Vec<u8>, String>,
}

impl PemFile {
    /// Reads it.
    pub fn read(option: &str, path: &Path) -> Self {
        let content = file::read(path);
        PemFile { name: format!("{option} {}", path.display()), path: path.to_owned(), content }
    }

    /// Its name in messages: option and path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The certificates, in order; at least one.
    ///
    /// # Errors
    /// A sentence that says what to type.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let pem = self.pem("openssl x509 -inform der")?;
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let all = all.map_err(|e| self.broken(&e))?;
        match all.is_empty() {
            true => Err(format!("{} has no certificate (-----BEGIN CERTIFICATE-----)", self.name)),
            false => Ok(all),
        }
    }

    /// The certificates as trusted authorities.
    ///
    /// # Errors
    /// A sentence that says what to type.
    pub fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        for cert in self.certificates()? {
            roots.add(cert).map_err(|e| format!("{}: {e}", self.name))?;
        }
        Ok(roots)
    }

    /// The private key: PKCS #8, PKCS #1 or SEC 1. `None` if there is none.
    ///
    /// # Errors
    /// A sentence that says what to type.
    pub fn key(&self) -> Result<Option<PrivateKeyDer<'static>>, String> {
        let pem = self.pem("openssl pkey -inform der")?;
        let has = |word: &[u8]| memchr::memmem::find(&pem, word).is_some();
        if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
            return Err(format!(
                "the key in {} is encrypted: decrypt it with openssl pkey -in {} -out key.pem",
                self.name,
                self.path.display()
            ));
        }
        if has(b"BEGIN OPENSSH PRIVATE KEY") {
            return Err(format!(
                "the key in {} is in OpenSSH's form: convert it with ssh-keygen -p -m PKCS8 -f {}",
                self.name,
                self.path.display()
            ));
        }
        PrivateKeyDer::pem_slice_iter(&pem).next().transpose().map_err(|e| self.broken(&e))
    }

    /// PEM as the library requires it; `convert` is the command that makes it of DER.
    fn pem(&self, convert: &str) -> Result<Vec<u8>, String> {
        let name = &self.name;
        let unread = |why: &String| format!("can't read {name}: {why}");
        let content = self.content.as_ref().map_err(unread)?;
        // DER begins with this: a SEQUENCE (ITU-T X.690, section 8.9), of more than 127 bytes here.
        if matches!(content[..], [0x30, 0x80..=0xff, ..]) {
            return Err(format!(
                "{name} is DER, and not PEM: convert it with {convert} -in {} -out file.pem",
                self.path.display()
            ));
        }
        let text = file::clean(content).map_err(|why| unread(&why))?;
        if text.trim_ascii().is_empty() {
            return Err(format!("{name} is empty"));
        }
        tidy(&text).map_err(|why| format!("{name} is not whole: {why}"))
    }

    fn broken(&self, error: &pem::Error) -> String {
        format!("{} is not whole: {}", self.name, defect(error))
    }
}

/// The defect of PEM, in words of our own: those of the library repeat lines of the file, which may be all of
/// a key.
pub fn defect(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } if is_label(end_marker) => {
            format!("-----END {}----- is missing", String::from_utf8_lossy(end_marker))
        }
        pem::Error::MissingSectionEnd { .. } | pem::Error::IllegalSectionStart { .. } => {
            "a line -----BEGIN …----- goes on behind that, as if line ends were missing".into()
        }
        pem::Error::Base64Decode(_) => "what is between BEGIN and END is no base64".into(),
        pem::Error::NoItemsFound => "it is not there".into(),
        _ => "it can't be read".into(),
    }
}

/// Whether this is a label, which quotes nothing of the content.
pub fn is_label(text: &[u8]) -> bool {
    text.len() <= "ENCRYPTED PRIVATE KEY".len()
        && text.iter().all(|b| b.is_ascii_uppercase() || *b == b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> PemFile {
        let path = PathBuf::from("a.pem");
        PemFile { name: "--tls-cert a.pem".into(), path, content: Ok(content.to_vec()) }
    }

    fn pem(label: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    #[test]
    fn certificates_and_keys_are_found_among_others() {
        let text =
            ["# a comment\n", &pem("EC PARAMETERS", "BgUrgQQAIg=="), &pem("CERTIFICATE", "MAA=")];
        let text = text.concat();
        let both = file(
            (text.clone() + &pem("CERTIFICATE", "MAE=") + &pem("PRIVATE KEY", "MAI=")).as_bytes(),
        );
        assert_eq!(both.certificates().unwrap().len(), 2);
        assert!(matches!(both.key(), Ok(Some(PrivateKeyDer::Pkcs8(_)))));
        let key = |label| file((text.clone() + &pem(label, "MAI=")).as_bytes()).key();
        assert!(matches!(key("RSA PRIVATE KEY"), Ok(Some(PrivateKeyDer::Pkcs1(_)))));
        assert!(matches!(key("EC PRIVATE KEY"), Ok(Some(PrivateKeyDer::Sec1(_)))));
        assert!(matches!(key("CERTIFICATE"), Ok(None)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let openssh = pem("OPENSSH PRIVATE KEY", "MAA=");
        let encrypted = pem("ENCRYPTED PRIVATE KEY", "MAA=");
        let old =
            pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMAA=");
        for (text, want) in [
            (&b""[..], "--tls-cert a.pem is empty"),
            (b" \n", "is empty"),
            (
                b"\x30\x82\x01\x00",
                "is DER, and not PEM: convert it with openssl pkey -inform der -in a.pem",
            ),
            (
                encrypted.as_bytes(),
                "is encrypted: decrypt it with openssl pkey -in a.pem -out key.pem",
            ),
            (old.as_bytes(), "is encrypted"),
            (b"-----BEGIN PRIVATE KEY-----\nMAA=", "whole: -----END PRIVATE KEY----- is missing"),
            (
                openssh.as_bytes(),
                "is in OpenSSH's form: convert it with ssh-keygen -p -m PKCS8 -f a.pem",
            ),
            (b"\xff\xfe-\0-\0", "can't read --tls-cert a.pem: it is UTF-16"),
        ] {
            let got = file(text).key().unwrap_err();
            assert!(got.contains(want), "{got}");
        }
        for (text, want) in [
            (&b"hello\n"[..], "has no certificate"),
            (encrypted.as_bytes(), "has no certificate"),
            (
                b"\x30\x82\x01\x00",
                "convert it with openssl x509 -inform der -in a.pem -out file.pem",
            ),
            (b"-----BEGIN CERTIFICATE-----\nMAA", "is not whole"),
        ] {
            let got = file(text).certificates().unwrap_err();
            assert!(got.contains(want), "{got}");
        }
        // As of keys that came by way of a variable: all of it is one line.
        for text in [
            "-----BEGIN PRIVATE KEY----- Secret! -----END PRIVATE KEY----- ",
            "-----BEGIN PRIVATE KEY Secret\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----\nSecret!\n-----END PRIVATE KEY-----\n",
        ] {
            let file = file(text.as_bytes());
            for got in [file.key().unwrap_err(), file.certificates().unwrap_err()] {
                assert!(got.starts_with("--tls-cert a.pem is not whole"), "{got}");
                // As text, or as a list of bytes.
                assert!(!got.contains("Secret") && !got.contains("83, 101"), "{got}");
            }
        }
        let missing = PemFile::read("--tls-key", Path::new("/nonexistent")).key().unwrap_err();
        assert_eq!(missing, "can't read --tls-key /nonexistent: no such file or directory");
    }
}
