"""The examples do what their README says: their servers alone over TCP, and started by `run` behind a relay."""
import contextlib
import http.client
import os
import pathlib
import re
import signal
import socket
import struct
import sys
import urllib.parse

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as websocket

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
DEADLINE = 10  # seconds: only a hang meets it
PROMPT = 5  # seconds: half of what the relay gives sessions that don't end by themselves
CHATS = {
    "python": [sys.executable, EXAMPLES / "chat/chat.py"],
    "tcl": ["tclsh", EXAMPLES / "chat/chat.tcl"],
}
# Each `run`, its arguments, and the subprotocol that its page asks for.
RUNS = {
    "echo": ("echo", [], "ex1"),
    "fizzbuzz": ("fizzbuzz", [], "ex2"),
    "chat python": ("chat", ["python"], "ex3"),
    "chat tcl": ("chat", ["tcl"], "ex3"),
}
# The same for both languages: who says what, and what everybody hears then.
CONVERSATION = [
    (0, "hello", "guest-1: hello"),
    (1, "hello", "guest-2: hello"),
    (0, "/name Zoë", "* guest-1 is now Zoë"),
    (0, "Žluťoučký 🐈", "Zoë: Žluťoučký 🐈"),
    (1, "", "guest-2: "),
    (1, "  two  spaces ", "guest-2:   two  spaces "),
    (1, "/nameless", "guest-2: /nameless"),
    (1, "/name  guest-3 ", "* guest-2 is now guest-3"),
    (1, "[brackets] $dollar {brace \\n", "guest-3: [brackets] $dollar {brace \\n"),
]
# What only the one who asked is told.
REFUSED_NAMES = [
    ("/name", "* a name is one word of at most 32 characters"),
    ("/name two words", "* a name is one word of at most 32 characters"),
    ("/name " + "x" * 33, "* a name is one word of at most 32 characters"),
    ("/name guest-1", "* guest-1 is taken"),
]


