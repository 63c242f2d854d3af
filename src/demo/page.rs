//! The files of the chat page, built into the binary.

use crate::http::Page;

const INDEX: &[u8] = include_bytes!("page/index.html");
const HTML: &str = "text/html; charset=utf-8";

/// The files of the page. Each room has a URL of its own with the same page, so that the page's links are
/// absolute, and its script takes the room from the URL.
pub const PAGE: &[Page] = &[
    Page { path: "/", media_type: HTML, content: INDEX },
    Page { path: "/room/*", media_type: HTML, content: INDEX },
    Page {
        path: "/chat.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_bytes!("page/chat.js"),
    },
    Page {
        path: "/chat.css",
        media_type: "text/css; charset=utf-8",
        content: include_bytes!("page/chat.css"),
    },
    Page {
        path: "/favicon.svg",
        media_type: "image/svg+xml",
        content: include_bytes!("page/favicon.svg"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small() {
        let total: usize = PAGE[1..].iter().map(|page| page.content.len()).sum();
        assert!(total < 40 * 1024, "the page has grown to {total} bytes");
    }

    #[test]
    fn needs_nothing_but_what_is_in_the_table() {
        let html = std::str::from_utf8(INDEX).unwrap();
        for page in &PAGE[2..] {
            assert!(html.contains(&format!("\"{}\"", page.path)), "{} is not used", page.path);
        }
        assert!(!html.contains("://"), "something is loaded from elsewhere");
        assert!(!html.contains(" style="), "inline styles break the CSP");
        assert_eq!(html.matches("<script").count(), 1);
        assert!(html.contains("<script src=\"/chat.js\" defer></script>"));
    }
}
