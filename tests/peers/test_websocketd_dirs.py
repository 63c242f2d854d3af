"""websocketd and wsrelay side by side with directories of programs: --dir and --program-dir, --cgidir and --cgi-dir."""
import pytest
import websockets.exceptions

from conftest import hears
from side_by_side import Case, in_place_of_websocketd, messages
from test_websocketd import opens_at

NAMES = "#!/bin/sh\necho \"$SCRIPT_NAME $PATH_INFO $QUERY_STRING $REQUEST_URI\"\n"
FILES = {
    "programs/names.sh": NAMES,
    "programs/sub/deep.sh": NAMES,
    "programs/cat": "#!/bin/sh\nexec cat\n",
    "cgi/echo.sh": "#!/bin/sh\nprintf 'Content-Type: text/x-echo\\nX-Mine: 1\\n\\n'\n"
                   "echo \"$REQUEST_METHOD $QUERY_STRING $CONTENT_LENGTH $CONTENT_TYPE $REMOTE_ADDR\"\ncat\n",
    "cgi/names.sh": "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\necho \"$SCRIPT_NAME $PATH_INFO\"\n",
    "cgi/sub/where.sh": "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nbasename \"$(pwd)\"\n",
    "cgi/status.sh": "#!/bin/sh\nprintf 'Status: 410 Gone\\nContent-Type: text/plain\\n\\nno more\\n'\n",
    "cgi/elsewhere.sh": "#!/bin/sh\nprintf 'Location: http://a.example/\\n\\n'\n",
    "cgi/fails.sh": "#!/bin/sh\nexit 3\n",
    "pages/page.html": "<p>page",
}
DIR = dict(program=(), their_options=["--dir=programs"], our_options=["--program-dir=programs"])
CGI = dict(program=["cat"], their_options=["--cgidir=cgi", "--staticdir=pages"],
           our_options=["--cgi-dir=cgi", "--static-dir=pages"])


def says_at(path):
    """What a program says by itself, or the status of the refusal."""
    def see(side):
        try:
            return messages(side.connect(path))[0]
        except websockets.exceptions.InvalidStatus as refused:
            return refused.response.status_code
    return see


def echo_at(path):
    def see(side):
        client = side.connect(path)
        client.send("hello")
        hears(client, "hello")
        return True
    return see


def answered(path, *arguments, headers=(), body=True):
    def see(side):
        status, all_headers, text = side.curl(path, *arguments)
        return (status, *(all_headers.get(name) for name in headers), *([text] if body else []))
    return see


SAME = [
    Case("a program", see=says_at("/names.sh"), theirs=["/names.sh   /names.sh"], **DIR),
    Case("and the rest of the path", see=says_at("/names.sh/a%20b/c?d=%20"),
         theirs=["/names.sh /a b/c d=%20 /names.sh/a%20b/c?d=%20"], **DIR),
    Case("a program further down", see=says_at("/sub/deep.sh/x"), theirs=["/sub/deep.sh /x  /sub/deep.sh/x"], **DIR),
    Case("a name that is encoded", see=says_at("/%6eames.sh"), theirs=["/names.sh   /%6eames.sh"], **DIR),
    Case("two at a time", see=lambda side: echo_at("/cat")(side) and says_at("/names.sh")(side),
         theirs=["/names.sh   /names.sh"], **DIR),
    Case("no such program", see=says_at("/none.sh"), theirs=404, **DIR),
    Case("a directory", see=says_at("/sub"), theirs=404, **DIR),
    Case("the directory itself", see=says_at("/"), theirs=404, **DIR),
    Case("what is above", see=says_at("/../pages/page.html"), theirs=404, **DIR),
    Case("a GET", see=answered("/echo.sh?a=b", headers=["content-type", "x-mine"]),
         theirs=(200, "text/x-echo", "1", "GET a=b   127.0.0.1\n"), **CGI),
    Case("a POST", see=answered("/echo.sh", "-d", "hello"),
         theirs=(200, "POST  5 application/x-www-form-urlencoded 127.0.0.1\nhello"), **CGI),
    Case("HEAD", see=answered("/echo.sh", "-I", headers=["content-type"]), theirs=(200, "text/x-echo", ""), **CGI),
    Case("its own directory", see=answered("/sub/where.sh"), theirs=(200, "sub\n"), **CGI),
    Case("a status", see=answered("/status.sh"), theirs=(410, "no more\n"), **CGI),
    Case("a redirection", see=answered("/elsewhere.sh", headers=["location"]), theirs=(302, "http://a.example/", ""), **CGI),
    Case("a file beside", see=answered("/page.html"), theirs=(200, "<p>page"), **CGI),
    Case("a WebSocket beside", see=echo_at("/"), theirs=True, **CGI),
]

# The names stand in docs/migration.md, too.
DIFFERENT = [
    Case("`--dir`: a file that is not executable", see=says_at("/plain.sh"), theirs=[], ours=403, **DIR),
    Case("`--dir`: a link that leads out", see=says_at("/out"), theirs=["out"], ours=404, **DIR),
    Case("`--dir`: a path with `..`", see=opens_at("/sub/../names.sh"), theirs=301, ours=404, **DIR),
    Case("`--cgidir`: SCRIPT_NAME and PATH_INFO", see=answered("/names.sh"), theirs=(200, "/ /names.sh\n"),
         ours=(200, "/names.sh \n"), **CGI),
    Case("`--cgidir`: a path below a program", see=answered("/names.sh/a", body=False), theirs=(404,), ours=(200,), **CGI),
    Case("`--cgidir`: a program that fails", see=answered("/fails.sh", body=False), theirs=(500,), ours=(502,), **CGI),
    Case("`--cgidir`: a file that is not executable", see=answered("/plain.sh", body=False), theirs=(500,), ours=(403,), **CGI),
]


@pytest.fixture
def sides(start, opened, wsrelay, tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    for name in ("programs/plain.sh", "cgi/plain.sh"):
        (tmp_path / name).write_text(NAMES)
    (tmp_path / "out").write_text("#!/bin/sh\necho out\n")
    (tmp_path / "out").chmod(0o755)
    (tmp_path / "programs/out").symlink_to(tmp_path / "out")

    return in_place_of_websocketd(start, opened, wsrelay, tmp_path)


@pytest.mark.parametrize("case", SAME, ids=lambda case: case.name)
def test_the_same(sides, case):
    for side in sides(case):
        case.check(side)


@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: case.name)
def test_different_on_purpose(sides, case):
    assert case.ours is not ... and case.ours != case.theirs
    for side in sides(case):
        case.check(side)
