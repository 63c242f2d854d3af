//! Lines on the wire: how a client of each kind of relay sends and receives them (RFC 6455, section 5).

use crate::line;
use serde::{Deserialize, Serialize};

/// What a relay's clients speak.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wire {
    /// Lines over TCP, for what knows no WebSocket.
    Tcp,
    /// A text message is a line: what a line relay promises, and is held to.
    Lines,
    /// Messages carry the stream with its ends of line, cut anywhere: what byte relays do.
    Bytes,
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// The key of RFC 6455, section 1.3, and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The opening handshake's request.
pub fn request(host: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

/// The length of the response at the start of `data`, once it is whole; an error unless it grants the upgrade.
pub fn response(data: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = memchr::memmem::find(data, b"\r\n\r\n") else { return Ok(None) };
    let head = &data[..end];
    if head.starts_with(b"HTTP/1.1 101") && memchr::memmem::find(head, ACCEPT).is_some() {
        return Ok(Some(end + 4));
    }
    let status = head.split(|&byte| byte == b'\r').next().unwrap_or(head);
    Err(format!("upgrade refused: {}", String::from_utf8_lossy(status)))
}

impl Wire {
    /// Appends what `write_line` writes (a line without its end) as this kind of client sends it.
    pub fn encode(
        self,
        mask: [u8; 4],
        write_line: impl FnOnce(&mut Vec<u8>),
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) {
        if self == Wire::Tcp {
            write_line(out);
            return out.push(b'\n');
        }
        scratch.clear();
        write_line(scratch);
        if self == Wire::Bytes {
            scratch.push(b'\n');
        }
        put_frame(if self == Wire::Bytes { BINARY } else { TEXT }, scratch, mask, out);
    }
}

/// A client's close frame: normal closure (RFC 6455, section 7.4.1).
pub fn close_frame(mask: [u8; 4]) -> Vec<u8> {
    let mut frame = Vec::new();
    put_frame(CLOSE, &1000u16.to_be_bytes(), mask, &mut frame);
    frame
}

/// Appends one masked frame.
fn put_frame(opcode: u8, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    out.push(FIN | opcode);
    match payload.len() {
        len @ 0..=125 => out.push(MASKED | len as u8),
        len @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    let (whole, rest) = out[start..].as_chunks_mut::<4>();
    whole.iter_mut().for_each(|four| {
        *four = (u32::from_ne_bytes(*four) ^ u32::from_ne_bytes(mask)).to_ne_bytes()
    });
    rest.iter_mut().zip(mask).for_each(|(byte, key)| *byte ^= key);
}

/// Masks, a new one for each frame (RFC 6455, section 5.3): xorshift, as nobody is to be fooled here.
pub struct Masks(u32);

impl Default for Masks {
    fn default() -> Self {
        Masks(0x9e37_79b9)
    }
}

impl Masks {
    pub fn next(&mut self) -> [u8; 4] {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0.to_ne_bytes()
    }
}

/// Turns what arrives at one client back into lines.
pub struct Decoder {
    wire: Wire,
    /// Bytes that are not a whole frame yet.
    frame: Vec<u8>,
    /// The unfinished line, or the fragments of the unfinished message.
    partial: Vec<u8>,
    /// Pongs to be sent.
    pub replies: Vec<u8>,
    /// Pings that came.
    pub pings: u32,
    /// Whether a close frame is expected, and whether it came.
    pub leaving: bool,
    pub closed: bool,
}

impl Decoder {
    pub fn new(wire: Wire) -> Self {
        Decoder {
            wire,
            frame: Vec::new(),
            partial: Vec::new(),
            replies: Vec::new(),
            pings: 0,
            leaving: false,
            closed: false,
        }
    }

    /// Calls `on_line` for each line completed by `data`; an error says why the session is over.
    pub fn feed(
        &mut self,
        data: &[u8],
        on_line: &mut impl FnMut(&[u8]),
    ) -> Result<(), &'static str> {
        if self.wire == Wire::Tcp {
            line::split(&mut self.partial, data, on_line);
            return Ok(());
        }
        if self.frame.is_empty() {
            let rest = self.frames(data, on_line)?;
            self.frame.extend_from_slice(rest);
            return Ok(());
        }
        let mut waiting = std::mem::take(&mut self.frame);
        waiting.extend_from_slice(data);
        let used = waiting.len() - self.frames(&waiting, on_line)?.len();
        waiting.drain(..used);
        self.frame = waiting;
        Ok(())
    }

    /// Takes every whole frame; returns what is left.
    fn frames<'a>(
        &mut self,
        mut data: &'a [u8],
        on_line: &mut impl FnMut(&[u8]),
    ) -> Result<&'a [u8], &'static str> {
        while let Some((first, payload, rest)) = take_frame(data)? {
            data = rest;
            match first & 0x0f {
                CLOSE if self.leaving => self.closed = true,
                CLOSE => return Err("closed by the relay"),
                PING => {
                    self.pings += 1;
                    put_frame(PONG, payload, [0; 4], &mut self.replies);
                }
                PONG => {}
                _ if self.wire == Wire::Bytes => line::split(&mut self.partial, payload, on_line),
                BINARY => return Err("binary message from a line relay"),
                TEXT if first & FIN != 0 => on_line(payload),
                _ => {
                    self.partial.extend_from_slice(payload);
                    if first & FIN != 0 {
                        on_line(&self.partial);
                        self.partial.clear();
                    }
                }
            }
        }
        Ok(data)
    }
}

