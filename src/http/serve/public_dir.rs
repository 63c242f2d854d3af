//! The check that no private file lies in `--static-dir`, where everybody can read it.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::StartError;
use crate::http::config::{PagesConfig, Private};
use crate::path::{WELL_KNOWN, is_hidden};

/// Refuses secrets in `--static-dir`, and warns of programs there, whose source anybody could read.
///
/// # Errors
/// [`StartError::Environment`], which says what to move.
pub fn check(pages: &PagesConfig) -> Result<(), StartError> {
    let Some(dir) = &pages.dir else { return Ok(()) };
    for Private { option, path, is_secret } in &pages.private {
        let path_shown = path.display();
        match is_served(dir, path) {
            true if *is_secret => {
                return Err(StartError::Environment(format!(
                    "--{option} {path_shown} lies in --static-dir {}, where everybody could read it: move it \
                     out, or give it a name that begins with a dot",
                    dir.display()
                )));
            }
            true => tracing::warn!(
                dir = %path_shown,
                "--{option} lies in --static-dir: everybody can read its programs"
            ),
            false => {}
        }
    }
    Ok(())
}

/// Whether a path lies in a directory whose files are served. Names that begin with a dot are not
/// served, except in `.well-known`.
fn is_served(dir: &Path, path: &Path) -> bool {
    let (Some(dir), Some(path)) = (resolve(dir), resolve(path)) else { return false };
    let hidden = |part: Component<'_>| is_hidden(part.as_os_str().as_encoded_bytes());
    path.strip_prefix(&dir).is_ok_and(|below| {
        let below = below.strip_prefix(WELL_KNOWN).unwrap_or(below);
        !below.components().any(hidden)
    })
}

/// The path without symbolic links, also of a file that does not exist yet.
fn resolve(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let not_yet_made =
        || Some(fs::canonicalize(absolute.parent()?).ok()?.join(absolute.file_name()?));
    fs::canonicalize(&absolute).ok().or_else(not_yet_made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    #[test]
    fn paths_that_are_served() {
        let tmp = TempDir::new().unwrap();
        let at = |name: &str| tmp.path().join(name);
        for name in ["www/sub", "www/.git", "www/.well-known", "www2"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        for name in [
            "www/key",
            "www/sub/key",
            "www/.key",
            "www/.git/key",
            "www/.well-known/key",
            "www2/key",
            "key",
        ] {
            fs::write(at(name), "").unwrap();
        }
        symlink(at("www/key"), at("link")).unwrap();
        symlink(at("www"), at("linked")).unwrap();
        for (path, want) in [
            ("www/key", true),
            ("www/sub/key", true),
            ("www/sub/../key", true),
            ("www/sub", true),
            ("www", true),
            ("link", true),
            ("linked/key", true),
            ("www/.key", false),
            ("www/.git/key", false),
            ("www/.well-known/key", true),
            ("www/.well-known/.key", false),
            ("www/sub/.well-known/key", false),
            ("www/.well-knownkey", false),
            ("www2/key", false),
            ("key", false),
            ("www/nothing", true),
            ("nothing", false),
            ("nothing/www", false),
        ] {
            assert_eq!(is_served(&at("www"), &at(path)), want, "{path}");
            assert_eq!(is_served(&at("linked"), &at(path)), want, "{path}");
        }
    }
}
