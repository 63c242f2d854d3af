//! Which subprotocols a route keeps, and what its sessions are then: a table.

use super::super::{Typed, config, parse};
use crate::framing::{Charset, Eol, Framing, TelnetRules};
use crate::http::RouteConfig;

fn route(options: &str) -> Result<RouteConfig, String> {
    let line = format!("--port 1 --to h:1 {options}");
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let Typed::Run(args) = parse(&words)? else { panic!("{line}") };
    let config = config(&args).map_err(|error| error.to_string())?;
    Ok(config.http.routes.into_iter().next().expect("that of --to"))
}

/// The subprotocol answered, and the framing in a word.
fn chosen(route: &RouteConfig, offers: &str) -> String {
    let offers: Vec<String> = offers.split_whitespace().map(str::to_owned).collect();
    let choice = route.handshake.subprotocols.choose(&offers, &route.session);
    let framing = match &choice.session.framing {
        Framing::Lines(_) => "text",
        Framing::BinaryLines(_) => "binary-lines",
        Framing::Terminal(_) => "terminal",
        Framing::Raw(rules) if rules.charset.is_some() => "raw-text",
        Framing::Raw(_) => "raw",
    };
    let telnet = match choice.session.telnet {
        None => "",
        Some(TelnetRules { is_mud: true, .. }) => " gmcp",
        Some(TelnetRules { is_terminal: true, .. }) => " colours",
        Some(_) => " telnet",
    };
    format!("{} {framing}{telnet}", choice.name.unwrap_or("-"))
}

/// The route's options, what a client offers, and what it gets.
const TABLE: &[(&str, &str, &str)] = &[
    // A route of lines.
    ("", "", "- text"),
    ("", "text.ircv3.net", "text.ircv3.net text"),
    ("", "binary.ircv3.net", "binary.ircv3.net binary-lines"),
    ("", "binary.ircv3.net text.ircv3.net", "binary.ircv3.net binary-lines"),
    ("", "text.ircv3.net binary.ircv3.net", "text.ircv3.net text"),
    ("", "ex3", "ex3 text"),
    ("", "ex3 text.ircv3.net", "ex3 text"),
    ("", "binary", "- text"),
    ("", "mqtt", "- text"),
    ("", "binary base64", "- text"),
    ("", "binary ex3", "ex3 text"),
    ("", "v12.stomp v11.stomp v10.stomp", "- text"),
    ("", "telnet.mudstandards.org", "- text"),
    ("", "terminal.mudstandards.org gmcp.mudstandards.org", "- text"),
    ("", "gmcp.mudstandards.org telnet.mudstandards.org ex4", "ex4 text"),
    ("", "base64 ex3", "ex3 text"),
    ("", "Binary", "Binary text"),
    ("", "TEXT.ircv3.net", "TEXT.ircv3.net text"),
    // One that names some.
    ("--subprotocol ex1,ex3", "ex3 ex1", "ex3 text"),
    ("--subprotocol ex1,ex3", "ex1", "ex1 text"),
    ("--subprotocol ex1,ex3", "EX1", "- text"),
    ("--subprotocol ex1,ex3", "text.ircv3.net", "- text"),
    ("--subprotocol ex1,ex3", "", "- text"),
    ("--subprotocol binary", "binary", "binary raw"),
    ("--subprotocol binary", "base64 binary", "binary raw"),
    ("--subprotocol binary,base64", "base64", "- text"),
    ("--subprotocol binary", "", "- text"),
    ("--subprotocol mqtt,text.ircv3.net", "text.ircv3.net mqtt", "text.ircv3.net text"),
    ("--subprotocol mqtt,text.ircv3.net", "mqtt text.ircv3.net", "mqtt raw"),
    ("--subprotocol binary --charset koi8-r", "binary", "binary raw"),
    (
        "--subprotocol telnet.mudstandards.org",
        "telnet.mudstandards.org",
        "telnet.mudstandards.org raw",
    ),
    ("--subprotocol terminal.mudstandards.org,ex1", "terminal.mudstandards.org", "- text"),
    // One of bytes.
    ("--binary", "", "- raw"),
    ("--binary", "binary", "binary raw"),
    ("--binary", "base64 binary", "binary raw"),
    ("--binary", "base64", "- raw"),
    ("--binary", "mqtt", "mqtt raw"),
    ("--binary", "v12.stomp v11.stomp", "v12.stomp raw"),
    ("--binary", "text.ircv3.net", "- raw"),
    ("--binary", "binary.ircv3.net text.ircv3.net binary", "binary raw"),
    ("--binary", "ex3", "ex3 raw"),
    ("--binary", "gmcp.mudstandards.org telnet.mudstandards.org", "telnet.mudstandards.org raw"),
    ("--binary --subprotocol binary,text.ircv3.net", "text.ircv3.net", "- raw"),
    ("--binary --subprotocol ex3", "binary", "- raw"),
    ("--binary --charset cp866", "", "- raw-text"),
    ("--binary --charset cp866", "ex3", "ex3 raw-text"),
    ("--binary --charset cp866", "binary", "binary raw"),
    ("--binary --charset utf-8", "", "- raw-text"),
    // One of binary messages.
    ("--binary-lines", "", "- binary-lines"),
    ("--binary-lines", "ex3", "ex3 binary-lines"),
    ("--binary-lines", "text.ircv3.net", "text.ircv3.net text"),
    ("--binary-lines", "binary", "- binary-lines"),
    // One of a telnet server.
    ("--telnet", "", "- text telnet"),
    ("--telnet", "ex3", "ex3 text telnet"),
    ("--telnet", "text.ircv3.net", "text.ircv3.net text telnet"),
    ("--telnet", "binary.ircv3.net", "binary.ircv3.net binary-lines telnet"),
    ("--telnet", "telnet.mudstandards.org", "- text telnet"),
    (
        "--telnet",
        "terminal.mudstandards.org gmcp.mudstandards.org",
        "terminal.mudstandards.org terminal colours",
    ),
    (
        "--telnet",
        "telnet.mudstandards.org gmcp.mudstandards.org terminal.mudstandards.org",
        "gmcp.mudstandards.org terminal gmcp",
    ),
    ("--telnet --binary", "gmcp.mudstandards.org", "- raw telnet"),
    ("--telnet --subprotocol ex3", "gmcp.mudstandards.org", "- text telnet"),
    (
        "--telnet --subprotocol telnet.mudstandards.org",
        "gmcp.mudstandards.org telnet.mudstandards.org",
        "telnet.mudstandards.org raw",
    ),
    ("--telnet --subprotocol a=terminal,b=gmcp", "b a", "b terminal gmcp"),
    ("--telnet --subprotocol a=terminal,b=gmcp", "a", "a terminal colours"),
    // Names of one's own.
    ("--subprotocol a=raw,b=binary-lines,c=text,d", "a", "a raw"),
    ("--subprotocol a=raw,b=binary-lines,c=text,d", "b", "b binary-lines"),
    ("--subprotocol a=raw,b=binary-lines,c=text,d", "c", "c text"),
    ("--subprotocol a=raw,b=binary-lines,c=text,d", "d a", "d text"),
    ("--subprotocol a=raw,c=text --binary-lines", "c", "c text"),
    ("--subprotocol a=raw,c=text,d --binary", "c", "- raw"),
    ("--subprotocol a=raw,c=text,d --binary", "c d a", "d raw"),
    ("--subprotocol binary=raw", "binary", "binary raw"),
];

