"""websockify and wsrelay side by side, in front of the same server of bytes, as noVNC uses them."""
import signal
import socket

import pytest
import websockets.sync.client

from conftest import DEADLINE, closed, command, hears, listening
from side_by_side import Case, messages, websockify, wait_until, wsrelay_in_its_place

BYTES = bytes(range(256)) * 400
WEB = dict(program=None, their_options=["--web=pages"], our_options=["--static-dir=pages"])


def protocol(*offered):
    def see(side):
        answer = side.asks(subprotocols=offered or None)
        return answer if answer != "open" else side.connect(subprotocols=offered or None).subprotocol
    return see


def answered(path, *arguments, header=None, body=False):
    def see(side):
        status, headers, text = side.curl(path, *arguments)
        return (status, *([headers.get(header)] if header else []), *([text] if body else []))
    return see


SAME = [
    Case("the subprotocol of noVNC", None, protocol("binary"), "binary"),
    Case("no subprotocol", None, protocol(), None),
    Case("an index", see=answered("/", body=True), theirs=(200, "<p>index"), **WEB),
    Case("no such file", see=answered("/nothing"), theirs=(404,), **WEB),
    Case("a script of noVNC", see=answered("/app.js", header="content-length"), theirs=(200, "5"), **WEB),
    Case("HEAD", see=answered("/app.js", "-I", header="content-length", body=True), theirs=(200, "5", ""), **WEB),
    Case("a WebSocket beside files", see=protocol("binary"), theirs="binary", **WEB),
    # A Ping: FIN and opcode 9, whatever it carries.
    Case("a ping", None, lambda side: side.hears_raw(1), b"\x89",
         their_options=["--heartbeat=1"], our_options=["--ping-interval=1s"]),
]

# The names stand in docs/migration.md, too.
DIFFERENT = [
    Case("subprotocol `base64`", None, protocol("base64"), 400, "base64"),
    Case("`base64`, where only `binary` is", None, protocol("base64"), 400, None, our_options=["--subprotocol=binary"]),
    Case("no handshake", None, answered("/"), (405,), (426,)),
    Case("a directory without an index", see=answered("/sub/"), theirs=(200,), ours=(404,), **WEB),
    Case("a range of a file", see=answered("/app.js", "-r", "1-2", body=True),
         theirs=(200, "var x"), ours=(206, "ar"), **WEB),
    Case("POST to a file", see=answered("/app.js", "-d", "x"), theirs=(501,), ours=(405,), **WEB),
]
# And how the two behave with a server, in tests of their own.
DIFFERENT_TOO = ["a text message", "a server that can't be reached", "the end of the server", "SIGTERM",
                 "a client without TLS, where a certificate is"]


@pytest.fixture
def sides(start, opened, wsrelay, tmp_path, backend):
    """sides(case) -> both, one after the other, in front of `backend`."""
    (tmp_path / "pages/sub").mkdir(parents=True)
    (tmp_path / "pages/index.html").write_text("<p>index")
    (tmp_path / "pages/app.js").write_text("var x")

    def sides(their_options=(), our_options=(), to=backend.address):
        yield websockify(start, opened, [*their_options, *([to] if to else [])], cwd=tmp_path)
        ours = ["--binary", *our_options, *([f"--to={to}"] if to else [])]
        yield wsrelay_in_its_place(start, opened, wsrelay, ours, cwd=tmp_path)
    return sides


@pytest.mark.parametrize("case", SAME, ids=lambda case: case.name)
def test_the_same(sides, case):
    for side in sides(case.their_options, case.our_options):
        case.check(side)


@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: case.name)
def test_different_on_purpose(sides, case):
    assert case.ours is not ... and case.ours != case.theirs
    for side in sides(case.their_options, case.our_options):
        case.check(side)


def exchange(client, peer):
    """Bytes both ways."""
    client.send(BYTES)
    client.send(b"")
    client.send(b"\n")
    assert peer.take(len(BYTES) + 1) == BYTES + b"\n"
    peer.send(BYTES)
    got = b""
    while len(got) < len(BYTES):
        part = client.recv(timeout=DEADLINE)
        assert isinstance(part, bytes)
        got += part
    assert got == BYTES


def test_bytes_both_ways_and_the_end_of_the_page(sides, backend):
    for side in sides():
        client = side.connect(subprotocols=["binary"])
        peer = backend.accept()
        exchange(client, peer)
        client.close()
        assert peer.rest() == b"", side.name


def test_a_server_on_a_unix_socket(sides, opened, tmp_path):
    path = str(tmp_path / "server")
    listener = opened.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(path)
    listener.listen()
    listener.settimeout(DEADLINE)
    for side in sides([f"--unix-target={path}"], [f"--to=unix:{path}"], to=None):
        client = side.connect(subprotocols=["binary"])
        peer = opened.enter_context(listener.accept()[0])
        client.send(b"\0up")
        assert peer.recv(100) == b"\0up"
        peer.sendall(b"down")
        hears(client, b"down")
        client.close()
        assert peer.recv(100) == b"", side.name


def test_listening_on_a_unix_socket(start, opened, wsrelay, backend, tmp_path):
    theirs, ours = str(tmp_path / "theirs"), str(tmp_path / "ours")
    start([command("websockify"), f"--unix-listen={theirs}", backend.address])
    listening(start([wsrelay, f"--listen=unix:{ours}", "--binary", "--to", backend.address]))
    for path in (theirs, ours):
        client = opened.enter_context(wait_until(lambda: connect_unix(path), path))
        exchange(client, backend.accept())


def connect_unix(path):
    try:
        return websockets.sync.client.unix_connect(path, "ws://localhost/", open_timeout=DEADLINE, max_size=None)
    except OSError:
        return None


# What differs with a server


def test_a_text_message(sides, backend):
    for side in sides():
        client = side.connect()
        peer = backend.accept()
        client.send("text")
        if side.name == "wsrelay":
            assert peer.take(4) == b"text"
        else:
            assert peer.rest() == b"" and closed(client)[0] == 1003


def test_a_server_that_can_not_be_reached(sides, refusing):
    for side in sides(to=refusing):
        if side.name == "wsrelay":
            assert side.asks() == 502
        else:
            assert messages(side.connect()) == ([], 1011)


def test_the_end_of_the_server(sides, backend):
    for side in sides():
        client = side.connect()
        peer = backend.accept()
        peer.send(b"\0tail")
        peer.close()
        hears(client, b"\0tail")
        assert closed(client)[:2] == (1000, "backend closed" if side.name == "wsrelay" else "Target closed")


def test_sigterm(sides, backend):
    for side in sides():
        client = side.connect()
        peer = backend.accept()
        exchange(client, peer)
        side.program.send(signal.SIGTERM)
        assert messages(client) == ([], 1001 if side.name == "wsrelay" else None)
        assert peer.rest() == b""
        peer.close()
        assert side.program.wait() == 0
