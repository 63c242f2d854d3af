//! Static files: a GET or HEAD and a directory in, a response out.
//!
//! ```text
//! path ── target ──▶ relative path ── open below the root ──▶ file ── conditional, range ──▶ 200 206 304 412 416
//!          └ None                      └ None, 301, 403, 500            └ body (in memory, or streamed)
//! ```

mod body;
mod conditional;
mod disk;
mod range;
mod target;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode, response};
use http_body_util::{BodyExt, Full};
use rustix::fs::OFlags;
use rustix::io::Errno;

use body::{CHUNK, FileBody};
use conditional::{Validators, Verdict};
use disk::Disk;
use range::Selection;
use target::Target;

use crate::http::Body;
use crate::path;
use crate::sync::lock;
use crate::text::reason;

/// The file that answers for its directory.
const INDEX: &str = "index.html";

/// The request headers that the answer depends on; only these are taken to another thread.
const RELEVANT: [HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_UNMODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
];

/// A directory served to browsers.
///
/// Nothing outside the directory can be reached: not by `..`, not by a symbolic link (one that is absolute is refused
/// wherever it points, one that stays inside is followed). Names beginning with a dot (`.git`, `.env`) are not found,
/// except in a top-level `.well-known/` (RFC 8615). Directories are never listed; `index.html` answers for its own.
///
/// The directory stays open: if it is renamed, or its name given to another, the one opened is still served, until it is
/// [opened again](Files::reopen).
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    /// Locked for a moment by each request.
    root: Mutex<Arc<Dir>>,
    disk: Disk,
}

impl Files {
    /// Opens the directory. The error names it and says why not.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = Mutex::new(Arc::new(open(path)?));
        Ok(Self { path: path.to_owned(), root, disk: Disk::default() })
    }

    /// Opens what has the directory's name now; requests that come from now on are answered from there. An error changes
    /// nothing.
    pub fn reopen(&self) -> io::Result<()> {
        let root = open(&self.path)?;
        *lock(&self.root) = Arc::new(root);
        Ok(())
    }

    /// The directory's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers a GET or HEAD, or None if there is no such file. `path` is as it came in the URI, still
    /// percent-encoded and without the query. Other methods are the caller's to refuse.
    pub async fn respond(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<Response<Body>> {
        let target = Target::parse(path)?;
        let (root, disk) = (Arc::clone(&lock(&self.root)), self.disk);
        let query = query.map(str::to_owned);
        let relevant = RELEVANT
            .iter()
            .flat_map(|name| headers.get_all(name).into_iter().map(move |v| (name, v)));
        let asked =
            relevant.map(|(name, value)| (name.clone(), value.clone())).collect::<HeaderMap>();
        let head = *method == Method::HEAD;
        // One hop to a thread does it all for a small file: open, decide, read.
        let response = disk.run(move || match find(&root, &target) {
            Ok(Found::File(file)) => {
                Some(send(file, &asked, head, disk).unwrap_or_else(|why| failure(&why)))
            }
            Ok(Found::DirectoryWithIndex) => Some(redirect(&target.location(query.as_deref()))),
            Ok(Found::Nothing) => None,
            Err(why) => refusal(&why),
        });
        let response = response.await.unwrap_or_else(|why| Some(busy(&why)))?;
        Some(if head { response.map(|_| empty()) } else { response })
    }
}

fn open(path: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(path, cap_std::ambient_authority()).map_err(|why| {
        let shown = path.display();
        let text = format!("can't serve files from --static-dir {shown}: {}", reason(&why));
        io::Error::new(why.kind(), text)
    })
}

/// A regular file, and how it was when it was opened.
struct Opened {
    file: File,
    path: PathBuf,
    len: u64,
    modified: SystemTime,
}

/// What is at a target.
enum Found {
    File(Opened),
    /// A directory that was asked for without the slash that its relative links need.
    DirectoryWithIndex,
    /// A directory without an index, or something that is not for reading.
    Nothing,
}

fn find(root: &Dir, target: &Target) -> io::Result<Found> {
    let path =
        if target.is_directory() { target.path().join(INDEX) } else { target.path().to_owned() };
    // Opened first and looked at then, so that nothing can be put in its place between. A FIFO would block the open
    // without NONBLOCK; a terminal could become ours without NOCTTY.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = root.open_with(&path, OpenOptions::new().read(true).custom_flags(flags))?.into_std();
    let metadata = file.metadata()?;
    Ok(if metadata.is_file() {
        Found::File(Opened { file, path, len: metadata.len(), modified: metadata.modified()? })
    } else if metadata.is_dir()
        && !target.is_directory()
        && root.metadata(path.join(INDEX))?.is_file()
    {
        Found::DirectoryWithIndex
    } else {
        Found::Nothing
    })
}

