//! Compare: what a client says, with what was recorded. Pure.

/// The longest part of a line that is shown, in characters.
const SHOWN: usize = 100;

/// The comparison so far. What was recorded is given by `next`, piece by piece, when it is needed.
#[derive(Debug)]
pub struct Compare {
    by_line: bool,
    /// What was heard and recorded, and not compared yet.
    heard: Vec<u8>,
    recorded: Vec<u8>,
    /// Lines, or bytes, that were the same.
    same: u64,
}

/// What was the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// How many.
    pub count: u64,
    /// `lines` or `bytes`.
    pub unit: &'static str,
}

impl Compare {
    /// Compares lines, however they end, or bytes.
    pub fn new(by_line: bool) -> Self {
        Compare { by_line, heard: Vec::new(), recorded: Vec::new(), same: 0 }
    }

    /// Takes what the client says. Returns how many lines or bytes were the same so far.
    ///
    /// # Errors
    /// The first difference.
    pub fn hear(
        &mut self,
        bytes: &[u8],
        next: &mut impl FnMut() -> Option<Vec<u8>>,
    ) -> Result<u64, String> {
        self.heard.extend_from_slice(bytes);
        if !self.by_line {
            while self.recorded.len() < self.heard.len()
                && let Some(more) = next()
            {
                self.recorded.extend(more);
            }
            self.compare_bytes()?;
            return Ok(self.same);
        }
        let heard = std::mem::take(&mut self.heard);
        let mut rest = &*heard;
        while let Some((one, behind)) = line(rest) {
            self.compare_line(one, next)?;
            rest = &rest[behind..];
        }
        self.heard = rest.to_vec();
        Ok(self.same)
    }

    /// Takes the end: the client has left.
    ///
    /// # Errors
    /// The first difference.
    pub fn end(mut self, next: &mut impl FnMut() -> Option<Vec<u8>>) -> Result<Said, String> {
        if !self.by_line {
            // All that was heard has been compared.
            while self.recorded.is_empty()
                && let Some(more) = next()
            {
                self.recorded.extend(more);
            }
            if !self.recorded.is_empty() {
                return Err(format!(
                    "the client left after {} bytes, and said more when it was recorded",
                    self.same
                ));
            }
            return Ok(Said { count: self.same, unit: "bytes" });
        }
        let last = std::mem::take(&mut self.heard);
        if !last.is_empty() {
            self.compare_line(&last, next)?;
        }
        match self.recorded_line(next) {
            None => Ok(Said { count: self.same, unit: "lines" }),
            Some(missing) => Err(format!(
                "line {}: the client left without it, and {} was recorded",
                self.same + 1,
                shown(&missing)
            )),
        }
    }

    /// Compares a line that was heard with the next one that was recorded.
    fn compare_line(
        &mut self,
        heard: &[u8],
        next: &mut impl FnMut() -> Option<Vec<u8>>,
    ) -> Result<(), String> {
        let number = self.same + 1;
        match self.recorded_line(next) {
            Some(recorded) if recorded == heard => {
                self.same = number;
                Ok(())
            }
            Some(recorded) => Err(format!(
                "line {number}: the client said {}, and {} was recorded",
                shown(heard),
                shown(&recorded)
            )),
            None => Err(format!(
                "line {number}: the client said {}, and no further line was recorded",
                shown(heard)
            )),
        }
    }

    /// Takes the next line that was recorded, without its end. The last one may have none.
    fn recorded_line(&mut self, next: &mut impl FnMut() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        while line(&self.recorded).is_none()
            && let Some(more) = next()
        {
            self.recorded.extend(more);
        }
        let all = self.recorded.len();
        let (end, behind) =
            line(&self.recorded).map_or((all, all), |(one, behind)| (one.len(), behind));
        let one = self.recorded[..end].to_vec();
        self.recorded.drain(..behind);
        (all > 0).then_some(one)
    }

    fn compare_bytes(&mut self) -> Result<(), String> {
        let pairs = self.heard.iter().zip(&self.recorded);
        let same = pairs.take_while(|(heard, recorded)| heard == recorded).count();
        self.heard.drain(..same);
        self.recorded.drain(..same);
        self.same += same as u64;
        match (&*self.heard, &*self.recorded) {
            ([], _) => Ok(()),
            ([heard, ..], []) => Err(format!(
                "byte {}: the client said {heard:#04x}, and nothing more was recorded",
                self.same + 1
            )),
            ([heard, ..], [recorded, ..]) => Err(format!(
                "byte {}: the client said {heard:#04x}, and {recorded:#04x} was recorded",
                self.same + 1
            )),
        }
    }
}

/// Counts what was recorded as [`Compare`] counts what is heard.
#[derive(Debug)]
pub struct Count {
    by_line: bool,
    count: u64,
    unfinished: Vec<u8>,
}

