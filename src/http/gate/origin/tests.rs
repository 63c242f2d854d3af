use std::net::{IpAddr, Ipv4Addr};

use super::*;

fn arrival(host: &str, secure: bool) -> Arrival {
    let client = Some(IpAddr::from(Ipv4Addr::LOCALHOST));
    Arrival { client, host: HostPort::parse(host), is_host_named: false, secure }
}

fn rules(list: &str) -> OriginRules {
    let allowed = list.split(',').map(|entry| Entry::parse(entry).unwrap()).collect();
    OriginRules { allowed, ..OriginRules::default() }
}

fn check(rules: &OriginRules, origins: &[&[u8]], arrival: &Arrival) -> Result<(), String> {
    let mut headers = HeaderMap::new();
    for origin in origins {
        headers.append(header::ORIGIN, header::HeaderValue::from_bytes(origin).unwrap());
    }
    let verdict = rules.check(&headers, arrival);
    if let Err(why) = &verdict {
        assert!(why.is_ascii() && !why.contains(char::is_control), "{why:?}");
    }
    verdict
}

#[test]
fn who_is_allowed_by_a_list() {
    for (list, origin, want) in [
        ("https://example.org", "https://example.org", true),
        ("https://example.org", "https://example.org:443", true),
        ("https://example.org", "https://EXAMPLE.ORG", true),
        ("HTTPS://Example.org.", "https://example.org", true),
        ("https://example.org", "https://example.org.", true),
        ("https://example.org:443", "https://example.org", true),
        ("https://example.org", "http://example.org", false),
        ("https://example.org", "https://example.org:8443", false),
        ("https://example.org", "https://www.example.org", false),
        ("https://example.org:8443", "https://example.org:8443", true),
        ("https://example.org:8443", "https://example.org", false),
        // Those who hope for a comparison of beginnings, ends or patterns.
        ("https://example.org", "https://example.org.attacker.com", false),
        ("https://example.org", "https://evil.example.org.attacker.com", false),
        ("https://example.org", "https://exampleXorg", false),
        ("https://example.org", "https://example.orgs", false),
        ("https://example.org", "https://notexample.org", false),
        ("https://example.org", "https://example.org@attacker.com", false),
        ("https://example.org", "https://attacker.com@example.org", false),
        ("https://example.org", "https://attacker.com#example.org", false),
        ("https://example.org", "https://attacker.com/example.org", false),
        ("https://example.org", "https://attacker.com\\example.org", false),
        ("https://example.org", "https://example.org/", false),
        ("https://example.org", "https://example.org/path", false),
        ("https://example.org", "https://example.org:443:443", false),
        ("https://example.org", "https://example.org:", false),
        ("https://example.org", "https://example.org:+443", false),
        ("https://example.org", "https://example.org https://attacker.com", false),
        ("https://example.org", "https://example.org, https://attacker.com", false),
        ("https://example.org", "https:/example.org", false),
        ("https://example.org", "https:example.org", false),
        ("https://example.org", "//example.org", false),
        ("https://example.org", "://example.org", false),
        ("https://example.org", "example.org", false),
        ("https://example.org", "javascript://example.org", false),
        ("https://example.org", "https://https://example.org", false),
        ("https://example.org", "", false),
        ("https://example.org", "null", false),
        ("https://example.org", "*", false),
        // Subdomains, but not the domain.
        ("https://*.example.org", "https://www.example.org", true),
        ("https://*.example.org", "https://a.b.c.EXAMPLE.org", true),
        ("https://*.example.org", "https://example.org", false),
        ("https://*.example.org", "https://.example.org", false),
        ("https://*.example.org", "https://evilexample.org", false),
        ("https://*.example.org", "https://evil.example.org.attacker.com", false),
        ("https://*.example.org", "https://www.exampleXorg", false),
        ("https://*.example.org", "http://www.example.org", false),
        ("https://*.example.org", "https://www.example.org:8443", false),
        ("https://*.example.org:*", "https://www.example.org:8443", true),
        ("https://*.example.org", "https://*.example.org", false),
        ("*.example.org", "http://www.example.org", true),
        // Ports.
        ("http://localhost:*", "http://localhost:5173", true),
        ("http://localhost:*", "http://localhost", true),
        ("http://localhost:*", "https://localhost", false),
        ("http://localhost:*", "http://localhost.attacker.com", false),
        ("http://localhost:*", "http://127.0.0.1", false),
        ("localhost:*", "https://localhost:5173", true),
        ("localhost:8080", "https://localhost:8080", true),
        // Hosts of any scheme.
        ("example.org", "http://example.org", true),
        ("example.org", "https://example.org", true),
        ("example.org", "https://example.org:8443", false),
        ("example.org:80", "http://example.org", true),
        ("example.org:80", "https://example.org", false),
        // IP addresses, and schemes of other than web pages.
        ("http://[::1]:8082", "http://[0:0::1]:8082", true),
        ("http://[2001:DB8::1]", "http://[2001:db8::1]:80", true),
        ("http://[::1]:8082", "http://[::2]:8082", false),
        ("http://[::1]:8082", "http://::1:8082", false),
        ("http://192.0.2.1", "http://192.0.2.1", true),
        ("http://192.0.2.1", "http://192.0.2.1.attacker.com", false),
        ("chrome-extension://abcdef", "chrome-extension://abcdef", true),
        ("chrome-extension://abcdef", "moz-extension://abcdef", false),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example", true),
        // What apps send: pages of files, and of schemes that are theirs.
        ("file://", "file://", true),
        ("FILE://", "file://", true),
        ("file://", "FILE://", true),
        ("file://", "file:///", false),
        ("file://", "file://localhost", false),
        ("file://localhost", "file://localhost", true),
        ("file://localhost", "file://", false),
        ("file://", "null", false),
        ("null", "file://", false),
        ("file://", "qrc://", false),
        ("qrc://", "qrc://", true),
        ("app://.", "app://.", true),
        ("app://.", "app://", false),
        ("app://", "app://.", false),
        ("app://-", "app://-", true),
        ("app://obsidian.md", "app://obsidian.md", true),
        ("app://obsidian.md", "app://obsidian.md.attacker.com", false),
        ("app://obsidian.md", "https://obsidian.md", false),
        ("capacitor://localhost", "capacitor://localhost", true),
        ("capacitor://localhost", "ionic://localhost", false),
        ("capacitor://localhost", "http://localhost", false),
        ("ionic://localhost", "ionic://localhost", true),
        ("tauri://localhost", "tauri://localhost", true),
        ("http://tauri.localhost", "http://tauri.localhost", true),
        ("vscode-webview://0a1b", "vscode-webview://0a1b", true),
        (
            "moz-extension://0F0F0F0F-6e2c-4a1f-9c3e-000000000000",
            "moz-extension://0f0f0f0f-6e2c-4a1f-9c3e-000000000000",
            true,
        ),
        ("https://example.org", "https://", false),
        ("https://example.org", "file://", false),
        ("localhost", "capacitor://localhost", true),
        // Words.
        ("null", "null", true),
        ("null", "https://null", false),
        ("null", "NULL", false),
        ("*", "https://attacker.com", true),
        ("*", "null", true),
        ("*", "complete nonsense", true),
        // Lists.
        ("https://a.example,https://b.example", "https://b.example", true),
        ("https://a.example,null", "https://b.example", false),
    ] {
        let verdict = check(&rules(list), &[origin.as_bytes()], &arrival("relay.example", false));
        assert_eq!(verdict.is_ok(), want, "--origin {list}, Origin: {origin}: {verdict:?}");
    }
}

