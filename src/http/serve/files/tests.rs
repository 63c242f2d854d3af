//! The responses for files on the disk.

mod conditions;
mod lookup;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::executor::block_on;
use http_body::Body as _;
use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

use super::*;
use crate::task;
use crate::threads::BlockingPool;

/// A directory `www` to serve, and a secret beside it that must stay out of reach.
struct TestSite {
    dir: TempDir,
    files: Files,
}

impl TestSite {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("www")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        let files = Files::open(&dir.path().join("www")).unwrap();
        Self { dir, files }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("www").join(name)
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn ask(
        &self,
        method: Method,
        uri: &str,
        headers: &[(HeaderName, &str)],
    ) -> Option<Response<Body>> {
        let (path, query) = match uri.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (uri, None),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        block_on(self.files.respond(&method, path, query, &map))
    }

    fn get(&self, uri: &str, headers: &[(HeaderName, &str)]) -> Option<Got> {
        self.ask(Method::GET, uri, headers).map(Got::from)
    }

    fn status(&self, uri: &str) -> Option<u16> {
        self.get(uri, &[]).map(|got| got.status)
    }
}

/// A response that was read to its end.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl From<Response<Body>> for Got {
    fn from(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let promised = body.size_hint().exact();
        let body = block_on(body.collect()).unwrap().to_bytes();
        assert_eq!(promised, Some(body.len() as u64), "the size hint is exact");
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}