/// What to say when a file could not be opened; None if that means that there is none.
fn refusal(why: &io::Error) -> Option<Response<Body>> {
    if path::is_nothing(why) {
        return None;
    }
    Some(match Errno::from_io_error(why) {
        Some(Errno::ACCESS | Errno::PERM) => {
            text(StatusCode::FORBIDDEN, "this file may not be read by the server")
        }
        _ => failure(why),
    })
}

/// What to say when the disk takes too long.
fn busy(why: &io::Error) -> Response<Body> {
    text(StatusCode::SERVICE_UNAVAILABLE, &format!("this file could not be read: {why}"))
}

fn failure(why: &io::Error) -> Response<Body> {
    text(StatusCode::INTERNAL_SERVER_ERROR, &format!("this file could not be read: {why}"))
}

fn redirect(location: &str) -> Response<Body> {
    let mut response =
        text(StatusCode::MOVED_PERMANENTLY, &format!("this is a directory: see {location}"));
    // Percent-encoded throughout, so it always makes a value.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Decides what of an open file is to be sent, and reads it if it is small.
fn send(opened: Opened, asked: &HeaderMap, head: bool, disk: Disk) -> io::Result<Response<Body>> {
    let len = opened.len;
    let file_is = Validators::new(opened.modified, len, SystemTime::now());
    match conditional::evaluate(asked, &file_is) {
        Verdict::NotModified => {
            return Ok(finish(described(StatusCode::NOT_MODIFIED, &file_is), empty()));
        }
        Verdict::Failed => {
            return Ok(text(StatusCode::PRECONDITION_FAILED, "the file is not what was expected"));
        }
        Verdict::Send => {}
    }
    let selection = match conditional::single(asked, header::RANGE) {
        // Ranges are defined for GET only (RFC 9110, 14.2).
        Some(range) if !head && conditional::range_applies(asked, &file_is) => {
            range::select(range.as_bytes(), len)
        }
        _ => Selection::Whole,
    };
    let (status, part) = match selection {
        Selection::Whole => (StatusCode::OK, 0..len),
        Selection::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Selection::Unsatisfiable => return Ok(unsatisfiable(len)),
    };
    let mut response = described(status, &file_is)
        .header(header::CONTENT_TYPE, content_type(&opened.path))
        .header(header::CONTENT_LENGTH, part.end - part.start)
        .header(header::ACCEPT_RANGES, "bytes");
    if status == StatusCode::PARTIAL_CONTENT {
        response = response
            .header(header::CONTENT_RANGE, format!("bytes {}-{}/{len}", part.start, part.end - 1));
    }
    let body = if head { empty() } else { contents(opened.file, part, disk)? };
    Ok(finish(response, body))
}

fn contents(mut file: File, part: Range<u64>, disk: Disk) -> io::Result<Body> {
    let len = part.end - part.start;
    file.seek(SeekFrom::Start(part.start))?;
    if len <= CHUNK {
        return Ok(in_memory(body::read_exactly(&mut file, len)?));
    }
    Ok(FileBody::new(file, len, disk).boxed_unsync())
}

fn unsatisfiable(len: u64) -> Response<Body> {
    let mut response =
        text(StatusCode::RANGE_NOT_SATISFIABLE, &format!("the file has {len} bytes"));
    if let Ok(range) = HeaderValue::from_str(&format!("bytes */{len}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    response
}

/// A response that says which state of the file it is about (RFC 9110, 15.4.5 asks it of a 304 too).
fn described(status: StatusCode, file: &Validators) -> response::Builder {
    let response = common(status).header(header::ETAG, &file.etag);
    match file.modified {
        Some(modified) => response.header(header::LAST_MODIFIED, httpdate::fmt_http_date(modified)),
        None => response,
    }
}

/// A one-line answer of our own.
fn text(status: StatusCode, line: &str) -> Response<Body> {
    let line = Bytes::from(format!("{line}\n"));
    let response = common(status)
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(header::CONTENT_LENGTH, line.len());
    finish(response, in_memory(line))
}

/// What every answer has. Nothing may be used again unasked, a 301 neither: a reload must show the file as it is now.
fn common(status: StatusCode) -> response::Builder {
    Response::builder()
        .status(status)
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
}

fn finish(response: response::Builder, body: Body) -> Response<Body> {
    response.body(body).expect("headers are fixed texts, numbers, dates and hexadecimal tags")
}

fn in_memory(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn empty() -> Body {
    in_memory(Bytes::new())
}

/// The media type that a name's extension stands for.
fn content_type(name: &Path) -> String {
    match mime_guess::from_path(name).first_raw() {
        None => "application/octet-stream".to_owned(),
        // The name of before RFC 9239, which the library still gives to modules.
        Some("application/javascript") => "text/javascript; charset=utf-8".to_owned(),
        Some(text) if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        Some(other) => other.to_owned(),
    }
}