#[test]
fn the_same_host_is_the_same_origin() {
    let same = OriginRules { same_origin: true, ..OriginRules::default() };
    for (host, secure, origin, want) in [
        ("relay.example:8082", false, "http://relay.example:8082", true),
        ("RELAY.example.:8082", false, "http://relay.example:8082", true),
        ("relay.example", false, "http://relay.example", true),
        ("relay.example", false, "http://relay.example:80", true),
        ("relay.example:80", false, "http://relay.example", true),
        ("relay.example", true, "https://relay.example", true),
        ("relay.example:443", true, "https://relay.example", true),
        ("[::1]:8082", false, "http://[0::1]:8082", true),
        ("relay.example", false, "https://relay.example", false),
        ("relay.example", true, "http://relay.example", false),
        ("relay.example:8443", true, "https://relay.example:8443", true),
        ("relay.example:8443", true, "http://relay.example:8443", false),
        ("relay.example", true, "http://relay.example:443", false),
        // Behind a proxy that ends TLS at a port of its own, and does not say so.
        ("relay.example:8443", false, "https://relay.example:8443", true),
        ("relay.example:8082", false, "http://relay.example", false),
        ("relay.example:8082", false, "http://relay.example:8083", false),
        ("relay.example:8082", false, "http://www.relay.example:8082", false),
        ("relay.example:8082", false, "http://relay.example.attacker.com:8082", false),
        ("relay.example:8082", false, "null", false),
        ("", false, "http://relay.example:8082", false),
        ("user@relay.example", false, "http://relay.example", false),
        ("chrome", false, "chrome-extension://chrome", false),
    ] {
        let verdict = check(&same, &[origin.as_bytes()], &arrival(host, secure));
        assert_eq!(verdict.is_ok(), want, "Host: {host}, Origin: {origin}: {verdict:?}");
    }
    let both = OriginRules { same_origin: true, ..rules("https://a.example") };
    let here = arrival("relay.example", false);
    assert!(check(&both, &[b"http://relay.example"], &here).is_ok());
    assert!(check(&both, &[b"https://a.example"], &here).is_ok());
    assert!(check(&both, &[b"https://relay.example"], &here).is_err());
}

