"""What the tests with other programs share: relays, backends, browsers, and programs that end with their test."""
import contextlib
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
import websockets.sync.client

os.environ.update(no_proxy="127.0.0.1,localhost", NO_PROXY="127.0.0.1,localhost")  # selenium asks a proxy otherwise

# A shell's background job has it ignored, and so would have all programs here, which can't even trap it then.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNPACKED = pathlib.Path(os.environ.get("UNPACKED", ROOT / "target/unpacked"))  # Debian packages, not installed
DEADLINE = 10  # seconds; far more than anything here needs, so only a hang meets it


@pytest.fixture(scope="session")
def wsrelay():
    """The path of the relay under test: $WSRELAY, else the release build, else the debug build."""
    built = [ROOT / "target" / profile / "wsrelay" for profile in ("release", "debug")]
    candidates = [pathlib.Path(os.environ["WSRELAY"]).resolve()] if os.environ.get("WSRELAY") else built
    for path in candidates:
        if os.access(path, os.X_OK):
            return str(path)
    pytest.fail(f"no wsrelay at {' or '.join(map(str, candidates))}: type cargo build --release", pytrace=False)


class Program:
    """A running program in a process group of its own, whose stdout and stderr are read as they come."""

    def __init__(self, argv, **popen):
        popen = {"stdin": subprocess.DEVNULL} | popen
        self.process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
            start_new_session=True, **popen,
        )
        self.pid = self.process.pid
        self._lines = {name: queue.Queue() for name in ("stdout", "stderr")}
        self._readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._lines]
        for reader in self._readers:
            reader.start()

    def _read(self, name):
        with getattr(self.process, name) as stream:
            for line in stream:
                print(f"{self.process.args[0]}: {line}", end="", file=sys.stderr)  # pytest shows it on failure
                self._lines[name].put(line.rstrip("\n"))
        self._lines[name].put(None)

    def wait_for_line(self, pattern, stream="stdout", timeout=DEADLINE):
        """Take lines of `stream` until one matches; returns the match. Fails at the end of it and at the deadline."""
        return self.lines_until(pattern, stream, timeout)[1]

    def lines_until(self, pattern, stream, timeout=DEADLINE):
        """The same, and the lines before it: ([line...], match)."""
        passed = []
        until = time.monotonic() + timeout
        while True:
            try:
                line = self._lines[stream].get(timeout=max(0, until - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"{self.process.args}: no line {pattern!r} on {stream} within {timeout} s")
            if line is None:
                self._lines[stream].put(None)
                pytest.fail(f"{self.process.args}: {stream} ended without a line {pattern!r}")
            if match := re.search(pattern, line):
                return passed, match
            passed.append(line)

    def wait_for_end_of(self, stream, timeout=DEADLINE):
        """Wait until nobody holds `stream`: neither the program nor any process it started."""
        until = time.monotonic() + timeout
        while True:
            try:
                if self._lines[stream].get(timeout=max(0, until - time.monotonic())) is None:
                    self._lines[stream].put(None)
                    return
            except queue.Empty:
                pytest.fail(f"{self.process.args}: something still holds its {stream} after {timeout} s")

    def send(self, signum):
        self.process.send_signal(signum)

    def send_to_group(self, signum):
        """What a terminal does with Ctrl-C: the signal goes to the program and to all that it started."""
        os.killpg(self.pid, signum)

    def wait(self, timeout=DEADLINE):
        """The exit status; negative for the signal that ended it."""
        return self.process.wait(timeout)

    def end(self):
        """Ask the group to end, then make it."""
        if self.process.stdin:
            self.process.stdin.close()
        for signum in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.pid, signum)
            except ProcessLookupError:
                break
            try:
                self.process.wait(DEADLINE if signum == signal.SIGTERM else None)
            except subprocess.TimeoutExpired:
                pass
        for reader in self._readers:
            reader.join(DEADLINE)


