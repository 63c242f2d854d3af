//! ACME: the options of certificates that are ordered, checked.

use std::net::IpAddr;
use std::path::PathBuf;

use http::Uri;
use rustls::pki_types::DnsName;

use super::about::About;
use super::args::Args;
use super::table::default_of;
use super::values::{or_default, usage, wrong};
use crate::error::StartError;
use crate::net::tls::AcmeConfig;

/// The certificate to order, checked; `None` if none was asked for.
///
/// # Errors
/// [`StartError::Usage`].
pub fn acme(args: &Args) -> Result<Option<AcmeConfig>, StartError> {
    About::Acme.check(args)?;
    if args.acme_domain.is_empty() {
        return Ok(None);
    }
    let domains = domains(&args.acme_domain)?;
    let Some(cache) = &args.acme_cache else {
        // Without one each restart would order anew, and authorities soon refuse that.
        return usage(
            ["acme-domain"],
            "--acme-domain needs a directory where the certificate outlives a restart: add \
             --acme-cache /var/lib/wsrelay",
        );
    };
    Ok(Some(AcmeConfig {
        domains,
        contact: args.acme_email.as_deref().map(contact).transpose()?.into_iter().collect(),
        cache: PathBuf::from(cache),
        directory: directory(or_default("acme-directory", &args.acme_directory))?,
        ca: args.acme_ca.as_ref().map(PathBuf::from),
    }))
}

fn domains(lists: &[String]) -> Result<Vec<String>, StartError> {
    let mut domains = Vec::new();
    for typed in lists.iter().flat_map(|list| list.split(',')).map(str::trim) {
        match domain(typed) {
            // An authority refuses an order that says a name twice.
            Ok(domain) if domains.contains(&domain) => {}
            Ok(domain) => domains.push(domain),
            Err(why) => return wrong("acme-domain", typed, why, "relay.example.org"),
        }
    }
    Ok(domains)
}

/// A name or an address that tls-alpn-01 can prove to be ours (RFC 8737, section 3; RFC 8738, section 6).
fn domain(typed: &str) -> Result<String, &'static str> {
    let unbracketed = typed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = unbracketed.unwrap_or(typed).parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    if typed.contains("://") {
        return Err("a URL, and only the name in it is wanted");
    }
    if typed.contains('*') {
        return Err("a wildcard, which can't be proven from port 443: list the names one by one");
    }
    if typed.contains(':') {
        return Err("with a port, and certificates are for all ports of a name");
    }
    if !typed.is_ascii() {
        return Err("letters beyond ASCII are written as xn--… in names");
    }
    match DnsName::try_from(typed) {
        Ok(name) if !typed.contains('_') => {
            Ok(name.as_ref().trim_end_matches('.').to_ascii_lowercase())
        }
        _ => Err("not a name"),
    }
}

fn contact(email: &str) -> Result<String, StartError> {
    let is_plain = |c: char| c.is_ascii_graphic() && !",:<>".contains(c);
    match email.rsplit_once('@') {
        Some((who, host)) if !who.is_empty() && !host.is_empty() && email.chars().all(is_plain) => {
            Ok(format!("mailto:{email}"))
        }
        _ => wrong("acme-email", email, "not an address for mail", "admin@example.org"),
    }
}

fn directory(url: &str) -> Result<String, StartError> {
    match url.parse::<Uri>() {
        Ok(uri) if uri.scheme_str() == Some("https") && uri.host().is_some() => Ok(url.to_owned()),
        _ => wrong("acme-directory", url, "not an https URL", default_of("acme-directory")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::LETS_ENCRYPT;

    fn args(domains: &[&str]) -> Args {
        Args {
            acme_domain: domains.iter().map(|list| (*list).to_owned()).collect(),
            acme_cache: Some("cache".into()),
            ..Args::default()
        }
    }

    #[test]
    fn names_are_gathered() {
        let config = super::acme(&args(&["A.example.org, b.example.org", "a.example.org"]));
        let config = config.unwrap().unwrap();
        assert_eq!(config.domains, ["a.example.org", "b.example.org"]);
        assert_eq!((config.directory.as_str(), config.contact.len()), (LETS_ENCRYPT, 0));
        assert_eq!(domain("Relay.Example.Org."), Ok("relay.example.org".into()));
        assert_eq!(domain("localhost"), Ok("localhost".into()));
        for (typed, read) in [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            assert_eq!(domain(typed), Ok(read.into()));
        }
        assert_eq!(super::acme(&Args::default()).unwrap(), None);
    }

    #[test]
    fn what_can_not_be_ordered_is_told() {
        for (typed, want) in [
            ("192.0.2.1:443", "with a port"),
            ("[2001:db8::1]:443", "with a port"),
            ("192.0.2.0/24", "not a name"),
            ("192.0.2.256", "not a name"),
            ("*.example.org", "a wildcard"),
            ("https://example.org/", "a URL"),
            ("example.org:443", "with a port"),
            ("example.org/", "not a name"),
            ("žluť.example", "xn--"),
            ("a..b", "not a name"),
            ("-a.example", "not a name"),
            ("a_b.example", "not a name"),
            ("a b", "not a name"),
            ("", "not a name"),
            ("a.example,", "not a name"),
        ] {
            let error = super::acme(&args(&[typed])).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            assert!(text.contains(want) && text.contains("type --acme-domain relay."), "{text}");
        }
    }

    #[test]
    fn addresses_and_urls_are_checked() {
        assert_eq!(contact("admin@example.org").unwrap(), "mailto:admin@example.org");
        for wrong in ["", "admin", "@example.org", "admin@", "mailto:a@b.c", "a@b,c@d", "a @b.c"] {
            let text = contact(wrong).unwrap_err().to_string();
            assert!(text.contains("type --acme-email admin@example.org"), "{text}");
        }
        assert!(directory("https://localhost:14000/dir").is_ok());
        for wrong in ["", "localhost", "http://localhost/dir", "https://", "https:/x"] {
            let text = directory(wrong).unwrap_err().to_string();
            assert!(text.contains("not an https URL"), "{text}");
        }
    }
}