#[test]
fn the_name_chosen_sets_the_framing() {
    for (options, offers, want) in TABLE {
        let route = route(options).unwrap_or_else(|why| panic!("{options}: {why}"));
        assert_eq!(chosen(&route, offers), *want, "{options:?}, offered {offers:?}");
    }
}

#[test]
fn a_hundred_offers_are_looked_through() {
    let route = route("--subprotocol ex99,binary").unwrap();
    let offers: Vec<_> = (0..100).map(|n| format!("ex{n}")).collect();
    assert_eq!(chosen(&route, &offers.join(" ")), "ex99 text");
}

#[test]
fn lines_of_irc_are_as_long_as_irc_says_and_have_no_end() {
    let keeps = route("--keep-eol").unwrap();
    let offers = ["text.ircv3.net".to_owned()];
    let session = keeps.handshake.subprotocols.choose(&offers, &keeps.session).session;
    let (Framing::Lines(own), Framing::Lines(irc)) = (&keeps.session.framing, &session.framing)
    else {
        panic!("{keeps:?}")
    };
    assert_eq!((own.keep_eol, irc.keep_eol), (true, false));
    for (options, longest) in [("--max-line 512", 8703), ("--max-line 8702", 8703), ("", 1 << 20)] {
        let route = route(&format!("--eol crlf --charset koi8-r {options}")).unwrap();
        for name in ["text.ircv3.net", "binary.ircv3.net"] {
            let offers = [name.to_owned()];
            let session = route.handshake.subprotocols.choose(&offers, &route.session).session;
            let (Framing::Lines(rules) | Framing::BinaryLines(rules)) = &session.framing else {
                panic!("{session:?}")
            };
            assert_eq!((rules.max_line, session.max_line), (longest, longest), "{options} {name}");
            assert_eq!((rules.eol, rules.keep_eol), (Eol::CrLf, false));
            assert_eq!(rules.charset, Charset::for_label("koi8-r").unwrap());
        }
        let Framing::Lines(rules) = &route.session.framing else { panic!("{route:?}") };
        assert_eq!(rules.max_line, route.session.max_line);
    }
}

#[test]
fn what_no_session_can_keep_is_refused() {
    for (options, want) in [
        (
            "--binary --subprotocol text.ircv3.net",
            "--subprotocol text.ircv3.net: it is about lines",
        ),
        ("--subprotocol base64", "type --subprotocol binary"),
        ("--subprotocol gmcp.mudstandards.org", "add --telnet"),
        ("--subprotocol a=lines", "\"lines\" is no framing: write one of text, binary-lines, raw"),
        ("--subprotocol a=", "\"\" is no framing"),
        ("--subprotocol binary=text", "its name says what it means"),
        ("--subprotocol a/b=raw", "can't be a subprotocol's name"),
        ("--subprotocol =raw", "can't be a subprotocol's name"),
        ("--binary --binary-lines", "--binary knows none"),
        ("--binary --keep-eol", "--binary knows none"),
        ("--binary --charset-fallback cp437", "--binary knows none"),
        ("--charset-fallback utf-8", "no line would be in it"),
        ("--charset-fallback iso-2022-jp", "no line would be in it"),
        ("--charset-fallback latin99", "--charset-fallback latin99: unknown charset"),
        ("--charset koi8-r --charset-fallback cp437", "drop --charset"),
        ("--eol cr-lf", "--eol cr-lf: type one of lf, crlf, cr, nul"),
    ] {
        let why = route(options).map(|_| ()).unwrap_err();
        assert!(why.contains(want), "{options}: {why}");
    }
}
