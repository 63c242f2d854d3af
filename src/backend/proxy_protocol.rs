//! ProxyProtocol: the header by which a backend learns who the client is (HAProxy's PROXY protocol, versions 1 and 2).
//! Pure.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use proxy_header::{ProxiedAddress, ProxyHeader, SslInfo, Tlv};

use super::{ClientFacts, Fact};
use crate::net::address::canonical;
use crate::net::tls::Facts;

/// The version of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Bytes, with the host, the connection's ID, and TLS.
    V2,
}

/// The longest host that is passed on, in bytes: as long as a name may be (RFC 1035, section 2.3.4). A client can send
/// a longer one.
const LONGEST_HOST: usize = 255;

impl ProxyProtocol {
    /// The header for this client. A forwarded client has the port 0, as it is not known. A client without an address
    /// (one at our Unix socket) is UNKNOWN in version 1, and LOCAL in version 2.
    pub fn header(self, client: &ClientFacts<'_>) -> Vec<u8> {
        let addresses = client.source().map(|source| addresses(source, client.local));
        let mut header = Vec::with_capacity(128);
        let encoded = match self {
            ProxyProtocol::V1 => addresses
                .map_or_else(ProxyHeader::with_local, ProxyHeader::with_address)
                .encode_v1(&mut header),
            ProxyProtocol::V2 => {
                ProxyHeader::with_tlvs(addresses, facts(client)).encode_v2(&mut header)
            }
        };
        encoded.expect("both addresses are of one family, and the rest is short");
        header
    }
}

/// Both addresses in one family: a mixed pair as IPv6, the IPv4 one mapped (RFC 4291, section 2.5.5.2).
fn addresses(source: SocketAddr, destination: Option<SocketAddr>) -> ProxiedAddress {
    let mapped = |addr: SocketAddr| match addr.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port()),
        IpAddr::V6(_) => addr,
    };
    let source = canonical(source);
    // A proxy in front may use our Unix socket, which has no address, and name a client that has one.
    let nowhere = || match source.ip() {
        IpAddr::V4(_) => SocketAddr::new(IpAddr::from([0, 0, 0, 0]), 0),
        IpAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
    };
    let destination = destination.map_or_else(nowhere, canonical);
    match source.is_ipv4() == destination.is_ipv4() {
        true => ProxiedAddress::stream(source, destination),
        false => ProxiedAddress::stream(mapped(source), mapped(destination)),
    }
}

/// What version 2 says besides.
fn facts<'a>(client: &ClientFacts<'a>) -> Vec<Tlv<'a>> {
    let mut facts = Vec::with_capacity(3);
    if let Some(host) = client.asked_host().filter(|host| host.len() <= LONGEST_HOST) {
        facts.push(Tlv::Authority(host.into()));
    }
    facts.extend(client.lookup(&Fact::Id).map(Tlv::UniqueId));
    facts.extend(client.tls.map(|tls| Tlv::Ssl(ssl(tls))));
    facts
}

