"""Programs of --cgi-dir, asked by curl, Python and git."""
import hashlib
import http.client
import os
import subprocess
import urllib.parse

import pytest

from conftest import DEADLINE, command
from test_curl import assert_refused, curl

ECHO = r"""#!/usr/bin/env python3
import hashlib, os, sys
body = sys.stdin.buffer.read(int(os.environ.get("CONTENT_LENGTH") or 0))
print("Content-Type: text/plain; charset=utf-8\n")
print(os.environ["REQUEST_METHOD"], os.environ["SCRIPT_NAME"], os.environ["PATH_INFO"], os.environ["QUERY_STRING"])
said = [os.environ.get(name, "-") for name in ("CONTENT_TYPE", "HTTP_COOKIE")]
print(len(body), hashlib.sha256(body).hexdigest(), *said)
"""

REDIRECT = """#!/bin/sh
case $PATH_INFO in
/there) printf 'Location: %s/here?was=%s\\n\\n' "$SCRIPT_NAME" "$REQUEST_METHOD" ;;
/see-other) printf 'Status: 303 See Other\\nLocation: %s/here\\nSet-Cookie: seen=yes\\n\\n' "$SCRIPT_NAME" ;;
/away) printf 'Location: http://%s%s/here?absolute\\n\\n' "$HTTP_HOST" "$SCRIPT_NAME" ;;
/round) printf 'Location: %s/round\\n\\n' "$SCRIPT_NAME" ;;
*) printf 'Content-Type: text/plain\\n\\n%s %s %s' "$REQUEST_METHOD" "$QUERY_STRING" "$HTTP_COOKIE" ;;
esac
"""

GIT = """#!/bin/sh
export GIT_PROJECT_ROOT=$PWD/../repositories GIT_HTTP_EXPORT_ALL=1
exec git http-backend
"""


@pytest.fixture
def cgi(tmp_path, relay, echo):
    """cgi({name: text}, *options) -> the relay, with programs of this text."""
    def serve(programs, *options):
        folder = tmp_path / "cgi-bin"
        folder.mkdir()
        for name, text in programs.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        return relay("--to", echo, "--cgi-dir", str(folder), *options)
    return serve


def url_of(running):
    return running.url.replace("ws:", "http:")


def test_a_large_file_is_posted(cgi, tmp_path):
    content = os.urandom(20 << 20)
    (tmp_path / "large").write_bytes(content)
    running = cgi({"echo.py": ECHO})
    response = curl(url_of(running) + "echo.py/a%20b?x=1", "--data-binary", f"@{tmp_path / 'large'}",
                    "--header", "Content-Type: application/x-test", "--header", "Expect:", "--cookie", "a=1; b=2")
    assert (response.status, response.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    digest = hashlib.sha256(content).hexdigest()
    assert response.body.decode().splitlines() == [
        "POST /echo.py /a b x=1", f"{20 << 20} {digest} application/x-test a=1; b=2",
    ]
    running.wait_log(r"request ended .*path=\"/echo.py/a%20b\".*program=\"echo.py\".*bytes_up=20971520")
    # What has no length beforehand is refused, and curl says which.
    with open(tmp_path / "large", "rb") as stream:
        done = subprocess.run([command("curl"), "--silent", "--noproxy", "*", "--max-time", str(DEADLINE), "--include",
                               "--upload-file", "-", "--header", "Expect:", url_of(running) + "echo.py"],
                              stdin=stream, capture_output=True, timeout=2 * DEADLINE)
    assert done.stdout.startswith(b"HTTP/1.1 411 "), done


def test_redirects_are_followed(cgi):
    url = url_of(cgi({"go": REDIRECT})) + "go"
    shown = curl(url + "/there")
    assert (shown.status, shown.headers["location"]) == (302, "/go/here?was=GET")
    for path, said in [("/there", "GET was=GET "), ("/away", "GET absolute ")]:
        assert followed(url + path).endswith(said)
    assert followed(url + "/see-other", "--data", "a=b", "--cookie", "").endswith("GET  seen=yes")
    done = subprocess.run([command("curl"), "--silent", "--noproxy", "*", "--location", "--max-redirs", "5",
                           url + "/round"], capture_output=True, timeout=DEADLINE)
    assert done.returncode == 47, "too many redirects: ours are the client's to count"


def followed(url, *options):
    done = subprocess.run([command("curl"), "--silent", "--show-error", "--noproxy", "*", "--location", *options, url],
                          capture_output=True, timeout=DEADLINE, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_other_methods_and_head(cgi):
    url = url_of(cgi({"echo.py": ECHO}))
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"]:
        response = curl(url + "echo.py", "--request", method)
        assert (response.status, response.body.split()[0]) == (200, method.encode())
    head = curl(url + "echo.py", "--head")
    assert (head.status, head.body) == (200, b"")
    assert_refused(curl(url + "none"), 426, "WebSocket")


def test_python_keeps_its_connection(cgi):
    running = cgi({"echo.py": ECHO})
    client = http.client.HTTPConnection(running.address, timeout=DEADLINE)
    for n in range(10):
        form = urllib.parse.urlencode({"n": n})
        client.request("POST", f"/echo.py/{n}", form, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = client.getresponse()
        first, second = answer.read().decode().splitlines()
        assert (answer.status, first) == (200, f"POST /echo.py /{n} ")
        digest = hashlib.sha256(form.encode()).hexdigest()
        assert second == f"{len(form)} {digest} application/x-www-form-urlencoded -"
        if n == 0:
            ours = client.sock
    assert client.sock is ours, "one connection for all"
    client.close()


def test_git_clones_and_pushes(cgi, tmp_path):
    """A CGI program of others, with large binary answers and bodies, some of them compressed."""
    def git(*arguments, folder=tmp_path):
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main",
                    "-c", "http.receivepack=true", "-c", "http.postBuffer=64m", "-c", "protocol.version=2"]
        environment = os.environ | {"GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path), "GIT_TERMINAL_PROMPT": "0"}
        done = subprocess.run([command("git"), *identity, *arguments], cwd=folder, capture_output=True, text=True,
                              timeout=3 * DEADLINE, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    bare = tmp_path / "repositories" / "project.git"
    bare.mkdir(parents=True)
    git("init", "--bare", folder=bare)
    git("config", "http.receivepack", "true", folder=bare)
    url = url_of(cgi({"git": GIT})) + "git/project.git"
    git("clone", url, "first")
    content = os.urandom(5 << 20)
    (tmp_path / "first" / "data").write_bytes(content)
    git("add", "data", folder=tmp_path / "first")
    git("commit", "--message", "Data", folder=tmp_path / "first")
    git("push", "origin", "HEAD:main", folder=tmp_path / "first")
    git("clone", "--branch", "main", url, "second")
    assert (tmp_path / "second" / "data").read_bytes() == content
