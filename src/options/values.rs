//! Values of options: choices, sizes, durations, and what to say when they are wrong.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::time::Duration;

use super::table::default_of;
use crate::error::StartError;

/// What is wrong with the value of `options`, the one that it is most about first, without their dashes.
pub fn usage<T, const N: usize>(
    options: [&'static str; N],
    text: impl Into<String>,
) -> Result<T, StartError> {
    Err(StartError::Usage { options: options.into(), text: text.into() })
}

/// What is wrong with a value, and what to type in its place.
pub fn wrong<T>(
    key: &'static str,
    given: &str,
    why: impl Display,
    instead: impl Display,
) -> Result<T, StartError> {
    usage([key], format!("--{key} {given}: {why}; type --{key} {instead}"))
}

/// The value of an option, or its default.
///
/// # Panics
/// If the option has no default.
pub fn or_default<'a>(key: &str, given: &'a Option<String>) -> &'a str {
    given.as_deref().unwrap_or_else(|| default_of(key))
}

/// The names of a list with commas, each of which is `valid`; `why` is said of one that is not.
pub fn names(
    key: &'static str,
    list: &str,
    valid: impl Fn(&str) -> bool,
    why: &str,
    instead: &str,
) -> Result<Vec<String>, StartError> {
    let names: Vec<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| !valid(name)) {
        None => Ok(names),
        Some(bad) => wrong(key, list, format_args!("{bad:?} {why}"), instead),
    }
}

/// The value of an option that is one of a few words.
pub fn choice<T: Clone>(
    key: &'static str,
    given: &Option<String>,
    known: &[(&str, T)],
) -> Result<T, StartError> {
    let given = or_default(key, given);
    if let Some((_, value)) = known.iter().find(|(word, _)| word.eq_ignore_ascii_case(given)) {
        return Ok(value.clone());
    }
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    usage([key], format!("--{key} {given}: type one of {}", words.join(", ")))
}

/// A duration of which 0 means off.
pub fn duration(key: &'static str, given: &Option<String>) -> Result<Option<Duration>, StartError> {
    let value = any_duration(key, given, " (0 is off)")?;
    Ok((!value.is_zero()).then_some(value))
}

/// A duration that can't be off: something is always waited for, but not for ever.
pub fn bounded(key: &'static str, given: &Option<String>) -> Result<Duration, StartError> {
    match any_duration(key, given, "")? {
        Duration::ZERO => usage(
            [key],
            format!("--{key} can't be off: type --{key} {}, or another time", default_of(key)),
        ),
        value => Ok(value),
    }
}

fn any_duration(
    key: &'static str,
    given: &Option<String>,
    note: &str,
) -> Result<Duration, StartError> {
    let text = or_default(key, given);
    parse_duration(text)
        .or_else(|why| wrong(key, text, why, format_args!("500ms, 30s or 5m{note}")))
}

/// A size in bytes.
pub fn size(key: &'static str, given: &Option<String>) -> Result<usize, StartError> {
    let text = or_default(key, given);
    match parse_size(text) {
        Some(value) if value > 0 => Ok(value),
        _ => {
            usage([key], format!("--{key} {text}: type a size such as --{key} 64KiB, 1MiB or 4096"))
        }
    }
}

/// A number above 0, if it was given.
pub fn count(
    key: &'static str,
    given: &Option<String>,
    advice: &str,
) -> Result<Option<NonZeroU32>, StartError> {
    let Some(text) = given else { return Ok(None) };
    text.parse().map(Some).or_else(|_| wrong(key, text, "not a number above 0", advice))
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
