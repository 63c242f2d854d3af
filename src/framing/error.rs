//! FramingError: what a line or message breaks the rules by.

use std::fmt;

/// Why a message or a line cannot be relayed. All of them end the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// A line from the backend is longer than `limit` bytes (close code 1009).
    LineTooLong {
        /// The largest length allowed, in bytes, without the end of line.
        limit: usize,
    },
    /// A message from the client is longer than `limit` bytes (close code 1009).
    MessageTooLong {
        /// The largest length allowed, in bytes, without one final end of line.
        limit: usize,
    },
    /// A message from the client holds a newline and the rule is `Newlines::Reject` (close code 1008).
    NewlineInMessage,
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FramingError::LineTooLong { limit } => {
                write!(f, "line from backend longer than {}", Size(limit))
            }
            FramingError::MessageTooLong { limit } => {
                write!(f, "message longer than {}", Size(limit))
            }
            FramingError::NewlineInMessage => f.write_str("newline inside a message"),
        }
    }
}

impl std::error::Error for FramingError {}

/// A number of bytes, written the way it would be typed as an option.
struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{} byte{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_well() {
        let line = |limit| FramingError::LineTooLong { limit }.to_string();
        assert_eq!(line(1 << 20), "line from backend longer than 1MiB");
        assert_eq!(line(65536), "line from backend longer than 64KiB");
        assert_eq!(line(1000), "line from backend longer than 1000 bytes");
        assert_eq!(line(1), "line from backend longer than 1 byte");
        assert_eq!(line(0), "line from backend longer than 0 bytes");
        assert_eq!(line(3 << 30), "line from backend longer than 3GiB");
        let message = FramingError::MessageTooLong { limit: 1536 };
        assert_eq!(message.to_string(), "message longer than 1536 bytes");
        let newline = FramingError::NewlineInMessage;
        assert_eq!(newline.to_string(), "newline inside a message");
    }
}
