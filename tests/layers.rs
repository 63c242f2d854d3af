//! The rooms of the crate form layers: what `src` imports is held against the drawing in `src/lib.rs`.
//!
//! Each row of the drawing names rooms. A room may import rooms of lower rows only, and no files import each other
//! in a circle. Code under `#[cfg(test)]` may import anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path below the crate, such as `["http", "gate", "guard"]`.
type Module = Vec<String>;

/// The crate's modules, with what each re-exports and imports.
struct Crate {
    modules: BTreeMap<Module, Source>,
}

struct Source {
    file: PathBuf,
    /// Names that the module passes on, and the whole path of each.
    reexports: HashMap<String, Module>,
    /// Whole paths of what it imports or names.
    imports: BTreeSet<Module>,
}

#[test]
fn no_room_imports_a_room_above_it() {
    let rows = drawing();
    let row_of = |room: &str| rows.iter().position(|row| row.iter().any(|name| name == room));
    let mut wrong = Vec::new();
    for (from, to, file) in Crate::read().edges() {
        let rooms = [&from[0], &to[0]];
        let [Some(above), Some(below)] = rooms.map(|room| row_of(room)) else {
            wrong.push(format!("{}: {rooms:?} are not both in the drawing", file.display()));
            continue;
        };
        if rooms[0] != rooms[1] && below <= above {
            wrong.push(format!(
                "{}: {} imports {}",
                file.display(),
                from.join("::"),
                to.join("::")
            ));
        }
    }
    assert!(wrong.is_empty(), "arrows that do not run downward:\n{}", wrong.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let all = Crate::read();
    let mut edges: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (from, to, _) in all.edges() {
        edges.entry(from).or_default().insert(to);
    }
    let reached = |from: &Module| {
        let mut seen: BTreeSet<Module> = BTreeSet::new();
        let mut left = vec![from.clone()];
        while let Some(next) = left.pop() {
            let new =
                edges.get(&next).into_iter().flatten().filter(|to| seen.insert((*to).clone()));
            left.extend(new.cloned());
        }
        seen
    };
    // Two files are in one circle if each can be reached from the other.
    let in_circle = |from: &Module, to: &Module| reached(to).contains(from);
    let circles: Vec<(&Module, Vec<&Module>)> = edges
        .iter()
        .map(|(from, all)| (from, all.iter().filter(|to| in_circle(from, to)).collect()))
        .filter(|(_, to): &(_, Vec<_>)| !to.is_empty())
        .collect();
    let shown = |(from, to): &(&Module, Vec<&Module>)| {
        let to: Vec<String> = to.iter().map(|to| to.join("::")).collect();
        format!("{} -> {}", from.join("::"), to.join(", "))
    };
    let circles: Vec<String> = circles.iter().map(shown).collect();
    assert!(circles.is_empty(), "files in circles:\n{}", circles.join("\n"));
}

#[test]
fn the_runtime_is_named_in_one_file() {
    let naming: Vec<PathBuf> = sources(&root())
        .into_iter()
        .filter(|file| fs::read_to_string(file).unwrap().contains("async_std"))
        .collect();
    assert_eq!(naming, [root().join("task.rs")]);
}

/// The rows of the drawing, from the top: `//! │ server │ …` names room `server`.
fn drawing() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("lib.rs")).unwrap();
    let rows: Vec<Vec<String>> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! │ ")?.split('│').next())
        .map(|row| row.split_whitespace().map(str::to_owned).collect())
        .collect();
    assert!(rows.len() > 5, "the drawing in src/lib.rs was not found: {rows:?}");
    rows
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

impl Crate {
    fn read() -> Self {
        let texts: BTreeMap<Module, (PathBuf, String)> = sources(&root())
            .into_iter()
            .map(|file| (module_of(&file), (file.clone(), fs::read_to_string(&file).unwrap())))
            .collect();
        let for_tests: BTreeSet<Module> =
            texts.iter().flat_map(|(module, (_, text))| test_modules(module, text)).collect();
        let is_for_tests =
            |module: &Module| (1..=module.len()).any(|n| for_tests.contains(&module[..n]));
        let modules = texts
            .iter()
            .filter(|(module, _)| !is_for_tests(module) && !module.is_empty())
            .map(|(module, (file, text))| (module.clone(), Source::read(module, file, text)))
            .collect();
        let all = Crate { modules };
        assert!(all.modules.len() > 80, "only {} modules were found", all.modules.len());
        all
    }

