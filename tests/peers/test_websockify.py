"""websockify and wsrelay side by side, in front of the same server of bytes, as noVNC uses them."""
import select
import signal
import socket

import pytest
import websockets.exceptions
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
    Case("subprotocol `base64`", None, protocol("base64"), 400, None),
    Case("`base64`, where only `binary` is", None, protocol("base64"), 400, None, our_options=["--subprotocol=binary"]),
    Case("no handshake", None, answered("/"), (405,), (426,)),
    Case("a directory without an index", see=answered("/sub/"), theirs=(200,), ours=(404,), **WEB),
    Case("a range of a file", see=answered("/app.js", "-r", "1-2", body=True),
         theirs=(200, "var x"), ours=(206, "ar"), **WEB),
    Case("POST to a file", see=answered("/app.js", "-d", "x"), theirs=(501,), ours=(405,), **WEB),
]
# And how the two behave with a server, in tests of their own.
DIFFERENT_TOO = ["a text message", "a server that can't be reached", "the end of the server", "SIGTERM",
                 "a client without TLS, where a certificate is", "a token that is unknown",
                 "a line of a token file that is wrong", "a hidden file in a directory of token files"]


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


# Files of tokens, as Proxmox, OpenStack and others write them


@pytest.fixture
def by_token(sides):
    """by_token(plugin, source) -> both, which read a file of tokens or a directory of such files."""
    def by_token(plugin, source):
        return sides([f"--token-plugin={plugin}", f"--token-source={source}"], [f"--target-file={source}"], to=None)
    return by_token


@pytest.fixture
def desktops(opened):
    """Two servers, by name."""
    servers = {name: opened.enter_context(socket.create_server(("127.0.0.1", 0))) for name in ("ann", "bob")}
    for server in servers.values():
        server.settimeout(DEADLINE)
    return servers


def target(server):
    return "{}:{}".format(*server.getsockname())


def chosen(side, path, desktops):
    """The name of the server that a client at this path gets."""
    client = side.connect(path, subprotocols=["binary"])
    client.send(path.encode())
    called, _, _ = select.select(list(desktops.values()), [], [], DEADLINE)
    with called[0].accept()[0] as connection:
        connection.settimeout(DEADLINE)
        assert connection.recv(len(path), socket.MSG_WAITALL) == path.encode()
    client.close()
    return next(name for name, server in desktops.items() if server is called[0])


@pytest.mark.parametrize("plugin", ["TokenFile", "ReadOnlyTokenFile"])
def test_a_file_of_tokens(plugin, by_token, desktops, tmp_path):
    ann, bob = target(desktops["ann"]), target(desktops["bob"])
    lines = ["# desktops", "", f"a1: {ann}", f"  b2:\t{bob}  ", f"with space: {ann}", f"c:3: {bob}",
             f"twice: {ann}", f"twice: {bob}", f"d4: localhost:{bob.split(':')[1]}"]
    (tmp_path / "tokens").write_text("\n".join(lines) + "\n")
    wanted = {"/?token=a1": "ann", "/websockify?token=b2": "bob", "/?token=with%20space": "ann",
              "/?token=with+space": "ann", "/?token=c%3A3": "bob", "/?token=twice": "bob", "/?token=d4": "bob",
              "/?x=1&token=&token=a1&token=b2": "ann"}
    for side in by_token(plugin, tmp_path / "tokens"):
        assert {path: chosen(side, path, desktops) for path in wanted} == wanted, side.name


def test_a_directory_of_token_files(by_token, desktops, tmp_path):
    folder = tmp_path / "tokens"
    folder.mkdir()
    for name, server in desktops.items():
        (folder / name).write_text(f"{name}-1: {target(server)}\n{name}-2: {target(server)}\n")
    for side in by_token("TokenFile", folder):
        for name in ("ann", "bob"):
            assert chosen(side, f"/?token={name}-2", desktops) == name, side.name


def test_a_token_file_that_changes(by_token, desktops, tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"one: {target(desktops['ann'])}\n")
    for side in by_token("TokenFile", path):
        path.write_text(f"one: {target(desktops['ann'])}\n")
        assert chosen(side, "/?token=one", desktops) == "ann"
        path.write_text(f"two: {target(desktops['bob'])}\n")
        assert chosen(side, "/?token=two", desktops) == "bob"
        assert is_refused(side, "/?token=one")


def is_refused(side, path):
    """Whether a token is unknown. websockify closes the connection without an answer."""
    if side.name == "wsrelay":
        return side.asks(path) == 404
    with pytest.raises(websockets.exceptions.InvalidMessage):
        side.connect(path)
    return True


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=unknown", "/?token=../../etc/passwd", "/?token=tokens"])
def test_a_token_that_is_unknown(path, by_token, desktops, tmp_path):
    (tmp_path / "tokens").write_text(f"one: {target(desktops['ann'])}\n")
    for side in by_token("TokenFile", tmp_path / "tokens"):
        assert is_refused(side, path), side.name


def test_a_line_of_a_token_file_that_is_wrong(by_token, desktops, tmp_path, start, wsrelay):
    path = tmp_path / "tokens"
    good = f"one: {target(desktops['ann'])}\n"
    path.write_text(good)
    for side in by_token("TokenFile", path):
        assert chosen(side, "/?token=one", desktops) == "ann"
        path.write_text(f"nonsense\ntwo: {target(desktops['bob'])}\n")
        # What websockify knows then is the other line; wsrelay, what it read before.
        known, other = ("one", "two") if side.name == "wsrelay" else ("two", "one")
        assert chosen(side, f"/?token={known}", desktops) == ("ann" if known == "one" else "bob")
        assert is_refused(side, f"/?token={other}")
        path.write_text(good)
    path.write_text("nonsense\n")
    program = start([wsrelay, "--listen=127.0.0.1:0", f"--target-file={path}"])
    program.wait_for_line("line 1: write a token", stream="stderr")
    assert program.wait() == 1


def test_a_hidden_file_in_a_directory_of_token_files(by_token, desktops, tmp_path):
    folder = tmp_path / "tokens"
    folder.mkdir()
    (folder / ".hidden").write_text(f"one: {target(desktops['ann'])}\n")
    for side in by_token("TokenFile", folder):
        if side.name == "wsrelay":
            assert side.asks("/?token=one") == 404
        else:
            assert chosen(side, "/?token=one", desktops) == "ann"
