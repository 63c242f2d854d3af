//! PEM (RFC 7468) in the forms that occur: joined by `cat` from files without a last newline, indented, with comments, or
//! all in one line. What the library would skip silently is corrected or refused. Pure.

use memchr::memmem::find;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// The text with each BEGIN, each END and what is between them in lines of their own, as the library requires.
/// `text` has lines that end with `\n`.
///
/// # Errors
/// What would be lost, as the rest of "FILE is not whole: …". Nothing is quoted of what may be secret.
pub fn tidy(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut tidied = Tidied { out: Vec::with_capacity(text.len() + 64), open: None };
    for (n, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if !is_comment(line) {
            tidied.line(line).map_err(|why| format!("line {}: {why}", n + 1))?;
        }
    }
    Ok(tidied.out)
}

/// The corrected text so far.
struct Tidied {
    out: Vec<u8>,
    /// The label behind the last BEGIN, as long as its END has not come.
    open: Option<Vec<u8>>,
}

impl Tidied {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let mut rest = line;
        while let Some((at, is_begin)) = first_marker(rest) {
            self.other(&rest[..at])?;
            let behind = &rest[at + if is_begin { BEGIN } else { END }.len()..];
            let length = find(behind, DASHES).ok_or(MALFORMED)?;
            let label = known_label(&behind[..length])?;
            if is_begin {
                self.begin(label)?
            } else {
                self.end(label)?
            }
            rest = &behind[length + DASHES.len()..];
        }
        // Headers end with an empty line.
        if line.is_empty() && self.open.is_some() {
            self.out.push(b'\n');
        }
        self.other(rest)
    }

    fn begin(&mut self, label: &[u8]) -> Result<(), String> {
        if let Some(open) = &self.open {
            return Err(format!("-----END {}----- is missing before it", shown(open)));
        }
        self.marker(BEGIN, label);
        self.open = Some(label.to_vec());
        Ok(())
    }

    fn end(&mut self, label: &[u8]) -> Result<(), String> {
        match self.open.take() {
            Some(open) if open == label => self.marker(END, label),
            Some(open) => {
                return Err(format!("-----END {}----- should stand there", shown(&open)));
            }
            None => return Err(format!("-----BEGIN {}----- is missing before it", shown(label))),
        }
        Ok(())
    }

    fn marker(&mut self, kind: &[u8], label: &[u8]) {
        for part in [kind, label, DASHES, b"\n"] {
            self.out.extend_from_slice(part);
        }
    }

    /// Writes what stands before, between and behind the markers.
    fn other(&mut self, text: &[u8]) -> Result<(), String> {
        if is_like_marker(text) {
            return Err(MALFORMED.into());
        }
        // Headers (RFC 1421) are left to the library; text outside is dropped.
        if self.open.is_some() && !text.is_empty() {
            let is_header = text.contains(&b':');
            let taken = |byte: &&u8| is_header || !byte.is_ascii_whitespace();
            self.out.extend(text.iter().filter(taken));
            self.out.push(b'\n');
        }
        Ok(())
    }
}

const MALFORMED: &str =
    "write -----BEGIN …----- and -----END …----- in capitals, with five hyphens on either side";

/// The first BEGIN or END: where it is, and whether it is a BEGIN.
fn first_marker(text: &[u8]) -> Option<(usize, bool)> {
    let begin = find(text, BEGIN).map(|at| (at, true));
    let end = find(text, END).map(|at| (at, false));
    begin.into_iter().chain(end).min()
}

/// Whether a line is a comment, or something that was made one: not if a comment without a line end was joined with
/// what came behind it.
fn is_comment(line: &[u8]) -> bool {
    line.first() == Some(&b'#')
        && first_marker(line).is_none_or(|(at, _)| {
            line[..at].iter().all(|byte| *byte == b'#' || byte.is_ascii_whitespace())
        })
}

/// Whether it is meant as a BEGIN or END: in small letters, or with hyphens that got lost or became dashes.
fn is_like_marker(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let is_dash = |text: &[u8]| text.starts_with(b"-") || text.starts_with(b"\xe2\x80");
    let upper = text.to_ascii_uppercase();
    let names = |word: &[u8]| find(&upper, word).is_some();
    is_dash(text)
        && (names(b"BEGIN") || names(b"END"))
        && (names(b"CERTIFICATE") || names(b"PRIVATE KEY"))
}