@pytest.fixture
def start():
    """start(argv, **popen) -> Program, ended with the test."""
    programs = []

    def start(argv, **popen):
        programs.append(Program([str(arg) for arg in argv], **popen))
        return programs[-1]

    yield start
    for program in reversed(programs):
        program.end()


@pytest.fixture
def opened():
    """What a test opens through this stack is closed with the test."""
    with contextlib.ExitStack() as stack:
        yield stack


def command(name):
    """The path of a program that a test needs."""
    return shutil.which(name) or pytest.fail(f"{name} is missing: scripts/test installs it", pytrace=False)


def listening(program):
    """Where a program says that it listens: HOST:PORT."""
    return program.wait_for_line(r"^listening on (?:wss?://)?(\S+)$")[1]


# Run by Python, as dash can't name a descriptor of two digits.
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def as_fd_3(listening_socket, argv):
    """The same command line with a listening socket handed over, so that no port is chosen before it is bound.

    The second value is for `start`. LISTEN_* is systemd's protocol, see sd_listen_fds(3).
    """
    number = listening_socket.fileno()
    return [sys.executable, "-c", HAND_OVER, number, *argv], {"pass_fds": [number]}


@pytest.fixture
def listener(opened):
    """A listening TCP socket, and a port nobody else takes."""
    return opened.enter_context(socket.create_server(("127.0.0.1", 0)))


def address(listening_socket):
    return "{}:{}".format(*listening_socket.getsockname())


@pytest.fixture
def refusing(opened):
    """The address of a port that is taken, and where nobody listens."""
    taken = opened.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    return address(taken)


