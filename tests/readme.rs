//! docs/options.md keeps its word: its options are those of --help all.

use std::process::Command;

#[test]
fn the_options_are_those_of_help() {
    let done = Command::new("scripts/readme")
        .arg("--check")
        .env("WSRELAY", env!("CARGO_BIN_EXE_wsrelay"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("scripts/readme runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}