/// First byte, payload and what follows of the server's frame at the start of `data`.
type Frame<'a> = (u8, &'a [u8], &'a [u8]);

fn take_frame(data: &[u8]) -> Result<Option<Frame<'_>>, &'static str> {
    let &[first, second, ref rest @ ..] = data else { return Ok(None) };
    if second & MASKED != 0 {
        return Err("masked frame from a server");
    }
    let (len, body) = match second {
        126 => match rest.split_first_chunk() {
            Some((len, body)) => (u64::from(u16::from_be_bytes(*len)), body),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((len, body)) => (u64::from_be_bytes(*len), body),
            None => return Ok(None),
        },
        len => (u64::from(len), rest),
    };
    Ok(body.split_at_checked(len as usize).map(|(payload, after)| (first, payload, after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(wire: Wire, line: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        wire.encode([1, 2, 3, 4], |to| to.extend_from_slice(line), &mut Vec::new(), &mut out);
        out
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 6455, section 5.7: "Hello", masked by the client and not masked by the server.
        let mut out = Vec::new();
        put_frame(TEXT, b"Hello", [0x37, 0xfa, 0x21, 0x3d], &mut out);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        let mut seen = Vec::new();
        let fragments = [0x01, 0x03, b'H', b'e', b'l', 0x89, 0x00, 0x80, 0x02, b'l', b'o'];
        let mut decoder = Decoder::new(Wire::Lines);
        decoder.feed(&fragments, &mut |line| seen.push(line.to_vec())).unwrap();
        assert_eq!(seen, [b"Hello"]);
        assert_eq!((decoder.pings, decoder.replies), (1, vec![0x8a, 0x80, 0, 0, 0, 0]));
    }

    #[test]
    fn every_length_and_every_cut() {
        for len in [0, 1, 125, 126, 127, 65535, 65536] {
            let line: Vec<u8> = (0..len).map(|at| b'a' + (at % 26) as u8).collect();
            for wire in [Wire::Tcp, Wire::Lines, Wire::Bytes] {
                let mut sent = encode(wire, &line);
                if wire != Wire::Tcp {
                    unmask(&mut sent);
                }
                for cut in (0..=sent.len()).step_by(sent.len() / 50 + 1) {
                    let (mut decoder, mut seen) = (Decoder::new(wire), Vec::new());
                    decoder.feed(&sent[..cut], &mut |line| seen.push(line.to_vec())).unwrap();
                    decoder.feed(&sent[cut..], &mut |line| seen.push(line.to_vec())).unwrap();
                    assert!(seen == [&line[..]], "{wire:?}, {len} bytes, cut at {cut}");
                }
            }
        }
    }

    /// Makes a client's frame a server's.
    fn unmask(frame: &mut Vec<u8>) {
        let at = match frame[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        frame[1] &= 0x7f;
        frame.drain(at..at + 4);
        frame[at..]
            .iter_mut()
            .zip([1, 2, 3, 4].iter().cycle())
            .for_each(|(byte, key)| *byte ^= key);
    }

    #[test]
    fn what_a_line_relay_must_not_send() {
        let feed = |data: &[u8]| Decoder::new(Wire::Lines).feed(data, &mut |_| {});
        assert!(feed(&[0x82, 0]).is_err(), "binary");
        assert!(feed(&[0x81, 0x80, 0, 0, 0, 0]).is_err(), "masked");
        assert!(feed(&[0x88, 0]).is_err(), "close");
    }

    #[test]
    fn a_close_frame_that_answers_ours() {
        let sent = close_frame([0; 4]);
        assert_eq!(sent, [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
        let mut decoder = Decoder::new(Wire::Lines);
        decoder.leaving = true;
        assert_eq!(decoder.feed(&[0x88, 2, 0x03, 0xe8], &mut |_| {}), Ok(()));
        assert!(decoder.closed);
    }

    #[test]
    fn only_the_right_response_grants_the_upgrade() {
        let good = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nrest";
        assert_eq!(response(good), Ok(Some(good.len() - 4)));
        assert_eq!(response(&good[..60]), Ok(None));
        assert_eq!(
            response(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"),
            Err("upgrade refused: HTTP/1.1 502 Bad Gateway".into())
        );
    }
}
