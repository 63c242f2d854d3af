"""What the tests against other WebSocket programs share: the relay's binary, and programs that end with their test."""
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
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
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            encoding="utf-8", errors="replace", start_new_session=True, **popen,
        )
        self.pid = self.process.pid
        self._lines = {}
        for name in ("stdout", "stderr"):
            self._lines[name] = queue.Queue()
            threading.Thread(target=self._read, args=(name,), daemon=True).start()

    def _read(self, name):
        with getattr(self.process, name) as stream:
            for line in stream:
                print(f"{self.process.args[0]}: {line}", end="", file=sys.stderr)  # pytest shows it on failure
                self._lines[name].put(line.rstrip("\n"))
        self._lines[name].put(None)

    def wait_for_line(self, pattern, stream="stdout", timeout=DEADLINE):
        """Take lines of `stream` until one matches; returns the match. Fails at the end of it and at the deadline."""
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
                return match

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
        for signum in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.pid, signum)
            except ProcessLookupError:
                return
            try:
                self.process.wait(DEADLINE if signum == signal.SIGTERM else None)
            except subprocess.TimeoutExpired:
                pass


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
