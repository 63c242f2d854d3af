//! What is a header of the PROXY protocol, what is one that goes on, and what is none.

use super::*;
use proptest::prelude::*;
use proxy_header::Tlv;

/// A header of version 2, with this command, family and rest.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// 192.0.2.7:5000 to 127.0.0.1:443, then `tlvs`.
fn tcp4(tlvs: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 127, 0, 0, 1, 0x13, 0x88, 0x01, 0xbb];
    v2(PROXY, 0x11, &[&addresses, tlvs].concat())
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

/// The value of PP2_TYPE_SSL.
fn ssl(flags: u8, verify: u32, tlvs: &[u8]) -> Vec<u8> {
    tlv(0x20, &[&[flags], &verify.to_be_bytes()[..], tlvs].concat())
}

/// In one line: the client, the destination, then what else is said.
fn shown(parsed: &Parsed) -> String {
    match parsed {
        Incomplete => "incomplete".into(),
        Malformed(_) => "malformed".into(),
        Complete(header, _) => {
            let ProxyHeader { addresses, authority, has_tls, cn } = header;
            let addresses = addresses.map_or("own".into(), |(from, to)| format!("{from} {to}"));
            let authority = authority.iter().map(|host| format!(" host={host}"));
            let tls = has_tls.then(|| " tls".to_owned()).into_iter();
            let cn = cn.iter().map(|cn| format!(" cn={cn}"));
            authority.chain(tls).chain(cn).fold(addresses, |all, one| all + &one)
        }
    }
}

#[test]
fn version_1() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_V1 - 16));
    assert_eq!(longest.len(), LONGEST_V1);
    let too_long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_V1 - 15));
    let addresses =
        "ffff:f...f:ffff ffff:f...f:ffff".replace("f...f", "ffff:ffff:ffff:ffff:ffff:ffff");
    let longest_v6 = format!("PROXY TCP6 {addresses} 65535 65535\r\n");
    for (text, want) in [
        ("PROXY TCP4 192.0.2.7 127.0.0.1 5000 443\r\n", "192.0.2.7:5000 127.0.0.1:443"),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            "255.255.255.255:65535 255.255.255.255:65535",
        ),
        ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0 0.0.0.0:0"),
        ("PROXY TCP6 2001:db8::7 ::1 5000 443\r\n", "[2001:db8::7]:5000 [::1]:443"),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "[::ffff:192.0.2.7]:1 [::1]:2"),
        (
            &longest_v6,
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
        ),
        ("PROXY UNKNOWN\r\n", "own"),
        ("PROXY UNKNOWN 192.0.2.7 127.0.0.1 5000 443\r\n", "own"),
        ("PROXY UNKNOWN what+ever\0\r\n", "own"),
        (&longest, "own"),
        (&too_long, "malformed"),
        ("PROXY UNKNOWNS\r\n", "malformed"),
        ("PROXY unknown\r\n", "malformed"),
        ("PROXY\r\n", "malformed"),
        ("PROXY \r\n", "malformed"),
        ("PROXY\tTCP4 192.0.2.7 127.0.0.1 5000 443\r\n", "malformed"),
        ("PROXYTCP4 192.0.2.7 127.0.0.1 5000 443\r\n", "malformed"),
        ("proxy TCP4 192.0.2.7 127.0.0.1 5000 443\r\n", "malformed"),
        ("PROXY  TCP4 192.0.2.7 127.0.0.1 5000 443\r\n", "malformed"),
        ("PROXY TCP4  192.0.2.7 127.0.0.1 5000 443\r\n", "malformed"),
        ("PROXY TCP4 192.0.2.7 127.0.0.1 5000 443 \r\n", "malformed"),
        ("PROXY TCP4 192.0.2.7 127.0.0.1 5000 443 9\r\n", "malformed"),
        ("PROXY TCP4 192.0.2.7 127.0.0.1 5000 443\n", "malformed"),
        ("PROXY TCP4 192.0.2.7 127.0.0.1 5000 443\r\r\n", "malformed"),
        ("PROXY TCP4 192.0.2.7 127.0.0.1 5000 443\rx\r\n", "malformed"),
        ("PROXY TCP4 192.0.2.7 127.0.0.1 5000\r\n", "malformed"),
        ("PROXY TCP4 192.0.2.7\r\n127.0.0.1 5000 443\r\n", "malformed"),
        ("PROXY TCP4 192.0.2.7 127.0.0.1 +500 443\r\n", "malformed"),
        ("PROXY TCP4 192.0.2.7 127.0.0.1 -1 443\r\n", "malformed"),
        ("PROXY TCP4 192.0.2.7 127.0.0.1 65536 443\r\n", "malformed"),
        ("PROXY TCP4 192.0.2.007 127.0.0.1 5000 443\r\n", "malformed"),
        ("PROXY TCP4 192.0.2.256 127.0.0.1 5000 443\r\n", "malformed"),
        ("PROXY TCP4 ::1 127.0.0.1 5000 443\r\n", "malformed"),
        ("PROXY TCP6 192.0.2.7 127.0.0.1 5000 443\r\n", "malformed"),
        ("PROXY TCP6 fe80::1%eth0 ::1 5000 443\r\n", "malformed"),
        ("PROXY UDP4 192.0.2.7 127.0.0.1 5000 443\r\n", "malformed"),
        ("PROXY TCP4 chat.example 127.0.0.1 5000 443\r\n", "malformed"),
    ] {
        let bytes = text.as_bytes();
        assert_eq!(shown(&parse(bytes)), want, "{text:?}");
        let followed = [bytes, b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(shown(&parse(&followed)), want, "{text:?}");
        if want != "malformed" {
            assert!(
                matches!(parse(&followed), Complete(_, length) if length == text.len()),
                "{text:?}"
            );
        }
    }
}

