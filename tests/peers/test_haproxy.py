"""HAProxy in front of the relay, as an HTTP proxy and as a TCP proxy."""
import signal

import pytest
import websockets.exceptions

from conftest import DEADLINE, address, as_fd_3, closed, command, hears

CONFIG = """
global
  log stderr format raw daemon
defaults
  mode {mode}
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 1h
frontend public
  bind fd@3
  default_backend relay
backend relay
  server one {relay}
"""


@pytest.fixture(params=["http", "tcp"])
def proxied(request, start, relay, listener, tmp_path):
    """proxied(*options) -> a relay with a proxy in front of it, where its clients connect."""

    def proxied(*options):
        running = relay(*options)
        config = tmp_path / "haproxy.cfg"
        config.write_text(CONFIG.format(mode=request.param, relay=running.address))
        argv, popen = as_fd_3(listener, [command("haproxy"), "-db", "-f", config])
        start(argv, **popen)
        running.url = f"ws://{address(listener)}/"
        return running

    return proxied


def test_everybody_talks(proxied, chat):
    running = proxied("--to", chat)
    ann = running.connect(subprotocols=["ex3"])
    assert ann.subprotocol == "ex3"
    hears(ann, "* guest-1 joined")
    bob = running.connect()
    for person in (ann, bob):
        hears(person, "* guest-2 joined")
    ann.send("Žluťoučký 🐈")
    for person in (ann, bob):
        hears(person, "guest-1: Žluťoučký 🐈")
    assert bob.ping("through the proxy").wait(DEADLINE)
    bob.close()
    hears(ann, "* guest-2 left")


def test_long_lines_pass(proxied, echo):
    client = proxied("--to", echo, "--max-line", "8MiB").connect()
    client.send("x" * (8 << 20))
    hears(client, "x" * (8 << 20))


def test_the_backends_end_passes_as_1000_behind_every_line(proxied, backend):
    client = proxied("--to", backend.address).connect()
    peer = backend.accept()
    lines = [f"line {n}" for n in range(10_000)]
    peer.send("".join(f"{line}\n" for line in lines).encode())
    peer.close()
    hears(client, *lines)
    assert closed(client) == (1000, "backend closed", "relay")


def test_the_clients_code_passes(proxied, backend):
    running = proxied("--to", backend.address)
    client = running.connect()
    peer = backend.accept()
    client.send("last words")
    client.close(4001, "bye")
    assert closed(client) == (4001, "bye", "client")
    assert peer.rest() == b"last words\n"
    peer.close()
    running.wait_log(r'session closed.*by="client".*code=4001')


def test_a_stop_passes_as_1001(proxied, echo):
    running = proxied("--to", echo)
    client = running.connect()
    running.program.send(signal.SIGTERM)
    assert closed(client) == (1001, "server shutting down", "relay")
    assert running.program.wait() == 0


def test_a_refusal_passes(proxied, refusing):
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        proxied("--to", refusing).connect()
    response = refused.value.response
    assert response.status_code == 502 and b"connection refused" in response.body


def test_a_refusal_passes_as_1013(proxied, refusing):
    client = proxied("--to", refusing, "--refuse", "close").connect()
    code, reason, _ = closed(client)
    assert code == 1013 and "connection refused" in reason
