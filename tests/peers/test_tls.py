"""TLS as OpenSSL, curl, Python and Chromium speak it, towards clients and towards backends."""
import json
import re
import ssl
import subprocess
import threading

import pytest

from conftest import DEADLINE, address, closed, command, hears
from test_curl import UPGRADE, curl

REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HANDSHAKE = "GET / HTTP/1.1\r\nHost: localhost\r\n" + "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())


def openssl(*arguments, said=""):
    done = subprocess.run([command("openssl"), *arguments], input=said, capture_output=True, text=True, errors="replace",
                          timeout=DEADLINE)
    return done.stdout + done.stderr


@pytest.fixture
def cert(tmp_path):
    """cert(name, *options) -> the paths of a certificate that signed itself, as everybody makes them, and its key."""
    def make(name, *options):
        paths = [str(tmp_path / f"{name}.{kind}") for kind in ("pem", "key")]
        said = openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-out", paths[0], "-keyout", paths[1], "-days", "5",
                       "-subj", f"/O=Example/CN={name}", *options)
        assert (tmp_path / f"{name}.pem").exists(), said
        return paths
    return make


@pytest.fixture
def own(cert):
    return cert("localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")


@pytest.fixture
def secure(relay, own):
    """secure(*options) -> a relay that speaks TLS; its .context is what a client trusts it with."""
    def start(*options):
        running = relay("--tls-cert", own[0], "--tls-key", own[1], *options)
        running.url = f"wss://{running.address}/"
        running.context = ssl.create_default_context(cafile=own[0])
        return running
    return start


def s_client(running, own, *options, said=REQUEST):
    return openssl("s_client", "-connect", running.address, "-CAfile", own[0], "-verify_return_error", "-ign_eof", *options,
                   said=said)


@pytest.mark.parametrize("version, cipher", [
    ("1_3", "TLS_AES_256_GCM_SHA384"), ("1_2", "ECDHE-RSA-AES256-GCM-SHA384"),
])
def test_openssl_gets_its_answer_and_a_clean_end(secure, own, echo, version, cipher):
    running = secure("--to", echo)
    said = s_client(running, own, f"-tls{version}", "-alpn", "h2,http/1.1")
    assert "Verify return code: 0 (ok)" in said and f"TLSv{version.replace('_', '.')}" in said and cipher in said
    assert "ALPN protocol: http/1.1" in said
    assert "HTTP/1.1 426" in said and "\nclosed\n" in said, said
    assert "unexpected eof" not in said


def test_openssl_shows_a_client_certificate(secure, own, cert, echo, tmp_path):
    authority = cert("authority")
    signed = ("-CA", authority[0], "-CAkey", authority[1])
    ada, boss = cert("ada", *signed, "-addext", "basicConstraints=CA:FALSE"), cert("boss", *signed)
    running = secure("--to", echo, "--tls-client-ca", authority[0], "--close-timeout", "100ms")
    said = s_client(running, own)
    assert "alert certificate required" in said, said
    running.wait_log("TLS handshake failed: the client has no certificate")
    s_client(running, own, "-cert", boss[0], "-key", boss[1])
    running.wait_log("the client's certificate is marked as an authority's")
    close = "\x00\x00"  # what is no frame ends the session
    said = s_client(running, own, "-cert", ada[0], "-key", ada[1], said=HANDSHAKE + "\r\n" + close)
    assert "HTTP/1.1 101" in said, said
    running.wait_log('session opened.* user="ada"')


def test_curl_gets_pages_and_is_sent_on_to_them(secure, own, echo, tmp_path):
    (tmp_path / "public").mkdir()
    (tmp_path / "public/page.html").write_text("hello")
    running = secure("--to", echo, "--static-dir", str(tmp_path / "public"), "--redirect-port", "0")
    trusting = ("--cacert", own[0])
    assert curl(f"https://{running.address}/page.html", *trusting).body == b"hello"
    redirect = running.program.wait_for_line(r"^redirecting (http://\S+) to (https://\S+)$")
    assert redirect[2] == f"https://{running.address}"
    response = curl(f"{redirect[1]}/page.html?a=b")
    assert (response.status, response.headers["location"]) == (301, f"{redirect[2]}/page.html?a=b")
    followed = subprocess.run([command("curl"), "--silent", "--show-error", "--noproxy", "*", "--location", *trusting,
                               f"{redirect[1]}/page.html"], capture_output=True, timeout=DEADLINE)
    assert followed.stdout == b"hello", followed.stderr
    plain = curl(f"http://{running.address}/page.html")
    assert plain.status == 400 and b"https://" in plain.body


def test_python_talks_and_hears_the_end(secure, backend):
    running = secure("--to", backend.address)
    client = running.connect(ssl=running.context)
    peer = backend.accept()
    long = "žluťoučký 🐈 " * 50_000
    client.send(long)
    assert peer.take(len(long.encode()) + 1).decode() == long + "\n"
    peer.send(long.encode() + b"\nbye")
    peer.finish()
    hears(client, long, "bye")
    assert closed(client) == (1000, "backend closed", "relay")


@pytest.mark.parametrize("clean", [True, False])
def test_python_as_a_backend(relay, own, listener, clean):
    running = relay("--to", f"tls://{address(listener)}", "--backend-ca", own[0])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*own)
    heard = []

    def serve():
        with context.wrap_socket(listener.accept()[0], server_side=True) as peer:
            heard.append(peer.makefile("rb").readline())
            peer.sendall(b"hello\n" + b"x" * 100_000 + b"\n")
            if clean:
                peer.unwrap()  # what many a server forgets

    serving = threading.Thread(target=serve)
    serving.start()
    client = running.connect()
    client.send("it is me")
    hears(client, "hello", "x" * 100_000)
    code, reason, by = closed(client)
    serving.join()
    assert heard == [b"it is me\n"]
    assert (code, by) == (1000 if clean else 1011, "relay")
    assert reason == ("backend closed" if clean else "backend failed: its TLS connection ended without a close_notify")


def test_chromium_loads_the_page_and_talks(secure, echo, open_browser, tmp_path):
    (tmp_path / "public").mkdir()
    (tmp_path / "public/index.html").write_text("<!doctype html><title>secure</title>")
    running = secure("--to", echo, "--static-dir", str(tmp_path / "public"), "--same-origin")
    browser = open_browser()
    browser.get(f"https://{running.address}/")
    assert browser.title == "secure"
    told = browser.execute_async_script("""
        const done = arguments[0];
        const socket = new WebSocket(location.href.replace("https:", "wss:"));
        const heard = [];
        socket.onopen = () => { for (let n = 0; n < 1000; n++) socket.send(String(n)); };
        socket.onmessage = ({ data }) => { if (heard.push(data) === 1000) socket.close(1000, "enough"); };
        socket.onclose = ({ code, wasClean }) => done(JSON.stringify({ heard, code, wasClean }));
    """)
    assert json.loads(told) == {"heard": [str(n) for n in range(1000)], "code": 1000, "wasClean": True}
    assert re.search("by=\"client\"", running.wait_log("session closed").string)
