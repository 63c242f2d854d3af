//! Documentation: the links of README.md and docs/ lead somewhere, and their commands are ones that wsrelay takes.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use wsrelay::commands;

/// Every page, with its text.
fn pages() -> HashMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|ext| ext == "md"));
    let others = ["README.md", "examples/README.md"].map(|name| root.join(name));
    pages.chain(others).map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The lines of a page that are outside its blocks of code, or inside.
fn lines(text: &str, in_code: bool) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        inside ^= is_fence;
        !is_fence && inside == in_code
    })
}

/// The targets of a page's links and pictures.
fn links(text: &str) -> Vec<&str> {
    let after = lines(text, false).flat_map(|line| line.split("](").skip(1));
    after.filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings = lines(text, false).filter(|line| line.starts_with('#'));
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    headings
        .map(|line| line.trim_start_matches('#').trim().chars().filter_map(kept).collect())
        .collect()
}

/// The commands of a page: those in blocks of code, and those that are a span of code alone.
fn commands(text: &str) -> Vec<String> {
    let spans = lines(text, false).flat_map(|line| line.split('`').skip(1).step_by(2));
    let joined = lines(text, true).collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let all = spans.chain(lines).filter(|text| text.starts_with("wsrelay "));
    // What only shows a form, or where a `|` is that of a table.
    all.filter(|text| !text.contains(['[', '…', '\\'])).map(str::to_owned).collect()
}

/// The words of a command, as a shell makes them: what stands between `'` is one word.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (number, part) in command.split('\'').enumerate() {
        let is_quoted = number % 2 == 1;
        for char in part.chars() {
            match char {
                ' ' if !is_quoted => words.push(String::new()),
                char => words.last_mut().unwrap().push(char),
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let mut seen = 0;
    for (page, text) in &pages {
        for link in links(text).into_iter().filter(|link| !link.contains("://")) {
            seen += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            let target = target.canonicalize().unwrap_or_else(|e| panic!("{page:?}: {link}: {e}"));
            if !anchor.is_empty() {
                let text =
                    pages.get(&target).unwrap_or_else(|| panic!("{page:?}: {link}: not a page"));
                assert!(
                    anchors(text).iter().any(|a| a == anchor),
                    "{page:?}: {link}: no such heading"
                );
            }
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn commands_are_ones_that_wsrelay_takes() {
    let mut seen = 0;
    // What --help says has a test of its own.
    for (page, text) in pages().into_iter().filter(|(page, _)| !page.ends_with("docs/options.md")) {
        for command in commands(&text) {
            seen += 1;
            let words = words(&command).into_iter().skip(1);
            // Places to fill in are numbers there.
            let words: Vec<_> =
                words.map(|word| if word == "N" { "1".into() } else { word }).collect();
            if let Err(why) = commands::plan(&words) {
                panic!("{page:?}: {command}: {why}");
            }
        }
    }
    assert!(seen > 25, "{seen}");
}