/// The label as the library knows it.
fn known_label(label: &[u8]) -> Result<&[u8], String> {
    match label {
        // OpenSSL's former name.
        b"X509 CERTIFICATE" => Ok(b"CERTIFICATE"),
        b"TRUSTED CERTIFICATE" => Err("a TRUSTED CERTIFICATE is OpenSSL's own form: convert it \
                                       with openssl x509 -in FILE -out file.pem"
            .into()),
        b"PKCS7" => Err("PKCS7 holds several certificates: extract them with openssl pkcs7 \
                         -print_certs -in FILE -out file.pem"
            .into()),
        label => Ok(label),
    }
}

/// A label, if it is one, and not something that got between the hyphens.
fn shown(label: &[u8]) -> String {
    match super::files::is_label(label) {
        true => String::from_utf8_lossy(label).into_owned(),
        false => "…".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----";
    const B: &str = "-----BEGIN PRIVATE KEY-----\nMAE=\n-----END PRIVATE KEY-----";

    #[test]
    fn what_can_be_taken_is_taken() {
        for text in [
            format!("{A}\n{B}\n"),
            format!("{A}{B}"),
            format!("{A} {B} "),
            format!("{A}\u{feff}{B}"),
            format!("subject=CN = a{A}\n# the key{B}\n"),
            format!("{A}\n\n{B}\n\n").replace('\n', "\t \n  "),
            format!("{A}\n{B}").replace('\n', ""),
            format!("{A}\n{B}").replace('\n', " "),
            format!("{A}\n{B}").replace("CERTIFICATE", "X509 CERTIFICATE"),
            format!("# {}\n{A}\n{B}", B.replace('\n', "\n#")),
            format!("Bag Attributes: \u{e9}\n- begin of all -\n{A}\n{B}"),
            format!("{A}\n{B}").replace("MAA=", "MA A=").replace("MAE=", "MA\n\nE="),
        ] {
            let out = String::from_utf8(tidy(text.as_bytes()).expect(&text)).unwrap();
            let lines = out.lines().filter(|line| !line.is_empty()).collect::<String>();
            assert_eq!(lines, format!("{A}{B}").replace('\n', ""), "{text}");
            let markers = out.lines().filter(|line| line.starts_with("-----")).count();
            assert_eq!(markers, 4, "{text}");
        }
        let headers = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,0\n\n";
        let text = format!("{headers}MAA=\n-----END RSA PRIVATE KEY-----\n");
        assert_eq!(tidy(text.as_bytes()).unwrap(), text.as_bytes());
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        for (text, want) in [
            (A.replace("-----BEGIN", "----BEGIN"), "line 1: write -----BEGIN"),
            (A.replace("-----BEGIN", "\u{2014}BEGIN"), "line 1: write -----BEGIN"),
            (A.replace("E-----\nM", "E----\nM"), "line 1: write -----BEGIN"),
            (A.replace("-----END", "---END"), "line 3: write -----BEGIN"),
            (A.to_lowercase(), "line 1: write -----BEGIN"),
            (format!("{B}\n{}", A.replace("BEGIN", "Begin")), "line 4: write -----BEGIN"),
            (A.replace("-----BEGIN CERTIFICATE-----", ""), "line 3: -----BEGIN CERTIFICATE-----"),
            (
                A.replace("-----END CERTIFICATE-----", B),
                "line 3: -----END CERTIFICATE----- is missing before it",
            ),
            (
                A.replace("END CERTIFICATE", "END X"),
                "line 3: -----END CERTIFICATE----- should stand there",
            ),
            (A.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "openssl x509 -in FILE"),
            (A.replace("CERTIFICATE", "PKCS7"), "openssl pkcs7 -print_certs"),
            ("-----END Secret-----".into(), "line 1: -----BEGIN …----- is missing"),
            ("-----BEGIN Secret-----\n-----END Se-----".into(), "line 2: -----END …----- should"),
        ] {
            let why = tidy(text.as_bytes()).expect_err(&text);
            assert!(why.contains(want), "{text}: {why}");
            assert!(!why.contains("Secret"), "{why}");
        }
    }
}
