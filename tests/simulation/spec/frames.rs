//! The client's side of RFC 6455: frames to send, right and wrong, and a strict parser of the
//! frames that the relay sends.

/// The opcodes of RFC 6455, section 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// A text message, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// A Close.
    Close = 8,
    /// A Ping.
    Ping = 9,
    /// A Pong.
    Pong = 10,
}

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// One masked frame of a client, its length encoded in the fewest bytes.
pub fn frame(fin: bool, opcode: Opcode, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    masked(if fin { FIN } else { 0 } | opcode as u8, payload, mask)
}

/// A masked frame with any first byte.
fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..=125 => frame.push(MASKED | length as u8),
        length @ ..=0xffff => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    let start = frame.len();
    frame.extend_from_slice(payload);
    frame[start..].iter_mut().enumerate().for_each(|(at, byte)| *byte ^= mask[at % 4]);
    frame
}

/// What a client can send that ends the session, by name. Except for those that are about
/// fragments, each is one frame; all must be sent between messages, not inside a fragmented one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A frame with a reserved opcode: 3 to 7, or 11 to 15.
    ReservedOpcode(u8),
    /// A text frame with the reserved bit RSV1, RSV2 or RSV3 set.
    ReservedBit(u8),
    /// A text frame without a mask.
    Unmasked,
    /// A Ping that is a fragment.
    FragmentedControl,
    /// A Ping with a payload of so many bytes: 126 or more.
    LongControl(u16),
    /// A last fragment without a first one.
    OrphanContinuation,
    /// A fragment, then a text message in place of the next one.
    DataInsideFragments,
    /// A text message that is not UTF-8.
    InvalidUtf8,
    /// A text message of two fragments which only together are not UTF-8.
    InvalidUtf8InFragments,
    /// A text message that ends inside a character.
    CutUtf8,
    /// A Close with half a code.
    CloseWithOneByte,
    /// A Close with a code that no endpoint may send.
    CloseWithBadCode(u16),
    /// A Close with a reason that is not UTF-8.
    CloseWithInvalidUtf8,
    /// A text message of `max_line + 3` bytes: too long even if two of them were an end of line.
    TooLong,
    /// The same in two fragments, of which none is too long.
    TooLongInFragments,
    /// A frame that announces 2^63 bytes: the most significant bit must be 0.
    HugeLength,
}

