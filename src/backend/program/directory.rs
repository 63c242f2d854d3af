//! Directory: starts programs below a directory, each found by the path of the URI.
//!
//! ```text
//!  /sub/prog.sh/extra/info ── walked segment by segment below DIR ──▶ DIR/sub/prog.sh
//!   └─ SCRIPT_NAME └─ PATH_INFO
//! ```

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use rustix::fs::{Access, AtFlags, accessat};
use rustix::io::Errno;

use super::config::ProgramDir;
use super::launcher::{Launcher, RunningProgram, explain};
use super::supervisor::ProgramPermits;
use crate::backend::{BackendIo, ClientFacts, OpenError};
use crate::clock::timeout;
use crate::path;
use crate::text::reason;
use crate::threads::DIRECTORIES;

/// The programs below a directory.
///
/// Nothing outside of it is started: neither by `..` nor by a symbolic link (an absolute link is refused wherever it
/// points, one that stays inside is followed). Names that begin with a dot are not found. A user who can write into the
/// directory can start anything anyway.
///
/// The directory is opened for each client, so that new programs are found, and so is another directory of that name.
#[derive(Clone, Debug, PartialEq)]
pub struct Programs {
    /// Absolute, as a program may be started in its own directory.
    dir: Arc<Path>,
    launcher: Launcher,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup {
    /// A program.
    Program(FoundProgram),
    /// A file that is not executable, or not for us; with its path below the directory.
    NotExecutable(Box<str>),
    /// A file, but the rest of the path can't be passed to a program.
    BadPath,
    /// No file.
    Nothing,
}

/// A program that was found.
#[derive(Debug, PartialEq, Eq)]
pub struct FoundProgram {
    /// Its path below the directory, fit to be shown.
    pub name: Box<str>,
    path: PathBuf,
    /// Bytes of the URI's raw path that name it.
    script: usize,
}

impl Programs {
    /// Checks that the directory can be opened.
    ///
    /// # Errors
    /// A sentence that names it and says why it can't.
    pub fn new(config: &ProgramDir) -> Result<Self, String> {
        let shown = config.dir.display();
        let cannot = |e: io::Error| format!("can't start programs of {shown}: {}", reason(&e));
        let dir = std::path::absolute(&config.dir).map_err(cannot)?;
        open(&dir).map_err(cannot)?;
        let launcher = Launcher::new(&config.pass_env, config.kill_grace)?;
        Ok(Programs { dir: dir.into(), launcher })
    }

    /// Starts the program that a client's path names, within `limit`. `permits` are given back when it is gone.
    ///
    /// # Errors
    /// [`OpenError`], also if the path names no program.
    pub async fn open(
        &self,
        client: &ClientFacts<'_>,
        limit: Duration,
        permits: ProgramPermits,
    ) -> Result<BackendIo, OpenError> {
        let started = timeout(limit, async {
            let found = self.find(client).await?.program()?;
            let running = self.start(&found, client, false, permits).await?;
            Ok(BackendIo::process(running, Some(found.name)))
        });
        started.await.unwrap_or(Err(OpenError::TimedOut(limit)))
    }

    /// Finds the program that a client's path names.
    ///
    /// # Errors
    /// [`OpenError`], if the directory can't be read; the text does not name it to clients.
    pub async fn find(&self, client: &ClientFacts<'_>) -> Result<Lookup, OpenError> {
        let (dir, raw) = (self.dir.clone(), client.uri.path().to_owned());
        let start = if raw.starts_with(client.script) { client.script.len() } else { 0 };
        let found = DIRECTORIES.run(move || walk(&dir, &raw, start)).await;
        let explain = |e: &io::Error| format!("can't look for programs: {}", reason(e));
        found.map_err(|e| OpenError::new(&e, || explain(&e)))
    }

