//! The page of `--dev-console`, built into the binary, with which one sends lines to the backend by hand.

use crate::http::Page;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files of the page. The page is shown at any path, so that its links are absolute. They begin with a
/// dot, as `--static-dir` serves no such file: neither can hide the other.
pub const PAGE: &[Page] = &[
    Page {
        path: "/.wsrelay/console/console.js",
        media_type: SCRIPT,
        content: include_bytes!("page/console.js"),
    },
    Page {
        path: "/.wsrelay/console/connection.js",
        media_type: SCRIPT,
        content: include_bytes!("page/connection.js"),
    },
    Page {
        path: "/.wsrelay/console/codes.js",
        media_type: SCRIPT,
        content: include_bytes!("page/codes.js"),
    },
    Page {
        path: "/.wsrelay/console/store.js",
        media_type: SCRIPT,
        content: include_bytes!("page/store.js"),
    },
    Page {
        path: "/.wsrelay/console/view.js",
        media_type: SCRIPT,
        content: include_bytes!("page/view.js"),
    },
    Page {
        path: "/.wsrelay/console/text.js",
        media_type: SCRIPT,
        content: include_bytes!("page/text.js"),
    },
    Page {
        path: "/.wsrelay/console/history.js",
        media_type: SCRIPT,
        content: include_bytes!("page/history.js"),
    },
    Page {
        path: "/.wsrelay/console/console.css",
        media_type: "text/css; charset=utf-8",
        content: include_bytes!("page/console.css"),
    },
    Page {
        path: "/.wsrelay/console/favicon.svg",
        media_type: "image/svg+xml",
        content: include_bytes!("../demo/page/favicon.svg"),
    },
    Page { path: "*", media_type: HTML, content: include_bytes!("page/index.html") },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: &Page) -> &'static str {
        std::str::from_utf8(page.content).unwrap()
    }

    #[test]
    fn is_small() {
        let total: usize = PAGE.iter().map(|page| page.content.len()).sum();
        assert!(total < 40 * 1024, "the page has grown to {total} bytes");
    }

    #[test]
    fn needs_only_the_files_of_the_table() {
        let html = text(PAGE.last().unwrap());
        let scripts = || PAGE.iter().filter(|page| page.media_type == SCRIPT);
        for page in &PAGE[..PAGE.len() - 1] {
            let name = page.path.strip_prefix("/.wsrelay/console/").unwrap();
            let import = format!("from './{name}'");
            let used = html.contains(&format!("\"{}\"", page.path))
                || scripts().any(|script| text(script).contains(&import));
            assert!(used, "{} is not used", page.path);
        }
        for line in scripts().flat_map(|script| text(script).lines()) {
            if let Some((_, name)) = line.split_once(" from './") {
                let path = format!("/.wsrelay/console/{}", name.trim_end_matches("';"));
                assert!(PAGE.iter().any(|page| page.path == path), "{path} is not there");
            }
        }
        assert!(!html.contains("://"), "something is loaded from elsewhere");
        assert!(!html.contains(" style="), "inline styles break the CSP");
        assert_eq!(html.matches("<script").count(), 1);
    }

    #[test]
    fn never_makes_markup() {
        for script in PAGE.iter().filter(|page| page.media_type == SCRIPT) {
            for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text(script).contains(way), "{} uses {way}", script.path);
            }
        }
    }
}