impl Broken {
    /// All kinds, those with a number with several.
    pub const ALL: &'static [Self] = &[
        Self::ReservedOpcode(3),
        Self::ReservedOpcode(7),
        Self::ReservedOpcode(11),
        Self::ReservedOpcode(15),
        Self::ReservedBit(1),
        Self::ReservedBit(2),
        Self::ReservedBit(3),
        Self::Unmasked,
        Self::FragmentedControl,
        Self::LongControl(126),
        Self::LongControl(u16::MAX),
        Self::OrphanContinuation,
        Self::DataInsideFragments,
        Self::InvalidUtf8,
        Self::InvalidUtf8InFragments,
        Self::CutUtf8,
        Self::CloseWithOneByte,
        Self::CloseWithBadCode(0),
        Self::CloseWithBadCode(999),
        Self::CloseWithBadCode(1004),
        Self::CloseWithBadCode(1005),
        Self::CloseWithBadCode(1006),
        Self::CloseWithBadCode(1015),
        Self::CloseWithBadCode(1016),
        Self::CloseWithBadCode(2999),
        Self::CloseWithBadCode(5000),
        Self::CloseWithBadCode(u16::MAX),
        Self::CloseWithInvalidUtf8,
        Self::TooLong,
        Self::TooLongInFragments,
        Self::HugeLength,
    ];

    /// The bytes to send: whole frames, except for [`Self::HugeLength`].
    pub fn bytes(&self, max_line: usize, mask: [u8; 4]) -> Vec<u8> {
        self.parts(max_line, mask).concat()
    }

    /// After how many of [`Self::bytes`] the fault is certain. A relay may report it later, but not
    /// later than with the last of them.
    pub fn certain_after(&self, max_line: usize) -> usize {
        let parts = self.parts(max_line, [0; 4]);
        let last = parts.last().map_or(0, Vec::len);
        let all = parts.concat().len();
        all - last
            + match self {
                Self::ReservedOpcode(_)
                | Self::ReservedBit(_)
                | Self::FragmentedControl
                | Self::OrphanContinuation
                | Self::DataInsideFragments => 1,
                Self::Unmasked
                | Self::LongControl(_)
                | Self::CloseWithOneByte
                | Self::TooLongInFragments => 2,
                Self::HugeLength => 3,
                Self::TooLong => last - (max_line + 3) - 4,
                Self::InvalidUtf8
                | Self::InvalidUtf8InFragments
                | Self::CutUtf8
                | Self::CloseWithBadCode(_)
                | Self::CloseWithInvalidUtf8 => last,
            }
    }

    /// Whether a frame is also longer than a message may be.
    pub fn is_too_long(&self, max_line: usize) -> bool {
        match self {
            Self::LongControl(len) => usize::from(*len) > max_line,
            Self::HugeLength => true,
            _ => self.code() == 1009,
        }
    }

    /// The code of the Close that must follow.
    pub fn code(&self) -> u16 {
        match self {
            Self::InvalidUtf8
            | Self::InvalidUtf8InFragments
            | Self::CutUtf8
            | Self::CloseWithInvalidUtf8 => 1007,
            Self::TooLong | Self::TooLongInFragments => 1009,
            _ => 1002,
        }
    }

    /// The frames to send, the broken one last.
    fn parts(&self, max_line: usize, mask: [u8; 4]) -> Vec<Vec<u8>> {
        let frame = |fin, opcode, payload: &[u8]| frame(fin, opcode, payload, mask);
        match *self {
            Self::ReservedOpcode(opcode) => vec![masked(FIN | opcode, b"a", mask)],
            Self::ReservedBit(bit) => vec![masked(FIN | 0x80 >> bit | 1, b"a", mask)],
            Self::Unmasked => vec![vec![FIN | 1, 1, b'a']],
            Self::FragmentedControl => vec![frame(false, Opcode::Ping, b"a")],
            Self::LongControl(length) => {
                vec![frame(true, Opcode::Ping, &vec![b'a'; length.into()])]
            }
            Self::OrphanContinuation => vec![frame(true, Opcode::Continuation, b"a")],
            Self::DataInsideFragments => {
                vec![frame(false, Opcode::Text, b"a"), frame(true, Opcode::Text, b"b")]
            }
            Self::InvalidUtf8 => vec![frame(true, Opcode::Text, b"a\xff")],
            Self::InvalidUtf8InFragments => {
                vec![frame(false, Opcode::Text, b"\xc3"), frame(true, Opcode::Continuation, b"a")]
            }
            Self::CutUtf8 => vec![frame(true, Opcode::Text, b"a\xc3")],
            Self::CloseWithOneByte => vec![frame(true, Opcode::Close, &[0x03])],
            Self::CloseWithBadCode(code) => vec![frame(true, Opcode::Close, &code.to_be_bytes())],
            Self::CloseWithInvalidUtf8 => vec![frame(true, Opcode::Close, b"\x03\xe8\xff")],
            Self::TooLong => vec![frame(true, Opcode::Text, &vec![b'a'; max_line + 3])],
            Self::TooLongInFragments => vec![
                frame(false, Opcode::Text, &vec![b'a'; max_line]),
                frame(true, Opcode::Continuation, b"aaa"),
            ],
            Self::HugeLength => {
                let mut frame = vec![FIN | 2, MASKED | 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
                frame.extend_from_slice(&mask);
                vec![frame]
            }
        }
    }
}

/// One frame of the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFrame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A Ping.
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// A Close, with its code and reason, or with an empty payload.
    Close(Option<(u16, String)>),
}

