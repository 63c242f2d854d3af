//! Stderr: a program's stderr, written to the log line by line.

use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll, ready};

use memchr::memchr;

use crate::net::pipes::PipeSource;
use crate::net::scratch;
use crate::text::{printable, whole_characters};

/// The most bytes of one line of the log. A longer line is logged in pieces: a program that never ends its line would
/// otherwise fill the memory.
const LONGEST: usize = 4096;

/// The bytes that are read before sessions have their turn. They may be as many lines to log, at some µs each;
/// usually they are three or four lines, beside which the read does not count.
const TURN: usize = 256;

/// Logs all that comes through the pipe, up to its end. It reads on even if the log drops lines, so that no program
/// has to wait for the log.
pub async fn log(pipe: PipeSource, id: u64) {
    let mut lines = LogLines::default();
    poll_fn(|cx| poll_log(cx, &pipe, &mut lines, id)).await;
}

fn poll_log(cx: &mut Context<'_>, pipe: &PipeSource, lines: &mut LogLines, id: u64) -> Poll<()> {
    let is_open = scratch::with(|chunk| {
        // An error ends it too.
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

/// The bytes read so far, cut into lines, or into pieces of long ones.
#[derive(Debug, Default)]
struct LogLines {
    /// The beginning of a line, at most [`LONGEST`] bytes.
    unfinished: Vec<u8>,
}

impl LogLines {
    fn push(&mut self, mut bytes: &[u8], mut log: impl FnMut(&[u8])) {
        while let Some(end) = memchr(b'\n', bytes) {
            self.add(&bytes[..end], &mut log);
            log(&mem::take(&mut self.unfinished));
            bytes = &bytes[end + 1..];
        }
        self.add(bytes, &mut log);
    }

    /// Logs the last line if it was not ended.
    fn finish(&mut self, mut log: impl FnMut(&[u8])) {
        if !self.unfinished.is_empty() {
            log(&mem::take(&mut self.unfinished));
        }
    }

    /// Adds to a line, and logs it piece by piece where it is too long.
    fn add(&mut self, mut bytes: &[u8], log: &mut impl FnMut(&[u8])) {
        while self.unfinished.len() + bytes.len() > LONGEST {
            let (fits, rest) = bytes.split_at(LONGEST - self.unfinished.len());
            self.unfinished.extend_from_slice(fits);
            let whole = whole_characters(&self.unfinished);
            log(&self.unfinished[..whole]);
            self.unfinished.drain(..whole);
            bytes = rest;
        }
        self.unfinished.extend_from_slice(bytes);
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
        let (pipe, mut lines, mut turns) =
            (PipeSource::new(reader).unwrap(), LogLines::default(), 0);
        block_on(poll_fn(|cx| {
            turns += 1;
            poll_log(cx, &pipe, &mut lines, 0)
        }));
        assert!(turns > FLOOD / TURN, "{turns} turns for {FLOOD} lines");
    }

    /// What is logged of `text` when it comes in pieces of `size` bytes.
    fn logged(text: &[u8], size: usize) -> Vec<String> {
        let (mut lines, mut logged) = (LogLines::default(), Vec::new());
        let mut log = |line: &[u8]| logged.push(String::from_utf8(line.to_vec()).unwrap());
        for piece in text.chunks(size) {
            lines.push(piece, &mut log);
            assert!(lines.unfinished.capacity() <= 2 * LONGEST, "{}", lines.unfinished.capacity());
        }
        lines.finish(&mut log);
        logged
    }

    #[test]
    fn lines_however_they_come() {
        let text = "first\n\nsecond, é\nunterminated";
        for size in 1..=text.len() {
            assert_eq!(logged(text.as_bytes(), size), ["first", "", "second, é", "unterminated"]);
        }
        assert!(logged(b"", 1).is_empty());
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let x = "x".repeat(LONGEST);
        let odd = "x".to_owned() + &"é".repeat(LONGEST);
        for size in [1, 1000, LONGEST, 10 * LONGEST] {
            assert_eq!(logged(format!("{x}\n").as_bytes(), size), [x.as_str()]);
            assert_eq!(logged(format!("{x}y\nz\n").as_bytes(), size), [x.as_str(), "y", "z"]);
            let pieces = logged(odd.as_bytes(), size);
            assert_eq!(pieces.concat(), odd);
            assert!(pieces.iter().all(|piece| piece.len() <= LONGEST), "{pieces:?}");
        }
    }
}
