//! Faults: the list that scripts/faults plants applies to the sources as they are.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

/// A change of a file: the line of the list, the file, its old text and the new one.
#[derive(Debug, Default)]
struct Change {
    number: usize,
    file: String,
    old: String,
    new: String,
}

/// The names of the faults, and all their changes.
fn parse(list: &str) -> (Vec<&str>, Vec<Change>) {
    let (mut names, mut changes) = (Vec::new(), Vec::<Change>::new());
    let (mut is_described, mut is_change) = (false, false);
    for (number, line) in list.lines().enumerate() {
        if let Some(name) = line.strip_prefix("fault ") {
            names.push(name);
            (is_described, is_change) = (false, false);
        } else if let Some(file) = line.strip_prefix("file ") {
            assert!(is_described, "line {}: a fault without a sentence", number + 1);
            is_change = true;
            changes.push(Change { number: number + 1, file: file.into(), ..Change::default() });
        } else if line.starts_with("  ") && !is_change {
            is_described = true;
        } else if let Some(change) = changes.last_mut().filter(|_| is_change)
            && let Some(sign @ ('-' | '+' | ' ')) = line.chars().next()
        {
            for (text, other) in [(&mut change.old, '+'), (&mut change.new, '-')] {
                if sign != other {
                    text.push('\n');
                    text.push_str(&line[1..]);
                }
            }
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "line {}: {line}", number + 1);
        }
    }
    (names, changes)
}

#[test]
fn planted_faults_apply() {
    let (names, changes) = parse(include_str!("faults.txt"));
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a name comes twice");
    assert!(names.len() > 50 && changes.len() >= names.len());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = HashMap::new();
    for Change { number, file, old, new } in &changes {
        let source = sources
            .entry(file.clone())
            .or_insert_with(|| format!("\n{}", fs::read_to_string(root.join(file)).expect(file)));
        let count = source.matches(&format!("{old}\n")).count();
        assert_eq!(count, 1, "faults.txt, line {number}: so often is this in {file}:{old}");
        assert_ne!(old, new, "faults.txt, line {number}: nothing changes");
    }
}
