//! Requests with conditions.

use super::*;

#[test]
fn conditions_in_the_order_of_the_rfc() {
    let site = TestSite::new();
    site.write("a.txt", "0123456789");
    let mtime = UNIX_EPOCH + Duration::new(1_600_000_000, 123_456_789);
    fs::File::open(site.path("a.txt")).unwrap().set_modified(mtime).unwrap();
    let etag = site.get("/a.txt", &[]).unwrap().header(header::ETAG).to_owned();
    let weak = format!("W/{etag}");
    let list = format!("\"x,y\", W/\"z\" ,,{weak}, \"w\"");
    let strong_list = format!("\"x\",{etag}");
    const SAME: &str = "Sun, 13 Sep 2020 12:26:40 GMT";
    const BEFORE: &str = "Sun, 13 Sep 2020 12:26:39 GMT";
    const AFTER: &str = "Sunday, 13-Sep-20 12:26:41 GMT";
    use header::{
        IF_MATCH, IF_MODIFIED_SINCE as IMS, IF_NONE_MATCH as INM, IF_UNMODIFIED_SINCE as IUS,
    };
    let table: &[(&[(HeaderName, &str)], u16)] = &[
        (&[(INM, &etag)], 304),
        (&[(INM, &weak)], 304),
        (&[(INM, &list)], 304),
        (&[(INM, "*")], 304),
        (&[(INM, "\"x\"")], 200),
        (&[(INM, "\"x\""), (INM, &etag)], 304),
        (&[(INM, etag.trim_matches('"'))], 200),
        (&[(INM, "\"unclosed")], 200),
        (&[(INM, "")], 200),
        (&[(INM, "\"a b\"")], 200),
        (&[(IMS, SAME)], 304),
        (&[(IMS, AFTER)], 304),
        (&[(IMS, BEFORE)], 200),
        (&[(IMS, "yesterday")], 200),
        (&[(IMS, SAME), (IMS, SAME)], 200),
        (&[(INM, "\"x\""), (IMS, SAME)], 200),
        (&[(INM, &etag), (IMS, BEFORE)], 304),
        (&[(IF_MATCH, &etag)], 200),
        (&[(IF_MATCH, &strong_list)], 200),
        (&[(IF_MATCH, "*")], 200),
        (&[(IF_MATCH, &weak)], 412),
        (&[(IF_MATCH, "\"x\"")], 412),
        (&[(IF_MATCH, "garbage")], 412),
        (&[(IUS, SAME)], 200),
        (&[(IUS, AFTER)], 200),
        (&[(IUS, BEFORE)], 412),
        (&[(IUS, "garbage")], 200),
        (&[(IF_MATCH, &etag), (IUS, BEFORE)], 200),
        (&[(IF_MATCH, "\"x\""), (INM, &etag)], 412),
        (&[(IF_MATCH, &etag), (INM, &etag)], 304),
        (&[(IUS, BEFORE), (IMS, SAME)], 412),
        (&[(INM, &etag), (header::RANGE, "bytes=0-1")], 304),
        (&[(IF_MATCH, "\"x\""), (header::RANGE, "bytes=0-1")], 412),
    ];
    for (headers, status) in table {
        for method in [Method::GET, Method::HEAD] {
            let got = Got::from(site.ask(method.clone(), "/a.txt", headers).unwrap());
            let expected = *status;
            assert_eq!(got.status, expected, "{method} {headers:?}");
            if expected == 304 {
                assert!(got.body.is_empty());
                assert_eq!(got.header(header::ETAG), etag);
                assert_eq!(got.header(header::LAST_MODIFIED), SAME);
                assert_eq!(got.header(header::CACHE_CONTROL), "no-cache");
                assert!(!got.headers.contains_key(header::CONTENT_LENGTH));
            }
        }
    }
}

#[test]
fn an_edit_within_the_same_second_changes_the_tag() {
    let site = TestSite::new();
    let file = site.path("a");
    let mut tags = Vec::new();
    for (contents, nanos) in [("one", 1), ("two", 2), ("three", 2)] {
        fs::write(&file, contents).unwrap();
        let mtime = UNIX_EPOCH + Duration::new(1_600_000_000, nanos);
        fs::File::open(&file).unwrap().set_modified(mtime).unwrap();
        tags.push(site.get("/a", &[]).unwrap().header(header::ETAG).to_owned());
    }
    assert!(tags[0] != tags[1] && tags[1] != tags[2], "{tags:?}");
}

#[test]
fn times_that_a_date_cannot_say_are_left_out() {
    let site = TestSite::new();
    site.write("a", "x");
    let far = Duration::from_secs(86_400 * 365 * 300);
    for mtime in [UNIX_EPOCH - Duration::from_millis(1500), SystemTime::now() + far] {
        fs::File::open(site.path("a")).unwrap().set_modified(mtime).unwrap();
        let got = site
            .get("/a", &[(header::IF_MODIFIED_SINCE, "Sun, 13 Sep 2020 12:26:40 GMT")])
            .unwrap();
        assert_eq!((got.status, got.header(header::LAST_MODIFIED)), (200, ""));
        let etag = got.header(header::ETAG).to_owned();
        assert_eq!(site.get("/a", &[(header::IF_NONE_MATCH, &etag)]).unwrap().status, 304);
    }
}

#[test]
fn if_range_wants_the_same_file() {
    let site = TestSite::new();
    site.write("a", "0123456789");
    let mtime = UNIX_EPOCH + Duration::new(1_600_000_000, 5);
    fs::File::open(site.path("a")).unwrap().set_modified(mtime).unwrap();
    let etag = site.get("/a", &[]).unwrap().header(header::ETAG).to_owned();
    for (condition, status) in [
        (etag.as_str(), 206),
        (&format!("W/{etag}"), 200),
        ("\"x\"", 200),
        ("Sun, 13 Sep 2020 12:26:40 GMT", 206),
        ("Sun, 13 Sep 2020 12:26:41 GMT", 200),
        ("Sun, 13 Sep 2020 12:26:39 GMT", 200),
        ("garbage", 200),
        ("", 200),
    ] {
        for (range, status) in
            [("bytes=2-3", status), ("bytes=10-", if status == 206 { 416 } else { 200 })]
        {
            let got =
                site.get("/a", &[(header::RANGE, range), (header::IF_RANGE, condition)]).unwrap();
            assert_eq!(got.status, status, "{range} {condition}");
        }
    }
}
