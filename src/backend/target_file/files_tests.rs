//! What a look at files of targets finds, and what it keeps.

use super::*;
use std::os::unix::fs::symlink;
use std::thread::sleep;
use tempfile::TempDir;

/// The targets in one line, sorted by token.
fn shown(files: &Files) -> String {
    let mut all: BTreeMap<&str, String> = BTreeMap::new();
    for (token, target) in files.targets() {
        all.insert(token, target.to_string());
    }
    all.iter().map(|(token, to)| format!("{token}={to}")).collect::<Vec<_>>().join(" ")
}

/// A look that finds these targets and problems; whether they are new.
fn expect(files: &mut Files, path: &Path, targets: &str, problems: &[&str]) -> bool {
    let look = files.look(path);
    assert_eq!(shown(&look.files), targets);
    assert_eq!(look.problems.len(), problems.len(), "{:?}", look.problems);
    for (got, want) in look.problems.iter().zip(problems) {
        assert!(got.contains(want), "{got}");
    }
    *files = look.files;
    look.is_new
}

#[test]
fn a_file_that_changes() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("targets");
    let mut files = Files::default();
    expect(&mut files, &path, "", &["no such file"]);
    // It is said once.
    assert!(!expect(&mut files, &path, "", &[]));
    fs::write(&path, "a: a:1\nb: b:1\na: c:1\n").unwrap();
    assert!(expect(&mut files, &path, "a=c:1 b=b:1", &[]));
    assert!(!expect(&mut files, &path, "a=c:1 b=b:1", &[]));
    // A change of the same length within one step of the clock.
    for n in 1..20 {
        fs::write(&path, format!("a: a:{}\n", n % 2 + 1)).unwrap();
        assert!(expect(&mut files, &path, &format!("a=a:{}", n % 2 + 1), &[]));
    }
    // What is wrong keeps what was there.
    fs::write(&path, "a: b:1\nnonsense\n").unwrap();
    assert!(!expect(&mut files, &path, "a=a:2", &["targets: line 2: write a token"]));
    assert!(!expect(&mut files, &path, "a=a:2", &[]));
    fs::write(&path, b"a: b:1\n\xff\n").unwrap();
    expect(&mut files, &path, "a=a:2", &["targets: line 2 is not UTF-8"]);
    fs::remove_file(&path).unwrap();
    expect(&mut files, &path, "a=a:2", &["no such file"]);
    expect(&mut files, &path, "a=a:2", &[]);
    // An editor puts a new file in its place.
    let new = dir.path().join("new");
    fs::write(&new, "z: z:1\n").unwrap();
    fs::rename(&new, &path).unwrap();
    assert!(expect(&mut files, &path, "z=z:1", &[]));
    fs::write(&path, "").unwrap();
    assert!(expect(&mut files, &path, "", &[]));
}

#[test]
fn a_file_that_does_not_change_is_not_read_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("targets");
    fs::write(&path, "a: a:1\n").unwrap();
    let mut files = Files::default();
    assert!(expect(&mut files, &path, "a=a:1", &[]));
    assert!(files.by_path[&path].version.is_none(), "it may still change within its time");
    sleep(UNSETTLED + Duration::from_millis(50));
    expect(&mut files, &path, "a=a:1", &[]);
    let kept = files.by_path[&path].targets.clone();
    assert!(files.by_path[&path].version.is_some());
    expect(&mut files, &path, "a=a:1", &[]);
    assert!(Arc::ptr_eq(&kept, &files.by_path[&path].targets));
}

#[test]
fn a_directory_of_files() {
    let dir = TempDir::new().unwrap();
    let path = dir.path();
    let mut files = Files::default();
    let write = |name: &str, text: &str| fs::write(path.join(name), text).unwrap();
    expect(&mut files, path, "", &[]);
    write("10-a", "a: a:1\nshared: a:1\n");
    write("20-b", "b: b:1\nshared: b:1\n");
    write(".20-b.swp", "nonsense");
    fs::create_dir(path.join("below")).unwrap();
    assert!(expect(&mut files, path, "a=a:1 b=b:1 shared=b:1", &[]));
    assert!(!expect(&mut files, path, "a=a:1 b=b:1 shared=b:1", &[]));
    // A file that is wrong keeps its own; others change.
    write("10-a", "a: a:2\n");
    write("20-b", "nonsense");
    assert!(expect(&mut files, path, "a=a:2 b=b:1 shared=b:1", &["20-b: line 1: write a token"]));
    write("30-new", "nonsense");
    expect(&mut files, path, "a=a:2 b=b:1 shared=b:1", &["30-new: line 1"]);
    // One that is removed takes its tokens along.
    fs::remove_file(path.join("20-b")).unwrap();
    assert!(expect(&mut files, path, "a=a:2", &[]));
    write("30-new", "n: n:1\n");
    symlink(path.join("30-new"), path.join("40-link")).unwrap();
    symlink(path.join("nowhere"), path.join("50-broken")).unwrap();
    assert!(expect(&mut files, path, "a=a:2 n=n:1", &[]));
    fs::remove_dir_all(path).unwrap();
    assert!(!expect(&mut files, path, "a=a:2 n=n:1", &["no such file"]));
}
