//! Frame: the plain case of a WebSocket frame, recognised and unmasked in place. tungstenite reads all others. Pure.

use std::io::Cursor;

use async_tungstenite::tungstenite::protocol::frame::FrameHeader;
use async_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};

/// First byte of a whole text message: FIN, no reserved bits, opcode 1 (RFC 6455, section 5.2).
const WHOLE_TEXT: u8 = 0x81;
/// First byte of a whole binary message.
const WHOLE_BINARY: u8 = 0x82;

/// The close code "Bad Gateway" (IANA's registry), the only registered one that tungstenite takes for a
/// violation of the protocol.
const BAD_GATEWAY: u16 = 1014;

/// Frames that are passed on together, at most.
const RUN: usize = 64;

/// The byte that replaces a header once its frame is unmasked: ASCII, and no end of line.
const BLANK: u8 = 0;

/// Plain frames of one kind that came one behind the other, unmasked.
#[derive(Debug)]
pub struct Run<'a> {
    /// Whether they are text, not checked yet; else binary.
    pub is_text: bool,
    /// All of them, with zeros in place of their headers.
    pub bytes: &'a [u8],
    /// Where in `bytes` each payload begins and ends.
    pub payloads: &'a [(u32, u32)],
}

/// Why a run over plain frames stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The bytes ended with a frame, or in the middle of a header: more are needed.
    More,
    /// A frame for tungstenite comes next: a control frame, a fragment, an incomplete or a wrong one.
    Other(Handed),
    /// A whole Close frame with the code 1014 comes next, which tungstenite would answer with 1002.
    BadGateway {
        /// Bytes of all of it.
        len: usize,
        /// Code and reason, unmasked.
        payload: Vec<u8>,
    },
}

/// A frame that tungstenite has to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Its length with its header, in bytes; `u64::MAX` if it is so wrong that nothing can follow.
    pub len: u64,
    /// Whether more fragments of its message are to follow; `None` if that is as it was before.
    pub opens: Option<bool>,
}