/// A parser of what the relay sends, which demands more than RFC 6455: frames are unmasked and
/// unfragmented, their lengths take the fewest bytes, and nothing follows a Close.
#[derive(Debug, Default)]
pub struct ServerFrames {
    pending: Vec<u8>,
    closed: bool,
}

impl ServerFrames {
    /// Takes further bytes, and returns the frames that are whole with them. An error says what is
    /// wrong; it comes as soon as the bytes show it.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<ServerFrame>, String> {
        self.pending.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut taken = 0;
        loop {
            let rest = &self.pending[taken..];
            if self.closed && !rest.is_empty() {
                return Err("a frame after the Close".into());
            }
            let Some((frame, length)) = parse(rest)? else { break };
            self.closed = matches!(frame, ServerFrame::Close(_));
            frames.push(frame);
            taken += length;
        }
        self.pending.drain(..taken);
        Ok(frames)
    }

    /// The bytes that wait for the rest of their frame.
    pub fn rest(&self) -> usize {
        self.pending.len()
    }
}

/// The first frame and its length in bytes; `None` if it is not yet whole.
fn parse(bytes: &[u8]) -> Result<Option<(ServerFrame, usize)>, String> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let opcode = first & 0x0f;
    if first & 0x70 != 0 {
        return Err(format!("a reserved bit is set: {first:#04x}"));
    }
    if !matches!(opcode, 0..=2 | 8..=10) {
        return Err(format!("reserved opcode {opcode}"));
    }
    if first & FIN == 0 || opcode == 0 {
        return Err(format!("a fragment: {first:#04x}"));
    }
    let Some((payload_at, length)) = extent(bytes, opcode >= 8)? else { return Ok(None) };
    let end = usize::try_from(length).ok().and_then(|length| payload_at.checked_add(length));
    let end = end.ok_or("a length that no memory holds")?;
    let Some(payload) = bytes.get(payload_at..end) else { return Ok(None) };
    let frame = match opcode {
        1 => ServerFrame::Text(utf8(payload)?),
        2 => ServerFrame::Binary(payload.to_vec()),
        8 => ServerFrame::Close(close(payload)?),
        9 => ServerFrame::Ping(payload.to_vec()),
        _ => ServerFrame::Pong(payload.to_vec()),
    };
    Ok(Some((frame, end)))
}

/// Where the payload begins, and its length; `None` if the header is not yet whole.
fn extent(bytes: &[u8], control: bool) -> Result<Option<(usize, u64)>, String> {
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    if second & MASKED != 0 {
        return Err("a masked frame".into());
    }
    if control && second > 125 {
        return Err("a control frame of more than 125 bytes".into());
    }
    let header = match second {
        126 => 4,
        127 => 10,
        _ => return Ok(Some((2, second.into()))),
    };
    let Some(digits) = bytes.get(2..header) else { return Ok(None) };
    let length = digits.iter().fold(0, |length, &digit| length << 8 | u64::from(digit));
    if length >> 63 != 0 {
        return Err("a length with its most significant bit set".into());
    }
    let least = if header == 4 { 126 } else { 0x1_0000 };
    if length < least {
        return Err(format!("length {length} in {} bytes", header - 2));
    }
    Ok(Some((header, length)))
}

/// The code and reason of a Close.
fn close(payload: &[u8]) -> Result<Option<(u16, String)>, String> {
    match *payload {
        [] => Ok(None),
        [_] => Err("a Close with one byte".into()),
        [high, low, ref reason @ ..] => {
            let code = u16::from_be_bytes([high, low]);
            // 1010 is the client's alone.
            if !matches!(code, 1000..=1003 | 1007..=1009 | 1011..=1014 | 3000..=4999) {
                return Err(format!("close code {code}"));
            }
            Ok(Some((code, utf8(reason)?)))
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| format!("invalid UTF-8: {error}"))
}

#[cfg(test)]
mod tests;