class Peer:
    """A backend's end of a session."""

    def __init__(self, connection):
        connection.settimeout(DEADLINE)
        self.socket = connection
        self.file = connection.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        return self.file.readline()

    def take(self, size):
        return self.file.read(size)

    def rest(self):
        """All that comes, up to the FIN."""
        return self.file.read()

    def finish(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()


class Backend:
    """A backend in the hands of the test."""

    def __init__(self, listener, opened):
        self._listener, self._opened = listener, opened
        listener.settimeout(DEADLINE)
        self.address = address(listener)

    def accept(self):
        return self._opened.enter_context(contextlib.closing(Peer(self._listener.accept()[0])))


@pytest.fixture
def backend(opened):
    return Backend(opened.enter_context(socket.create_server(("127.0.0.1", 0))), opened)


@pytest.fixture
def echo(start):
    """The address of an echo server of lines."""
    return listening(start([sys.executable, ROOT / "scripts/autobahn/echo_backend.py", "line"]))


@pytest.fixture
def chat(start):
    """The address of the chat of the examples."""
    return listening(start([sys.executable, ROOT / "examples/chat/chat.py"]))


NGIRCD = """
[Global]
Name = irc.example.net
Info = behind a relay
AdminInfo1 = test
AdminEMail = admin@irc.example.net
MotdPhrase = Welcome
Listen = 127.0.0.1
[Limits]
PingTimeout = 1
PongTimeout = 9
[Options]
DNS = no
WebircPassword = secret
Ident = no
PAM = no
IncludeDir = {nothing}
"""


@pytest.fixture
def ngircd(start, listener, tmp_path):
    """The address of an IRC server that takes WEBIRC."""
    config = tmp_path / "ngircd.conf"
    (tmp_path / "nothing").mkdir()
    config.write_text(NGIRCD.format(nothing=tmp_path / "nothing"))
    argv, popen = as_fd_3(listener, [command("ngircd"), "--nodaemon", "--config", config])
    start(argv, **popen)
    return address(listener)


class Relay:
    """A running relay."""

    def __init__(self, program, opened):
        self.program, self._opened = program, opened
        self.address = listening(program)
        self.url = f"ws://{self.address}/"

    def connect(self, url=None, **options):
        """A WebSocket client of its own, closed with the test."""
        options = {"proxy": None, "open_timeout": DEADLINE, "max_queue": None, "max_size": None} | options
        return self._opened.enter_context(websockets.sync.client.connect(url or self.url, **options))

    def wait_log(self, pattern):
        return self.program.wait_for_line(pattern, "stderr")

    def log_before(self, pattern):
        """What is logged before a line that matches."""
        return "\n".join(self.program.lines_until(pattern, "stderr")[0])


@pytest.fixture
def relay(start, wsrelay, opened):
    """relay(*options) -> Relay on a free port."""
    return lambda *options: Relay(start([wsrelay, "--listen", "127.0.0.1:0", *options]), opened)


@pytest.fixture
def authority(start, tmp_path, opened):
    """authority(**options) -> a running ACME authority."""
    from authority import Authority

    return lambda **options: Authority(start, tmp_path, opened, **options)


def hears(client, *messages):
    """These messages come next, and each is of the right kind: str for text, bytes for binary."""
    for message in messages:
        assert client.recv(timeout=DEADLINE) == message


def closed(client):
    """(code, reason, who closed first), after messages still to come were read."""
    try:
        while True:
            client.recv(timeout=DEADLINE)
    except websockets.exceptions.ConnectionClosed as end:
        assert end.rcvd, f"no Close frame came: {end}"
        return end.rcvd.code, end.rcvd.reason, "client" if end.rcvd_then_sent is False else "relay"


@contextlib.contextmanager
def browsers(folder):
    """A function that starts browsers, each of a person of its own (own storage), which end with the context."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    drivers = []

    def start(width=1000, height=700, dark=False):
        options = webdriver.ChromeOptions()
        options.binary_location = command("chromium")
        flags = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
                 "disable-background-networking", "disable-component-update", "disable-dev-shm-usage",
                 "no-proxy-server", "ignore-certificate-errors", f"user-data-dir={folder / f'profile-{len(drivers)}'}"]
        for flag in flags:
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options, Service(command("chromedriver")))
        drivers.append(driver)
        driver.set_script_timeout(DEADLINE)
        set_size(driver, width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        return driver

    try:
        yield start
    finally:
        for driver in drivers:
            driver.quit()


def set_size(driver, width, height):
    """The size of the page itself: a headless window would not get narrower than 500 pixels."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@pytest.fixture
def open_browser(tmp_path):
    """open_browser(width, height, dark) -> a WebDriver, ended with the test."""
    with browsers(tmp_path) as start:
        yield start


@pytest.fixture
def console(open_browser, relay, backend):
    """console(*options, width, height, dark, path) -> the page of --dev-console in a browser of its own."""
    from console_page import Console

    def open_console(*options, width=1000, height=700, dark=False, **page):
        running = relay("--to", backend.address, "--dev-console", *options)
        return Console(open_browser(width, height, dark), running, backend, **page)
    return open_console


@pytest.fixture(scope="session")
def shared_browser(tmp_path_factory):
    with browsers(tmp_path_factory.mktemp("browser")) as start:
        yield start()


@pytest.fixture
def browser(shared_browser):
    """A WebDriver with one empty window; the browser is shared by tests, its windows are not."""
    first = shared_browser.current_window_handle
    shared_browser.get("about:blank")
    yield shared_browser
    for handle in shared_browser.window_handles:
        if handle != first:
            shared_browser.switch_to.window(handle)
            shared_browser.close()
    shared_browser.switch_to.window(first)


@pytest.fixture(scope="session")
def axe():
    """axe(driver) -> what axe-core finds wrong with the page of a browser's window."""
    source = pathlib.Path(os.environ["NODE_PATH"], "axe-core/axe.min.js").read_text()  # scripts/test installs it

    def axe(driver):
        driver.execute_script(source)
        found = driver.execute_async_script(
            "const done = arguments[0]; axe.run().then((result) => done(result.violations))")
        return [(v["id"], [n["html"] + " " + n["failureSummary"] for n in v["nodes"]]) for v in found]
    return axe