/// Passes on the plain frames at the beginning of `buf`, and says how many bytes they had and why
/// it stopped, or what `take` objected to: what it was given then is among those bytes. `buf` is less than
/// 4 GiB; `is_masked`: whether frames have to have masks, as a client's do; `max` is the longest payload, and
/// with `None` no frame counts as plain.
pub fn run<E>(
    buf: &mut [u8],
    is_masked: bool,
    max: Option<usize>,
    mut take: impl FnMut(Run<'_>) -> Result<(), E>,
) -> (usize, Result<Stop, E>) {
    let Some(max) = max else { return (0, Ok(other(buf, is_masked))) };
    let mut at = 0;
    loop {
        let rest = &mut buf[at..];
        let Some(&first) = rest.first() else { return (at, Ok(Stop::More)) };
        let mut payloads = [(0, 0); RUN];
        let (mut count, mut end) = (0, 0);
        let mut stopped = None;
        while count < RUN && rest.get(end) == Some(&first) {
            match scan(&mut rest[end..], max) {
                Ok((header, frame)) => {
                    payloads[count] = ((end + header) as u32, (end + frame) as u32);
                    end += frame;
                    count += 1;
                }
                Err(stop) => {
                    stopped = Some(stop);
                    break;
                }
            }
        }
        if count > 0 {
            let (bytes, payloads) = (&rest[..end], &payloads[..count]);
            if let Err(error) = take(Run { is_text: first == WHOLE_TEXT, bytes, payloads }) {
                return (at + end, Err(error));
            }
        }
        at += end;
        if let Some(stop) = stopped {
            return (at, Ok(stop));
        }
    }
}

/// Unmasks the frame at the beginning of `buf`, and blanks its header, if it is complete,
/// unfragmented, masked data of at most `max` bytes. Gives the length of its header, and of all of it.
#[inline]
fn scan(buf: &mut [u8], max: usize) -> Result<(usize, usize), Stop> {
    let [first, second, ..] = *buf else { return Err(Stop::More) };
    if !(first == WHOLE_TEXT || first == WHOLE_BINARY) || second & 0x80 == 0 {
        return Err(other(buf, true));
    }
    match (second & 0x7f, &*buf) {
        (127, _) => Err(other(buf, true)),
        (126, [_, _, a, b, ..]) => {
            let len = u16::from_be_bytes([*a, *b]);
            take_off::<8>(buf, len.into(), max)
        }
        (126, _) => Err(Stop::More),
        (len, _) => take_off::<6>(buf, len.into(), max),
    }
}

/// Takes header and mask, the last four bytes of `HEADER`, off a payload of so many bytes.
#[inline]
fn take_off<const HEADER: usize>(
    buf: &mut [u8],
    len: usize,
    max: usize,
) -> Result<(usize, usize), Stop> {
    let end = HEADER + len;
    if len > max || buf.len() < end {
        return Err(other(buf, true));
    }
    let (header, payload) = buf[..end].split_at_mut(HEADER);
    let mask = *header.last_chunk().expect("a header is longer than a mask");
    header.fill(BLANK);
    unmask(payload, mask);
    Ok((HEADER, end))
}

#[cold]
fn other(buf: &[u8], is_masked: bool) -> Stop {
    let mut cursor = Cursor::new(buf);
    match FrameHeader::parse(&mut cursor) {
        Ok(None) => Stop::More,
        Ok(Some((header, len))) => {
            let start = cursor.position();
            close_1014(&header, len, buf, start as usize, is_masked).unwrap_or(Stop::Other(
                Handed {
                    len: len.saturating_add(start),
                    opens: (u8::from(header.opcode) < 8).then_some(!header.is_final),
                },
            ))
        }
        // A reserved opcode, which tungstenite reports.
        Err(_) => Stop::Other(Handed { len: u64::MAX, opens: None }),
    }
}

/// What to do with the frame at the beginning of `buf` if it is a Close with the code 1014, or may become
/// one; `None` leaves it to tungstenite, as everything that is wrong with a Close is.
fn close_1014(
    header: &FrameHeader,
    len: u64,
    buf: &[u8],
    start: usize,
    is_masked: bool,
) -> Option<Stop> {
    if header.mask.is_some() != is_masked {
        return None;
    }
    let mask = header.mask.unwrap_or_default();
    let is_reserved = header.rsv1 || header.rsv2 || header.rsv3;
    let is_close = header.opcode == OpCode::Control(Control::Close);
    if !is_close || !header.is_final || is_reserved || !(2..=125).contains(&len) {
        return None;
    }
    let len = start + len as usize;
    match &buf[start..len.min(buf.len())] {
        [a, b, ..] if [a ^ mask[0], b ^ mask[1]] != BAD_GATEWAY.to_be_bytes() => None,
        [_, _, ..] if buf.len() >= len => {
            let mut payload = buf[start..len].to_vec();
            unmask(&mut payload, mask);
            str::from_utf8(&payload[2..]).ok()?;
            Some(Stop::BadGateway { len, payload })
        }
        _ => Some(Stop::More),
    }
}

/// Masks or unmasks a payload (RFC 6455, section 5.3), in blocks that the compiler makes vectors of.
#[inline]
pub fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide: [u8; 16] = std::array::from_fn(|i| mask[i % 4]);
    let (blocks, rest) = payload.as_chunks_mut::<16>();
    for block in blocks {
        for (byte, mask) in block.iter_mut().zip(wide) {
            *byte ^= mask;
        }
    }
    let (words, rest) = rest.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..126 => frame.push(0x80 | len as u8),
            len => frame.extend([0x80 | 126, (len >> 8) as u8, len as u8]),
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    #[test]
    fn frames_of_every_length_are_unmasked() {
        for len in (0..200).chain([65535]) {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut buf = frame(WHOLE_BINARY, &payload);
            let mut got = None;
            let outcome = run(&mut buf, true, Some(70_000), |run| {
                let [(start, end)] = run.payloads else { panic!("one frame") };
                let (header, taken) = run.bytes.split_at(*start as usize);
                assert!(!run.is_text && *end as usize == run.bytes.len());
                assert!(header.iter().all(|byte| *byte == BLANK));
                got = Some(taken.to_vec());
                Ok::<_, ()>(())
            });
            assert_eq!(got, Some(payload), "{len}");
            assert_eq!(outcome, (buf.len(), Ok(Stop::More)));
        }
    }

    #[test]
    fn runs_are_of_one_kind_and_bounded() {
        let kinds = [(WHOLE_TEXT, 130), (WHOLE_BINARY, 2), (WHOLE_TEXT, 1), (0x89, 1)];
        let frames = kinds.map(|(first, count)| frame(first, b"x").repeat(count));
        let mut buf = frames.concat();
        let used = frames[..3].concat().len();
        let mut runs = Vec::new();
        let outcome = run(&mut buf, true, Some(1), |run| {
            runs.push((run.is_text, run.payloads.len()));
            Ok::<_, ()>(())
        });
        assert_eq!(runs, [(true, 64), (true, 64), (true, 2), (false, 2), (true, 1)]);
        let ping = Handed { len: 7, opens: None };
        assert_eq!(outcome, (used, Ok(Stop::Other(ping))));
    }
}
