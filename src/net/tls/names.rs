//! Names: the subject of a certificate as text (RFC 4514). Pure.

use std::fmt::Write;

use data_encoding::HEXUPPER;
use x509_parser::der_parser::asn1_rs::{Any, Tag, ToDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The subject of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSubject {
    /// The whole name, the most specific part first, as Apache gives it in SSL_CLIENT_S_DN:
    /// `CN=ada,OU=chat,O=Example`.
    pub dn: String,
    /// Its common name.
    pub cn: Option<String>,
}

impl CertificateSubject {
    /// The subject of a certificate in DER; `None` if that can't be read.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        Some(CertificateSubject::of_name(certificate.subject()))
    }

    fn of_name(name: &X509Name<'_>) -> Self {
        let cn = name.iter_common_name().next().and_then(|cn| text(cn.attr_value()));
        let mut parts: Vec<String> = name
            .iter()
            .map(|rdn| {
                let pairs: Vec<String> = rdn.iter().map(pair).collect();
                pairs.join("+")
            })
            .collect();
        // The last comes first (RFC 4514, section 2.1).
        parts.reverse();
        CertificateSubject { dn: parts.join(","), cn }
    }
}

/// One attribute, such as `CN=ada`. An attribute without a name or text is written in numbers (RFC 4514,
/// sections 2.3 and 2.4).
fn pair(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    match (short_name(&oid), text(attribute.attr_value())) {
        (Some(name), Some(value)) => format!("{name}={}", escaped(&value)),
        (name, _) => {
            let der = attribute.attr_value().to_der_vec().unwrap_or_default();
            format!("{}=#{}", name.unwrap_or(&oid), HEXUPPER.encode(&der))
        }
    }
}

/// OpenSSL's name of an attribute.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

/// The text of a string of any type that names may have.
fn text(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => std::str::from_utf8(value.data).ok().map(str::to_owned),
        Tag::T61String => Some(value.data.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let (pairs, rest) = value.data.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            rest.is_empty().then(|| String::from_utf16(&units).ok()).flatten()
        }
        _ => None,
    }
}

/// The value with escapes (RFC 4514, section 2.4); control characters too, as OpenSSL does, so that a name is
/// always one line.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut out = String::new();
    for (i, c) in value.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', c]),
            '#' if i == 0 => out.push_str("\\#"),
            ' ' if i == 0 || i == last => out.push_str("\\ "),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\{:02X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    /// The subject of a certificate with these parts, the most general first.
    fn subject(parts: &[(DnType, DnValue)]) -> CertificateSubject {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        let cert = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        CertificateSubject::of(cert.der()).unwrap()
    }

    #[test]
    fn names_are_written_as_apache_writes_them() {
        let utf8 = |text: &str| DnValue::Utf8String(text.into());
        let ada = subject(&[
            (DnType::CountryName, utf8("CH")),
            (DnType::OrganizationName, utf8("Example, Inc.")),
            (DnType::OrganizationalUnitName, utf8(" #chat+ ")),
            (DnType::CommonName, utf8("Ada \"Žofie\"\n")),
        ]);
        assert_eq!(ada.dn, "CN=Ada \\\"Žofie\\\"\\0A,OU=\\ #chat\\+\\ ,O=Example\\, Inc.,C=CH");
        assert_eq!(ada.cn.as_deref(), Some("Ada \"Žofie\"\n"));
        let none = subject(&[]);
        assert_eq!((none.dn.as_str(), none.cn), ("", None));
    }

    #[test]
    fn what_has_no_short_name_is_told_by_number() {
        let odd = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99999, 1]);
        let odd = subject(&[(odd, DnValue::Utf8String("x,y".into()))]);
        assert_eq!(odd.dn, "1.3.6.1.4.1.99999.1=#0C03782C79");
    }

    #[test]
    fn what_is_no_certificate_has_no_subject() {
        assert_eq!(CertificateSubject::of(b"\x30\x00"), None);
    }
}
