//! Static files: a GET or HEAD and a directory in, a response out.
//!
//! ```text
//! path ── safe_path ──▶ relative path ── open below the root ──▶ file ── conditional, range ──▶ 200 206 304 412 416
//!          └ None                         └ None, 301, 403, 500            └ body (in memory, or streamed)
//! ```

mod body;
mod conditional;
mod disk;
mod range;
mod safe_path;
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
use safe_path::SafePath;

use crate::http::Body;
use crate::path;
use crate::sync::lock;
use crate::text::reason;

/// The file that is sent for its directory.
const INDEX: &str = "index.html";

/// The request headers that the response depends on; only these are copied for the other thread.
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
    /// Opens the directory.
    ///
    /// # Errors
    /// The error names the directory and the reason.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = Mutex::new(Arc::new(open(path)?));
        Ok(Self { path: path.to_owned(), root, disk: Disk::default() })
    }

    /// Opens the directory that has the name now; later requests are answered from there.
    ///
    /// # Errors
    /// As of [`open`](Self::open). The old directory stays.
    pub fn reopen(&self) -> io::Result<()> {
        let root = open(&self.path)?;
        *lock(&self.root) = Arc::new(root);
        Ok(())
    }

    /// The directory's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers a GET or HEAD; `None` if there is no such file. `path` is that of the URI, still
    /// percent-encoded and without the query. The caller refuses other methods.
    pub async fn respond(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<Response<Body>> {
        let target = SafePath::parse(path)?;
        let (root, disk) = (Arc::clone(&lock(&self.root)), self.disk);
        let query = query.map(str::to_owned);
        let relevant = RELEVANT
            .iter()
            .flat_map(|name| headers.get_all(name).into_iter().map(move |v| (name, v)));
        let asked =
            relevant.map(|(name, value)| (name.clone(), value.clone())).collect::<HeaderMap>();
        let head = *method == Method::HEAD;
        // A small file needs one job on the other thread: open, decide, read.
        let response = disk.run(move || match find(&root, &target) {
            Ok(FileLookup::File(file)) => {
                Some(send(file, &asked, head, disk).unwrap_or_else(|why| failure(&why)))
            }
            Ok(FileLookup::DirectoryWithIndex) => {
                Some(redirect(&target.location(query.as_deref())))
            }
            Ok(FileLookup::Nothing) => None,
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

/// An open regular file, with the metadata of that moment.
struct OpenedFile {
    file: File,
    path: PathBuf,
    len: u64,
    modified: SystemTime,
}

/// What is at a path.
enum FileLookup {
    File(OpenedFile),
    /// A directory with an index, requested without the slash at the end that relative links need.
    DirectoryWithIndex,
    /// A directory without an index, or a special file (FIFO, socket, device).
    Nothing,
}

fn find(root: &Dir, target: &SafePath) -> io::Result<FileLookup> {
    let path =
        if target.is_directory() { target.path().join(INDEX) } else { target.path().to_owned() };
    // Opened before its metadata are read, so that the file can't be replaced in between. NONBLOCK, as opening a FIFO
    // would block; NOCTTY, as a terminal could become our controlling terminal.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = root.open_with(&path, OpenOptions::new().read(true).custom_flags(flags))?.into_std();
    let metadata = file.metadata()?;
    Ok(if metadata.is_file() {
        FileLookup::File(OpenedFile {
            file,
            path,
            len: metadata.len(),
            modified: metadata.modified()?,
        })
    } else if metadata.is_dir()
        && !target.is_directory()
        && root.metadata(path.join(INDEX))?.is_file()
    {
        FileLookup::DirectoryWithIndex
    } else {
        FileLookup::Nothing
    })
}

/// The response when a file could not be opened; `None` if there is none.
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

/// The response when the disk takes too long.
fn busy(why: &io::Error) -> Response<Body> {
    text(StatusCode::SERVICE_UNAVAILABLE, &format!("this file could not be read: {why}"))
}

fn failure(why: &io::Error) -> Response<Body> {
    text(StatusCode::INTERNAL_SERVER_ERROR, &format!("this file could not be read: {why}"))
}

fn redirect(location: &str) -> Response<Body> {
    let mut response =
        text(StatusCode::MOVED_PERMANENTLY, &format!("this is a directory: see {location}"));
    // It is percent-encoded, and so always a valid value.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Decides which part of an open file to send, and reads it if it is small.
fn send(
    opened: OpenedFile,
    asked: &HeaderMap,
    head: bool,
    disk: Disk,
) -> io::Result<Response<Body>> {
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

/// A response with the file's validators, which RFC 9110, 15.4.5 requires of a 304 too.
fn described(status: StatusCode, file: &Validators) -> response::Builder {
    let response = common(status).header(header::ETAG, &file.etag);
    match file.modified {
        Some(modified) => response.header(header::LAST_MODIFIED, httpdate::fmt_http_date(modified)),
        None => response,
    }
}

/// A response of one line of text.
fn text(status: StatusCode, line: &str) -> Response<Body> {
    let line = Bytes::from(format!("{line}\n"));
    let response = common(status)
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(header::CONTENT_LENGTH, line.len());
    finish(response, in_memory(line))
}

/// The headers of every response. No response may be reused without asking, not even a 301: a reload must show the
/// file as it is now.
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

/// The media type for a name's extension.
fn content_type(name: &Path) -> String {
    match mime_guess::from_path(name).first_raw() {
        None => "application/octet-stream".to_owned(),
        // The name before RFC 9239, which the library still gives to modules.
        Some("application/javascript") => "text/javascript; charset=utf-8".to_owned(),
        Some(text) if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        Some(other) => other.to_owned(),
    }
}
