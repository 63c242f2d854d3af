"""Servers of lines that people run, each behind the relay: what a client says, and what it hears."""
import dataclasses
import os
import re
import subprocess
import sys

import pytest

from conftest import DEADLINE, ROOT, UNPACKED, closed, command, hears, listening
from in_front_of import recipe
from side_by_side import accepts, wait_until


@dataclasses.dataclass
class Server:
    """A server, and a talk with it. In `argv` and `files`, {dir} is its own directory, {socket} a Unix socket.

    `talk` has what is said after `>`, and patterns of what is heard after `<`; `<...` skips lines up to the next one.
    """
    argv: list
    talk: str
    options: list = ()
    files: dict = dataclasses.field(default_factory=dict)
    # Prepares what the server needs to find; gets its directory.
    prepare: object = None
    # Whether it is started for each session, on its stdin and stdout.
    program: bool = False


def news_spool(folder):
    """A newsgroup with one article."""
    programs, environment = UNPACKED / "sn/usr/sbin", {**os.environ, "SNROOT": str(folder)}
    subprocess.run([programs / "snnewgroup", "local.tea"], env=environment, check=True)
    head = ["From: ann@example.net", "Subject: tea", "Newsgroups: local.tea", "Message-ID: <1@example.net>"]
    article = "\r\n".join([*head, "", "žluťoučký", "..dot", ".", ""])
    subprocess.run([programs / "snstore"], input=article.encode(), env=environment, check=True)


MAIL = """
import asyncio, sys
from aiosmtpd.controller import UnixSocketController
from aiosmtpd.handlers import Debugging
UnixSocketController(Debugging(sys.stderr), sys.argv[1]).start()
asyncio.new_event_loop().run_forever()
"""

