"""--binary with the subprotocol `binary`, used as noVNC uses websockify."""
import os

import pytest

from conftest import DEADLINE, closed

EVERY_BYTE = bytes(range(256))


@pytest.fixture
def session(relay, backend):
    """session(*options, **client's options) -> (client, backend's end)."""
    def session(*options, **client):
        client = relay("--to", backend.address, "--binary", *options).connect(**client)
        return client, backend.accept()
    return session


def take(client, size):
    """So many bytes, in however many messages, all of them binary."""
    data = b""
    while len(data) < size:
        message = client.recv(timeout=DEADLINE)
        assert isinstance(message, bytes) and 0 < len(message) <= 65536
        data += message
    return data


# Old versions of noVNC offer `binary`, newer ones nothing, and websockify's own clients both of its names.
@pytest.mark.parametrize("offered, chosen", [(["binary"], "binary"), (None, None), (["binary", "base64"], "binary")])
@pytest.mark.parametrize("options", [(), ("--subprotocol", "binary")], ids=["echoed", "named"])
def test_a_vnc_session(session, options, offered, chosen):
    client, server = session(*options, subprotocols=offered)
    assert client.subprotocol == chosen
    server.send(b"RFB 003.008\n")
    assert take(client, 12) == b"RFB 003.008\n"
    client.send(b"RFB 003.008\n")
    assert server.take(12) == b"RFB 003.008\n"
    server.send(b"\x01\x01")
    assert take(client, 2) == b"\x01\x01"
    client.send(b"\x01")
    assert server.take(1) == b"\x01"
    for data in (EVERY_BYTE, b"\r\n", b"\n\r\n", b"\xff", b"\x00" * 5):
        server.send(data)
        assert take(client, len(data)) == data
        client.send(data)
        assert server.take(len(data)) == data


def test_messages_have_no_meaning_up(session):
    client, server = session()
    client.send([bytes([byte]) for byte in EVERY_BYTE])
    client.send(b"")
    client.send("text ž")
    client.close()
    assert server.rest() == EVERY_BYTE + "text ž".encode()


def test_a_screenful_arrives_as_it_was(session):
    client, server = session()
    screen = os.urandom(8 << 20)
    client.send(b"request")
    assert server.take(7) == b"request"
    server.send(screen)
    assert take(client, len(screen)) == screen
    server.close()
    assert closed(client) == (1000, "backend closed", "relay")
