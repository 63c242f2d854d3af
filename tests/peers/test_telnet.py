"""Telnet servers behind the relay: inetutils' telnetd with a program on its terminal, and one of telnetlib3's."""
import os
import pathlib
import socket
import subprocess
import sys
import threading

import pytest

from conftest import DEADLINE, UNPACKED, address, closed, command, listening

# A program that prompts, and says what it was told of its terminal.
LOGIN = """#!{python}
import os
name = input("name: ")
print("hello", name, os.environ.get("TERM"), flush=True)
input("$ ")
"""


@pytest.fixture
def telnetd(tmp_path, opened):
    """The address of a telnet daemon, started for each connection, as inetd does."""
    daemon = command(f"{UNPACKED}/inetutils-telnetd/usr/sbin/telnetd")
    if os.geteuid() != 0:
        pytest.fail("telnetd needs root", pytrace=False)
    login = tmp_path / "login"
    login.write_text(LOGIN.format(python=sys.executable))
    login.chmod(0o755)
    listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
    started = []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                argv = [daemon, "-h", "-E", str(login)]
                started.append(subprocess.Popen(argv, stdin=connection, stdout=connection, stderr=connection))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield address(listener)
    listener.shutdown(socket.SHUT_RDWR)
    thread.join(DEADLINE)
    for process in started:
        process.kill()
        process.wait()


def until(client, text):
    """All that the client gets up to this text."""
    got = ""
    while text not in got:
        message = client.recv(timeout=DEADLINE)
        got += message if isinstance(message, str) else message.decode()
    return got


def test_a_prompt_of_telnetd_shows_and_what_is_typed_comes_back(relay, telnetd):
    client = relay("--telnet", "--flush-after", "20ms", "--to", telnetd).connect(
        subprotocols=["terminal.mudstandards.org"])
    assert client.subprotocol == "terminal.mudstandards.org"
    assert until(client, "name: ").endswith("name: ")
    client.send(b"fred")
    # The daemon echoes, and has the second of our terminal types: it does not know the first.
    assert "fred\r\nhello fred xterm-256color\r\n" in until(client, "$ ")
    client.send("")
    assert closed(client)[:2] == (1000, "backend closed")


def test_lines_of_telnetd_are_text_messages(relay, telnetd):
    client = relay("--telnet", "--flush-after", "20ms", "--to", telnetd).connect()
    assert until(client, "name: ").endswith("name: ")
    client.send("fred")
    # The daemon echoes, and has the second of our terminal types: it does not know the first.
    assert "fredhello fred xterm-256color" in until(client, "$ ")
    client.send("")
    assert closed(client)[:2] == (1000, "backend closed")


@pytest.fixture
def telnetlib(start):
    """The address of a server of telnetlib3's."""
    return listening(start([sys.executable, pathlib.Path(__file__).with_name("telnet_server.py")]))


def test_telnetlib3_gets_what_it_asks_for_and_prompts_by_ga(relay, telnetlib):
    client = relay("--telnet", "--to", telnetlib).connect()
    told = []
    while not told or not told[-1].startswith("Wie"):
        told.append(client.recv(timeout=DEADLINE))
    # No --flush-after: the prompt is there as the server has marked its end.
    assert told[-1] == "Wie heißt du? "
    told = dict(line.split("=", 1) for line in told[:-1])
    assert told["IPADDRESS"] == "127.0.0.1"
    assert told["CLIENT_NAME"] == "WSRELAY"
    assert told["charset"].lower().replace("-", "") == "utf8"
    assert told["TERM"].lower() in ("wsrelay", "xterm-256color")
    client.send("Jürgen")
    assert client.recv(timeout=DEADLINE) == "Hallo Jürgen"
    assert client.recv(timeout=DEADLINE) == "> "
    client.send("")


def test_a_client_can_speak_telnet_itself(relay, telnetlib):
    client = relay("--telnet", "--subprotocol", "telnet.mudstandards.org", "--to", telnetlib).connect(
        subprotocols=["telnet.mudstandards.org"])
    # DO TERMINAL-TYPE is what the server begins with.
    assert client.recv(timeout=DEADLINE).startswith(b"\xff\xfd\x18")
