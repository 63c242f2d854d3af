use std::fs;
use std::path::Path;

use async_lock::SemaphoreGuardArc;
use futures::FutureExt;
use futures::future::join_all;
use hyper::header::HeaderValue;
use tempfile::TempDir;

use super::*;
use crate::task;

/// "correct horse" at the least cost.
const HASH: &str = "$2b$04$qKl51kldwDeT5CsCF.X40e0TdJsPdZ9oQ.aOgemw5AmkdHdTdFHa.";

fn file(dir: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

fn open(
    auth_file: Option<&PathBuf>,
    token_file: Option<&PathBuf>,
) -> Result<Option<Auth>, StartError> {
    AuthFiles::default().open(auth_file, token_file)
}

fn passwords(dir: &TempDir) -> (PathBuf, Auth) {
    let path = file(dir, "users", &format!("anna:{HASH}\n"));
    let auth = open(Some(&path), None).unwrap().unwrap();
    (path, auth)
}

/// The same, with what reads it again.
fn reloadable(dir: &TempDir) -> (PathBuf, AuthFiles, Auth) {
    let path = file(dir, "users", &format!("anna:{HASH}\n"));
    let mut files = AuthFiles::default();
    let auth = files.open(Some(&path), None).unwrap().unwrap();
    (path, files, auth)
}

fn with_basic(name: &str, password: &str) -> HeaderMap {
    let value = BASE64.encode(format!("{name}:{password}").as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Basic {value}").parse().unwrap());
    headers
}

/// The credentials of a request with these headers.
fn of(headers: &HeaderMap) -> Credentials<'_> {
    Credentials { headers, query: None, offered: &[] }
}

fn check(auth: &Auth, headers: &HeaderMap) -> Result<User, Refusal> {
    task::block_on(auth.check(of(headers), None)).map(|proof| proof.user)
}

/// Takes every slot, so that nothing can be checked meanwhile.
fn all_slots(auth: &Auth) -> Vec<SemaphoreGuardArc> {
    let slots: Vec<_> =
        std::iter::from_fn(|| auth.passwords.as_ref().unwrap().queue.slots.try_acquire_arc())
            .collect();
    assert!(!slots.is_empty());
    slots
}

#[test]
fn nobody_is_asked_without_files() {
    assert!(open(None, None).unwrap().is_none());
}

#[test]
fn names_and_passwords() {
    let dir = TempDir::new().unwrap();
    let (_, auth) = passwords(&dir);
    for _ in 0..2 {
        let user = check(&auth, &with_basic("anna", "correct horse")).unwrap();
        assert_eq!(user.as_deref(), Some("anna"));
        let long = "x".repeat(10_000);
        for (name, password) in [
            ("anna", "wrong"),
            ("anna", ""),
            ("anna", "correct horse:"),
            ("Anna", "correct horse"),
            ("nobody", "correct horse"),
            ("", "correct horse"),
            ("anna", &long),
        ] {
            let refusal = check(&auth, &with_basic(name, password)).unwrap_err();
            assert_eq!(refusal.status, StatusCode::UNAUTHORIZED);
            assert_eq!(refusal.why, "the user name or the password is wrong");
        }
    }
}

#[test]
fn what_is_no_basic() {
    let dir = TempDir::new().unwrap();
    let (_, auth) = passwords(&dir);
    let right = with_basic("anna", "correct horse")[header::AUTHORIZATION].clone();
    assert_eq!(
        check(&auth, &HeaderMap::new()).unwrap_err().why,
        "a user name and password are needed here"
    );
    for value in ["Basic", "Basic !", "Basic YW5uYQ==", "Bearer YW5uYTp4", "Basic /zp4", ""] {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        assert_eq!(check(&auth, &headers).unwrap_err().status, StatusCode::UNAUTHORIZED, "{value}");
    }
    let mut twice = HeaderMap::new();
    twice.append(header::AUTHORIZATION, right.clone());
    twice.append(header::AUTHORIZATION, right);
    assert!(check(&auth, &twice).is_err());
}

#[test]
fn either_a_password_or_a_token() {
    let dir = TempDir::new().unwrap();
    let users = file(&dir, "users", &format!("anna:{HASH}"));
    let tokens = file(&dir, "tokens", "lamp:abc\nplain");
    let auth = open(Some(&users), Some(&tokens)).unwrap().unwrap();
    let prove = |headers: &HeaderMap, query| {
        task::block_on(auth.check(Credentials { query, ..of(headers) }, None))
    };
    let (basic, none) = (with_basic("anna", "correct horse"), HeaderMap::new());
    assert_eq!(prove(&basic, None).unwrap().scheme, Some("Basic"));
    assert_eq!(prove(&basic, Some("token=abc")).unwrap().scheme, Some("Bearer"));
    let ask = |headers: &HeaderMap, query| prove(headers, query).map(|proof| proof.user);
    assert_eq!(ask(&basic, None).unwrap().as_deref(), Some("anna"));
    assert_eq!(ask(&basic, Some("token=wrong")).unwrap().as_deref(), Some("anna"));
    assert_eq!(ask(&none, Some("token=abc")).unwrap().as_deref(), Some("lamp"));
    assert_eq!(ask(&none, Some("token=wrong&token=abc")).unwrap().as_deref(), Some("lamp"));
    assert_eq!(ask(&with_basic("anna", "x"), Some("token=plain")).unwrap(), None);
    assert!(ask(&none, Some("token=wrong")).unwrap_err().why.contains("is wrong"));
    let refusal = ask(&none, None).unwrap_err();
    let response = refusal.response();
    let challenges: Vec<_> = response.headers().get_all(header::WWW_AUTHENTICATE).iter().collect();
    assert_eq!(
        challenges,
        ["Basic realm=\"wsrelay\", charset=\"UTF-8\"", "Bearer realm=\"wsrelay\""]
    );
}

#[test]
fn a_new_list_counts_at_once_and_a_bad_one_not_at_all() {
    let dir = TempDir::new().unwrap();
    let (path, files, auth) = reloadable(&dir);
    let (anna, bob) = (with_basic("anna", "correct horse"), with_basic("bob", "correct horse"));
    assert!(check(&auth, &anna).is_ok() && check(&auth, &bob).is_err());
    fs::write(&path, "bob:in plain text").unwrap();
    files.reload();
    assert!(check(&auth, &anna).is_ok() && check(&auth, &bob).is_err());
    fs::write(&path, format!("bob:{HASH}")).unwrap();
    files.reload();
    assert!(check(&auth, &anna).is_err(), "what was remembered of the old list is forgotten");
    assert!(check(&auth, &bob).is_ok());
    fs::remove_file(&path).unwrap();
    files.reload();
    assert!(check(&auth, &bob).is_ok());
}

#[test]
fn what_was_right_is_remembered_by_the_next_list() {
    /// The hash of another password.
    const OTHER: &str = "$2b$04$b8JmJ4dZrJ1Jm1cD0yF5EuWpJb3bqUJxZ0eJjzXk0Gm8y0oS8Qm6K";
    let dir = TempDir::new().unwrap();
    let (path, files, auth) = reloadable(&dir);
    let anna = with_basic("anna", "correct horse");
    check(&auth, &anna).unwrap();
    fs::write(&path, format!("bob:{OTHER}\nanna:{HASH}\n")).unwrap();
    files.reload();
    let next = AuthFiles::after(Some(&files)).open(Some(&path), None).unwrap().unwrap();
    let slots = all_slots(&auth);
    // Nothing can be checked now, not by the next configuration either, whose file is the same.
    for auth in [&auth, &next] {
        assert!(check(auth, &anna).is_ok());
    }
    fs::write(&path, format!("anna:{OTHER}\n")).unwrap();
    files.reload();
    let asked = task::block_on(async {
        let asked = next.check(of(&anna), None);
        asked.now_or_never().is_some()
    });
    assert!(!asked, "a new password has to be checked");
    drop(slots);
}

#[test]
fn files_that_cant_be_used_are_named() {
    let dir = TempDir::new().unwrap();
    let bad = file(&dir, "bad", "anna:$apr1$x$y");
    fs::write(dir.path().join("binary"), b"anna:\xff").unwrap();
    let open = |path: &Path| open(Some(&path.to_owned()), None).unwrap_err();
    for (path, want) in [
        (dir.path().join("missing"), "missing: no such file or directory"),
        (dir.path().to_owned(), "is a directory"),
        (dir.path().join("binary"), "UTF-8"),
        (bad, "bad: line 1: the password of \"anna\" is hashed with MD5"),
    ] {
        let error = open(&path);
        assert_eq!(error.exit_code(), 1);
        let text = error.to_string();
        assert!(text.contains("--auth-file") && text.contains(want), "{text}");
    }
}

#[test]
fn a_crowd_of_guesses_is_sent_away_and_leaves_no_trace() {
    let dir = TempDir::new().unwrap();
    let (_, auth) = passwords(&dir);
    let headers = with_basic("anna", "wrong");
    let slots = all_slots(&auth);
    let mut crowd: Vec<_> =
        (0..LONGEST_QUEUE + 10).map(|_| Box::pin(auth.check(of(&headers), None))).collect();
    let sent_away: Vec<_> = crowd.iter_mut().filter_map(|one| one.now_or_never()).collect();
    assert_eq!(sent_away.len(), 10);
    for answer in sent_away {
        let refusal = answer.unwrap_err();
        assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refusal.temporary);
    }
    // Whoever hung up waits no more.
    drop((crowd, slots));
    let answers = join_all((0..LONGEST_QUEUE).map(|_| auth.check(of(&headers), None)));
    for answer in task::block_on(answers) {
        assert_eq!(answer.unwrap_err().status, StatusCode::UNAUTHORIZED);
    }
    assert!(check(&auth, &with_basic("anna", "correct horse")).is_ok());
}

#[test]
fn right_credentials_are_not_checked_again_and_again() {
    let dir = TempDir::new().unwrap();
    let (_, auth) = passwords(&dir);
    let headers = with_basic("anna", "correct horse");
    check(&auth, &headers).unwrap();
    // With every slot taken nothing can be checked; what is known needs none.
    let _slots = all_slots(&auth);
    assert!(check(&auth, &headers).is_ok());
    assert!(auth.check(of(&with_basic("anna", "wrong")), None).now_or_never().is_none());
}
