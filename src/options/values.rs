//! Values of options: choices, sizes, durations, and what to say when they are wrong.

use std::time::Duration;

use crate::error::StartError;

pub fn usage<T>(text: impl Into<String>) -> Result<T, StartError> {
    Err(StartError::Usage(text.into()))
}

pub fn choice<T: Clone>(
    name: &str,
    given: &Option<String>,
    default: T,
    known: &[(&str, T)],
) -> Result<T, StartError> {
    let Some(given) = given else { return Ok(default) };
    if let Some((_, value)) = known.iter().find(|(word, _)| word.eq_ignore_ascii_case(given)) {
        return Ok(value.clone());
    }
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    usage(format!("{name} {given}: type one of {}", words.join(", ")))
}

/// A duration of which 0 means off.
pub fn duration(
    name: &str,
    given: &Option<String>,
    default_secs: u64,
) -> Result<Option<Duration>, StartError> {
    let value = given_duration(name, given, default_secs, " (0 is off)")?;
    Ok((!value.is_zero()).then_some(value))
}

fn given_duration(
    name: &str,
    given: &Option<String>,
    default_secs: u64,
    note: &str,
) -> Result<Duration, StartError> {
    let Some(text) = given else { return Ok(Duration::from_secs(default_secs)) };
    parse_duration(text)
        .or_else(|why| usage(format!("{name} {text}: {why}; type {name} 500ms, 30s or 5m{note}")))
}

/// A duration that can't be off: something is always waited for, but not for ever.
pub fn bounded(
    name: &str,
    given: &Option<String>,
    default_secs: u64,
) -> Result<Duration, StartError> {
    match given_duration(name, given, default_secs, "")? {
        Duration::ZERO => {
            usage(format!("{name} can't be off: type {name} {default_secs}s, or another time"))
        }
        value => Ok(value),
    }
}

pub fn size(name: &str, given: &Option<String>, default: usize) -> Result<usize, StartError> {
    let Some(text) = given else { return Ok(default) };
    match parse_size(text) {
        Some(value) if value > 0 => Ok(value),
        _ => usage(format!("{name} {text}: type a size such as {name} 64KiB, 1MiB or 4096")),
    }
}

/// Reads `64KiB`, `1MiB`, `2GiB` or plain bytes.
fn parse_size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    // A frame's length field has 63 bits (RFC 6455, section 5.2); half of that is beyond any use.
    let value: usize = digits.trim().parse().ok()?;
    value.checked_mul(1 << shift).filter(|value| *value <= usize::MAX >> 2)
}

/// Reads `500ms`, `30s`, `5m`, `1h` or `0`.
fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let millis_per_unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "" if digits.parse() == Ok(0) => 1,
        "" => return Err("a duration needs a unit"),
        _ => return Err("not a unit of time"),
    };
    let value: u64 = digits.parse().map_err(|_| "not a duration")?;
    // A year: longer ones overflow clocks, and mean "off".
    match value.checked_mul(millis_per_unit) {
        Some(millis) if millis <= 366 * 24 * 3_600_000 => Ok(Duration::from_millis(millis)),
        _ => Err("longer than a year"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, want) in [
            ("4096", Some(4096)),
            ("64KiB", Some(65536)),
            ("1MiB", Some(1 << 20)),
            ("1mib", Some(1 << 20)),
            ("2GiB", Some(2 << 30)),
            ("", None),
            ("KiB", None),
            ("1TiB", None),
            ("-1", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(parse_size(text), want, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, want) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("30", None),
            ("", None),
            ("s", None),
            ("1d", None),
            ("-1s", None),
            ("99999999999h", None),
        ] {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_millis()), want, "{text}");
        }
    }
}
