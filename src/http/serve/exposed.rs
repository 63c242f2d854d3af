//! Exposed: what lies among the files that everybody may read, and should not.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::backend::Target;
use crate::error::StartError;
use crate::http::config::Config;
use crate::net::tls::CertSource;
use crate::path::{WELL_KNOWN, is_hidden};

/// Makes sure that no secret lies in `--static-dir`, and warns of programs that do, as who asks for one
/// by its whole path is shown its source.
///
/// # Errors
/// [`StartError::Environment`], which says what to move.
pub fn check(config: &Config) -> Result<(), StartError> {
    let Some(dir) = &config.pages.dir else { return Ok(()) };
    for (option, path) in secrets(config) {
        if is_served(dir, path) {
            return Err(StartError::Environment(format!(
                "{option} {} lies in --static-dir {}, where everybody could read it: move it out, or give \
                 it a name that begins with a dot",
                path.display(),
                dir.display()
            )));
        }
    }
    for (option, path) in programs(config) {
        if is_served(dir, path) {
            let path = path.display();
            tracing::warn!(dir = %path, "{option} lies in --static-dir: everybody can read its programs");
        }
    }
    Ok(())
}

/// Directories of programs, with the option that names each.
fn programs(config: &Config) -> Vec<(&'static str, &PathBuf)> {
    let backends = config.routes.iter().filter_map(|route| match &route.backend {
        Target::Programs(programs) => Some(("--program-dir", &programs.dir)),
        _ => None,
    });
    let cgi = config.pages.cgi.iter().map(|cgi| ("--cgi-dir", &cgi.programs.dir));
    backends.chain(cgi).collect()
}

/// Files and directories that nobody should see, with the option that names each.
fn secrets(config: &Config) -> Vec<(&'static str, &PathBuf)> {
    let guards = config.routes.iter().map(|route| &route.guard).chain([&config.guard]);
    let mut secrets = Vec::new();
    for guard in guards {
        secrets.extend(guard.auth_file.iter().map(|file| ("--auth-file", file)));
        secrets.extend(guard.token_file.iter().map(|file| ("--token-file", file)));
    }
    match config.tls.as_ref().map(|tls| &tls.source) {
        Some(CertSource::Files { key: Some(key), .. }) => secrets.push(("--tls-key", key)),
        Some(CertSource::Files { cert, key: None }) => secrets.push(("--tls-cert", cert)),
        Some(CertSource::Acme(acme)) => secrets.push(("--acme-cache", &acme.cache)),
        None => {}
    }
    secrets
}

/// Whether a path lies in a directory whose files are served; those with a dot in front are not, but for
/// those that are meant to be seen.
fn is_served(dir: &Path, path: &Path) -> bool {
    let (Some(dir), Some(path)) = (resolve(dir), resolve(path)) else { return false };
    let hidden = |part: Component<'_>| is_hidden(part.as_os_str().as_encoded_bytes());
    path.strip_prefix(&dir).is_ok_and(|below| {
        let below = below.strip_prefix(WELL_KNOWN).unwrap_or(below);
        !below.components().any(hidden)
    })
}

/// Where a path leads, also if it is to be made yet.
fn resolve(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let to_be_made =
        || Some(fs::canonicalize(absolute.parent()?).ok()?.join(absolute.file_name()?));
    fs::canonicalize(&absolute).ok().or_else(to_be_made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    #[test]
    fn what_is_served() {
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
