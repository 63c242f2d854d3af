"""websocketd and wsrelay side by side: the same programs, clients and options. What is the same is one table, what
differs on purpose another, which docs/migration.md repeats; a change on either side is noticed."""
import signal
import subprocess
import sys
import time

import pytest
import websockets.exceptions

from conftest import DEADLINE, command, hears, listening
from side_by_side import (
    Case, Side, answers, in_place_of_websocketd, is_alive, messages, on_a_free_port, wait_until,
)

LONG = "x" * 60_000
MEBIBYTE = 1 << 20
HANDSHAKE = "GET / HTTP/1.1\nHost: localhost\nConnection: Upgrade\nUpgrade: websocket"
KEY = "\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
FIREFOX = HANDSHAKE.replace("Upgrade\n", "keep-alive, Upgrade\n") + KEY + "\nSec-WebSocket-Version: 13"
# Prints how long each line is that it reads.
LENGTHS = [sys.executable, "-uc", "import sys\nfor line in sys.stdin.buffer: print(len(line))"]
STUBBORN = "trap 'echo INT >&2' INT; trap 'echo TERM >&2' TERM; echo $$; while :; do sleep 0.01; done"


# What to look at


def echoes(*sent):
    """What `cat` gives back for these."""
    def see(side):
        client = side.connect()
        for message in sent:
            client.send(message)
        client.send("END")
        return list(iter(lambda: client.recv(timeout=DEADLINE), "END"))
    return see


def bytes_back(*sent, size):
    """The first bytes that come back for these."""
    def see(side):
        client, got = side.connect(), b""
        for message in sent:
            client.send(message)
        while len(got) < size:
            part = client.recv(timeout=DEADLINE)
            assert isinstance(part, bytes)
            got += part
        return got[:size]
    return see


def says(side):
    """What the program says by itself, and the code of the end."""
    return messages(side.connect())


def first_message(*sent, **options):
    def see(side):
        client = side.connect(**options)
        for message in sent:
            client.send(message)
        try:
            return client.recv(timeout=DEADLINE)
        except websockets.exceptions.ConnectionClosed as end:
            return end.rcvd and end.rcvd.code
    return see


def says_when_sent(message):
    def see(side):
        client = side.connect()
        client.send(message)
        return messages(client)[0]
    return see


def extensions(side):
    """What is answered to the offer of permessage-deflate."""
    return side.connect(compression="deflate").response.headers.get("Sec-WebSocket-Extensions")


def goodbye(side):
    client = side.connect()
    client.close(4000, "bye")
    return messages(client)[1]


def subprotocol(side):
    return side.connect(subprotocols=["ex1", "ex2"]).subprotocol


def origin(text):
    def see(side):
        return side.asks(origin=text and text.replace("ADDRESS", side.address))
    return see


