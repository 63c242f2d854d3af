"""InspIRCd, which speaks WebSocket itself: the same client straight at it, and through the relay."""
import json
import re
import socket

import pytest

from conftest import UNPACKED, DEADLINE, command
from test_real_clients import SCENARIOS

CONFIG = """
<server name="irc.example.net" description="a server" network="Example" id="1EX">
<admin name="test" nick="test" email="admin@example.net">
<path configdir="{folder}" datadir="{folder}" logdir="{folder}" runtimedir="{folder}"
  moduledir="{unpacked}/inspircd/usr/lib/inspircd/modules">
<pid file="{folder}/pid">
<module name="haproxy">
<module name="sha1">
<module name="websocket">
<wsorigin allow="*">
<websocket defaultmode="text" sendastext="yes">
<bind address="127.0.0.1" port="{plain}" type="clients">
<bind address="127.0.0.1" port="{websocket}" type="clients" hook="websocket">
<bind address="127.0.0.1" port="{proxied}" type="clients" hook="haproxy">
<connect allow="*" timeout="10s" localmax="100" globalmax="100" resolvehostnames="no">
<security runasuser="" runasgroup="">
"""


class InspIRCd:
    """A running one; the addresses of its listeners."""

    def __init__(self, start, folder):
        for _ in range(5):
            taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
            plain, websocket, proxied = (each.getsockname()[1] for each in taken)
            config = folder / "inspircd.conf"
            ports = {"plain": plain, "websocket": websocket, "proxied": proxied}
            config.write_text(CONFIG.format(folder=folder, unpacked=UNPACKED, **ports))
            for each in taken:
                each.close()
            program = command(f"{UNPACKED}/inspircd/usr/sbin/inspircd")
            running = start([program, "--runasroot", "--nofork", "--nolog", "--config", config])
            before, _ = running.lines_until("is now running", "stdout")
            if not any("not all of your client ports" in line.lower() for line in before):
                break
        else:
            pytest.fail("no ports stayed free")
        self.plain, self.proxied = f"127.0.0.1:{plain}", f"127.0.0.1:{proxied}"
        self.url = f"ws://127.0.0.1:{websocket}/"


@pytest.fixture
def inspircd(start, tmp_path):
    return InspIRCd(start, tmp_path)


def heard(start, url):
    """All lines that two users of irc-framework hear."""
    program = start([command("node"), SCENARIOS / "node.js", "irc", "irc-framework", url, json.dumps({"lines": True})])
    told = json.loads(program.wait_for_line(r"^\[.*\]$")[0])
    program.wait()
    # What is new each time: the clients' identifiers, their largest number, times and idle seconds.
    new = r"1EX[A-Z]{6}|\bMax: \d+|\b\d{10}\b|(?<= 317 ann bob )\d+|\bPING :\S+"
    return [(nick, re.sub(new, "-", line)) for nick, line in told]


def test_the_same_lines_straight_and_through_the_relay(start, relay, inspircd):
    straight = heard(start, inspircd.url)
    through = heard(start, relay("--to", inspircd.plain, "--eol", "crlf").url)
    assert len(straight) > 40
    assert through == straight


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_it_learns_a_clients_address(relay, inspircd, address):
    options = ["--eol", "crlf", "--proxy-protocol", "v2", "--trust-proxy", "127.0.0.1"]
    client = relay("--to", inspircd.proxied, *options).connect(additional_headers={"X-Forwarded-For": address})
    hears = lambda numeric: next(line for line in iter(lambda: client.recv(timeout=DEADLINE), None) if numeric in line)
    client.send("NICK ann")
    client.send("USER ann 0 * :ann")
    hears(" 001 ")
    client.send("WHOIS ann")
    assert f"@{address} {address}" in hears(" 378 ")
