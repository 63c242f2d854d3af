//! The error of a start, or of a reload of the configuration.

use std::fmt;
use std::io;

use crate::text::reason;

/// Why wsrelay could not start or go on. Its text is one sentence that says what to do.
#[derive(Debug)]
pub enum StartError {
    /// The command line is wrong: exit status 2.
    Usage {
        /// The options that it is about, without their dashes, the most important first. The line of a
        /// configuration file is found by them.
        options: Vec<&'static str>,
        /// The sentence to show.
        text: String,
    },
    /// The command line is right, but something else is not (a port in use, a missing file): exit status 1.
    Environment(String),
}

impl StartError {
    /// A mistake on the command line that is not about particular options.
    pub fn usage(text: impl Into<String>) -> Self {
        StartError::Usage { options: Vec::new(), text: text.into() }
    }

    /// The process's exit status.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Usage { .. } => 2,
            StartError::Environment(_) => 1,
        }
    }

    /// The error of binding `what`, with advice for the common reasons; `option` is the one that sets the port.
    pub fn cannot_listen(what: &dyn fmt::Display, option: &str, error: &io::Error) -> Self {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "; another program listens there: stop it, or give another port ({option} 0 picks a free one)"
            ),
            io::ErrorKind::PermissionDenied => {
                format!("; ports below 1024 need root or CAP_NET_BIND_SERVICE: try {option} 8082")
            }
            io::ErrorKind::AddrNotAvailable => {
                format!(
                    "; this machine has no such address: try {option}, which takes every interface"
                )
            }
            _ => String::new(),
        };
        StartError::Environment(format!("can't listen on {what}: {}{advice}", reason(error)))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Usage { text, .. } | StartError::Environment(text) => {
                // It is one line, whatever text it quotes.
                for part in text.split_inclusive(char::is_control) {
                    let end = part.trim_end_matches(char::is_control);
                    write!(f, "{end}{}", part[end.len()..].escape_debug())?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for StartError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_whatever_it_quotes() {
        let error = StartError::usage("--eol \r\n: type \u{1b}[31mlf, žluťoučký \u{9b}\n");
        assert_eq!(error.to_string(), r"--eol \r\n: type \u{1b}[31mlf, žluťoučký \u{9b}\n");
    }
}
