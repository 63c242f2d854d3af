//! What is told of certificates that change.

use rcgen::{CertificateParams, KeyPair};
use std::fs;

use super::*;

/// What is logged meanwhile.
fn logged(act: impl FnOnce()) -> String {
    let log = tempfile::NamedTempFile::new().unwrap();
    let lines = tracing_subscriber::fmt().with_writer(Arc::new(log.reopen().unwrap()));
    tracing::subscriber::with_default(lines.finish(), act);
    fs::read_to_string(log.path()).unwrap()
}

#[test]
fn what_is_in_the_files_is_told_once_however_often_they_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let cert = dir.path().join("both.pem");
    let write = || {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let pem = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();
        fs::write(&cert, pem).unwrap();
    };
    write();
    let source = CertSource::Files { cert: cert.clone(), key: None };
    let config = TlsConfig { source, client_ca: None };
    let acceptor = Acceptor::open(&config).unwrap();
    let (first, _) = acceptor.rules();
    let look = || logged(|| (0..3).for_each(|_| acceptor.look()));
    assert_eq!(look(), "");
    fs::write(&cert, "garbage").unwrap();
    let said = look();
    assert!(said.lines().count() == 1 && said.contains("the old one is kept"), "{said}");
    assert!(Arc::ptr_eq(&acceptor.rules().0, &first));
    write();
    let said = look();
    assert!(said.lines().count() == 1 && said.contains("certificate reloaded"), "{said}");
    assert!(!Arc::ptr_eq(&acceptor.rules().0, &first));
}