    /// Every import of one file by another.
    fn edges(&self) -> Vec<(Module, Module, &Path)> {
        let mut edges = Vec::new();
        for (from, source) in &self.modules {
            for path in &source.imports {
                if let Some(to) = self.resolve(path).filter(|to| to != from) {
                    edges.push((from.clone(), to, source.file.as_path()));
                }
            }
        }
        assert!(edges.len() > 300, "only {} imports were found", edges.len());
        edges
    }

    /// The module that defines what a path names.
    fn resolve(&self, path: &[String]) -> Option<Module> {
        let n = (1..=path.len()).rev().find(|n| self.modules.contains_key(&path[..*n]))?;
        let passed_on = path.get(n).and_then(|name| self.modules[&path[..n]].reexports.get(name));
        match passed_on {
            Some(to) => self.resolve(to),
            None => Some(path[..n].to_vec()),
        }
    }
}

impl Source {
    fn read(module: &Module, file: &Path, text: &str) -> Self {
        let mut source =
            Source { file: file.to_owned(), reexports: HashMap::new(), imports: BTreeSet::new() };
        let mut rest = String::new();
        let mut lines = before_tests(text).lines().filter(|line| !line.trim().starts_with("//"));
        while let Some(line) = lines.next() {
            let statement = line.trim_start();
            let Some(at) = ["use ", "pub use ", "pub(super) use ", "pub(crate) use "]
                .iter()
                .find_map(|start| statement.strip_prefix(start))
            else {
                rest.push_str(line);
                rest.push('\n');
                continue;
            };
            let mut path = at.to_owned();
            while !path.contains(';') {
                path.push_str(lines.next().unwrap());
            }
            for path in flattened(path.trim_end().trim_end_matches(';')) {
                let Some(whole) = absolute(module, &path) else { continue };
                if statement.starts_with("pub") {
                    source.reexports.insert(whole.last().unwrap().clone(), whole);
                } else {
                    source.imports.insert(whole);
                }
            }
        }
        for (at, _) in rest.match_indices("crate::") {
            let path: String = rest[at..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':'))
                .collect();
            source.imports.extend(absolute(module, path.trim_end_matches(':')));
        }
        source
    }
}

/// `src/http/gate/mod.rs` is `http::gate`, and so would `src/http/gate.rs` be.
fn module_of(file: &Path) -> Module {
    let below = file.strip_prefix(root()).unwrap().with_extension("");
    let mut parts: Module = below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

/// What stands before a module of tests.
fn before_tests(text: &str) -> &str {
    let end =
        text.find("#[cfg(test)]\nmod ").into_iter().chain(text.find("#[cfg(test)]\n#[path")).min();
    &text[..end.unwrap_or(text.len())]
}

/// The modules in files of their own that are built for tests only.
fn test_modules(module: &Module, text: &str) -> Vec<Module> {
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        if line.trim() != "#[cfg(test)]" {
            continue;
        }
        let path = lines.get(i + 1).and_then(|line| line.trim().strip_prefix("#[path = \""));
        let named = lines.get(i + 1).and_then(|line| line.trim().strip_prefix("mod "));
        let name = path.and_then(|path| path.strip_suffix(".rs\"]"));
        let name = name.or_else(|| named.and_then(|name| name.strip_suffix(';')));
        if let Some(name) = name {
            let mut whole = module.clone();
            // A path is relative to the file's own directory.
            if path.is_some() {
                whole.pop();
            }
            whole.push(name.to_owned());
            found.push(whole);
        }
    }
    found
}

/// `a::{b, c::{self, d}}` as `a::b`, `a::c`, `a::c::d`.
fn flattened(path: &str) -> Vec<String> {
    let Some((before, inside)) = path.trim().split_once('{') else {
        let path = path.split(" as ").next().unwrap().trim();
        return vec![path.trim_end_matches("::self").to_owned()];
    };
    let inside = inside.trim_end().strip_suffix('}').unwrap();
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in inside.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    let whole = |part: &String| format!("{before}{}", part.trim());
    parts
        .iter()
        .filter(|part| !part.trim().is_empty())
        .map(whole)
        .flat_map(|path| flattened(&path))
        .collect()
}

/// A path from the crate's root; `None` if it is of another crate.
fn absolute(module: &Module, path: &str) -> Option<Module> {
    let mut parts = path.split("::").map(str::to_owned);
    let mut whole = match parts.next()?.as_str() {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => module[..module.len() - 1].to_vec(),
        _ => return None,
    };
    for part in parts {
        match part.as_str() {
            "super" => drop(whole.pop()),
            _ => whole.push(part),
        }
    }
    (!whole.is_empty()).then_some(whole)
}
