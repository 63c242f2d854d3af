//! Guard: the options that say who is let in, checked.

use std::path::PathBuf;

use super::about::About;
use super::args::Args;
use super::values::{count, or_default, wrong};
use crate::error::StartError;
use crate::http::extra::{self, ExtraHeaders};
use crate::http::gate::forwarded::{ForwardedHeader, TrustedProxies};
use crate::http::gate::guard::GuardConfig;
use crate::http::gate::origin::{Entry, OriginRules};
use crate::rate::Rate;

/// Who is let in, checked.
///
/// # Errors
/// [`StartError::Usage`].
pub fn guard(args: &Args) -> Result<GuardConfig, StartError> {
    About::Passwords.check(args)?;
    let origins = OriginRules {
        allowed: origins(&args.origin)?,
        same_origin: args.is_same_origin(),
        required: args.origin_required,
    };
    Ok(GuardConfig {
        origins,
        auth_file: args.auth_file.as_ref().map(PathBuf::from),
        token_file: args.token_file.as_ref().map(PathBuf::from),
        auth_static: args.auth_static,
        max_sessions_per_ip: count("max-sessions-per-ip", &args.max_sessions_per_ip, "20")?,
        connect_rate: connect_rate(args)?,
    })
}

/// Whose word about a request is taken.
///
/// # Errors
/// [`StartError::Usage`].
pub fn trusted_proxies(args: &Args) -> Result<TrustedProxies, StartError> {
    About::TrustedProxy.check(args)?;
    let Some(list) = &args.trust_proxy else { return Ok(TrustedProxies::default()) };
    let trusted = TrustedProxies::parse(list)
        .or_else(|why| wrong("trust-proxy", list, why, "127.0.0.1,::1 or 10.0.0.0/8"))?;
    let name = or_default("forwarded-header", &args.forwarded_header);
    let header = ForwardedHeader::parse(name)
        .or_else(|why| wrong("forwarded-header", name, why, "x-forwarded-for or x-real-ip"))?;
    Ok(trusted.with_header(header))
}

fn origins(lists: &[String]) -> Result<Vec<Entry>, StartError> {
    let entries = lists.iter().flat_map(|list| list.split(',')).map(str::trim);
    let parsed = entries.map(|entry| {
        Entry::parse(entry).or_else(|why| wrong("origin", entry, why, "https://example.org"))
    });
    parsed.collect()
}

fn connect_rate(args: &Args) -> Result<Option<Rate>, StartError> {
    let Some(text) = &args.connect_rate else { return Ok(None) };
    Rate::parse(text).map(Some).or_else(|why| wrong("connect-rate", text, why, "5/s or 100/m"))
}

/// The headers that the operator adds to responses.
///
/// # Errors
/// [`StartError::Usage`].
pub fn extra_headers(args: &Args) -> Result<ExtraHeaders, StartError> {
    let mut headers = ExtraHeaders::default();
    for (key, lines, ws, http) in [
        ("header", &args.header, true, true),
        ("header-ws", &args.header_ws, true, false),
        ("header-http", &args.header_http, false, true),
    ] {
        for line in lines {
            let header = extra::parse(line).or_else(|why| {
                let shown = format!("\"{}\"", line.escape_debug());
                wrong(key, &shown, why, "\"X-Name: value\"")
            })?;
            if ws {
                headers.ws.append(&header);
            }
            if http {
                headers.http.append(&header);
            }
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Args {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match crate::options::parse(&words).unwrap() {
            crate::options::Typed::Run(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn guard(line: &str) -> Result<GuardConfig, String> {
        super::guard(&typed(line)).map_err(|e| e.to_string())
    }

    #[test]
    fn everybody_is_let_in_unless_asked_who_they_are() {
        let open = guard("").unwrap();
        assert_eq!(open.origins, OriginRules::default());
        assert_eq!(trusted_proxies(&typed("")).unwrap(), TrustedProxies::default());
        assert!(open.max_sessions_per_ip.is_none() && open.connect_rate.is_none());
        for line in ["--auth-file users", "--token-file tokens", "--tls-client-ca ca.pem"] {
            assert!(guard(line).unwrap().origins.same_origin, "{line}");
            let line = format!("{line} --origin *");
            assert!(!guard(&line).unwrap().origins.same_origin, "{line}");
        }
    }

    #[test]
    fn origins_come_in_lists_and_one_by_one() {
        let line = "--origin https://a.example,https://b.example --origin null";
        assert_eq!(guard(line).unwrap().origins.allowed.len(), 3);
    }

    #[test]
    fn mistakes_say_what_to_type() {
        for (line, want) in [
            ("--origin https://a.example/", "no path, not even a last /; type --origin https://"),
            ("--origin https://a.example,", "--origin : \"\" is not a host"),
            ("--auth-static", "add --auth-file or --token-file"),
            ("--max-sessions-per-ip 0", "not a number above 0; type --max-sessions-per-ip 20"),
            ("--max-sessions-per-ip many", "not a number above 0"),
            ("--connect-rate 5", "a rate needs a unit; type --connect-rate 5/s"),
        ] {
            let got = guard(line).unwrap_err();
            assert!(got.contains(want), "{line:?}: {got}");
        }
        let got = trusted_proxies(&typed("--trust-proxy localhost")).unwrap_err().to_string();
        assert!(got.contains("type --trust-proxy 127.0.0.1,::1"), "{got}");
    }

    #[test]
    fn headers_go_where_they_are_sent() {
        let headers = |text: &str| vec![text.to_owned()];
        let args = Args {
            header: headers("X-All: 1"),
            header_ws: headers("X-Ws: 2"),
            header_http: headers("X-Http: 3"),
            ..Args::default()
        };
        let extra = extra_headers(&args).unwrap();
        assert_eq!(
            extra.ws.headers().keys().map(|name| name.as_str()).collect::<Vec<_>>(),
            ["x-all", "x-ws"]
        );
        let http = extra.http.headers();
        assert!(http.contains_key("x-all") && http.contains_key("x-http"));
        let bad = Args { header_ws: headers("X: a\r\nSet-Cookie: b"), ..Args::default() };
        let text = extra_headers(&bad).unwrap_err().to_string();
        assert!(text.contains("--header-ws \"X: a\\r\\nSet-Cookie: b\": its value"), "{text}");
        assert!(!text.contains('\n'), "{text:?}");
    }
}
