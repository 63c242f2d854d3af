//! Stderr: what a program complains of, in the log, line by line.

use std::future::poll_fn;
use std::mem;
use std::str;
use std::task::{Context, Poll, ready};

use memchr::memchr;

use crate::net::pipes::PipeSource;
use crate::net::scratch;
use crate::text::printable;

/// Bytes that become one line of the log. A longer line is logged in pieces, as somebody who never
/// ends his would have us keep all of it.
const LONGEST: usize = 4096;

/// Bytes that are read before sessions have their turn. They may be as many lines to log, which cost some µs
/// each; as a rule they are three or four, beside which the read does not count.
const TURN: usize = 256;

/// Logs all that comes through the pipe, up to its end. It reads on whatever becomes of the log, so
/// that no program ever has to wait for it.
pub async fn log(pipe: PipeSource, id: u64) {
    let mut lines = Lines::default();
    poll_fn(|cx| poll_log(cx, &pipe, &mut lines, id)).await;
}

fn poll_log(cx: &mut Context<'_>, pipe: &PipeSource, lines: &mut Lines, id: u64) -> Poll<()> {
    let is_open = scratch::with(|chunk| {
        // A failure is an end, too: there is nobody to tell it to.
        let n = ready!(pipe.poll_read(cx, &mut chunk[..TURN])).unwrap_or(0);
        lines.push(&chunk[..n], |line| show(id, line));
        Poll::Ready(n > 0)
    });
    if !ready!(is_open) {
        lines.finish(|line| show(id, line));
        return Poll::Ready(());
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

fn show(id: u64, line: &[u8]) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = String::from_utf8_lossy(line);
    tracing::info!(id, stderr = &*printable(&text), "program says");
}

/// Makes lines, or pieces of long ones, of what is read.
#[derive(Debug, Default)]
struct Lines {
    /// The beginning of one, [`LONGEST`] at most.
    held: Vec<u8>,
}

impl Lines {
    fn push(&mut self, mut bytes: &[u8], mut say: impl FnMut(&[u8])) {
        while let Some(end) = memchr(b'\n', bytes) {
            self.hold(&bytes[..end], &mut say);
            say(&mem::take(&mut self.held));
            bytes = &bytes[end + 1..];
        }
        self.hold(bytes, &mut say);
    }

    /// Says the last line, if it was not ended.
    fn finish(&mut self, mut say: impl FnMut(&[u8])) {
        if !self.held.is_empty() {
            say(&mem::take(&mut self.held));
        }
    }

    /// Takes more of a line, and says what becomes too long.
    fn hold(&mut self, mut bytes: &[u8], say: &mut impl FnMut(&[u8])) {
        while self.held.len() + bytes.len() > LONGEST {
            let (fits, rest) = bytes.split_at(LONGEST - self.held.len());
            self.held.extend_from_slice(fits);
            let whole = whole_characters(&self.held);
            say(&self.held[..whole]);
            self.held.drain(..whole);
            bytes = rest;
        }
        self.held.extend_from_slice(bytes);
    }
}

/// How much of it does not end within a character.
fn whole_characters(bytes: &[u8]) -> usize {
    match str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::block_on;
    use std::io::{self, Write};

    #[test]
    fn sessions_have_their_turn_between_a_flood() {
        const FLOOD: usize = 60_000;
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(&[b'\n'; FLOOD]).unwrap();
        drop(writer);
        let (pipe, mut lines, mut turns) = (PipeSource::new(reader).unwrap(), Lines::default(), 0);
        block_on(poll_fn(|cx| {
            turns += 1;
            poll_log(cx, &pipe, &mut lines, 0)
        }));
        assert!(turns > FLOOD / TURN, "{turns} turns for {FLOOD} lines");
    }

    /// What is said of `text` when it comes in pieces of `size` bytes.
    fn said(text: &[u8], size: usize) -> Vec<String> {
        let (mut lines, mut said) = (Lines::default(), Vec::new());
        let mut say = |line: &[u8]| said.push(String::from_utf8(line.to_vec()).unwrap());
        for piece in text.chunks(size) {
            lines.push(piece, &mut say);
            assert!(lines.held.capacity() <= 2 * LONGEST, "{}", lines.held.capacity());
        }
        lines.finish(&mut say);
        said
    }

    #[test]
    fn lines_however_they_come() {
        let text = "first\n\nsecond, é\nunterminated";
        for size in 1..=text.len() {
            assert_eq!(said(text.as_bytes(), size), ["first", "", "second, é", "unterminated"]);
        }
        assert!(said(b"", 1).is_empty());
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let x = "x".repeat(LONGEST);
        let odd = "x".to_owned() + &"é".repeat(LONGEST);
        for size in [1, 1000, LONGEST, 10 * LONGEST] {
            assert_eq!(said(format!("{x}\n").as_bytes(), size), [x.as_str()]);
            assert_eq!(said(format!("{x}y\nz\n").as_bytes(), size), [x.as_str(), "y", "z"]);
            let pieces = said(odd.as_bytes(), size);
            assert_eq!(pieces.concat(), odd);
            assert!(pieces.iter().all(|piece| piece.len() <= LONGEST), "{pieces:?}");
        }
    }
}
