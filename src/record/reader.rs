//! Reader: the entries of a recording, one by one, so that a long one takes no memory.

use std::fmt;
use std::io::{BufRead, Read};

use data_encoding::BASE64;
use serde_json::Value;

use super::entry::{By, Entry, Speaker, What};
use crate::text::reason;

/// The longest line of a file, in bytes: what ours have is far shorter.
const LONGEST: u64 = 4 << 20;

/// A recording that is read.
#[derive(Debug)]
pub struct Reader<R> {
    file: R,
    /// The number of the line that was read last, from 1.
    number: usize,
    format: Format,
    /// The exact bytes of the next event, if they stand before it.
    bytes: Option<Vec<u8>>,
    has_end: bool,
    is_cut: bool,
}

#[derive(Debug)]
enum Format {
    /// JSON lines, with this end of line.
    Lines(String),
    /// An asciicast; whether wsrelay has made it.
    Cast { is_ours: bool },
}

/// What is wrong with a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecording {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for BadRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(file: R) -> Result<Self, BadRecording> {
        let format = Format::Cast { is_ours: false };
        let mut reader =
            Reader { file, number: 0, format, bytes: None, has_end: false, is_cut: false };
        let why = "it is no recording: record one with wsrelay --record DIR";
        let line = reader.line()?.map(|(line, _)| line);
        let head = line.and_then(|line| serde_json::from_str::<Value>(&line).ok());
        let head = head.ok_or_else(|| BadRecording { line: 1, why: why.into() })?;
        reader.format = if head["version"] == 2 && head["width"].is_number() {
            Format::Cast { is_ours: head["wsrelay"].is_object() }
        } else if head["wsrelay"] == 1 {
            let eol = head["eol"].as_str().filter(|eol| !eol.is_empty());
            Format::Lines(eol.ok_or_else(|| reader.bad("there is no eol"))?.to_owned())
        } else {
            return Err(reader.bad(why));
        };
        Ok(reader)
    }

    /// Whether what one side says counts by lines; else by bytes.
    pub fn is_of_lines(&self) -> bool {
        matches!(self.format, Format::Lines(_))
    }

    /// The next entry.
    ///
    /// # Errors
    /// If the line is not one, and is not the last line of a file that was cut.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, BadRecording> {
        loop {
            let Some((line, is_whole)) = self.line()? else {
                let is_ours = !matches!(self.format, Format::Cast { is_ours: false });
                self.is_cut |= is_ours && !self.has_end;
                return Ok(None);
            };
            if line.trim().is_empty() {
                continue;
            }
            match self.entry(&line) {
                Ok(None) => {}
                Ok(Some(entry)) => {
                    self.has_end |= matches!(entry.what, What::Ended(_));
                    return Ok(Some(entry));
                }
                Err(_) if !is_whole => {
                    self.is_cut = true;
                    return Ok(None);
                }
                Err(why) => return Err(self.bad(why)),
            }
        }
    }

    /// Whether the end of the recording is missing, once all entries were read.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn bad(&self, why: &str) -> BadRecording {
        BadRecording { line: self.number, why: why.into() }
    }

    /// The next line, and whether it has its end.
    fn line(&mut self) -> Result<Option<(String, bool)>, BadRecording> {
        self.number += 1;
        let mut bytes = Vec::new();
        let read = self.file.by_ref().take(LONGEST).read_until(b'\n', &mut bytes);
        if let Err(error) = read {
            return Err(self.bad(&reason(&error)));
        }
        let is_whole = bytes.ends_with(b"\n");
        match String::from_utf8(bytes) {
            Ok(line) if line.is_empty() => Ok(None),
            Ok(line) if line.len() as u64 == LONGEST => Err(self.bad("it is longer than 4 MiB")),
            Ok(line) => Ok(Some((line, is_whole))),
            // A character that was cut.
            Err(_) if !is_whole => Ok(Some((String::from("?"), false))),
            Err(_) => Err(self.bad("it is not UTF-8")),
        }
    }

    /// The entry of a line; `None` for one that says nothing.
    fn entry(&mut self, line: &str) -> Result<Option<Entry>, &'static str> {
        let value: Value = serde_json::from_str(line).map_err(|_| "it is not JSON")?;
        match &self.format {
            Format::Lines(eol) => entry_of_lines(&value, eol).map(Some),
            Format::Cast { is_ours } => event(&value, *is_ours, &mut self.bytes),
        }
    }
}