class LineClient:
    """netcat, in short."""

    def __init__(self, port, **options):
        self.socket = socket.socket()
        for option, value in options.items():
            self.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def send(self, line, eol="\n"):
        self.socket.sendall((line + eol).encode())

    def recv(self):
        line = self.file.readline()
        assert line.endswith(b"\n"), f"the server closed after {line!r}"
        return line[:-1].decode()

    def at_end(self):
        """Whether the server has closed and nothing is left to read."""
        return self.file.read() == b""

    def finish(self):
        """Say that nothing more will be sent, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.file.close()
        self.socket.close()


class WebSocketClient:
    """The same for a session through the relay."""

    def __init__(self, connection):
        self.connection = connection

    def send(self, line):
        self.connection.send(line)

    def recv(self):
        return self.connection.recv(timeout=DEADLINE)

    def close_code(self):
        """The code of the Close that follows the messages still to come."""
        try:
            while True:
                self.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code

    def close(self):
        self.connection.close()


def hears(client, *lines):
    assert [client.recv() for _ in lines] == list(lines)


@pytest.fixture
def opened():
    """What a test opens through this stack is closed with the test."""
    with contextlib.ExitStack() as stack:
        yield stack


# The servers alone


@pytest.fixture
def server(start, opened):
    """server(argv) starts a line server and returns connect(**socket_options) -> LineClient."""

    def server(argv):
        port = int(start(argv).wait_for_line(r"^listening on 127\.0\.0\.1:(\d+)$")[1])
        return lambda **options: opened.enter_context(contextlib.closing(LineClient(port, **options)))

    return server


@pytest.fixture(params=CHATS)
def chat(request, server):
    return server(CHATS[request.param])


def test_echo_returns_every_line_and_closes_when_the_client_has_finished(server):
    client = server([sys.executable, EXAMPLES / "echo/echo.py"])()
    for line in ("hello", "", "Žluťoučký 🐈", "\r", "x" * (1 << 20)):
        client.send(line)
        hears(client, line)
    client.socket.sendall(b"tail")
    client.finish()
    assert client.file.read() == b"tail"


def test_fizzbuzz_counts_by_itself(server):
    client = server([sys.executable, EXAMPLES / "fizzbuzz/fizzbuzz.py", "--interval", "0.01"])()
    hears(client, *"1 2 Fizz 4 Buzz Fizz 7 8 Fizz Buzz 11 Fizz 13 14 FizzBuzz 16".split())


def test_fizzbuzz_does_as_it_is_told(server):
    client = server([sys.executable, EXAMPLES / "fizzbuzz/fizzbuzz.py", "--interval", "3600"])()
    hears(client, "1")
    for line, *answer in [
        ("", "2"), ("14", "14"), ("", "FizzBuzz"), ("\r", "16"), ("1000000\r", "Buzz"),
        ("abc", "? send a number, or an empty line", "1000001"),
    ]:
        client.send(line)
        hears(client, *answer)
    client.send("9" * 5000)  # nobody counts from there, and the server survives it
    assert client.recv() == "? send a number, or an empty line"


def test_fizzbuzz_counts_for_each_client_apart(server):
    connect = server([sys.executable, EXAMPLES / "fizzbuzz/fizzbuzz.py", "--interval", "3600"])
    one, other = connect(), connect()
    hears(one, "1")
    one.send("7")
    hears(one, "7")
    hears(other, "1")


@pytest.mark.parametrize("eol", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_chat_tells_everybody(chat, eol):
    pair = [chat()]
    hears(pair[0], "* guest-1 joined")
    pair.append(chat())
    for client in pair:
        hears(client, "* guest-2 joined")
    for speaker, line, heard in CONVERSATION:
        pair[speaker].send(line, eol)
        for client in pair:
            hears(client, heard)
    pair[0].finish()
    hears(pair[1], "* Zoë left")
    assert pair[0].at_end()
    third = chat()
    hears(third, "* guest-4 joined")  # guest-3 is a name somebody has taken
    pair[1].send("still here")
    hears(pair[1], "* guest-4 joined", "guest-3: still here")  # and nobody left twice


@pytest.mark.parametrize("line, answer", REFUSED_NAMES, ids=["none", "two words", "long", "taken"])
def test_chat_refuses_a_name_to_its_sender_only(chat, line, answer):
    first = chat()
    hears(first, "* guest-1 joined")
    second = chat()
    second.send(line)
    second.send("hello")
    hears(second, "* guest-2 joined", answer, "guest-2: hello")
    hears(first, "* guest-2 joined", "guest-2: hello")


def test_chat_joins_a_line_that_comes_in_pieces(chat):
    client = chat()
    hears(client, "* guest-1 joined")
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in "🐈 ž\r\n".encode():
        client.socket.sendall(bytes([byte]))
    hears(client, "guest-1: 🐈 ž")


def test_chat_survives_bytes_that_are_not_utf8(chat):
    client = chat()
    client.socket.sendall(b"\xff\xc3(\n")
    client.send("fine")
    hears(client, "* guest-1 joined")
    assert client.recv().startswith("guest-1: ")  # what exactly differs, but it is text
    hears(client, "guest-1: fine")


def test_chat_announces_a_reset_and_delivers_an_unfinished_line(chat):
    watcher = chat()
    rude = chat(SO_LINGER=struct.pack("ii", 1, 0))
    hears(rude, "* guest-2 joined")
    rude.close()
    hears(watcher, "* guest-1 joined", "* guest-2 joined", "* guest-2 left")
    unfinished = chat()
    unfinished.socket.sendall(b"tail")
    unfinished.finish()
    hears(watcher, "* guest-3 joined", "guest-3: tail", "* guest-3 left")


def test_chat_drops_who_sends_an_endless_line(chat):
    watcher = chat()
    hears(watcher, "* guest-1 joined")
    endless = chat()
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            endless.socket.sendall(b"x" * 65536)
    hears(watcher, "* guest-2 joined", "* guest-2 left")


def test_chat_drops_who_does_not_read_and_the_others_go_on(chat):
    talker = chat()
    hears(talker, "* guest-1 joined")
    chat(SO_RCVBUF=4096)
    hears(talker, "* guest-2 joined")
    line = "x" * 60_000
    for _ in range(1000):  # the kernel's buffers take some megabytes first
        talker.send(line)
        talker.send("?")
        round_ = list(iter(talker.recv, "guest-1: ?"))
        assert f"guest-1: {line}" in round_
        if "* guest-2 left" in round_:
            break
    else:
        pytest.fail("who doesn't read was never dropped")
    talker.send("alone")
    hears(talker, "guest-1: alone")


# As a newcomer starts them


@pytest.fixture
def run(start, opened, wsrelay, tmp_path):
    """run(name, *more) starts that example; the result has .url, .backend (a port), .connect() and .program."""

    class Run:
        def __init__(self, name, *more):
            folder, arguments, self.subprotocol = RUNS[name]
            environment = {**os.environ, "WSRELAY": wsrelay, "PORT": "0"}
            script = EXAMPLES / folder / "run"
            self.program = start([script, *arguments, *more], env=environment, cwd=tmp_path)
            self.url = self.program.wait_for_line(r"^listening on (ws://\S+)$")[1]
            self.backend = int(self.program.wait_for_line(r"^line server on 127\.0\.0\.1:(\d+)$", "stderr")[1])

        def connect(self):
            # max_queue=None: what a test leaves unread must not hold up its Close.
            options = {"proxy": None, "open_timeout": DEADLINE, "max_queue": None}
            connection = opened.enter_context(websocket(self.url, subprotocols=[self.subprotocol], **options))
            assert connection.subprotocol == self.subprotocol
            return WebSocketClient(connection)

        def get(self, path):
            connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.url).netloc, timeout=DEADLINE)
            with contextlib.closing(connection):
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.headers.get_content_type(), response.read().decode()

        def assert_nothing_left(self):
            self.program.wait_for_end_of("stderr")  # every process started by `run` holds it
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.backend), timeout=DEADLINE).close()

    return Run


def test_run_echo(run):
    client = run("echo").connect()
    for line in ("hello", "", "Žluťoučký 🐈"):
        client.send(line)
        hears(client, line)


def test_run_fizzbuzz(run):
    counting = run("fizzbuzz", "--interval", "0.01").connect()
    hears(counting, *"1 2 Fizz 4 Buzz Fizz 7 8 Fizz Buzz 11 Fizz 13 14 FizzBuzz".split())
    waiting = run("fizzbuzz", "--interval", "3600").connect()
    waiting.send("29")
    waiting.send("")
    hears(waiting, "1", "29", "FizzBuzz")


@pytest.mark.parametrize("name", ["chat python", "chat tcl"])
def test_run_chat(run, name):
    example = run(name)
    pair = [example.connect()]
    hears(pair[0], "* guest-1 joined")
    pair.append(example.connect())
    for client in pair:
        hears(client, "* guest-2 joined")
    for speaker, line, heard in CONVERSATION:
        pair[speaker].send(line)
        for client in pair:
            hears(client, heard)
    pair[0].close()
    hears(pair[1], "* Zoë left")


@pytest.mark.parametrize("name", RUNS)
def test_run_serves_the_page_that_asks_for_its_subprotocol(run, name):
    example = run(name)
    status, content_type, page = example.get("/")
    assert (status, content_type) == (200, "text/html")
    assert re.search(r'<script[^>]* src="client.js"', page)
    status, content_type, script = example.get("/client.js")
    assert status == 200 and content_type.endswith("/javascript")
    assert f'new WebSocket(url, "{example.subprotocol}")' in script


@pytest.mark.parametrize("stop", ["SIGTERM to run", "Ctrl-C in its terminal"])
@pytest.mark.parametrize("name", RUNS)
def test_run_ends_cleanly_and_leaves_nothing_behind(run, name, stop):
    example = run(name)
    client = example.connect()
    if stop == "SIGTERM to run":
        example.program.send(signal.SIGTERM)
    else:
        example.program.send_to_group(signal.SIGINT)
    assert client.close_code() == 1001
    assert example.program.wait(PROMPT) == 0
    example.assert_nothing_left()


@pytest.mark.parametrize("name", RUNS)
def test_run_leaves_nothing_behind_when_killed(run, name):
    example = run(name)
    example.program.send(signal.SIGKILL)
    assert example.program.wait() == -signal.SIGKILL
    example.assert_nothing_left()


@pytest.mark.parametrize("name", RUNS)
def test_run_keeps_the_status_of_a_relay_that_fails(start, tmp_path, name):
    relay = tmp_path / "relay that fails"
    relay.write_text("#!/bin/sh\nexit 7\n")
    relay.chmod(0o755)
    folder, arguments, _ = RUNS[name]
    program = start([EXAMPLES / folder / "run", *arguments], env={**os.environ, "WSRELAY": str(relay)}, cwd=tmp_path)
    assert program.wait() == 7
    program.wait_for_end_of("stderr")


def test_run_says_what_to_type_without_a_relay(start, tmp_path):
    copy = tmp_path / "examples"
    copy.mkdir()
    (copy / "echo").mkdir()
    for name in ("with-relay", "echo/run"):
        (copy / name).write_bytes((EXAMPLES / name).read_bytes())
        (copy / name).chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if key != "WSRELAY"}
    program = start([copy / "echo/run"], env={**environment, "PATH": "/usr/bin:/bin"})
    program.wait_for_line("cargo build --release", "stderr")
    assert program.wait() == 1


def test_run_says_when_the_server_does_not_start(start, tmp_path):
    folder = tmp_path / "nothing here"
    folder.mkdir()
    program = start([EXAMPLES / "with-relay", folder, "no-such-program"], env={**os.environ, "WSRELAY": "true"})
    program.wait_for_line("did not start: no-such-program", "stderr")
    assert program.wait() == 1
    program.wait_for_end_of("stderr")