    /// Starts a program for the client. `permits` are given back when it is gone. With `in_own_dir` it is started in
    /// its own directory and gets SCRIPT_FILENAME, which is not in RFC 3875 but PHP needs it.
    ///
    /// # Errors
    /// [`OpenError`], which names it.
    pub async fn start(
        &self,
        found: &FoundProgram,
        client: &ClientFacts<'_>,
        in_own_dir: bool,
        permits: ProgramPermits,
    ) -> Result<RunningProgram, OpenError> {
        let script = &client.uri.path()[..found.script];
        let mut command = self.launcher.command(&found.path, &ClientFacts { script, ..*client });
        if let (true, Some(dir)) = (in_own_dir, found.path.parent()) {
            command.current_dir(dir).env("SCRIPT_FILENAME", &found.path);
        }
        let started = self.launcher.run(command, client.id, permits).await;
        started.map_err(|e| OpenError::new(&e, || explain(&found.name, &e)))
    }
}

impl Lookup {
    /// The program.
    ///
    /// # Errors
    /// [`OpenError::NotFound`], [`OpenError::BadPath`] or [`OpenError::Forbidden`], if it is none.
    pub fn program(self) -> Result<FoundProgram, OpenError> {
        match self {
            Lookup::Program(found) => Ok(found),
            Lookup::NotExecutable(name) => {
                Err(OpenError::Forbidden(format!("{name} is not executable")))
            }
            Lookup::BadPath => Err(OpenError::BadPath),
            Lookup::Nothing => Err(OpenError::NotFound),
        }
    }
}

fn open(dir: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(dir, cap_std::ambient_authority())
}

/// Walks down to the first file. The path before `start` is that of the route.
fn walk(dir: &Path, raw: &str, start: usize) -> io::Result<Lookup> {
    let root = open(dir)?;
    let mut below = PathBuf::new();
    for end in ends(raw, start) {
        // Empty segments are skipped, as they are for files.
        let segment = raw[start..end].rsplit('/').next().unwrap_or_default();
        if segment.is_empty() {
            continue;
        }
        let Some(name) = path::name(segment).filter(|name| !path::is_hidden(name)) else {
            return Ok(Lookup::Nothing);
        };
        below.push(OsStr::from_bytes(&name));
        let shown = || below.to_string_lossy().escape_debug().to_string().into_boxed_str();
        match root.metadata(&below) {
            Ok(found) if found.is_dir() => continue,
            Ok(found) if !found.is_file() => return Ok(Lookup::Nothing),
            Ok(_) if !path::is_sound(&raw[end..]) => return Ok(Lookup::BadPath),
            Ok(_) if !is_info(&raw[end..]) => return Ok(Lookup::Nothing),
            Ok(_) => {}
            Err(why) if path::is_nothing(&why) => return Ok(Lookup::Nothing),
            Err(why) if is_forbidden(&why) => return Ok(Lookup::NotExecutable(shown())),
            Err(why) => return Err(why),
        }
        return match accessat(&root, &below, Access::EXEC_OK, AtFlags::EACCESS) {
            Ok(()) => {
                let name = shown();
                Ok(Lookup::Program(FoundProgram { name, path: dir.join(&below), script: end }))
            }
            Err(Errno::ACCESS | Errno::PERM) => Ok(Lookup::NotExecutable(shown())),
            Err(why) => Err(why.into()),
        };
    }
    Ok(Lookup::Nothing)
}

/// The ends of a path's segments, from `start` on; none if it does not begin with a slash there.
fn ends(raw: &str, start: usize) -> impl Iterator<Item = usize> {
    let segments = raw[start..].strip_prefix('/').into_iter().flat_map(|rest| rest.split('/'));
    segments.scan(start, |end, segment| {
        *end += 1 + segment.len();
        Some(*end)
    })
}

/// Whether the rest of a path can be PATH_INFO. A program may use it as a file's path, so it must not lead up, nor
/// contain an encoded separator (section 4.1.5).
fn is_info(rest: &str) -> bool {
    let fits = |name: Vec<u8>| name != b"." && name != b"..";
    rest.split('/').all(|segment| path::name(segment).is_some_and(fits))
}

fn is_forbidden(why: &io::Error) -> bool {
    matches!(Errno::from_io_error(why), Some(Errno::ACCESS | Errno::PERM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use tempfile::TempDir;

    /// Programs, files, and links in and out.
    fn tree() -> TempDir {
        let tmp = TempDir::new().unwrap();
        let dir = tmp.path().join("programs");
        fs::create_dir_all(dir.join("sub/deep")).unwrap();
        fs::create_dir(dir.join(".hidden")).unwrap();
        for (name, mode) in [
            ("programs/prog.sh", 0o755),
            ("programs/a b", 0o755),
            ("programs/sub/prog.sh", 0o755),
            ("programs/sub/deep/é", 0o755),
            ("programs/.hidden/prog.sh", 0o755),
            ("programs/.prog.sh", 0o755),
            ("programs/data.txt", 0o644),
            ("outside.sh", 0o755),
        ] {
            fs::write(tmp.path().join(name), "").unwrap();
            fs::set_permissions(tmp.path().join(name), Permissions::from_mode(mode)).unwrap();
        }
        for (target, name) in [
            ("prog.sh", "in"),
            ("sub", "insub"),
            ("../outside.sh", "out"),
            ("..", "up"),
            ("loop", "loop"),
            ("nowhere", "dangling"),
            ("../programs/prog.sh", "outandin"),
            ("/bin/sh", "absolute"),
        ] {
            symlink(target, dir.join(name)).unwrap();
        }
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.join("fifo"),
            rustix::fs::FileType::Fifo,
            0o755.into(),
            0,
        )
        .unwrap();
        tmp
    }

    #[test]
    fn what_paths_lead_to() {
        let tmp = tree();
        let dir = tmp.path().join("programs");
        for (raw, script, path) in [
            ("/prog.sh", "/prog.sh", "prog.sh"),
            ("/prog.sh/", "/prog.sh", "prog.sh"),
            ("/prog.sh/extra//info", "/prog.sh", "prog.sh"),
            ("/prog.sh/.git/x", "/prog.sh", "prog.sh"),
            ("/prog%2esh", "/prog%2esh", "prog.sh"),
            ("/a%20b/c%20d", "/a%20b", "a b"),
            ("//sub//prog.sh//", "//sub//prog.sh", "sub/prog.sh"),
            ("/sub/deep/%C3%A9", "/sub/deep/%C3%A9", "sub/deep/é"),
            ("/sub/deep/é/x", "/sub/deep/é", "sub/deep/é"),
            ("/in", "/in", "in"),
            ("/insub/prog.sh/x", "/insub/prog.sh", "insub/prog.sh"),
        ] {
            let Lookup::Program(found) = walk(&dir, raw, 0).unwrap() else { panic!("{raw}") };
            assert_eq!((&raw[..found.script], &*found.name), (script, path), "{raw}");
            assert_eq!(found.path, dir.join(path), "{raw}");
        }
        for raw in [
            "/",
            "",
            "*",
            "prog.sh",
            "/sub",
            "/sub/",
            "/sub/deep/",
            "/none",
            "/none/prog.sh",
            "/.prog.sh",
            "/%2eprog.sh",
            "/.hidden/prog.sh",
            "/sub/../prog.sh",
            "/./prog.sh",
            "/..",
            "/../outside.sh",
            "/%2e%2e/outside.sh",
            "/..%2foutside.sh",
            "/sub%2fprog.sh",
            "/sub\\prog.sh",
            "/sub%5cprog.sh",
            "/prog.sh%00",
            "/prog.sh\0",
            "/%00",
            "/prog.sh%",
            "/out",
            "/up/outside.sh",
            "/up/programs/prog.sh",
            "/outandin",
            "/absolute",
            "/loop",
            "/loop/x",
            "/dangling",
            "/fifo",
            "/fifo/x",
            "/prog.sh/..",
            "/prog.sh/../x",
            "/prog.sh/%2e%2e/x",
            "/prog.sh/a%2fb",
            "/prog.sh/./x",
            "/data.txt/..",
        ] {
            assert_eq!(walk(&dir, raw, 0).unwrap(), Lookup::Nothing, "{raw:?}");
        }
        for raw in ["/prog.sh/a%00", "/prog.sh/%zz", "/sub//prog.sh/%", "/data.txt/%00"] {
            assert_eq!(walk(&dir, raw, 0).unwrap(), Lookup::BadPath, "{raw}");
        }
        for raw in ["/data.txt", "/data.txt/x", "/data%2etxt"] {
            let refused = Lookup::NotExecutable("data.txt".into());
            assert_eq!(walk(&dir, raw, 0).unwrap(), refused, "{raw}");
        }
        for raw in ["/a".repeat(8000), "/insub/..".repeat(2000), "/".repeat(16_000)] {
            assert_eq!(walk(&dir, &raw, 0).unwrap(), Lookup::Nothing);
        }
        assert_eq!(walk(&dir, &format!("/{}", "x".repeat(16_000)), 0).unwrap(), Lookup::Nothing);
        let Lookup::Program(found) = walk(&dir, "/chat/prog.sh/x", 5).unwrap() else { panic!() };
        assert_eq!(found.script, "/chat/prog.sh".len());
        assert!(walk(&tmp.path().join("none"), "/prog.sh", 0).is_err());
    }
}
