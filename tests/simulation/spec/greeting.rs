//! The lines of the relay's own, before and behind those of the client (SPEC, section 7).

use super::rules::{Message, Rules};
use super::up::up;

/// The line that the backend gets before all that the client says. Not every charset has its `é`.
pub const HELLO: &str = "HELLO é #1";

/// The line that it gets when the client has left. It begins as hardly a message does.
pub const GOODBYE: &str = "\u{1}GOODBYE é #2";

/// Bytes of either of them, at most.
pub const LONGEST: usize = 64;

/// A line as the backend gets it: in its charset, with its end of line, in raw mode too.
pub fn line(rules: &Rules, text: &str, has_stage: bool) -> Vec<u8> {
    let rules = Rules { raw: false, binary_lines: false, max_line: usize::MAX, ..rules.clone() };
    let line = up(&rules, &Message::Text(text.into())).expect("one line").bytes;
    assert!(line.len() < LONGEST / 2, "{text}");
    let copies = |byte: u8| if has_stage && byte == b'#' { 2 } else { 1 };
    line.into_iter().flat_map(|byte| std::iter::repeat_n(byte, copies(byte))).collect()
}