impl Got {
    fn header(&self, name: HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Bytes that differ at each position.
fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn a_file_is_sent_with_its_headers() {
    let site = TestSite::new();
    site.write("a b.html", "<p>hello");
    let got = site.get("/a%20b.html?v=1", &[]).unwrap();
    assert_eq!((got.status, &got.body[..]), (200, &b"<p>hello"[..]));
    assert_eq!(got.header(header::CONTENT_TYPE), "text/html; charset=utf-8");
    assert_eq!(got.header(header::CONTENT_LENGTH), "8");
    assert_eq!(got.header(header::CACHE_CONTROL), "no-cache");
    assert_eq!(got.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert_eq!(got.header(header::ACCEPT_RANGES), "bytes");
    assert!(got.header(header::ETAG).starts_with('"'));
    assert!(got.header(header::LAST_MODIFIED).ends_with(" GMT"));
    assert_eq!(site.status("/missing"), None);
    assert_eq!(site.status("/a%20b.html/"), None);
}

#[test]
fn media_types() {
    for (name, expected) in [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("A.JS", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.wasm", "application/wasm"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.woff2", "font/woff2"),
        ("a.unheard-of", "application/octet-stream"),
        ("README", "application/octet-stream"),
    ] {
        assert_eq!(content_type(Path::new(name)), expected, "{name}");
    }
}

#[test]
fn every_range_is_a_slice_of_the_file() {
    let site = TestSite::new();
    let chunk = CHUNK as usize;
    for len in [1, 10, chunk - 1, chunk, chunk + 1, 2 * chunk + 7] {
        let contents = noise(len);
        site.write("a", &contents);
        let places = [0, 1, 9, chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 6];
        for first in places.into_iter().filter(|place| *place < len) {
            let mut cases = vec![
                (format!("bytes={first}-"), first..len),
                (format!("bytes=-{}", first + 1), len - first - 1..len),
            ];
            for last in places.into_iter().filter(|last| *last >= first) {
                cases.push((format!("bytes={first}-{last}"), first..len.min(last + 1)));
            }
            for (range, slice) in cases {
                let got = site.get("/a", &[(header::RANGE, &range)]).unwrap();
                assert_eq!(got.status, 206, "{range} of {len}");
                assert!(got.body == contents[slice.clone()], "{range} of {len}");
                assert_eq!(got.header(header::CONTENT_LENGTH), slice.len().to_string());
                assert_eq!(
                    got.header(header::CONTENT_RANGE),
                    format!("bytes {}-{}/{len}", slice.start, slice.end - 1)
                );
                assert!(!got.header(header::ETAG).is_empty());
            }
        }
        let got = site.get("/a", &[(header::RANGE, &format!("bytes={len}-"))]).unwrap();
        assert_eq!(
            (got.status, got.header(header::CONTENT_RANGE)),
            (416, format!("bytes */{len}").as_str())
        );
        for whole in ["bytes=0-0,2-3", "bytes=1-0", "lines=0-1", "garbage"] {
            let got = site.get("/a", &[(header::RANGE, whole)]).unwrap();
            assert!(got.status == 200 && got.body == contents, "{whole} of {len}");
        }
        let twice = [(header::RANGE, "bytes=0-0"), (header::RANGE, "bytes=0-0")];
        assert_eq!(site.get("/a", &twice).unwrap().status, 200);
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let site = TestSite::new();
    site.write("small.txt", "0123456789");
    site.write("empty.txt", "");
    site.write("big.bin", noise(3 * CHUNK as usize));
    site.write("docs/index.html", "docs");
    for path in ["/small.txt", "/empty.txt", "/big.bin", "/docs", "/docs/"] {
        let get = site.get(path, &[]).unwrap();
        let head = Got::from(site.ask(Method::HEAD, path, &[]).unwrap());
        assert_eq!((head.status, &head.headers), (get.status, &get.headers), "{path}");
        assert_eq!(head.header(header::CONTENT_LENGTH), get.body.len().to_string(), "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
    let ranged =
        Got::from(site.ask(Method::HEAD, "/small.txt", &[(header::RANGE, "bytes=2-3")]).unwrap());
    assert_eq!((ranged.status, ranged.header(header::CONTENT_LENGTH)), (200, "10"));
    assert!(site.ask(Method::HEAD, "/missing", &[]).is_none());
}

#[test]
fn big_files_come_in_chunks_and_whole() {
    let site = TestSite::new();
    let contents = noise(5 * CHUNK as usize + 123);
    site.write("big", &contents);
    let mut body = site.ask(Method::GET, "/big", &[]).unwrap().into_body();
    let mut read = Vec::new();
    while let Some(frame) = block_on(body.frame()) {
        let data = frame.unwrap().into_data().unwrap();
        assert!(data.len() as u64 <= CHUNK);
        read.extend_from_slice(&data);
        assert_eq!(body.size_hint().exact(), Some((contents.len() - read.len()) as u64));
    }
    assert!(read == contents);
    assert!(body.is_end_stream());
}

#[test]
fn a_file_that_changes_while_it_is_sent() {
    let site = TestSite::new();
    let len = 3 * CHUNK;
    for (now, whole) in [(CHUNK + 1, false), (CHUNK, false), (0, false), (2 * len, true)] {
        site.write("big", noise(len as usize));
        let mut body = site.ask(Method::GET, "/big", &[]).unwrap().into_body();
        let first = block_on(body.frame()).unwrap().unwrap().into_data().unwrap();
        fs::OpenOptions::new().write(true).open(site.path("big")).unwrap().set_len(now).unwrap();
        let rest = block_on(async {
            let mut rest = 0;
            while let Some(frame) = body.frame().await {
                rest += frame?.into_data().unwrap().len() as u64;
            }
            Ok::<u64, io::Error>(rest)
        });
        match rest {
            Ok(rest) => assert!(
                whole && first.len() as u64 + rest == len,
                "grown: what was promised, no more"
            ),
            Err(why) => assert!(!whole && why.kind() == io::ErrorKind::UnexpectedEof, "{why}"),
        }
        if !whole {
            assert!(block_on(body.frame()).is_none(), "nothing after the error");
            assert!(!body.is_end_stream());
        }
    }
}

#[test]
fn a_replaced_file_is_sent_as_it_was_opened() {
    let site = TestSite::new();
    let old = noise(3 * CHUNK as usize);
    site.write("big", &old);
    let response = site.ask(Method::GET, "/big", &[]).unwrap();
    site.write("new", vec![b'x'; 5]);
    fs::rename(site.path("new"), site.path("big")).unwrap();
    assert!(Got::from(response).body == old);
    assert_eq!(&site.get("/big", &[]).unwrap().body[..], b"xxxxx");
}

#[test]
fn answers_can_be_awaited_on_any_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let site = TestSite::new();
    let headers = HeaderMap::new();
    assert!(block_on(is_send(site.files.respond(&Method::GET, "/", None, &headers))).is_none());
}

/// Makes the disk hang until the sender is dropped.
fn hang(site: &mut TestSite) -> mpsc::Sender<()> {
    let threads: &'static BlockingPool = Box::leak(Box::new(BlockingPool::new(1)));
    site.files.disk = Disk { threads, limit: Duration::from_millis(20) };
    let ((begin, begun), (end, ended)) = (mpsc::channel(), mpsc::channel::<()>());
    let work = threads.run(move || {
        begin.send(()).unwrap();
        let _ = ended.recv();
    });
    drop(task::spawn(work));
    begun.recv().unwrap();
    end
}

#[test]
fn a_disk_that_does_not_answer_costs_a_503() {
    let mut site = TestSite::new();
    site.write("a.txt", "a");
    let end = hang(&mut site);
    for _ in 0..3 {
        let got = site.get("/a.txt", &[]).unwrap();
        assert_eq!(
            (got.status, &got.body[..]),
            (503, &b"this file could not be read: the disk does not answer\n"[..])
        );
    }
    drop(end);
    site.files.disk.limit = Duration::from_secs(20);
    assert_eq!(site.status("/a.txt"), Some(200));
}

#[test]
fn a_disk_that_ceases_to_answer_cuts_the_body() {
    let mut site = TestSite::new();
    site.write("big", noise(CHUNK as usize * 2));
    let disk = site.files.disk;
    let _end = hang(&mut site);
    let file = || File::open(site.path("big")).unwrap();
    let error = block_on(FileBody::new(file(), CHUNK * 2, site.files.disk).collect()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(block_on(FileBody::new(file(), CHUNK * 2, disk).collect()).is_ok());
}
