//! Fuzzes the header of the PROXY protocol: whatever comes, it is read within its bounds, and the same however segments
//! cut it.
//!
//! To run it for a minute, with the stable toolchain (the sanitizer needs nightly features):
//!
//! ```sh
//! cargo install cargo-fuzz
//! RUSTC_BOOTSTRAP=1 cargo fuzz run proxy -- -max_total_time=60 -max_len=600
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsrelay::net::proxy::{Parsed, parse};

/// Beginnings that bytes alone seldom come to.
const STARTS: [&[u8]; 8] = [
    b"",
    b"PROXY TCP4 ",
    b"PROXY TCP6 ",
    b"PROXY UNKNOWN",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0",
    b"\r\n\r\n\0\r\nQUIT\n\x21",
];

fuzz_target!(|data: &[u8]| {
    let Some((start, rest)) = data.split_first() else {
        return;
    };
    let bytes = [STARTS[usize::from(*start) % STARTS.len()], rest].concat();
    let whole = parse(&bytes);
    match &whole {
        Parsed::Incomplete => {
            let is_v1 = bytes.first() == Some(&b'P');
            assert!(bytes.len() < if is_v1 { 107 } else { 16 + 65_535 });
        }
        Parsed::Complete(header, length) => {
            assert!((15..=bytes.len()).contains(length));
            let says_more = header.authority.is_some() || header.has_tls || header.cn.is_some();
            assert!(!says_more || bytes[0] == b'\r');
        }
        Parsed::Malformed(_) => {}
    }
    // As the socket is read: all bytes so far, until there is an answer.
    for end in 0..=bytes.len() {
        match parse(&bytes[..end]) {
            Parsed::Incomplete => {
                if let Parsed::Complete(_, length) = &whole {
                    assert!(end < *length, "{end} of {length}");
                }
            }
            answer => {
                assert_eq!(answer, whole, "after {end} bytes");
                break;
            }
        }
    }
});
