"""npm's ws as the client."""
import json
import signal
import subprocess

import pytest

from conftest import command


class NodeClient:
    """node_client.js, and what it says next."""

    def __init__(self, program):
        self.program = program

    def do(self, *what):
        self.program.process.stdin.write(json.dumps(what) + "\n")
        self.program.process.stdin.flush()

    def says(self, *events):
        for event in events:
            line = self.program.wait_for_line(r"^\[.*\]$")[0]
            assert json.loads(line) == list(event)


@pytest.fixture
def node(start, request):
    script = request.path.parent / "node_client.js"
    return lambda url, *subprotocols: NodeClient(
        start([command("node"), script, url, *subprotocols], stdin=subprocess.PIPE)
    )


@pytest.fixture
def client(node, relay, echo):
    """A connected one in front of an echo server."""
    client = node(relay("--to", echo).url)
    client.says(["upgrade", None], ["open", "", ""])
    return client


def test_every_message_comes_back(client):
    for text in ("hello", "", "Žluťoučký 🐈"):
        client.do("send", text)
        client.says(["message", text])
    client.do("fragments", "frag", "", "ments")
    client.says(["message", "fragments"])
    client.do("fragments", {"hex": "f09f"}, {"hex": "9088"})
    client.says(["message", "🐈"])
    client.do("send", "one\ntwo")
    client.says(["message", "one"], ["message", "two"])
    client.do("repeat", "x", 1 << 20)
    client.says(["message", "x" * (1 << 20)])


def test_pings_are_answered(client):
    client.do("ping", "payload")
    client.says(["pong", "payload"])


def test_its_close_is_echoed(client):
    client.do("close", 4001, "bye")
    client.says(["close", 4001, "bye"])


def test_too_long_a_message_is_1009(client):
    client.do("repeat", "x", (1 << 20) + 1)
    client.says(["close", 1009, "message longer than 1MiB"])


def test_permessage_deflate_is_offered_and_not_answered(node, relay, backend):
    offered = relay("--to", backend.address)
    client = node(offered.url)
    client.says(["upgrade", None], ["open", "", ""])  # null: no such header in the answer; "": none in use
    peer = backend.accept()
    client.do("send", "x" * 2000)  # ws would compress from 1 KiB on
    assert peer.line() == b"x" * 2000 + b"\n"
    peer.send(b"y" * 2000 + b"\n")
    client.says(["message", "y" * 2000])


def test_ws_really_offers_it(node, backend):
    """What the test before rests on."""
    node(f"ws://{backend.address}/")
    peer = backend.accept()
    head = b"".join(iter(peer.line, b"\r\n")).lower()
    assert b"sec-websocket-extensions: permessage-deflate" in head


def test_the_backends_end_is_1000(node, relay, backend):
    client = node(relay("--to", backend.address).url, "ex3", "ex4")
    client.says(["upgrade", None], ["open", "ex3", ""])
    peer = backend.accept()
    peer.send(b"one\r\ntail")
    peer.close()
    client.says(["message", "one"], ["message", "tail"], ["close", 1000, "backend closed"])


def test_who_vanishes_is_noticed(node, relay, backend):
    running = relay("--to", backend.address)
    client = node(running.url)
    peer = backend.accept()
    client.says(["upgrade", None], ["open", "", ""])
    client.do("terminate")
    assert peer.rest() == b""
    peer.close()
    running.wait_log(r'session closed.*by="client".*code=1006')


def test_binary_mode(node, relay, backend):
    client = node(relay("--to", backend.address, "--binary").url, "binary")
    client.says(["upgrade", None], ["open", "binary", ""])
    peer = backend.accept()
    client.do("send", {"hex": "00ff0d0a"})
    assert peer.take(4) == b"\x00\xff\r\n"
    peer.send(b"\x00\xff\r\n")
    client.says(["message", {"hex": "00ff0d0a"}])


def test_a_refusal_has_a_text(node, relay, refusing):
    client = node(relay("--to", refusing).url)
    client.says(["refused", 502, f"backend {refusing}: connection refused\n"])


def test_a_refusal_can_be_a_close(node, relay, refusing):
    client = node(relay("--to", refusing, "--refuse", "close").url)
    client.says(["upgrade", None], ["open", "", ""])
    client.says(["close", 1013, f"backend {refusing}: connection refused"])


def test_a_stop_is_1001(node, relay, echo):
    running = relay("--to", echo)
    client = node(running.url)
    client.says(["upgrade", None], ["open", "", ""])
    running.program.send(signal.SIGTERM)
    client.says(["close", 1001, "server shutting down"])
    assert running.program.wait() == 0