/// The entry of a JSON line.
fn entry_of_lines(value: &Value, eol: &str) -> Result<Entry, &'static str> {
    let at = value["t"].as_u64().ok_or("t is not a number of milliseconds")?;
    let speaker = match value["d"].as_str() {
        Some("up") => Speaker::Client,
        Some("down") => Speaker::Backend,
        Some("end") => {
            let by = value["by"].as_str().and_then(By::parse);
            return Ok(Entry { at, what: What::Ended(by.ok_or("by says not who ended it")?) });
        }
        _ => return Err("d is not up, down or end"),
    };
    let mut bytes = match (value["line"].as_str(), value["b64"].as_str()) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(text)) => BASE64.decode(text.as_bytes()).map_err(|_| "b64 is not base64")?,
        _ => return Err("it has neither line nor b64, or both"),
    };
    bytes.extend_from_slice(value["end"].as_str().unwrap_or(eol).as_bytes());
    Ok(Entry { at, what: What::Said(speaker, bytes) })
}

/// The entry of an event. `exact` are the bytes that stand before it, if there are any.
fn event(
    value: &Value,
    is_ours: bool,
    exact: &mut Option<Vec<u8>>,
) -> Result<Option<Entry>, &'static str> {
    let (Some(seconds), Some(code), Some(data)) =
        (value[0].as_f64(), value[1].as_str(), value[2].as_str())
    else {
        return Err("it is no event: [seconds, \"code\", \"data\"]");
    };
    // A number of JSON is neither infinite nor none.
    let at = (seconds.max(0.0) * 1000.0).round() as u64;
    let said = |speaker, bytes| Some(Entry { at, what: What::Said(speaker, bytes) });
    let bytes = exact.take();
    Ok(match code {
        "o" => said(Speaker::Backend, bytes.unwrap_or_else(|| data.into())),
        "i" => said(Speaker::Client, bytes.unwrap_or_else(|| data.into())),
        "b" if is_ours => {
            *exact = Some(BASE64.decode(data.as_bytes()).map_err(|_| "it is not base64")?);
            None
        }
        "m" if is_ours => {
            let by = data.strip_prefix("ended by the ").and_then(By::parse);
            by.map(|by| Entry { at, what: What::Ended(by) })
        }
        // Players ignore codes that they do not know.
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::record::head::{Head, Kind};
    use crate::record::writer::Writer;

    const HEAD: &str = "{\"wsrelay\":1,\"eol\":\"\\n\"}\n";
    const CAST: &str = "{\"version\":2,\"width\":80,\"height\":24,\"wsrelay\":{}}\n";

    fn head(kind: Kind, charset: &str) -> Head {
        Head { kind, charset: charset.into(), since: UNIX_EPOCH, facts: Vec::new() }
    }

    fn all(file: &str) -> Result<(Vec<Entry>, bool), BadRecording> {
        let mut reader = Reader::new(file.as_bytes())?;
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            entries.push(entry);
        }
        Ok((entries, reader.is_cut()))
    }

    /// What each side said, and the entries, without those of the head.
    fn written(kind: Kind, charset: &str, said: &[(u64, Speaker, &[u8])]) -> (String, Vec<String>) {
        let head = head(kind, charset);
        let mut writer = Writer::new(&head);
        let mut out = Vec::new();
        for (at, speaker, bytes) in said {
            writer.say(*at, *speaker, bytes, &mut out);
        }
        writer.end(said.last().map_or(0, |(at, ..)| *at), By::Client, &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines = text.lines().map(str::to_owned).collect();
        (head.line() + "\n" + &text, lines)
    }

    const UP: Speaker = Speaker::Client;
    const DOWN: Speaker = Speaker::Backend;

    #[test]
    fn lines_become_entries() {
        let kind = Kind::Lines { eol: "\n" };
        let (_, lines) = written(
            kind,
            "UTF-8",
            &[
                (1, UP, b"hello\n"),
                (2, DOWN, b"one\ntwo\r\nthr"),
                (3, DOWN, b"ee\nlogin: "),
                (4, UP, b"\n\xff\n"),
                (5, DOWN, "é\"\u{1b}\n\rx".as_bytes()),
            ],
        );
        assert_eq!(
            lines,
            [
                r#"{"t":1,"d":"up","line":"hello"}"#,
                r#"{"t":2,"d":"down","line":"one"}"#,
                r#"{"t":2,"d":"down","line":"two","end":"\r\n"}"#,
                r#"{"t":3,"d":"down","line":"three"}"#,
                r#"{"t":3,"d":"down","line":"login: ","end":""}"#,
                r#"{"t":4,"d":"up","line":""}"#,
                r#"{"t":4,"d":"up","b64":"/w=="}"#,
                r#"{"t":5,"d":"down","line":"é\"\u001b"}"#,
                r#"{"t":5,"d":"down","line":"\rx","end":""}"#,
                r#"{"t":5,"d":"end","by":"client"}"#,
            ]
        );
        let (_, lines) = written(Kind::Lines { eol: "\0" }, "UTF-8", &[(1, UP, b"a\nb\0c\0")]);
        assert_eq!(lines[0], r#"{"t":1,"d":"up","line":"a\nb"}"#);
        let (_, lines) = written(Kind::Lines { eol: "\r" }, "UTF-8", &[(1, DOWN, b"a\rb\r\nc\n")]);
        assert_eq!(
            lines[..3],
            [
                r#"{"t":1,"d":"down","line":"a"}"#,
                r#"{"t":1,"d":"down","line":"b","end":"\r\n"}"#,
                r#"{"t":1,"d":"down","line":"c","end":"\n"}"#,
            ]
        );
    }

    #[test]
    fn bytes_become_events() {
        let (_, lines) = written(
            Kind::Bytes,
            "UTF-8",
            &[
                (1500, DOWN, "\u{1b}[1mé".as_bytes()),
                (2000, UP, b"x\r"),
                (2001, DOWN, b"\xc3"),
                (2002, DOWN, b"\xa9\xff"),
            ],
        );
        assert_eq!(
            lines,
            [
                r#"[1.5,"o","\u001b[1mé"]"#,
                r#"[2.0,"i","x\r"]"#,
                r#"[2.001,"b","ww=="]"#,
                r#"[2.001,"o",""]"#,
                r#"[2.002,"b","qf8="]"#,
                r#"[2.002,"o","é�"]"#,
                r#"[2.002,"m","ended by the client"]"#,
            ]
        );
        for (charset, bytes, b64, text) in
            [("koi8-r", b"\xc1a", "wWE=", "аa"), ("cp437", b"\xdaa", "2mE=", "┌a")]
        {
            let (_, lines) = written(Kind::Bytes, charset, &[(0, DOWN, bytes)]);
            assert_eq!(lines[0], format!(r#"[0.0,"b","{b64}"]"#));
            assert_eq!(lines[1], format!(r#"[0.0,"o","{text}"]"#));
        }
    }

    /// Whatever was said, and however it came, it is read again as it was.
    #[test]
    fn what_was_written_is_read_again() {
        let texts: [&[u8]; 8] = [
            b"",
            b"\n",
            b"\r\n\r\r\n\0",
            b"login: ",
            b"\xff\xfe\n\x80",
            "日本\r\u{fffd}\n".as_bytes(),
            &[b'x'; 200_000],
            &"é".repeat(70_000).into_bytes(),
        ];
        for kind in ["\n", "\r\n", "\r", "\0", ""] {
            for chunk in [1, 3, 7, 100_000] {
                let mut said = Vec::new();
                for (n, text) in texts.iter().enumerate() {
                    let chunk = if text.len() > 1000 { chunk.max(1000) } else { chunk };
                    for (i, part) in text.chunks(chunk).enumerate() {
                        said.push((n as u64, if i % 5 == 4 { UP } else { DOWN }, part));
                    }
                }
                let kind = match kind {
                    "" => Kind::Bytes,
                    eol => Kind::Lines { eol },
                };
                let (file, lines) = written(kind, "UTF-8", &said);
                assert!(lines.iter().all(|line| line.len() < 1 << 20));
                let (entries, is_cut) = all(&file).unwrap();
                assert!(!is_cut);
                assert!(entries.is_sorted_by_key(|entry| entry.at));
                for side in [UP, DOWN] {
                    let want = said.iter().filter(|(_, speaker, _)| *speaker == side);
                    let want: Vec<u8> = want.flat_map(|(.., bytes)| bytes.to_vec()).collect();
                    let got = entries.iter().filter_map(|entry| match &entry.what {
                        What::Said(speaker, bytes) if *speaker == side => Some(bytes.as_slice()),
                        _ => None,
                    });
                    assert!(got.collect::<Vec<_>>().concat() == want);
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (file, line, why) in [
            ("", 1, "it is no recording: record one with wsrelay --record DIR"),
            ("\n", 1, "it is no recording"),
            ("hello\n", 1, "it is no recording"),
            ("{}\n", 1, "it is no recording"),
            ("{\"version\":3,\"term\":{}}\n", 1, "it is no recording"),
            ("{\"wsrelay\":1}\n", 1, "there is no eol"),
            (&format!("{HEAD}x\n"), 2, "it is not JSON"),
            (&format!("{HEAD}\n\n{{}}\n"), 4, "t is not a number of milliseconds"),
            (&format!("{HEAD}{{\"t\":-1,\"d\":\"up\",\"line\":\"\"}}\n"), 2, "t is not a number"),
            (
                &format!("{HEAD}{{\"t\":1,\"d\":\"left\",\"line\":\"\"}}\n"),
                2,
                "d is not up, down or end",
            ),
            (&format!("{HEAD}{{\"t\":1,\"d\":\"up\"}}\n"), 2, "it has neither line nor b64"),
            (&format!("{HEAD}{{\"t\":1,\"d\":\"up\",\"b64\":\"?\"}}\n"), 2, "b64 is not base64"),
            (&format!("{HEAD}{{\"t\":1,\"d\":\"end\"}}\n"), 2, "by says not who ended it"),
            (&format!("{CAST}{{}}\n"), 2, "it is no event"),
            (&format!("{CAST}[1,\"o\"]\n"), 2, "it is no event"),
            (&format!("{CAST}[1,\"b\",\"?\"]\n"), 2, "it is not base64"),
            (&format!("{HEAD}\"{}", "x".repeat(5 << 20)), 2, "it is longer than 4 MiB"),
        ] {
            let bad = all(file).unwrap_err();
            assert!(bad.line == line && bad.why.starts_with(why), "{file:.80}: {bad}");
        }
        let bad = Reader::new(&b"{\"wsrelay\":1,\"eol\":\"\xff\"}\n"[..]).unwrap_err();
        assert_eq!(bad.to_string(), "line 1: it is not UTF-8");
    }

    #[test]
    fn a_file_that_is_cut_gives_what_is_there() {
        let (file, _) = written(
            Kind::Lines { eol: "\n" },
            "UTF-8",
            &[(1, UP, b"a\n"), (2, DOWN, "é\n".as_bytes())],
        );
        let whole = all(&file).unwrap().0;
        let head = file.find('\n').unwrap() + 1;
        for end in head..file.len() {
            if !file.is_char_boundary(end) {
                continue;
            }
            let (entries, is_cut) = all(&file[..end]).unwrap();
            assert!(whole.starts_with(&entries));
            // Without the last end of line all is there.
            assert_eq!(is_cut, end < file.len() - 1, "{}", &file[..end]);
        }
        // Other programs do not say how it ended.
        let theirs = "{\"version\":2,\"width\":1,\"height\":1}\n[0.5,\"o\",\"x\"]\n[1,\"b\",\"?\"]\n[1,\"r\",\"9x9\"]\n";
        let (entries, is_cut) = all(theirs).unwrap();
        assert_eq!(entries, [Entry { at: 500, what: What::Said(DOWN, b"x".to_vec()) }]);
        assert!(!is_cut);
    }
}