#[test]
fn version_2() {
    let v6: Vec<u8> =
        [&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 11], &[7], &[0; 15], &[1], &[0x13, 0x88, 0x01, 0xbb]]
            .concat();
    let unix = [0; 216];
    let long = tlv(0xe0, &vec![b'x'; 65_535 - 12 - 3]);
    let cn = |name: &str| [tlv(0x21, b"TLSv1.3"), tlv(0x22, name.as_bytes())].concat();
    let host = tlv(0x02, b"chat.example");
    let four = "192.0.2.7:5000 127.0.0.1:443";
    for (header, want) in [
        (tcp4(b""), four.to_owned()),
        (v2(PROXY, 0x21, &v6), "[2001:db8::7]:5000 [::1]:443".into()),
        // The connection's own addresses hold.
        (v2(LOCAL, 0x00, b""), "own".into()),
        (v2(LOCAL, 0x11, &tcp4(b"")[16..]), "own".into()),
        (v2(LOCAL, 0x11, b"short"), "own".into()),
        (v2(LOCAL, 0x7f, b"whatever"), "own".into()),
        (v2(LOCAL, 0x00, b"\x02\xff\xff"), "own".into()),
        (v2(PROXY, 0x00, b""), "own".into()),
        (v2(PROXY, 0x00, &host), "own".into()),
        (v2(PROXY, 0x31, &unix), "own".into()),
        (v2(PROXY, 0x32, &[&unix[..], &host].concat()), "own".into()),
        (v2(PROXY, 0x12, &tcp4(b"")[16..]), "own".into()),
        (v2(PROXY, 0x22, &v6), "own".into()),
        // AUTHORITY is of a health check.
        (v2(LOCAL, 0x00, &host), "own host=chat.example".into()),
        (v2(LOCAL, 0x11, &[&tcp4(b"")[16..], &host].concat()), "own host=chat.example".into()),
        (tcp4(&host), four.into()),
        // TLS with the proxy.
        (tcp4(&ssl(1, 1, &cn(""))), format!("{four} tls")),
        (tcp4(&ssl(0, 1, b"")), four.into()),
        (tcp4(&ssl(7, 0, &cn("ada"))), format!("{four} tls cn=ada")),
        (tcp4(&ssl(3, 0, &cn("ada"))), format!("{four} tls cn=ada")),
        (tcp4(&ssl(5, 0, &cn("ada"))), format!("{four} tls cn=ada")),
        (tcp4(&ssl(7, 20, &cn("ada"))), format!("{four} tls")),
        (tcp4(&ssl(1, 0, &cn("ada"))), format!("{four} tls")),
        // Others are skipped.
        (
            tcp4(
                &[tlv(0x04, &[0; 9]), tlv(0x05, b"id"), tlv(0xe0, b""), tlv(0x01, b"h2")].concat(),
            ),
            four.into(),
        ),
        (tcp4(&long), four.into()),
        // Malformed.
        (tcp4(&long[..1]), "malformed".into()),
        (tcp4(&[0x05, 0]), "malformed".into()),
        (tcp4(&[0x05, 0, 1]), "malformed".into()),
        (tcp4(&[0x05, 0xff, 0xff, 1]), "malformed".into()),
        (tcp4(&tlv(0x20, &[1, 0, 0])), "malformed".into()),
        (tcp4(&ssl(1, 0, &[0x22, 0, 9, b'a'])), "malformed".into()),
        (tcp4(&ssl(7, 0, &tlv(0x22, b"\xff"))), "malformed".into()),
        (v2(PROXY, 0x11, &[0; 11]), "malformed".into()),
        (v2(PROXY, 0x21, &[0; 35]), "malformed".into()),
        (v2(PROXY, 0x31, &[0; 215]), "malformed".into()),
        (v2(PROXY, 0x13, &[0; 12]), "malformed".into()),
        (v2(PROXY, 0x41, &[0; 12]), "malformed".into()),
        (v2(0x22, 0x11, &tcp4(b"")[16..]), "malformed".into()),
        (v2(0x11, 0x11, &tcp4(b"")[16..]), "malformed".into()),
        (v2(0x31, 0x11, &tcp4(b"")[16..]), "malformed".into()),
    ] {
        let start = header[12..header.len().min(40)].escape_ascii();
        assert_eq!(shown(&parse(&header)), want, "{start}");
        let followed = [&header[..], b"\x16\x03\x01"].concat();
        assert_eq!(shown(&parse(&followed)), want, "{start}");
        if want != "malformed" {
            let length = header.len();
            assert!(matches!(parse(&followed), Complete(_, n) if n == length), "{start}");
        }
    }
}

