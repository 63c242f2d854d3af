//! Frame: the plain case of a WebSocket frame, recognised and unmasked in place; all others are
//! tungstenite's. Pure.

use std::io::Cursor;

use async_tungstenite::tungstenite::protocol::frame::FrameHeader;

/// First byte of a whole text message: FIN, no reserved bits, opcode 1 (RFC 6455, section 5.2).
const WHOLE_TEXT: u8 = 0x81;
/// First byte of a whole binary message.
const WHOLE_BINARY: u8 = 0x82;

/// What stands at the beginning of some bytes from a client.
#[derive(Debug, PartialEq, Eq)]
enum Scan {
    /// A complete, unfragmented, masked data frame: its payload is at this range, unmasked now.
    Plain {
        /// Whether it is text; else binary. Text is not checked yet.
        is_text: bool,
        /// Where the payload begins.
        start: usize,
        /// Where it ends, and the next frame begins.
        end: usize,
    },
    /// A frame for tungstenite: a control frame, a fragment, an incomplete or a wrong one.
    Other(Handed),
    /// Not even a whole header.
    Short,
}

/// A frame that is not for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Its length with its header, in bytes; `u64::MAX` if it is so wrong that nothing can follow.
    pub len: u64,
    /// Whether more fragments of its message are to follow; `None` if that is as it was before.
    pub opens: Option<bool>,
}

/// Looks at the beginning of `buf`, and unmasks the frame there if it is a plain one of at most
/// `max` bytes.
fn scan(buf: &mut [u8], max: Option<usize>) -> Scan {
    let [first, second, ..] = *buf else { return Scan::Short };
    let Some(max) = max else { return other(buf) };
    let is_text = first == WHOLE_TEXT;
    if !(is_text || first == WHOLE_BINARY) || second & 0x80 == 0 {
        return other(buf);
    }
    let (len, mask_at) = match second & 0x7f {
        126 => match buf {
            [_, _, a, b, ..] => (u16::from_be_bytes([*a, *b]).into(), 4),
            _ => return Scan::Short,
        },
        127 => return other(buf),
        len => (usize::from(len), 2),
    };
    let start = mask_at + 4;
    let end = start + len;
    if len > max || buf.len() < end {
        return other(buf);
    }
    let mask = [buf[mask_at], buf[mask_at + 1], buf[mask_at + 2], buf[mask_at + 3]];
    unmask(&mut buf[start..end], mask);
    Scan::Plain { is_text, start, end }
}

/// Where and why a run over plain frames stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The bytes ended with a frame, or in the middle of a header: more are needed.
    More,
    /// A frame for tungstenite comes next.
    Other(Handed),
}

/// Passes on the plain frames at the beginning of `buf`, and says how many bytes they had and why
/// it stopped. `max` is the longest payload; with `None` no frame counts as plain.
///
/// # Errors
/// What `take` objects to.
pub fn run<E>(
    buf: &mut [u8],
    max: Option<usize>,
    mut take: impl FnMut(bool, &[u8]) -> Result<(), E>,
) -> Result<(usize, Stop), E> {
    let mut at = 0;
    loop {
        match scan(&mut buf[at..], max) {
            Scan::Plain { is_text, start, end } => {
                take(is_text, &buf[at + start..at + end])?;
                at += end;
            }
            Scan::Short => return Ok((at, Stop::More)),
            Scan::Other(handed) => return Ok((at, Stop::Other(handed))),
        }
    }
}

fn other(buf: &[u8]) -> Scan {
    let mut cursor = Cursor::new(buf);
    match FrameHeader::parse(&mut cursor) {
        Ok(None) => Scan::Short,
        Ok(Some((header, len))) => Scan::Other(Handed {
            len: len.saturating_add(cursor.position()),
            opens: (u8::from(header.opcode) < 8).then_some(!header.is_final),
        }),
        // A reserved opcode: tungstenite says so.
        Err(_) => Scan::Other(Handed { len: u64::MAX, opens: None }),
    }
}

/// RFC 6455, section 5.3, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let value = u64::from_ne_bytes((&*word).try_into().expect("eight bytes")) ^ wide;
        word.copy_from_slice(&value.to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