#[test]
fn no_origin_at_all() {
    let here = arrival("relay.example", false);
    let open = OriginRules::default();
    for rules in [&open, &rules("https://a.example"), &rules("null"), &rules("*")] {
        assert_eq!(check(rules, &[], &here), Ok(()));
        let required = OriginRules { required: true, ..rules.clone() };
        assert!(check(&required, &[], &here).unwrap_err().contains("--origin-required"));
    }
    let required = OriginRules { required: true, ..open };
    assert_eq!(check(&required, &[b"https://anything.example"], &here), Ok(()));
}

#[test]
fn hostile_headers() {
    let (list, here) = (rules("https://example.org,null"), arrival("relay.example", false));
    let allowed: &[u8] = b"https://example.org";
    assert_eq!(check(&list, &[allowed], &here), Ok(()));
    for origins in [
        &[allowed, allowed][..],
        &[allowed, b"https://attacker.com"],
        &[b"null", b"null"],
        &[b"https://example.org\xff"],
        &[b"https://ex\xc3\xa4mple.org"],
        &[b"https://example.org\tx"],
        &[&b"x".repeat(5000)],
    ] {
        let why = check(&list, origins, &here).unwrap_err();
        assert!(why.len() < 400, "{why}");
        // Where anybody may connect, nobody is asked.
        assert_eq!(check(&OriginRules::default(), origins, &here), Ok(()));
    }
}

#[test]
fn refusals_say_what_to_add() {
    let plain = arrival("relay.example", false);
    let same = OriginRules { same_origin: true, ..OriginRules::default() };
    for (rules, origin, want) in [
        (
            &rules("https://a.example"),
            "https://X.example:443",
            "origin https://x.example:443 is not allowed here: add --origin https://x.example:443",
        ),
        (&rules("https://a.example"), "null", "add --origin null"),
        (&rules("https://a.example"), "File://", "add --origin file://"),
        (&rules("https://a.example"), "app://.", "add --origin app://."),
        (&rules("https://a.example"), "https://", "\"https://\" is not an origin"),
        (&same, "file://", "add --origin file:// (this is http://relay.example)"),
        (&rules("https://a.example"), "a\tb", "\"a\\tb\" is not an origin"),
        (
            &same,
            "https://b.example",
            "add --origin https://b.example (this is http://relay.example)",
        ),
        (&same, "https://relay.example", "or --trust-proxy with the address of the proxy"),
    ] {
        let why = check(rules, &[origin.as_bytes()], &plain).unwrap_err();
        assert!(why.contains(want), "{why}");
        // What it says to add does it.
        if let Some((_, entry)) = why.split_once("add --origin ") {
            let entry = entry.split([' ', ',']).next().unwrap();
            assert!(check(&super::tests::rules(entry), &[origin.as_bytes()], &plain).is_ok());
        }
    }
    // A proxy that is believed has said https, and may have left out its port.
    let believed = arrival("relay.example", true);
    let why = check(&same, &[b"https://relay.example:8443"], &believed).unwrap_err();
    assert!(
        why.ends_with("add --origin https://relay.example:8443 (this is https://relay.example)"),
        "{why}"
    );
}

#[test]
fn entries_that_are_none() {
    for (text, want) in [
        ("", "not a host"),
        ("https://", "not a host"),
        ("https://example.org/", "no path"),
        ("https://example.org/chat", "no path"),
        ("https://user@example.org", "not a host"),
        ("https://*", "any origin"),
        ("http://", "not a host"),
        ("wss://", "not a host"),
        ("file:///", "no path"),
        ("file:///index.html", "no path"),
        ("file://*", "any origin"),
        ("app://user@host", "not a host"),
        ("app://a#b", "not a host"),
        ("app://a:b", "not a host"),
        ("://", "no scheme"),
        ("https://*example.org", "any origin"),
        ("https://www.*.org", "any origin"),
        ("https://*.*.org", "any origin"),
        ("https://example.*", "any origin"),
        ("*:8080", "any origin"),
        ("https://example.org:0", "not a host"),
        ("https://example.org:99999", "not a host"),
        ("https://example.org:80:*", "two ports"),
        ("ht tp://example.org", "no scheme"),
        ("://example.org", "no scheme"),
        ("https://bücher.example", "punycode"),
        ("example.org example.net", "not a host"),
        ("::1", "not a host"),
    ] {
        let why = Entry::parse(text).unwrap_err();
        assert!(why.contains(want), "{text:?}: {why}");
    }
}
