//! Random: bytes that nobody can guess, from the kernel.

/// `N` random bytes.
///
/// # Panics
/// If the kernel has none, which happens on no system that wsrelay runs on.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel has random bytes");
    bytes
}