def opens_at(path):
    """The status of the answer to a handshake at this path, which no client has tidied."""
    head = f"GET {path} HTTP/1.1\nHost: localhost\nConnection: Upgrade\nUpgrade: websocket\n"
    return sends(head + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\nSec-WebSocket-Version: 13")


def sends(head):
    return lambda side: side.raw(head)


def answered(path, *arguments, headers=(), body=False):
    """Status, these headers and perhaps the body of what curl is answered."""
    def see(side):
        status, all_headers, text = side.curl(path, *arguments)
        return (status, *(all_headers.get(name) for name in headers), *([text] if body else []))
    return see


def handshake_headers(side):
    headers = side.connect().response.headers
    return [headers.get(name) for name in ("X-All", "X-Ws", "X-Http")]


def one_too_many(side):
    first = side.connect()
    refused = side.asks()
    first.close()
    wait_until(lambda: side.asks() == "open", "a free place")
    return refused


def stderr_logged(side):
    """The program still runs: websocketd may not read what one that exits wrote last."""
    heard = first_message()(side)
    return heard, bool(side.logs(r"complaint"))


def what_reads_to_the_end(side):
    """What it wrote to `heard` after the end of its stdin."""
    client = side.connect()
    client.send("one")
    client.send("two")
    client.close()
    heard = side.folder / "heard"
    text = wait_until(lambda: heard.exists() and heard.read_text(), "what it heard")
    heard.unlink()
    return text


def how_a_stubborn_program_ends(side):
    client = side.connect()
    pid = client.recv(timeout=DEADLINE)
    client.close()
    for name in ("INT", "TERM"):
        side.logs(rf"\b{name}\b")
    wait_until(lambda: not is_alive(pid), "the end of the program")
    return "INT, TERM, gone"


def child_after_the_program(side):
    client = side.connect()
    program, child = client.recv(timeout=DEADLINE).split()
    client.close()
    wait_until(lambda: not is_alive(program), "the end of the program")
    if side.name == "wsrelay":
        wait_until(lambda: not is_alive(child), "the end of its child")
    return is_alive(child)


def stopped(side):
    client = side.connect()
    client.send("x")
    hears(client, "x")
    status = side.stop(signal.SIGTERM)
    return status, messages(client)[1]


def shell(script):
    return ["sh", "-c", script]


STATIC = dict(program=["cat"], their_options=["--staticdir=pages"], our_options=["--static-dir=pages"])
SAME_ORIGIN = dict(program=["cat"], their_options=["--sameorigin=true"], our_options=["--same-origin"])
ORIGINS = dict(program=["cat"], their_options=["--origin=a.example,https://b.example:8443"],
               our_options=["--origin=a.example,https://b.example:8443"])
HEADERS = ["--header=X-All: 1", "--header-ws=X-Ws: 2", "--header-http=X-Http: 3"]
HEADERS = dict(program=["cat"], their_options=HEADERS, our_options=HEADERS)
CONSOLE = dict(program=["cat"], their_options=["--devconsole"], our_options=["--dev-console"])
PATIENT = dict(their_options=["--closems=9900"], our_options=["--kill-grace=10s"])  # the program ends by itself
BINARY = dict(program=["cat"], their_options=["--binary=true"], our_options=["--binary"])

SAME = [
    # Lines
    Case("lines", ["cat"], echoes("hello", "", " a  b\t", "Žluťoučký 🐈", "a\u2028b"),
         ["hello", "", " a  b\t", "Žluťoučký 🐈", "a\u2028b"]),
    Case("a long line", ["cat"], echoes(LONG, LONG), [LONG, LONG]),
    Case("a message of two lines", ["cat"], echoes("one\ntwo"), ["one", "two"]),
    Case("a message in fragments", ["cat"], echoes(["hel", "", "lo"]), ["hello"]),
    Case("many at once up", ["cat"], echoes(*map(str, range(2000))), list(map(str, range(2000)))),
    Case("many at once down", ["seq", "10000"], lambda side: says(side)[0], [str(n) for n in range(1, 10001)]),
    Case("ends of lines", ["printf", r"a\nb\r\n\n\r\nc\n"], lambda side: says(side)[0], ["a", "b", "", "", "c"]),
    Case("a path of the page's own", shell("echo $PATH_INFO $QUERY_STRING"), first_message(path="/a/b?c=d"), "/a/b c=d"),
    Case("a program that reads line by line to the end", shell("while read line; do echo; done; echo end >heard"),
         what_reads_to_the_end, "end\n", **PATIENT),
    Case("a program that reads all its stdin", shell("wc -l >heard"), what_reads_to_the_end, "2\n", **PATIENT),
    Case("stderr", shell("echo complaint >&2; echo said; read line"), stderr_logged, ("said", True)),
    # Bytes
    Case("binary", see=bytes_back(b"\0\xff", b"", b"\r\n\n", bytes(100_000), size=100_005),
         theirs=b"\0\xff\r\n\n" + bytes(100_000), **BINARY),
    # Ends
    Case("a program that does not end", shell(STUBBORN), how_a_stubborn_program_ends, "INT, TERM, gone",
         our_options=["--kill-grace=300ms"]),
    Case("a program that reads one line", shell("read line; echo got $line"), says_when_sent("one\ntwo"), ["got one"]),
    Case("a page that closes with a code of its own", ["cat"], goodbye, 4000),
    # Handshakes
    Case("Firefox's Connection header", ["cat"], sends(FIREFOX), 101),
    Case("compression", ["cat"], extensions, None),
    Case("no key", ["cat"], sends(HANDSHAKE + "\nSec-WebSocket-Version: 13"), 400),
    Case("pages of the same origin", see=origin("http://ADDRESS"), theirs="open", **SAME_ORIGIN),
    Case("and the same by TLS", see=origin("https://ADDRESS"), theirs="open", **SAME_ORIGIN),
    Case("pages of another host", see=origin("http://a.example"), theirs=403, **SAME_ORIGIN),
    Case("pages of another port", see=origin("http://127.0.0.1"), theirs=403, **SAME_ORIGIN),
    Case("pages of no origin, with --sameorigin", see=origin("null"), theirs=403, **SAME_ORIGIN),
    Case("pages of a host", see=origin("http://a.example"), theirs="open", **ORIGINS),
    Case("pages of a host, by TLS", see=origin("https://a.example"), theirs="open", **ORIGINS),
    Case("pages of its subdomain", see=origin("http://www.a.example"), theirs=403, **ORIGINS),
    Case("pages of a scheme, host and port", see=origin("https://b.example:8443"), theirs="open", **ORIGINS),
    Case("pages of another scheme", see=origin("http://b.example:8443"), theirs=403, **ORIGINS),
    Case("pages of no origin", see=origin("null"), theirs=403, **ORIGINS),
    Case("any page", ["cat"], origin("https://anywhere.example"), "open"),
    Case("headers of a handshake", see=handshake_headers, theirs=["1", "2", None], **HEADERS),
    # Files
    Case("an index", see=answered("/", headers=["content-type"], body=True),
         theirs=(200, "text/html; charset=utf-8", "<p>index"), **STATIC),
    Case("a script", see=answered("/app.js", headers=["content-type", "content-length"]),
         theirs=(200, "text/javascript; charset=utf-8", "5"), **STATIC),
    Case("a style sheet", see=answered("/app.css", headers=["content-type"]),
         theirs=(200, "text/css; charset=utf-8"), **STATIC),
    Case("a picture", see=answered("/a%20b.png", headers=["content-type"]), theirs=(200, "image/png"), **STATIC),
    Case("no such file", see=answered("/nothing"), theirs=(404,), **STATIC),
    Case("HEAD", see=answered("/app.js", "-I", headers=["content-length"], body=True), theirs=(200, "5", ""), **STATIC),
    Case("a range", see=answered("/app.js", "-r", "1-2", headers=["content-range"], body=True),
         theirs=(206, "bytes 1-2/5", "ar"), **STATIC),
    Case("no such range", see=answered("/app.js", "-r", "9-", headers=["content-range"]),
         theirs=(416, "bytes */5"), **STATIC),
    Case("what is not newer", see=answered("/app.js", "-H", "If-Modified-Since: Fri, 31 Dec 2100 00:00:00 GMT"),
         theirs=(304,), **STATIC),
    Case("a WebSocket beside files", see=echoes("hello"), theirs=["hello"], **STATIC),
    Case("the console, for browsers", see=answered("/any/path", "-H", "Accept: text/html", headers=["content-type"]),
         theirs=(200, "text/html; charset=utf-8"), **CONSOLE),
    Case("a WebSocket beside the console", see=echoes("hello"), theirs=["hello"], **CONSOLE),
]

# The names stand in docs/migration.md, too.
DIFFERENT = [
    Case("a last line without its end", ["printf", "one\ntail"], lambda side: says(side)[0], ["one"], ["one", "tail"]),
    Case("a message that ends in a newline", ["cat"], echoes("one\n"), ["one", ""], ["one"]),
    Case("`\\n\\r`, which MUDs send", ["printf", r"one\n\rtwo\n"], lambda side: says(side)[0],
         ["one", "\rtwo"], ["one", "two"]),
    Case("bytes that are not UTF-8", ["printf", r"\377\n"], lambda side: first_message()(side), None, "\ufffd"),
    Case("a binary message without `--binary`", ["cat"], echoes(b"one", "two"), ["onetwo"], ["one", "two"]),
    Case("a text message with `--binary`", see=bytes_back("one", b"\0", size=4), theirs=b"one\n", ours=b"one\0", **BINARY),
    Case("a line of over 1 MiB", LENGTHS, first_message("x" * (MEBIBYTE + 1)), str(MEBIBYTE + 2), 1009),
    Case("a program that exits", ["true"], says, ([], None), ([], 1000)),
    Case("a program that fails", ["false"], says, ([], None), ([], 1011)),
    Case("what a program has started", shell("sleep 1000 & echo $$ $!; cat"), child_after_the_program, True, False,
         our_options=["--kill-grace=50ms"]),
    Case("SIGTERM to the server", ["cat"], stopped, (-signal.SIGTERM, None), (0, 1001)),
    Case('`new WebSocket(url, "ex1")`', ["cat"], subprotocol, None, "ex1"),
    Case("one session too many", ["cat"], one_too_many, 429, 503,
         their_options=["--maxforks=1"], our_options=["--max-sessions=1"]),
    Case("`--origin a.example`, from another port", see=origin("http://a.example:8000"), theirs="open", ours=403, **ORIGINS),
    Case("`--origin`, and no Origin", see=origin(None), theirs=403, ours="open", **ORIGINS),
    Case("`--sameorigin`, and no Origin", see=origin(None), theirs=403, ours="open", **SAME_ORIGIN),
    Case("another version of WebSocket", ["cat"], sends(HANDSHAKE + KEY + "\nSec-WebSocket-Version: 12"), 400, 426),
    Case("a path with `..` or `//`", ["cat"], lambda side: [opens_at(path)(side) for path in ("/a/../b", "//a")], [301] * 2, [101] * 2),
    Case("a path with `%00`", ["cat"], opens_at("/a%00"), 101, 400),
    Case("no handshake, and no page", ["cat"], answered("/"), (404,), (426,)),
    Case("a directory without an index", see=answered("/sub/"), theirs=(200,), ours=(404,), **STATIC),
    Case("`/index.html`", see=answered("/index.html"), theirs=(301,), ours=(200,), **STATIC),
    Case("POST to a file", see=answered("/app.js", "-d", "x"), theirs=(200,), ours=(405,), **STATIC),
    Case("the console, for scripts", see=answered("/"), theirs=(200,), ours=(426,), **CONSOLE),
    Case("`--header` of other answers", see=answered("/", headers=["x-all", "x-ws", "x-http"]),
         theirs=(404, None, None, "3"), ours=(426, "1", None, "3"), **HEADERS),
]

# And TLS, in test_side_by_side_tls.py, the recipe, in test_recipe.py, and exit statuses.
DIFFERENT_TOO = [
    "`--redirport`", "a key among the files of `--staticdir`", "netcat, when the server closes", "netcat, without a server",
    "nothing to run", "a port that is taken",
]


@pytest.fixture
def sides(start, opened, wsrelay, tmp_path):
    """sides(case) -> both, started one after the other."""
    pages = tmp_path / "pages"
    (pages / "sub").mkdir(parents=True)
    for name, text in [("index.html", "<p>index"), ("app.js", "var x"), ("app.css", "p {}"), ("a b.png", ""),
                       ("sub/page.html", "")]:
        (pages / name).write_text(text)

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


@pytest.mark.parametrize("extra", [0, 300])
def test_how_long_a_program_has_to_end_by_itself(sides, extra):
    """websocketd waits for 100 ms and --closems before SIGINT, wsrelay for --kill-grace."""
    case = Case("closems", shell(STUBBORN), None, None,
                their_options=[f"--closems={extra}"], our_options=[f"--kill-grace={100 + extra}ms"])
    for side in sides(case):
        client = side.connect()
        client.recv(timeout=DEADLINE)
        began = time.monotonic()
        client.close()
        side.logs(r"\bINT\b")
        assert time.monotonic() - began >= (100 + extra) / 1000, side.name


def test_listening_on_two_addresses(start, opened, wsrelay):
    argv = [command("websocketd"), "--address=127.0.0.1", "--address=[::1]"]
    program, address = on_a_free_port(start, lambda port: [*argv, f"--port={port}", "cat"], answers)
    port = address.rpartition(":")[2]
    theirs = [Side("websocketd", program, f"{host}:{port}", opened, "stdout") for host in ("127.0.0.1", "[::1]")]
    program = start([wsrelay, "--listen=127.0.0.1:0", "--listen=[::1]:0", "--", "cat"])
    ours = [Side("wsrelay", program, listening(program), opened, "stderr") for _ in range(2)]
    assert [side.address.rpartition(":")[0] for side in ours] == ["127.0.0.1", "[::1]"]
    for side in theirs + ours:
        wait_until(lambda: echoes("hello")(side) == ["hello"], side.address)


@pytest.mark.parametrize("words, theirs, ours", [
    (["--help"], 0, 0),
    (["--version"], 0, 0),
    (["--no-such-option", "cat"], 2, 2),
    (["--port=x", "cat"], 2, 2),
    (["--address=127.0.0.1", "./no-such-program"], 1, 1),
    (["--address=127.0.0.1"], 1, 2),  # nothing to run
    (["--address=127.0.0.1", "--port=TAKEN", "cat"], 3, 1),  # a port that is taken
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_exit_statuses(words, theirs, ours, wsrelay, refusing):
    taken = refusing.rpartition(":")[2]
    words = [word.replace("TAKEN", taken) for word in words]
    assert subprocess.run([command("websocketd"), *words], timeout=DEADLINE, capture_output=True).returncode == theirs
    at = {f"--port={taken}": f"--listen={refusing}", "--address=127.0.0.1": "--listen=127.0.0.1:0"}
    if f"--port={taken}" in words:
        words.remove("--address=127.0.0.1")
    options = [at.get(word, word) for word in words if word.startswith("--")]
    program = [word for word in words if not word.startswith("--")]
    done = subprocess.run([wsrelay, *options, *(["--", *program] if program else [])], timeout=DEADLINE, capture_output=True)
    assert done.returncode == ours, done.stderr


# Opens a WebSocket, says hello, and tells what happened up to the end, or up to the answer.
CONVERSATION = """
const [url, protocol, done] = arguments;
const seen = [];
const ws = protocol ? new WebSocket(url, protocol) : new WebSocket(url);
ws.onopen = () => { seen.push("open " + ws.protocol); ws.send("hello"); };
ws.onmessage = ({ data }) => { seen.push(data); if (data == "hello") ws.close(); };
ws.onclose = ({ code }) => { seen.push(code); done(seen); };
"""


@pytest.mark.parametrize("program, subprotocol, theirs, ours", [
    (["cat"], None, ["open ", "hello", 1005], ...),
    (["cat"], "ex1", [1006], ["open ex1", "hello", 1005]),
    (["printf", r"one\ntwo\n"], None, ["open ", "one", "two", 1006], ["open ", "one", "two", 1000]),
    (["printf", r"one\n\377\n"], None, ["open ", "one", 1006], ["open ", "one", "\ufffd", 1000]),
], ids=["cat", "ex1", "exit", "not UTF-8"])
def test_in_chromium(sides, browser, program, subprotocol, theirs, ours):
    def see(side):
        browser.get(f"http://{side.address}/")  # a page that says no, but of this origin
        return browser.execute_async_script(CONVERSATION, f"ws://{side.address}/", subprotocol)
    case = Case("chromium", program, see, theirs, ours)
    for side in sides(case):
        case.check(side)
