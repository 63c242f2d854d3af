//! The protocol of the simulation's stage: a small one of the kind that telnet is. A `#` begins a command; `##` is a `#`.
//! A command is `#` and another byte; it is taken out, and answered by `#` and the same byte.

/// One direction of the backend's connection, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// What is left without commands, and with `#` in place of `##`.
    pub rest: Vec<u8>,
    /// The commands.
    pub commands: Vec<u8>,
    /// For each number of bytes read, from 0 on: how many of `rest` they made, and how many commands.
    pub until: Vec<(usize, usize)>,
    /// For each command how many bytes of `rest` came before it.
    pub places: Vec<usize>,
}

/// Takes a stream apart, in either direction.
pub fn parts(bytes: &[u8]) -> Parts {
    let mut parts = Parts { until: vec![(0, 0)], ..Parts::default() };
    let mut is_command = false;
    for byte in bytes {
        match (std::mem::take(&mut is_command), byte) {
            (false, b'#') => is_command = true,
            (true, byte) if *byte != b'#' => {
                parts.places.push(parts.rest.len());
                parts.commands.push(*byte);
            }
            (_, byte) => parts.rest.push(*byte),
        }
        parts.until.push((parts.rest.len(), parts.commands.len()));
    }
    parts
}

/// How many bytes these have once each `#` is doubled.
pub fn doubled(bytes: &[u8]) -> usize {
    bytes.len() + bytes.iter().filter(|byte| **byte == b'#').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_out() {
        for (bytes, rest, commands) in [
            (&b"a#1b"[..], &b"ab"[..], &b"1"[..]),
            (b"a##b", b"a#b", b""),
            (b"##1#2", b"#1", b"2"),
            (b"###", b"#", b""),
            (b"a#", b"a", b""),
            (b"#\n\n", b"\n", b"\n"),
        ] {
            let parts = parts(bytes);
            assert_eq!((parts.rest.as_slice(), parts.commands.as_slice()), (rest, commands));
            assert_eq!(parts.until.last(), Some(&(rest.len(), commands.len())));
            assert_eq!(parts.until.len(), bytes.len() + 1);
        }
        assert_eq!(doubled(b"a#b##"), 8);
    }
}
