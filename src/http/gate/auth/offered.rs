//! Offered: tokens that a client sends among the subprotocols that it offers, as `bearer.TOKEN`. Pure.
//!
//! The script of a page can set no header of a WebSocket, and a query is in the log of every proxy on the way. No such
//! offer is chosen or shown to anybody: they are taken out of the request before it is looked at.

use http::HeaderMap;
use http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use hyper::Request;
use percent_encoding::percent_decode;

/// The beginning of such an offer.
const PREFIX: &[u8] = b"bearer.";

/// The tokens that a request offered, in the order of the offers.
#[derive(Clone, Debug)]
struct OfferedTokens(Vec<Vec<u8>>);

/// Takes the tokens out of the offers of a request, which keeps them apart.
pub fn set_apart<B>(request: &mut Request<B>) {
    let tokens = take(request.headers_mut());
    if !tokens.is_empty() {
        request.extensions_mut().insert(OfferedTokens(tokens));
    }
}

/// The tokens that were set apart.
pub fn tokens<B>(request: &Request<B>) -> &[Vec<u8>] {
    request.extensions().get().map_or(&[], |OfferedTokens(tokens)| tokens)
}

/// Takes `bearer.TOKEN` out of `Sec-WebSocket-Protocol`. A name may have no `/` and no `=`: a token is percent-decoded.
fn take(headers: &mut HeaderMap) -> Vec<Vec<u8>> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().map(HeaderValue::as_bytes);
    let lines: Vec<_> =
        lines.map(|line| line.split(|b| *b == b',').map(<[u8]>::trim_ascii)).collect();
    if !lines.iter().cloned().flatten().any(|offer| token(offer).is_some()) {
        return Vec::new();
    }
    let tokens = lines.iter().cloned().flatten().filter_map(token);
    let tokens = tokens.map(|token| percent_decode(token).collect()).collect();
    let others = lines.into_iter().map(|line| {
        line.filter(|offer| token(offer).is_none()).collect::<Vec<_>>().join(&b", "[..])
    });
    let others = others.filter(|line| !line.is_empty());
    // A part of a valid value is valid.
    let others: Vec<_> = others.filter_map(|line| HeaderValue::from_bytes(&line).ok()).collect();
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    for line in others {
        headers.append(SEC_WEBSOCKET_PROTOCOL, line);
    }
    tokens
}

/// The token of an offer, as it was sent. Nobody else's subprotocol is called so, however it is spelled.
fn token(offer: &[u8]) -> Option<&[u8]> {
    let (start, token) = offer.split_at_checked(PREFIX.len())?;
    start.eq_ignore_ascii_case(PREFIX).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_no_offers() {
        type Row<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str]);
        let table: &[Row<'_>] = &[
            (&[], &[], &[]),
            (&["chat"], &["chat"], &[]),
            (&["chat,  superchat"], &["chat,  superchat"], &[]),
            (&["chat, bearer.abc"], &["chat"], &["abc"]),
            (&["bearer.abc , chat"], &["chat"], &["abc"]),
            (&["bearer.abc"], &[], &["abc"]),
            (&["a,bearer.b,c", "bearer.d", "e"], &["a, c", "e"], &["b", "d"]),
            (&["Bearer.abc", "chat"], &["chat"], &["abc"]),
            (&["chat, bearer.a%2Bb%3D%3d.c"], &["chat"], &["a+b==.c"]),
            (&["chat, bearer."], &["chat"], &[""]),
            (&["bearer, xbearer.abc, bearer_abc"], &["bearer, xbearer.abc, bearer_abc"], &[]),
            (&["ü, bearer.abc"], &["ü"], &["abc"]),
            (&["bearer.ü, chat"], &["chat"], &["ü"]),
        ];
        for (sent, left, taken) in table {
            let mut request = Request::new(());
            for line in *sent {
                let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
                request.headers_mut().append(SEC_WEBSOCKET_PROTOCOL, value);
            }
            set_apart(&mut request);
            let lines = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
            let lines: Vec<_> =
                lines.map(|line| str::from_utf8(line.as_bytes()).unwrap()).collect();
            assert_eq!(lines, *left, "{sent:?}");
            let tokens: Vec<_> =
                tokens(&request).iter().map(|token| str::from_utf8(token).unwrap()).collect();
            assert_eq!(tokens, *taken, "{sent:?}");
        }
    }
}
