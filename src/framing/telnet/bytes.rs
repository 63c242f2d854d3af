//! Bytes: the numbers of telnet's commands and options, and how data is escaped.

/// Interpret As Command: begins every command (RFC 854).
pub const IAC: u8 = 255;
/// Refuses an option of the peer's, or asks for its end.
pub const DONT: u8 = 254;
/// Asks for an option of the peer's, or agrees to it.
pub const DO: u8 = 253;
/// Refuses an option of one's own, or ends it.
pub const WONT: u8 = 252;
/// Offers an option of one's own, or agrees to it.
pub const WILL: u8 = 251;
/// Begins a subnegotiation (RFC 855).
pub const SB: u8 = 250;
/// Go Ahead: the peer has said all for now.
pub const GA: u8 = 249;
/// Are You There.
pub const AYT: u8 = 246;
/// No Operation.
pub const NOP: u8 = 241;
/// Ends a subnegotiation.
pub const SE: u8 = 240;
/// End of Record (RFC 885).
pub const END_OF_RECORD: u8 = 239;

/// TRANSMIT-BINARY (RFC 856).
pub const BINARY: u8 = 0;
/// ECHO (RFC 857).
pub const ECHO: u8 = 1;
/// SUPPRESS-GO-AHEAD (RFC 858).
pub const SGA: u8 = 3;
/// TERMINAL-TYPE (RFC 1091).
pub const TTYPE: u8 = 24;
/// END-OF-RECORD (RFC 885).
pub const EOR: u8 = 25;
/// NEW-ENVIRON (RFC 1572).
pub const NEW_ENVIRON: u8 = 39;
/// CHARSET (RFC 2066).
pub const CHARSET: u8 = 42;
/// Mud Server Status Protocol.
pub const MSSP: u8 = 70;
/// Generic Mud Communication Protocol.
pub const GMCP: u8 = 201;

/// In TERMINAL-TYPE and NEW-ENVIRON: what follows is the value.
pub const IS: u8 = 0;
/// In TERMINAL-TYPE and NEW-ENVIRON: asks for the value.
pub const SEND: u8 = 1;

/// Appends the subnegotiation of `option` with these parts, escaped.
pub fn subnegotiation(option: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    out.extend([IAC, SB, option]);
    let start = out.len();
    parts.iter().for_each(|part| out.extend_from_slice(part));
    // No carriage return is changed here.
    escape(out, start, Return::Binary);
    out.extend([IAC, SE]);
}

/// What a carriage return is followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// By a `NUL`, if no `LF` comes (RFC 854, "The Telnet Printer and Keyboard").
    Nvt,
    /// By whatever comes (RFC 856).
    Binary,
    /// The same, but not by an `LF`: the end of line is the one byte that Enter is on a terminal.
    Enter,
}

/// Escapes what stands in `out` from `start` on: `IAC` is doubled, and a carriage return is followed by what it has to
/// be. `CR LF` must not be cut at the end.
pub fn escape(out: &mut Vec<u8>, start: usize, cr: Return) {
    // Whether something changes behind the byte at this place.
    let changes = |text: &[u8], at: usize| match (text[at], text.get(at + 1)) {
        (IAC, _) => true,
        (_, Some(b'\n')) => cr == Return::Enter,
        _ => cr == Return::Nvt,
    };
    let text = &out[start..];
    let Some(first) = memchr::memchr2_iter(IAC, b'\r', text).find(|at| changes(text, *at)) else {
        return;
    };
    let text = out.split_off(start + first);
    let mut done = 0;
    for at in memchr::memchr2_iter(IAC, b'\r', &text).filter(|at| changes(&text, *at)) {
        out.extend_from_slice(&text[done..=at]);
        done = at + 1;
        match (text[at], cr) {
            (IAC, _) => out.push(IAC),
            (_, Return::Nvt) => out.push(0),
            // The LF.
            _ => done += 1,
        }
    }
    out.extend_from_slice(&text[done..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_escaped() {
        for (text, nvt, binary, enter) in [
            (&b"look\r\n"[..], &b"look\r\n"[..], &b"look\r\n"[..], &b"look\r"[..]),
            (
                b"a\xffb\xff\xff\n",
                b"a\xff\xffb\xff\xff\xff\xff\n",
                b"a\xff\xffb\xff\xff\xff\xff\n",
                b"a\xff\xffb\xff\xff\xff\xff\n",
            ),
            (b"a\rb\r", b"a\r\0b\r\0", b"a\rb\r", b"a\rb\r"),
            (b"\r\r\n\n", b"\r\0\r\n\n", b"\r\r\n\n", b"\r\r\n"),
            (b"\r\n\xff\r\n", b"\r\n\xff\xff\r\n", b"\r\n\xff\xff\r\n", b"\r\xff\xff\r"),
            (b"\r\xff", b"\r\0\xff\xff", b"\r\xff\xff", b"\r\xff\xff"),
            (b"", b"", b"", b""),
        ] {
            for (cr, want) in [(Return::Nvt, nvt), (Return::Binary, binary), (Return::Enter, enter)]
            {
                let mut out = b"\r\xff".to_vec();
                out.extend_from_slice(text);
                escape(&mut out, 2, cr);
                assert_eq!(out[..2], *b"\r\xff", "what stood there is left alone");
                assert_eq!(out[2..].escape_ascii().to_string(), want.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn subnegotiations_are_escaped() {
        let mut out = Vec::new();
        subnegotiation(GMCP, &[b"a\xff", b"b"], &mut out);
        assert_eq!(out, [IAC, SB, GMCP, b'a', IAC, IAC, b'b', IAC, SE]);
    }
}