impl Count {
    /// Counts lines, or bytes.
    pub fn new(by_line: bool) -> Self {
        Count { by_line, count: 0, unfinished: Vec::new() }
    }

    /// Adds what was recorded next. Returns how many lines have ended so far, or how many bytes there were.
    pub fn add(&mut self, bytes: &[u8]) -> u64 {
        if !self.by_line {
            self.count += bytes.len() as u64;
            return self.count;
        }
        self.unfinished.extend_from_slice(bytes);
        while let Some((_, next)) = line(&self.unfinished) {
            self.unfinished.drain(..next);
            self.count += 1;
        }
        self.count
    }
}

/// The first line, without its end, and where the next one begins.
fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.iter().position(|byte| matches!(byte, b'\n' | 0)).map(|at| (at, at + 1));
    // A lone \r ends a line too, but what comes behind it has to be known.
    let cr = memchr::memchr(b'\r', bytes).filter(|at| bytes.len() > at + 1);
    let (end, next) = match (end, cr) {
        (Some((end, _)), Some(cr)) if cr < end => {
            (cr, cr + 1 + usize::from(bytes[cr + 1] == b'\n'))
        }
        (None, Some(cr)) => (cr, cr + 1),
        (end, _) => end?,
    };
    Some((&bytes[..end], next))
}

/// A line as a person reads it, without what a terminal takes for commands.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let short: String = text.chars().take(SHOWN).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", short.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(by_line: bool, recorded: &[&str], heard: &str, chunk: usize) -> Result<u64, String> {
        let mut recorded = recorded.iter().map(|piece| piece.as_bytes().to_vec());
        let mut next = || recorded.next();
        let mut compare = Compare::new(by_line);
        for part in heard.as_bytes().chunks(chunk) {
            compare.hear(part, &mut next)?;
        }
        compare.end(&mut next).map(|said| said.count)
    }

    #[test]
    fn lines_are_compared_however_they_come_and_end() {
        let three = ["a\n", "b\r\n", "c\n"];
        for (recorded, heard, want) in [
            (&three[..], "a\nb\nc\n", Ok(3)),
            (&three, "a\r\nb\r\nc\r\n", Ok(3)),
            (&three, "a\nb\nc", Ok(3)),
            (&["a\nb", "\nc"], "a\nb\nc\n", Ok(3)),
            (&["a\n", "b"], "a\nb", Ok(2)),
            (&["a\0", "b\0"], "a\0b\0", Ok(2)),
            (&[], "", Ok(0)),
            (&["\n", "\n"], "\n\n", Ok(2)),
            (&three, "a\nx\nc\n", Err("line 2: the client said \"x\", and \"b\" was recorded")),
            (&three, "a\nb\n", Err("line 3: the client left without it, and \"c\" was recorded")),
            (&three, "a\nb\nx", Err("line 3: the client said \"x\", and \"c\" was recorded")),
            (&three, "", Err("line 1: the client left without it, and \"a\" was recorded")),
            (
                &three,
                "a\nb\nc\nd\n",
                Err("line 4: the client said \"d\", and no further line was recorded"),
            ),
            (
                &three,
                "a\nb\nc\nd",
                Err("line 4: the client said \"d\", and no further line was recorded"),
            ),
            (
                &["\u{1b}[1m\n"],
                "x\n",
                Err("line 1: the client said \"x\", and \"\\u{1b}[1m\" was recorded"),
            ),
        ] {
            for chunk in [1, 2, 100] {
                let got = check(true, recorded, heard, chunk);
                assert_eq!(got, want.map_err(str::to_owned), "{heard:?} by {chunk}");
            }
        }
    }

    #[test]
    fn what_was_recorded_is_counted_alike() {
        let mut lines = Count::new(true);
        assert_eq!(
            ["a\n", "b", "\r\nc\n", "\n", ""].map(|text| lines.add(text.as_bytes())),
            [1, 1, 3, 4, 4]
        );
        let mut bytes = Count::new(false);
        assert_eq!(["a\n", "b"].map(|text| bytes.add(text.as_bytes())), [2, 3]);
    }

    #[test]
    fn bytes_are_compared_one_by_one() {
        for (recorded, heard, want) in [
            (&["ab", "c\r\n"][..], "abc\r\n", Ok(5)),
            (&[], "", Ok(0)),
            (&["ab\r"], "ab\n", Err("byte 3: the client said 0x0a, and 0x0d was recorded")),
            (&["ab"], "abc", Err("byte 3: the client said 0x63, and nothing more was recorded")),
            (
                &["ab", "c"],
                "ab",
                Err("the client left after 2 bytes, and said more when it was recorded"),
            ),
        ] {
            for chunk in [1, 2, 100] {
                assert_eq!(check(false, recorded, heard, chunk), want.map_err(str::to_owned));
            }
        }
    }
}
