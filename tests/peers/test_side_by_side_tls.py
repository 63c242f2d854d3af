"""websocketd, websockify and wsrelay side by side with TLS."""
import concurrent.futures
import os
import socket
import ssl
import subprocess

import pytest
import websockets.exceptions

from conftest import DEADLINE, command, hears, listening
from side_by_side import Side, wait_until, websocketd, websockify, wsrelay_in_its_place

@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Certificates of an authority: for localhost, and for a client."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(name, *options):
        subprocess.run([
            command("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", *options,
        ], cwd=folder, check=True, capture_output=True)

    make("authority")
    for name in ("server", "client"):
        make(name, "-CA", "authority.pem", "-CAkey", "authority.key", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-addext", "basicConstraints=critical,CA:FALSE")
    (folder / "both.pem").write_bytes((folder / "server.pem").read_bytes() + (folder / "server.key").read_bytes())
    (folder / "pages").mkdir()
    (folder / "pages/index.html").write_text("<p>index")
    return folder


@pytest.fixture(scope="module")
def trusting(folder):
    context = ssl.create_default_context(cafile=folder / "authority.pem")
    # The client reads in one thread and writes in another. With TLS 1.3 it would start to read at once, for the
    # tickets that come then, and now and again its request would not get out beside that.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.fixture
def as_anna(folder):
    context = ssl.create_default_context(cafile=folder / "authority.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / "client.pem", folder / "client.key")
    return context


@pytest.fixture
def in_place_of_websocketd(start, opened, wsrelay, folder, trusting):
    """in_place_of_websocketd(program, options, more of wsrelay's) -> both, one after the other."""
    def sides(program, theirs=(), ours=()):
        options = ["--ssl", "--sslcert=server.pem", "--sslkey=server.key", "--staticdir=pages", *theirs]
        yield websocketd(start, opened, options, program, tls=trusting, cwd=folder)
        options = ["--tls-cert=server.pem", "--tls-key=server.key", "--static-dir=pages", *ours]
        yield wsrelay_in_its_place(start, opened, wsrelay, options, program, cwd=folder)
    return sides


@pytest.fixture
def in_place_of_websockify(start, opened, wsrelay, folder, backend):
    def sides(theirs, ours):
        to = backend.address
        yield websockify(start, opened, [*theirs, to], cwd=folder)
        yield wsrelay_in_its_place(start, opened, wsrelay, ["--binary", "--to", to, *ours], cwd=folder)
    return sides


def test_a_session(in_place_of_websocketd, trusting):
    for side in in_place_of_websocketd(["cat"]):
        client = side.connect(scheme="wss", ssl=trusting)
        client.send("Žluťoučký 🐈")
        hears(client, "Žluťoučký 🐈")


def test_the_environment(in_place_of_websocketd, trusting):
    for side in in_place_of_websocketd(["sh", "-c", "env; echo END; cat"]):
        client = side.connect(scheme="wss", ssl=trusting)
        lines = iter(lambda: client.recv(timeout=DEADLINE), "END")
        variables = dict(line.split("=", 1) for line in lines)
        assert (variables["HTTPS"], variables["SERVER_PORT"]) == ("on", side.address.rpartition(":")[2])
        theirs_too = {name for name in variables if name.startswith("SSL_")}
        assert bool(theirs_too) == (side.name == "wsrelay")


def test_a_page(in_place_of_websocketd, folder):
    for side in in_place_of_websocketd(["cat"]):
        status, _, body = side.curl("/", "--http1.1", "--cacert", str(folder / "authority.pem"), scheme="https")
        assert (status, body) == (200, "<p>index")


def test_a_key_among_the_pages(start, opened, wsrelay, folder, trusting):
    """websocketd shows it to everybody, wsrelay does not start."""
    options = ["--ssl", "--sslcert=server.pem", "--sslkey=server.key", "--staticdir=."]
    theirs = websocketd(start, opened, options, ["cat"], tls=trusting, cwd=folder)
    authority = str(folder / "authority.pem")
    status, _, body = theirs.curl("/server.key", "--http1.1", "--cacert", authority, scheme="https")
    assert (status, "PRIVATE KEY" in body) == (200, True)
    options = ["--listen=127.0.0.1:0", "--tls-cert=server.pem", "--tls-key=server.key", "--static-dir=.", "--", "cat"]
    done = subprocess.run([wsrelay, *options], cwd=folder, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 1 and "--tls-key server.key lies in --static-dir ." in done.stderr


def test_without_tls(in_place_of_websocketd):
    for side in in_place_of_websocketd(["cat"]):
        assert side.curl("/")[0] == 400
        assert side.curl("/", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket")[0] == 400


def test_the_same_origin(in_place_of_websocketd, trusting):
    for side in in_place_of_websocketd(["cat"], ["--sameorigin"], ["--same-origin"]):
        for origin, answer in [(f"https://{side.address}", "open"), ("https://a.example", 403)]:
            assert side.asks(scheme="wss", ssl=trusting, origin=origin) == answer


def test_websockify_with_a_certificate(in_place_of_websockify, backend, trusting):
    for side in in_place_of_websockify(["--cert=both.pem", "--ssl-only"], ["--tls-cert=both.pem"]):
        client = side.connect(scheme="wss", ssl=trusting, subprotocols=["binary"])
        peer = backend.accept()
        client.send(b"\0up")
        assert peer.take(3) == b"\0up"
        peer.send(b"down")
        hears(client, b"down")
        with pytest.raises(websockets.exceptions.InvalidHandshake):
            side.connect()
        if side.name == "wsrelay":
            assert side.curl("/")[0] == 400


def test_websockify_serves_both_on_one_port(in_place_of_websockify, trusting):
    """Different on purpose: a port is either for TLS or not."""
    for side in in_place_of_websockify(["--cert=both.pem"], ["--tls-cert=both.pem"]):
        assert side.asks(scheme="wss", ssl=trusting) == "open"
        assert side.asks() == (400 if side.name == "wsrelay" else "open")


def test_clients_with_certificates(in_place_of_websockify, trusting, as_anna):
    for side in in_place_of_websockify(
        ["--cert=both.pem", "--ssl-only", "--verify-client", "--cafile=authority.pem"],
        ["--tls-cert=both.pem", "--tls-client-ca=authority.pem"],
    ):
        assert side.asks(scheme="wss", ssl=as_anna) == "open"
        with pytest.raises((websockets.exceptions.WebSocketException, OSError)):
            side.connect(scheme="wss", ssl=trusting)


def test_a_server_that_speaks_tls(start, opened, wsrelay, folder, listener):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    listener.settimeout(DEADLINE)
    server = opened.enter_context(context.wrap_socket(listener, server_side=True))
    port = server.getsockname()[1]
    for side in (
        websockify(start, opened, ["--ssl-target", f"localhost:{port}"], cwd=folder,
                   env={**os.environ, "SSL_CERT_FILE": "authority.pem"}),
        wsrelay_in_its_place(
            start, opened, wsrelay, ["--binary", f"--to=tls://localhost:{port}", "--backend-ca=authority.pem"], cwd=folder),
    ):
        with concurrent.futures.ThreadPoolExecutor() as pool:  # both ends have to speak for a handshake
            accepted = pool.submit(server.accept)
            client = side.connect(subprotocols=["binary"])
            peer = opened.enter_context(accepted.result(DEADLINE)[0])
            peer.settimeout(DEADLINE)
        # The server first, as VNC does: after tickets of TLS 1.3 websockify hears nobody else.
        peer.sendall(b"down")
        hears(client, b"down")
        client.send(b"\0up")
        assert peer.recv(100) == b"\0up"
        client.close()
        assert peer.recv(100) == b"", side.name


def test_redirection(start, opened, wsrelay, folder, trusting):
    """websocketd leads to the same host, wsrelay to the same page."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    options = ["--ssl", "--sslcert=server.pem", "--sslkey=server.key", f"--redirport={port}"]
    theirs = websocketd(start, opened, options, ["cat"], tls=trusting, cwd=folder)
    assert redirected(f"127.0.0.1:{port}", theirs) == (301, f"https://{theirs.address}/")
    program = start([wsrelay, "--listen=127.0.0.1:0", "--tls-cert=both.pem", "--redirect-port=0", "--", "cat"], cwd=folder)
    ours = Side("wsrelay", program, listening(program), opened, "stderr")
    at = program.wait_for_line(r"^redirecting http://(\S+) to https://")[1]
    assert redirected(at, ours) == (301, f"https://{ours.address}/page?a=b")


def redirected(at, side):
    status, headers, _ = wait_until(lambda: curl_or_none(Side(side.name, None, at, None, None)), at)
    return status, headers["location"]


def curl_or_none(side):
    try:
        return side.curl("/page?a=b")
    except subprocess.CalledProcessError:
        return None