SERVERS = {
    "memcached": Server(["memcached", "-s", "{socket}", "-u", "root"], """
        > set tea 0 0 10
        > žluťouč
        < STORED
        > get tea
        < VALUE tea 0 10
        < žluťouč
        < END
        > nonsense
        < ERROR
        > quit
        """),
    "beanstalkd": Server(["beanstalkd", "-l", "unix:{socket}"], """
        > put 0 0 60 5
        > hello
        < INSERTED 1
        > reserve
        < RESERVED 1 5
        < hello
        > delete 1
        < DELETED
        > reserve-with-timeout 0
        < TIMED_OUT
        > quit
        """),
    "mpd": Server(["mpd", "--no-daemon", "--stderr", "{dir}/mpd.conf"], """
        < OK MPD \\S+
        > status
        <...
        < state: stop
        < OK
        > setvol x
        < ACK .*
        > idle
        > noidle
        < OK
        > close
        """, files={"mpd.conf": """
            bind_to_address "{socket}"
            music_directory "{dir}"
            zeroconf_enabled "no"
            audio_output {{
                type "null"
                name "nothing"
            }}
            """}),
    "aiosmtpd": Server([sys.executable, "-c", MAIL, "{socket}"], """
        < 220 .*
        > EHLO client.example.net
        <...
        < 250 HELP
        > MAIL FROM:<ann@example.net>
        < 250 OK
        > RCPT TO:<bob@example.net>
        < 250 OK
        > DATA
        < 354 .*
        > Subject: tea
        >
        > It is ready.
        > .
        < 250 OK
        > QUIT
        < 221 Bye
        """),
    "sn, for news": Server(["env", "SNROOT={dir}", f"{UNPACKED}/sn/usr/sbin/snntpd.bin"], """
        < 201 .*
        > GROUP local.tea
        < 211 1 (\\d+) \\1 local.tea
        > BODY <1@example.net>
        < 222 \\d+ <1@example.net>.*
        < žluťoučký
        < \\.\\.dot
        < \\.
        > NONSENSE
        < 500 .*
        > QUIT
        < 205 .*
        """, ["--eol", "crlf"], program=True, prepare=news_spool),
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_talk(name, start, relay, tmp_path):
    server = SERVERS[name]
    places = {"dir": tmp_path, "socket": tmp_path / "socket"}
    for file, text in server.files.items():
        (tmp_path / file).write_text(text.format(**places))
    if server.prepare:
        server.prepare(tmp_path)
    program, *arguments = [word.format(**places) for word in server.argv]
    argv = [command(program), *arguments]
    if server.program:
        running = relay(*server.options, "--", *argv)
    else:
        start(argv)
        wait_until(lambda: accepts(tmp_path / "socket"), name)
        running = relay(*recipe("Other servers of lines", f"unix:{tmp_path / 'socket'}"), *server.options)
    client = running.connect()
    skip = False
    for line in filter(None, map(str.strip, server.talk.splitlines())):
        kind, said = line[0], line[2:]
        if line == "<...":
            skip = True
        elif kind == ">":
            client.send(said)
        else:
            heard = client.recv(timeout=DEADLINE)
            while skip and not re.fullmatch(said, heard):
                heard = client.recv(timeout=DEADLINE)
            assert re.fullmatch(said, heard), f"{heard!r} and not {said!r}"
            skip = False
    assert closed(client)[0] == 1000


INSTRUMENT = """
import sys
while True:
    line = b""
    while not line.endswith(b"\\r"):
        line += sys.stdin.buffer.read(1) or sys.exit()
    answer = {b"*IDN?\\r": b"ACME,42", b"MEAS?\\r": b"1.5 V\\r1.6 V"}.get(line, b"ERROR " + repr(line).encode())
    sys.stdout.buffer.write(answer + b"\\r")
    sys.stdout.buffer.flush()
"""
SER2NET = """
connection: &instrument
  accepter: unix,{folder}/socket
  connector: serialdev,{folder}/serial,9600n81,local
"""


def test_an_instrument_behind_ser2net(start, relay, tmp_path):
    (tmp_path / "instrument.py").write_text(INSTRUMENT)
    (tmp_path / "ser2net.yaml").write_text(SER2NET.format(folder=tmp_path))
    start([command("socat"), f"PTY,link={tmp_path}/serial,raw,echo=0", f"EXEC:{sys.executable} {tmp_path}/instrument.py"])
    wait_until((tmp_path / "serial").exists, "the serial line")
    start([command("ser2net"), "-n", "-d", "-c", tmp_path / "ser2net.yaml"])
    wait_until(lambda: (tmp_path / "socket").exists(), "ser2net")
    client = relay(*recipe("A serial instrument", f"unix:{tmp_path}/socket")).connect()
    client.send("*IDN?")
    hears(client, "ACME,42")
    client.send("MEAS?")
    hears(client, "1.5 V", "1.6 V")


def test_a_mud(start, relay):
    mud = listening(start([sys.executable, ROOT / "examples/mud/mud.py"]))
    client = relay(*recipe("MUDs", mud)).connect()
    hears(client, "\x1b[1;32mA small town\x1b[0m", "Your name: ")  # a prompt, without an end of line
    client.send("zoe")
    assert client.recv(timeout=DEADLINE).startswith("Password ")
    client.send("secret")
    hears(client, "\x1b[1;32mMarket square\x1b[0m")
    client.send("quit")
    assert closed(client)[:2] == (1000, "backend closed")


def test_a_terminal_behind_telnet(start, relay):
    path = {**os.environ, "PATH": f"{UNPACKED}/inetutils-telnetd/usr/sbin:{os.environ['PATH']}"}
    telnetd = listening(start([sys.executable, ROOT / "examples/terminal/telnetd.py", "/bin/sh"], env=path))
    client = relay(*recipe("Bulletin boards, and terminals behind telnet", telnetd)).connect()
    shown = b""
    for key in "PS1=; echo $((6 * 7)) ž\r":
        client.send(key)
    while "42 ž\r\n".encode() not in shown:
        shown += client.recv(timeout=DEADLINE)
    assert b"\xff" not in shown and b"\0" not in shown
    client.send("exit\r")
    assert closed(client)[:2] == (1000, "backend closed")
