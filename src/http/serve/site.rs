//! The pages of the server: the files of `--static-dir` first, then those built into the program.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Response, Uri};

use super::files::Files;
use crate::error::StartError;
use crate::http::body::{Body, full};
use crate::http::config::PagesConfig;
use crate::text::reason;

/// The Content-Security-Policy of built-in pages. It names WebSockets, as not every browser counts them
/// as 'self'. Other pages may not frame ours (clickjacking).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file built into the program.
#[derive(Debug)]
pub struct Page {
    /// The path of the page; with a `*` at the end, the beginning of its paths. A `*` alone is every path
    /// where a WebSocket could be opened, but only if `Accept` names the media type, as that of a browser
    /// that opens a page does: other clients get 404 or 426.
    pub path: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub content: &'static [u8],
}

/// The files and built-in pages of a server.
#[derive(Debug)]
pub struct Site {
    files: Option<Arc<Files>>,
    builtin: Vec<&'static [Page]>,
}

impl Site {
    /// Opens the directory that the configuration names, or takes it over from `old`.
    ///
    /// # Errors
    /// If the directory can't be opened.
    pub fn open(pages: &PagesConfig, old: Option<&Site>) -> Result<Self, StartError> {
        let known = old.and_then(|old| old.files.as_ref());
        let open = |dir: &PathBuf| match known.filter(|known| known.path() == dir) {
            Some(known) => Ok(known.clone()),
            None => Files::open(dir).map(Arc::new),
        };
        let files = pages.dir.as_ref().map(open).transpose();
        let files = files.map_err(|e| StartError::Environment(reason(&e)))?;
        Ok(Site { files, builtin: pages.builtin.clone() })
    }

    /// Whether a path without a page is one where a page could be: any path if files are served, otherwise
    /// one in the directory of a built-in page. The target `*` is no path.
    pub fn covers(&self, path: &str) -> bool {
        path.starts_with('/')
            && (self.files.is_some()
                || self.builtin.iter().copied().flatten().any(|page| page.is_beside(path)))
    }

    /// Opens the directory again, as another may have its name by now, and logs the result; false if no
    /// directory is configured. If `check` or the opening fails, the old one stays.
    pub fn reload(&self, check: impl FnOnce() -> Result<(), StartError>) -> bool {
        let Some(files) = &self.files else { return false };
        let reopened = check().map_err(|e| e.to_string());
        match reopened.and_then(|()| files.reopen().map_err(|e| reason(&e))) {
            Ok(()) => tracing::info!(file = %files.path().display(), "reloaded"),
            Err(why) => tracing::warn!(why, "not reloaded: the old directory is served on"),
        }
        true
    }

    /// Answers a GET or HEAD; `None` if there is no page.
    pub async fn respond(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        is_relay_path: impl Fn() -> bool,
    ) -> Option<Response<Body>> {
        if let Some(files) = &self.files
            && let Some(response) = files.respond(method, uri.path(), uri.query(), headers).await
        {
            return Some(response);
        }
        let mut pages = self.builtin.iter().copied().flatten();
        pages
            .find(|page| page.is_for(uri.path(), headers, &is_relay_path))
            .map(|page| page.respond(method))
    }
}

impl Page {
    fn is_for(&self, path: &str, headers: &HeaderMap, is_relay_path: impl Fn() -> bool) -> bool {
        match self.path.strip_suffix('*') {
            Some("") => is_relay_path() && accepts(headers, self.media_type),
            Some(beginning) => path.starts_with(beginning),
            None => self.path == path,
        }
    }

    /// Whether a path lies in the same directory. The root does not count, as relays are there.
    fn is_beside(&self, path: &str) -> bool {
        let dir = self.path.rfind('/').map_or("", |last| &self.path[..=last]);
        dir.len() > 1 && path.starts_with(dir)
    }

    fn respond(&self, method: &Method) -> Response<Body> {
        let shown = if method == Method::HEAD { &[] } else { self.content };
        let mut response = Response::new(full(Bytes::from_static(shown)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(header::CONTENT_LENGTH, self.content.len().into());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        if self.path == "*" {
            headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        }
        response
    }
}

/// Whether `Accept` names the media type itself (RFC 9110, section 12.5.1). Ranges such as `*/*`
/// don't count, as every client sends them.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let wanted = media_type.split(';').next().unwrap_or(media_type);
    let values = headers.get_all(header::ACCEPT).into_iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
        named && !parts.any(is_weight_zero)
    })
}

/// Whether a parameter is `q=0`, which means "not acceptable".
fn is_weight_zero(parameter: &str) -> bool {
    let weight =
        parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    weight.is_some_and(|(_, value)| value.trim().parse() == Ok(0.0_f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_where_a_page_could_be() {
        const fn page(path: &'static str) -> Page {
            Page { path, media_type: "text/plain", content: b"" }
        }
        static PAGES: [Page; 3] = [page("/"), page("*"), page("/.wsrelay/console/console.js")];
        let builtin = Site { files: None, builtin: vec![&PAGES] };
        let dir = tempfile::TempDir::new().unwrap();
        let files =
            Site { files: Some(Arc::new(Files::open(dir.path()).unwrap())), builtin: Vec::new() };
        let nothing = Site { files: None, builtin: Vec::new() };
        for (path, by_files, by_pages) in [
            ("/", true, false),
            ("/chat", true, false),
            ("/.wsrelay", true, false),
            ("/.wsrelay/console", true, false),
            ("/.wsrelay/console/", true, true),
            ("/.wsrelay/console/no.js", true, true),
            ("*", false, false),
            ("", false, false),
        ] {
            let covers = [&files, &builtin, &nothing].map(|site| site.covers(path));
            assert_eq!(covers, [by_files, by_pages, false], "{path}");
        }
    }

    #[test]
    fn only_the_media_type_itself_counts() {
        let chromium = "text/html,application/xhtml+xml,image/avif,*/*;q=0.8";
        for (accept, expected) in [
            (&[chromium][..], true),
            (&["image/png", "Text/HTML; q=0.5"], true),
            (&["text/html;charset=utf-8"], true),
            (&[], false),
            (&["*/*"], false),
            (&["text/*"], false),
            (&["text/html; q=0"], false),
            (&["text/html;q=0.000, */*"], false),
            (&["text/htmlx, x/text/html"], false),
            (&["application/json;like=text/html"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(accepts(&headers, "text/html; charset=utf-8"), expected, "{accept:?}");
        }
    }
}
