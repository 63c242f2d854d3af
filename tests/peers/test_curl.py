"""What curl shows of the relay: files, refusals, and the handshake."""
import subprocess

import pytest

from conftest import DEADLINE, command

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Response:
    """What `curl --include` printed."""

    def __init__(self, output):
        head, self.body = output.split(b"\r\n\r\n", 1)
        status, *lines = head.decode().split("\r\n")
        self.version, self.status = status.split()[0], int(status.split()[1])
        pairs = (line.split(": ", 1) for line in lines)
        self.headers = {name.lower(): value for name, value in pairs}


def arguments(url, *options, headers=None):
    named = [word for name, value in (headers or {}).items() for word in ("--header", f"{name}: {value}".rstrip())]
    return [command("curl"), "--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", str(DEADLINE),
            *named, *options, url]


def curl(url, *options, headers=None):
    done = subprocess.run(arguments(url, *options, headers=headers), capture_output=True, timeout=2 * DEADLINE)
    assert done.returncode == 0, done.stderr.decode()
    return Response(done.stdout)


@pytest.fixture
def http(relay):
    """http(*options) -> the http:// address of a relay with these options."""
    return lambda *options: relay(*options).url.replace("ws:", "http:")


def assert_refused(response, status, *words):
    assert response.status == status
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    text = response.body.decode()
    assert text.endswith("\n") and text.count("\n") == 1
    for word in words:
        assert word in text


def test_a_plain_request_is_told_that_this_is_a_relay(http, echo):
    url = http("--to", echo)
    for path in ("", "any/path?and=query"):
        response = curl(url + path)
        assert_refused(response, 426, "WebSocket")
        assert response.headers["upgrade"] == "websocket"
    assert curl(url, "--head").status == 426
    assert curl(url, "--data", "a=b").status == 426


def test_files_are_served_beside_it(http, echo, tmp_path):
    content = bytes(range(256)) * 1000
    (tmp_path / "index.html").write_text("<!doctype html><title>ž</title>")
    (tmp_path / "data.bin").write_bytes(content)
    url = http("--to", echo, "--static-dir", str(tmp_path))
    index = curl(url)
    assert (index.status, index.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert index.body.decode() == "<!doctype html><title>ž</title>"
    whole = curl(url + "data.bin")
    assert (whole.status, whole.body) == (200, content)
    part = curl(url + "data.bin", "--range", "100-299")
    assert (part.status, part.body) == (206, content[100:300])
    fresh = curl(url + "data.bin", headers={"If-Modified-Since": whole.headers["last-modified"]})
    assert (fresh.status, fresh.body) == (304, b"")
    assert curl(url + "data.bin", "--head").headers["content-length"] == str(len(content))
    assert_refused(curl(url + "missing"), 404, "no such page")
    for way_out in ("../" + tmp_path.name + "/data.bin", "%2e%2e/" + tmp_path.name + "/data.bin", "..%2fdata.bin"):
        assert curl(url + way_out, "--path-as-is").status != 200


def test_the_handshake_is_a_101_and_the_first_frames_follow(relay, backend):
    running = relay("--to", backend.address, "--close-timeout", "100ms")
    url = running.url.replace("ws:", "http:")
    asking = subprocess.Popen(arguments(url, "--http1.1", "--no-buffer", headers=UPGRADE | {
        "Sec-WebSocket-Protocol": "ex1, ex2", "Sec-WebSocket-Extensions": "permessage-deflate",
    }), stdout=subprocess.PIPE)
    with asking:
        peer = backend.accept()
        peer.send(b"hello\r\n")
        peer.close()
        output, _ = asking.communicate(timeout=DEADLINE)
    response = Response(output)
    assert (response.version, response.status) == ("HTTP/1.1", 101)
    assert response.headers["upgrade"] == "websocket" and response.headers["connection"].lower() == "upgrade"
    # The answer to the key that RFC 6455 gives as an example.
    assert response.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert response.headers["sec-websocket-protocol"] == "ex1"
    assert "sec-websocket-extensions" not in response.headers
    assert response.body == b"\x81\x05hello" + b"\x88\x10" + (1000).to_bytes(2, "big") + b"backend closed"


@pytest.mark.parametrize("changes, status, word", [
    ({"Connection": "keep-alive"}, 400, "Connection"),
    ({"Sec-WebSocket-Key": ""}, 400, "Sec-WebSocket-Key"),
    ({"Sec-WebSocket-Key": "c2hvcnQ="}, 400, "Sec-WebSocket-Key"),
    ({"Sec-WebSocket-Version": "8"}, 426, "13"),
    ({"Sec-WebSocket-Version": ""}, 426, "13"),
    ({"Upgrade": ""}, 426, "Upgrade"),
    ({"Cookie": "x" * 17_000}, 431, "16 KiB"),
])
def test_a_wrong_handshake_is_told_what_is_wrong(http, echo, changes, status, word):
    response = curl(http("--to", echo), "--http1.1", headers=UPGRADE | changes)
    assert_refused(response, status, word)
    if "Sec-WebSocket-Version" in changes:
        assert response.headers["sec-websocket-version"] == "13"


def test_a_handshake_by_post_or_in_http_1_0_is_wrong(http, echo):
    url = http("--to", echo)
    assert_refused(curl(url, "--http1.1", "--request", "POST", headers=UPGRADE), 400, "GET")
    assert_refused(curl(url, "--http1.0", headers=UPGRADE), 400, "HTTP/1.1")


def test_a_backend_that_is_not_there_is_502(http, refusing):
    response = curl(http("--to", refusing), "--http1.1", headers=UPGRADE)
    assert_refused(response, 502, refusing, "connection refused")


def test_more_sessions_than_there_may_be_are_503(relay, echo):
    running = relay("--to", echo, "--max-sessions", "1")
    client = running.connect()
    url = running.url.replace("ws:", "http:")
    response = curl(url, "--http1.1", headers=UPGRADE)
    assert_refused(response, 503)
    assert int(response.headers["retry-after"]) > 0
    client.close()


def test_a_refusal_can_be_a_close_with_a_reason(http, refusing):
    url = http("--to", refusing, "--refuse", "close", "--close-timeout", "100ms")
    response = curl(url, "--http1.1", headers=UPGRADE)
    assert response.status == 101
    reason = f"backend {refusing}: connection refused".encode()
    assert response.body == bytes([0x88, len(reason) + 2]) + (1013).to_bytes(2, "big") + reason