/// TLS with us. "Verified" is 0 for a certificate that was, as OpenSSL has it.
fn ssl(tls: &Facts) -> SslInfo<'static> {
    let has_certificate = tls.client.is_some();
    let mut ssl = SslInfo::new(true, has_certificate, has_certificate, u32::from(!has_certificate));
    ssl.append_tlv(Tlv::SslVersion(tls.protocol.into()));
    ssl.append_tlv(Tlv::SslCipher(tls.cipher.into()));
    if let Some(cn) = tls.client.as_ref().and_then(|client| client.cn.as_deref()) {
        let fits = cn.floor_char_boundary(LONGEST_HOST);
        ssl.append_tlv(Tlv::SslCn(cn[..fits].into()));
    }
    ssl
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::address::PeerAddr;
    use http::Request;
    use proxy_header::ParseConfig;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn version_1_is_a_line_of_text() {
        let request = Request::get("/").body(()).unwrap();
        let ip = |text| PeerAddr::Ip(addr(text));
        let (unix, none) = (PeerAddr::Unix, None);
        for (peer, forwarded_for, local, expected) in [
            (ip("192.0.2.1:5000"), none, Some("127.0.0.1:80"), "TCP4 192.0.2.1 127.0.0.1 5000 80"),
            (ip("[2001:db8::1]:5"), none, Some("[::1]:80"), "TCP6 2001:db8::1 ::1 5 80"),
            (
                ip("[::ffff:192.0.2.1]:5"),
                none,
                Some("[::ffff:127.0.0.1]:8"),
                "TCP4 192.0.2.1 127.0.0.1 5 8",
            ),
            (
                ip("127.0.0.1:5"),
                Some("192.0.2.7"),
                Some("127.0.0.1:80"),
                "TCP4 192.0.2.7 127.0.0.1 0 80",
            ),
            (
                ip("127.0.0.1:5"),
                Some("2001:db8::7"),
                Some("127.0.0.1:80"),
                "TCP6 2001:db8::7 ::ffff:127.0.0.1 0 80",
            ),
            (ip("[::1]:5"), Some("192.0.2.7"), Some("[::1]:80"), "TCP6 ::ffff:192.0.2.7 ::1 0 80"),
            (unix, Some("192.0.2.7"), none, "TCP4 192.0.2.7 0.0.0.0 0 0"),
            (unix, Some("2001:db8::7"), none, "TCP6 2001:db8::7 :: 0 0"),
            (unix, none, none, "UNKNOWN"),
        ] {
            let forwarded_for = forwarded_for.map(|ip: &str| ip.parse().unwrap());
            let local = local.map(addr);
            let client = ClientFacts { peer, forwarded_for, local, ..ClientFacts::of(&request) };
            let header = String::from_utf8(ProxyProtocol::V1.header(&client)).unwrap();
            assert_eq!(header, format!("PROXY {expected}\r\n"));
        }
    }

    #[test]
    fn version_2_says_more() {
        let request = Request::get("/").header("host", "chat.example:81").body(()).unwrap();
        let local = addr("127.0.0.1:443");
        let peer = PeerAddr::Ip(addr("192.0.2.1:5000"));
        let tls = Facts::example("TLSv1.3", Some("ada"));
        let client = ClientFacts {
            id: 77,
            peer,
            local: Some(local),
            tls: Some(&tls),
            ..ClientFacts::of(&request)
        };
        let bytes = ProxyProtocol::V2.header(&client);
        let (header, length) = ProxyHeader::parse(&bytes, ParseConfig::default()).unwrap();
        assert_eq!(length, bytes.len());
        let addresses = header.proxied_address().unwrap();
        assert_eq!((addresses.source, addresses.destination), (addr("192.0.2.1:5000"), local));
        assert_eq!(header.authority(), Some("chat.example"));
        assert_eq!(header.unique_id(), Some(&b"77"[..]));
        let ssl = header.ssl().unwrap();
        assert_eq!((ssl.version(), ssl.cn(), ssl.verify()), (Some("TLSv1.3"), Some("ada"), 0));
        assert!(ssl.client_ssl() && ssl.client_cert_conn());
    }

    #[test]
    fn version_2_without_an_address_is_local() {
        let request = Request::get("/").body(()).unwrap();
        let bytes = ProxyProtocol::V2.header(&ClientFacts::of(&request));
        // The protocol's signature, version 2, command LOCAL.
        assert_eq!(&bytes[..13], b"\r\n\r\n\0\r\nQUIT\n\x20");
        let (header, _) = ProxyHeader::parse(&bytes, ParseConfig::default()).unwrap();
        assert_eq!(
            (header.proxied_address(), header.ssl(), header.authority()),
            (None, None, None)
        );
    }

    /// The client chooses the host.
    #[test]
    fn a_host_of_any_length_makes_a_header() {
        for length in [0, 1, 254, 255, 256, 16_000, 65_535] {
            let host = "h".repeat(length);
            let request = Request::get("/").header("host", &host).body(()).unwrap();
            let bytes = ProxyProtocol::V2.header(&ClientFacts::of(&request));
            let (header, _) = ProxyHeader::parse(&bytes, ParseConfig::default()).unwrap();
            let passed_on = (1..=255).contains(&length);
            assert_eq!(header.authority(), passed_on.then_some(host.as_str()), "{length}");
        }
    }
}
