//! Writer: the bytes of a session to the lines of its recording. Pure: it is given the time.
//!
//! Nothing of what either side said is lost or changed, whatever it is: a [`Reader`](super::Reader) gives the same bytes.

use data_encoding::BASE64;
use serde_json::json;

use super::entry::{By, Speaker};
use super::head::{Head, Kind, object};
use crate::framing::{Charset, Decoder, Framing, Payload, RawRules};
use crate::text::whole_characters;

/// The longest piece of a line, in bytes, that has an entry of its own. More of a line is not kept in memory.
const LONGEST: usize = 64 * 1024;

/// What is written next to one recording.
#[derive(Debug)]
pub struct Writer(Format);

#[derive(Debug)]
enum Format {
    Lines(Box<[Lines; 2]>),
    Bytes(Box<[Text; 2]>),
}

/// One direction of a recording of lines: the line that has not ended.
#[derive(Debug, Default)]
struct Lines {
    eol: &'static str,
    unfinished: Vec<u8>,
    /// When the last of it came.
    at: u64,
}

/// One direction of an asciicast: what decodes it for those who look at it.
#[derive(Debug)]
struct Text(Decoder);

impl Writer {
    /// A recording with this head, whose line is the first of the file.
    pub fn new(head: &Head) -> Self {
        let charset = Some(Charset::for_label(&head.charset).unwrap_or_default());
        let text = || Text(Framing::Raw(RawRules { max_message: usize::MAX, charset }).decoder());
        Writer(match head.kind {
            Kind::Lines { eol } => {
                let lines = || Lines { eol, ..Lines::default() };
                Format::Lines(Box::new([lines(), lines()]))
            }
            Kind::Bytes => Format::Bytes(Box::new([text(), text()])),
        })
    }

    /// Appends what `bytes` of one side make to `out`: whole lines of the file.
    pub fn say(&mut self, at: u64, speaker: Speaker, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            Format::Lines(lines) => {
                let [up, down] = &mut **lines;
                let (ours, theirs) = match speaker {
                    Speaker::Client => (up, down),
                    Speaker::Backend => (down, up),
                };
                // What the other side has begun may be what this one answers, such as a prompt.
                theirs.flush(speaker.other(), out);
                // No entry is much longer than this, however long a line or a message is.
                bytes.chunks(LONGEST).for_each(|part| ours.take(at, speaker, part, out));
            }
            Format::Bytes(texts) => texts[speaker as usize].write(at, speaker, bytes, out),
        }
    }

    /// Appends the last lines of the file: the session has ended.
    pub fn end(&mut self, at: u64, by: By, out: &mut Vec<u8>) {
        self.pause(out);
        let line = match &self.0 {
            Format::Lines(_) => {
                object(&[("t", json!(at)), ("d", json!("end")), ("by", json!(by.as_str()))])
            }
            Format::Bytes(_) => event(at, "m", &format!("ended by the {}", by.as_str())),
        };
        append(&line, out);
    }

    /// Appends what has not ended, as if nothing more came.
    pub fn pause(&mut self, out: &mut Vec<u8>) {
        if let Format::Lines(lines) = &mut self.0 {
            let [up, down] = &mut **lines;
            up.flush(Speaker::Client, out);
            down.flush(Speaker::Backend, out);
        }
    }
}

impl Speaker {
    fn other(self) -> Speaker {
        match self {
            Speaker::Client => Speaker::Backend,
            Speaker::Backend => Speaker::Client,
        }
    }

    /// The word for it among JSON lines.
    fn direction(self) -> &'static str {
        match self {
            Speaker::Client => "up",
            Speaker::Backend => "down",
        }
    }

    /// The event's code in an asciicast.
    fn code(self) -> &'static str {
        match self {
            Speaker::Client => "i",
            Speaker::Backend => "o",
        }
    }
}

impl Lines {
    fn take(&mut self, at: u64, speaker: Speaker, mut bytes: &[u8], out: &mut Vec<u8>) {
        self.at = at;
        while let Some(end) = self.line_end(bytes) {
            let (line, rest) = bytes.split_at(end);
            bytes = rest;
            if self.unfinished.is_empty() {
                self.write(speaker, line, out);
            } else {
                self.unfinished.extend_from_slice(line);
                let line = std::mem::take(&mut self.unfinished);
                self.write(speaker, &line, out);
            }
        }
        while !bytes.is_empty() {
            let room = LONGEST - self.unfinished.len();
            let (part, rest) = bytes.split_at(room.min(bytes.len()));
            self.unfinished.extend_from_slice(part);
            bytes = rest;
            if self.unfinished.len() == LONGEST {
                // A character that is cut by this waits for its rest.
                let cut = whole_characters(&self.unfinished);
                let rest = self.unfinished.split_off(cut);
                self.flush(speaker, out);
                self.unfinished = rest;
            }
        }
    }

    /// Where the first line of `bytes` ends, behind its end of line.
    fn line_end(&self, bytes: &[u8]) -> Option<usize> {
        let at = match self.eol {
            "\0" => memchr::memchr(0, bytes),
            "\r" => memchr::memchr2(b'\r', b'\n', bytes),
            _ => memchr::memchr(b'\n', bytes),
        }?;
        Some(at + if bytes[at..].starts_with(b"\r\n") { 2 } else { 1 })
    }

    /// Writes what has not ended.
    fn flush(&mut self, speaker: Speaker, out: &mut Vec<u8>) {
        if !self.unfinished.is_empty() {
            let line = std::mem::take(&mut self.unfinished);
            self.write(speaker, &line, out);
        }
    }

    /// Writes an entry. Its end of line is said if it is not the usual one.
    fn write(&self, speaker: Speaker, line: &[u8], out: &mut Vec<u8>) {
        let ends = if self.eol == "\0" { &["\0"][..] } else { &["\r\n", "\n", "\r"] };
        // A lone \r may be part of a line whose end is to come.
        let is_end =
            |end: &&&str| line.ends_with(end.as_bytes()) && (**end != "\r" || self.eol == "\r");
        let end = ends.iter().find(is_end).copied().unwrap_or_default();
        let content = &line[..line.len() - end.len()];
        let said = match std::str::from_utf8(content) {
            Ok(text) => ("line", json!(text)),
            Err(_) => ("b64", json!(BASE64.encode(content))),
        };
        let all =
            [("t", json!(self.at)), ("d", json!(speaker.direction())), said, ("end", json!(end))];
        let count = if end == self.eol { 3 } else { 4 };
        append(&object(&all[..count]), out);
    }
}

impl Text {
    /// Writes an event. Bytes that are not the UTF-8 of its text go before it, in an event that players ignore.
    fn write(&mut self, at: u64, speaker: Speaker, bytes: &[u8], out: &mut Vec<u8>) {
        let mut text = String::with_capacity(bytes.len());
        let mut messages = self.0.push(bytes);
        while let Ok(Some(message)) = messages.next() {
            if let Payload::Text(part) = message {
                text.push_str(part);
            }
        }
        if text.as_bytes() != bytes {
            append(&event(at, "b", &BASE64.encode(bytes)), out);
        }
        append(&event(at, speaker.code(), &text), out);
    }
}

/// An event of an asciicast, whose time is in seconds.
fn event(at: u64, code: &str, data: &str) -> String {
    json!([at as f64 / 1000.0, code, data]).to_string()
}

fn append(line: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}
