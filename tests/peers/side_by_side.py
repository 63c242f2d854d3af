"""Two servers side by side: the one that wsrelay replaces, and wsrelay, with the same clients in front of both."""
import dataclasses
import functools
import pathlib
import re
import socket
import subprocess
import time
import uuid

import pytest
import websockets.exceptions
import websockets.sync.client

from conftest import DEADLINE, ROOT, address, command, listening


HANDSHAKE = """GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r
Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"""


class Side:
    """One of the two, listening at `address`."""

    def __init__(self, name, program, at, opened, log):
        self.name, self.program, self.address, self._opened, self._log = name, program, at, opened, log

    def connect(self, path="/", scheme="ws", **options):
        """A WebSocket client, closed with the test."""
        options = {"proxy": None, "open_timeout": DEADLINE, "max_queue": None, "max_size": None} | options
        return self._opened.enter_context(websockets.sync.client.connect(f"{scheme}://{self.address}{path}", **options))

    def asks(self, path="/", **options):
        """How a handshake is answered: "open", or the status of the refusal."""
        try:
            self.connect(path, **options).close()
            return "open"
        except websockets.exceptions.InvalidStatus as refused:
            return refused.response.status_code

    def raw(self, head):
        """The status of the answer to this request, byte for byte."""
        with socket.create_connection(host_and_port(self.address), timeout=DEADLINE) as connection:
            connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
            return int(connection.makefile("rb").readline().split()[1])

    def curl(self, path, *arguments, scheme="http"):
        """(status, headers in lower case, body) of what curl is answered."""
        argv = [command("curl"), "-sSi", "--noproxy", "*", "--max-time", str(DEADLINE), *arguments]
        done = subprocess.run([*argv, f"{scheme}://{self.address}{path}"], capture_output=True, check=True)
        head, _, body = done.stdout.decode().partition("\r\n\r\n")
        status, *lines = head.split("\r\n")
        return int(status.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}, body

    def logs(self, pattern):
        """Waits for this in the log."""
        return self.program.wait_for_line(pattern, self._log)

    def hears_raw(self, size):
        """The first bytes that come by themselves after a handshake."""
        with socket.create_connection(host_and_port(self.address), timeout=DEADLINE) as connection:
            connection.sendall(HANDSHAKE.encode())
            stream = connection.makefile("rb")
            assert stream.readline().split()[1] == b"101"
            while stream.readline().strip():
                pass
            return stream.read(size)

    @property
    def folder(self):
        """The directory it runs in."""
        return pathlib.Path(f"/proc/{self.program.pid}/cwd")

    def stop(self, signum):
        """The exit status after this signal."""
        self.program.send(signum)
        return self.program.wait()


@dataclasses.dataclass
class Case:
    """The same seen on both sides. `see` takes a Side; `ours` is what wsrelay shows, where it is not as `theirs`."""
    name: str
    program: list
    see: object
    theirs: object
    ours: object = ...
    their_options: list = ()
    our_options: list = ()

    def check(self, side):
        ours = self.theirs if self.ours is ... else self.ours
        seen = self.see(side)
        wanted = ours if side.name == "wsrelay" else self.theirs
        assert seen == wanted, f"{side.name}: {seen!r}, and not {wanted!r}"


def host_and_port(at):
    host, _, port = at.rpartition(":")
    return host, int(port)


def on_a_free_port(start, argv, sign_of_life, **popen):
    """Starts a server that can't choose a port itself. `argv` takes the port; `sign_of_life` takes the program and the
    port, and is false if somebody else got the port meanwhile."""
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        program = start(argv(port), **popen)
        if sign_of_life(program, port):
            return program, f"127.0.0.1:{port}"
    pytest.fail("no port stayed free")


def answers(program, port, tls=None):
    """Whether `program` listens on the port, and nobody else: it logs what it is asked for."""
    mark = f"/probe-{uuid.uuid4()}"
    until = time.monotonic() + DEADLINE
    while program.process.poll() is None:
        try:
            plain = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
            with tls.wrap_socket(plain, server_hostname="localhost") if tls else plain as connection:
                connection.sendall(f"GET {mark} HTTP/1.0\r\n\r\n".encode())
                connection.recv(1)
        except ConnectionError:
            assert time.monotonic() < until, "it does not listen"
            time.sleep(0.005)
            continue
        try:
            program.wait_for_line(mark)
            return True
        except pytest.fail.Exception:
            return False
    return False


def websocketd(start, opened, options, program, tls=None, **popen):
    argv = [command("websocketd"), "--address=127.0.0.1", *options]
    probe = functools.partial(answers, tls=tls)
    running, at = on_a_free_port(start, lambda port: [*argv, f"--port={port}", *program], probe, **popen)
    return Side("websocketd", running, at, opened, "stdout")


def websockify(start, opened, options, **popen):
    """It takes a listening socket, so that no port is chosen before it is bound."""
    listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
    running = start([command("websockify"), "--inetd", *options], stdin=listener, **popen)
    return Side("websockify", running, address(listener), opened, "stderr")


def wsrelay_in_its_place(start, opened, wsrelay, options, program=(), **popen):
    running = start([wsrelay, "--listen=127.0.0.1:0", *options, *(["--", *program] if program else [])], **popen)
    return Side("wsrelay", running, listening(running), opened, "stderr")


def in_place_of_websocketd(start, opened, wsrelay, folder):
    """sides(case) -> websocketd and wsrelay, each started in `folder` with the case's program and its own options."""
    def sides(case):
        yield websocketd(start, opened, case.their_options, case.program, cwd=folder)
        yield wsrelay_in_its_place(start, opened, wsrelay, case.our_options, case.program, cwd=folder)
    return sides


def messages(client):
    """All that still comes, with the end: None where no Close frame came, else its code."""
    heard = []
    while True:
        try:
            heard.append(client.recv(timeout=DEADLINE))
        except websockets.exceptions.ConnectionClosed as end:
            return heard, end.rcvd and end.rcvd.code


def wait_until(condition, what):
    until = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < until, f"{what} never came"
        time.sleep(0.005)
    return value


def accepts(at):
    """Whether somebody listens: at HOST:PORT, or at the path of a Unix socket."""
    family, target = (socket.AF_UNIX, str(at)) if isinstance(at, pathlib.Path) else (socket.AF_INET, host_and_port(at))
    with socket.socket(family) as connection:
        return connection.connect_ex(target) == 0


def is_alive(pid):
    """Whether a process runs; one that nobody has reaped yet does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def table(heading):
    """The rows of the first table below a heading of docs/migration.md, a list of cells each, without the table's
    own heading."""
    text = (ROOT / "docs/migration.md").read_text()
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    rows = re.search(r"(?:^\|.*\|\n)+", section[1], re.MULTILINE)[0].splitlines()
    return [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[2:]]