#[test]
fn other_beginnings_are_seen_at_once() {
    for bytes in [
        &b"G"[..],
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"\n",
        b"PO",
        b"POST / HTTP/1.1\r\n",
        b"\r\n\r\nG",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"\0",
    ] {
        assert_eq!(parse(bytes), NO_HEADER, "{}", bytes.escape_ascii());
    }
    assert_eq!(parse(b""), Incomplete);
    let never_ends = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 1 << 20]].concat();
    assert!(matches!(parse(&never_ends), Malformed(_)));
}

/// Every prefix of a header goes on, whatever it has.
#[test]
fn every_truncation_is_incomplete() {
    let tlvs = [tlv(0x02, b"chat.example"), ssl(7, 0, &tlv(0x22, b"ada")), tlv(0xe0, &[9; 300])];
    for header in [
        b"PROXY TCP4 192.0.2.7 127.0.0.1 5000 443\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::7 ::1 5000 443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        tcp4(&tlvs.concat()),
        v2(PROXY, 0x00, &tlvs.concat()),
        v2(LOCAL, 0x00, b""),
        tcp4(&tlv(0xe0, &vec![0; 65_535 - 15])),
    ] {
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Incomplete, "{end} of {}", header.len());
        }
        assert!(matches!(parse(&header), Complete(_, length) if length == header.len()));
    }
}

proptest! {
    /// Bytes that come later change nothing of an answer.
    #[test]
    fn an_answer_stands(
        start in prop_oneof![
            Just(b"PROXY ".to_vec()),
            Just(b"PROXY TCP4 192.0.2.7 127.0.0.1 ".to_vec()),
            Just(b"PROXY UNKNOWN".to_vec()),
            Just([SIGNATURE, &[PROXY, 0x11, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8]].concat()),
            Just([SIGNATURE, &[PROXY, 0x00, 0, 9]].concat()),
            Just([SIGNATURE, &[LOCAL]].concat()),
            Just(Vec::new()),
        ],
        rest in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(b'\n'), Just(b' '), Just(b'1')], 0..130),
    ) {
        let bytes = [start, rest].concat();
        let whole = parse(&bytes);
        for end in 0..=bytes.len() {
            match parse(&bytes[..end]) {
                Incomplete => {
                    if let Complete(_, length) = whole {
                        prop_assert!(length > end);
                    }
                }
                answer => prop_assert_eq!(&answer, &whole, "{}", end),
            }
        }
    }

    /// What is written by the protocol's rules is read.
    #[test]
    fn what_is_written_is_read(
        source: (std::net::IpAddr, u16),
        destination: (std::net::IpAddr, u16),
        tlvs in proptest::collection::vec((0xe0u8..0xff, proptest::collection::vec(any::<u8>(), 0..300)), 0..9),
        version_1: bool,
    ) {
        let both = (SocketAddr::from(source), SocketAddr::from(destination));
        prop_assume!(both.0.is_ipv4() == both.1.is_ipv4());
        let addresses = proxy_header::ProxiedAddress::stream(both.0, both.1);
        let mut written = Vec::new();
        match version_1 {
            true => Parser::with_address(addresses).encode_v1(&mut written).unwrap(),
            false => {
                let tlvs = tlvs.iter().map(|(kind, value)| Tlv::Custom(*kind, value.into()));
                Parser::with_tlvs(Some(addresses), tlvs).encode_v2(&mut written).unwrap();
            }
        }
        let length = written.len();
        written.extend(b"rest");
        let want = ProxyHeader { addresses: Some(both), ..ProxyHeader::default() };
        prop_assert_eq!(parse(&written), Complete(want, length));
    }
}
