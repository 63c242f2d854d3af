//! TLS: the options of listeners that encrypt, checked.

use std::path::PathBuf;

use super::about::About;
use super::acme::acme;
use super::args::Args;
use super::values::{usage, wrong};
use crate::error::StartError;
use crate::net::address::ListenAddr;
use crate::net::tls::{CertSource, TlsConfig};

/// TLS at the listeners, checked; `None` without.
///
/// # Errors
/// [`StartError::Usage`].
pub fn tls(args: &Args) -> Result<Option<TlsConfig>, StartError> {
    let Some(source) = source(args)? else {
        About::Certificate.check(args)?;
        return Ok(None);
    };
    Ok(Some(TlsConfig { source, client_ca: args.tls_client_ca.as_ref().map(PathBuf::from) }))
}

fn source(args: &Args) -> Result<Option<CertSource>, StartError> {
    let acme = acme(args)?;
    match (&args.tls_cert, acme) {
        (Some(_), Some(_)) => usage(
            ["tls-cert", "acme-domain"],
            "--tls-cert gives a certificate, and --acme-domain gets one: give one or the other",
        ),
        (Some(cert), None) => Ok(Some(CertSource::Files {
            cert: cert.into(),
            key: args.tls_key.as_ref().map(PathBuf::from),
        })),
        (None, acme) => {
            About::CertificateFile.check(args)?;
            Ok(acme.map(CertSource::Acme))
        }
    }
}

/// The port that redirects to TLS, checked; `None` without. That there is a certificate is for [`tls`] to check.
///
/// # Errors
/// [`StartError::Usage`].
pub fn redirect_port(args: &Args, listen: &[ListenAddr]) -> Result<Option<u16>, StartError> {
    let Some(text) = &args.redirect_port else { return Ok(None) };
    if listen.iter().all(|addr| matches!(addr, ListenAddr::Unix(_))) {
        return usage(
            ["redirect-port"],
            "--redirect-port sends browsers to a port: add --port 8443",
        );
    }
    match text.parse() {
        Ok(port) if port > 0 && listen.contains(&ListenAddr::Everywhere(port)) => {
            wrong("redirect-port", text, "TLS is spoken there already", "80")
        }
        Ok(port) => Ok(Some(port)),
        Err(_) => wrong("redirect-port", text, "not a port number", "80"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Typed, parse};

    fn both(line: &str) -> Result<(Option<TlsConfig>, Option<u16>), String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let Typed::Run(args) = parse(&words)? else { panic!("{line}") };
        let listen = crate::options::listen_addrs(args.port.as_deref(), &args.listen).unwrap();
        let tls = super::tls(&args).map_err(|e| e.to_string())?;
        Ok((tls, redirect_port(&args, &listen).map_err(|e| e.to_string())?))
    }

    fn tls(line: &str) -> Result<Option<TlsConfig>, String> {
        both(line).map(|(tls, _)| tls)
    }

    #[test]
    fn a_certificate_switches_it_on() {
        assert_eq!(tls("--port 1"), Ok(None));
        let given = both("--port 1 --tls-cert c --tls-key k --redirect-port 0").unwrap();
        let (Some(given), Some(0)) = given else { panic!("{given:?}") };
        let files =
            |key: Option<&str>| CertSource::Files { cert: "c".into(), key: key.map(Into::into) };
        assert_eq!(given.source, files(Some("k")));
        assert_eq!(given.client_ca, None);
        assert_eq!(tls("--port 1 --tls-cert c").unwrap().unwrap().source, files(None));
        let acme = tls("--port 1 --acme-domain a.example --acme-cache d --redirect-port 80");
        assert!(matches!(acme.unwrap().unwrap().source, CertSource::Acme(_)));
    }

    #[test]
    fn mistakes_say_what_to_type() {
        for (line, want) in [
            ("--port 1 --tls-key k", "--tls-key needs a certificate: add --tls-cert FILE"),
            ("--port 1 --tls-client-ca a", "--tls-client-ca needs a certificate"),
            ("--port 1 --redirect-port 80", "--redirect-port needs a certificate"),
            ("--port 1 --tls-cert c --acme-domain a.example --acme-cache d", "one or the other"),
            ("--port 1 --tls-key k --acme-domain a.example --acme-cache d", "add --tls-cert FILE"),
            ("--port 1 --tls-cert c --redirect-port http", "type --redirect-port 80"),
            ("--port 81 --tls-cert c --redirect-port 81", "type --redirect-port 80"),
            ("--listen unix:/s --tls-cert c --redirect-port 80", "add --port 8443"),
        ] {
            let got = tls(line).unwrap_err();
            assert!(got.contains(want), "{line}: {got}");
        }
    }
}
