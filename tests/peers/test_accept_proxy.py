"""HAProxy and nginx in front of --accept-proxy: the log and the backend learn whom they stand for."""
import json
import socket
import ssl
import struct
import subprocess

import pytest

from conftest import DEADLINE, address, as_fd_3, command, hears
from side_by_side import accepts, host_and_port, on_a_free_port, wait_until

TRUSTED = ["--accept-proxy", "--trust-proxy", "127.0.0.1", "--proxy-protocol", "v2", "--log-format", "json"]

HAPROXY = """
global
  log stderr format raw daemon
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend public
  bind fd@3 {bind}
  unique-id-format %ci.%cp
  default_backend relay
backend relay
  {check}
  server one {relay} {send}
"""

NGINX = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr info;
events {{ }}
stream {{
  server {{
    listen unix:{folder}/socket;
    listen {at};
    proxy_pass {relay};
    proxy_protocol on;
  }}
}}
"""


def header(peer):
    """The source, the destination and the TLVs of version 2."""
    fixed = peer.take(16)
    assert fixed[:12] == b"\r\n\r\n\0\r\nQUIT\n" and fixed[12:14] == b"\x21\x11", fixed
    rest = peer.take(struct.unpack("!H", fixed[14:])[0])
    dotted = lambda part: ".".join(map(str, part))
    ports = struct.unpack("!HH", rest[8:12])
    return (dotted(rest[:4]), ports[0]), (dotted(rest[4:8]), ports[1]), tlvs(rest[12:])


def tlvs(rest):
    found = {}
    while rest:
        kind, length = struct.unpack("!BH", rest[:3])
        found[kind] = rest[3:3 + length]
        rest = rest[3 + length:]
    return found


def logged(running, message):
    """The fields of the next line of the log with this message."""
    line = running.wait_log(rf'"message":"{message}"').string
    fields = json.loads(line)
    return fields.get("fields", fields)


def talk(client, peer):
    client.send("hello")
    assert peer.line() == b"hello\n"
    peer.send(b"welcome\n")
    hears(client, "welcome")


@pytest.fixture
def haproxy(start, relay, backend, listener, tmp_path):
    """haproxy(send, *options, bind=, check=) -> a relay with HAProxy in front, where its clients connect."""

    def haproxy(send, *options, bind="", check=""):
        running = relay("--to", backend.address, *TRUSTED, *options)
        config = tmp_path / "haproxy.cfg"
        config.write_text(HAPROXY.format(bind=bind, relay=running.address, send=send, check=check))
        argv, popen = as_fd_3(listener, [command("haproxy"), "-db", "-f", config])
        start(argv, **popen)
        running.url = f"ws://{address(listener)}/"
        return running

    return haproxy


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"])
def test_haproxy_names_its_client(send, haproxy, backend, listener):
    running = haproxy(send)
    client = running.connect()
    ours = "{}:{}".format(*client.local_address)
    peer = backend.accept()
    source, destination, more = header(peer)
    assert (source, destination) == (client.local_address[:2], listener.getsockname()[:2])
    opened = logged(running, "session opened")
    assert opened["client"] == ours and more[0x05] == str(opened["id"]).encode()
    talk(client, peer)
    client.close()
    assert logged(running, "session closed")["client"] == ours


@pytest.fixture
def pem(tmp_path):
    """The files of an authority, and of the certificates that it has signed for a server and a client."""
    def openssl(*arguments):
        subprocess.run([command("openssl"), *arguments], cwd=tmp_path, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=authority", "-days", "2",
            "-keyout", "ca.key", "-out", "ca.pem")
    for name, cn in (("server", "localhost"), ("client", "ada")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={cn}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (tmp_path / "names").write_text("subjectAltName=DNS:localhost\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", "names", "-out", f"{name}.crt")
    (tmp_path / "server.pem").write_text((tmp_path / "server.crt").read_text() + (tmp_path / "server.key").read_text())
    return tmp_path


@pytest.mark.parametrize("certificate", [True, False])
def test_haproxy_ends_tls(certificate, haproxy, backend, listener, pem):
    send = "send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,unique-id,authority"
    bind = f"ssl crt {pem}/server.pem ca-file {pem}/ca.pem verify optional"
    running = haproxy(send, "--same-origin", bind=bind)
    context = ssl.create_default_context(cafile=pem / "ca.pem")
    if certificate:
        context.load_cert_chain(pem / "client.crt", pem / "client.key")
    port = listener.getsockname()[1]
    # A page of https: the relay knows that the client uses TLS.
    client = running.connect(f"wss://localhost:{port}/", ssl=context, origin=f"https://localhost:{port}")
    peer = backend.accept()
    source, _, more = header(peer)
    assert source == client.local_address[:2]
    assert 0x20 not in more, "TLS was not spoken with the relay"
    assert logged(running, "session opened").get("user") == ("ada" if certificate else None)
    talk(client, peer)


def test_haproxy_checks_the_relay(haproxy, backend):
    check = "option httpchk GET /check\n  http-check expect status 426"
    running = haproxy("send-proxy-v2 check inter 200ms check-send-proxy", check=check)
    # It says LOCAL: the connection is its own.
    refused = logged(running, "refused")
    assert (refused["path"], refused["status"]) == ("/check", 426)
    assert refused["client"].startswith("127.0.0.1:")
    client = running.connect()
    peer = backend.accept()
    assert header(peer)[0] == client.local_address[:2]
    talk(client, peer)


def test_nginx_names_its_client(start, relay, backend, tmp_path):
    running = relay("--to", backend.address, *TRUSTED)
    config = tmp_path / "nginx.conf"

    def argv(port):
        config.write_text(NGINX.format(folder=tmp_path, at=f"127.0.0.1:{port}", relay=running.address))
        return [command("nginx"), "-p", tmp_path, "-c", config, "-e", "stderr"]

    def listens(nginx, port):
        has_ended = lambda: nginx.process.poll() is not None
        wait_until(lambda: has_ended() or accepts(f"127.0.0.1:{port}"), "nginx")
        return not has_ended()

    _, at = on_a_free_port(start, argv, listens)
    client = running.connect(f"ws://{at}/")
    source, destination, _ = header(backend.accept())
    assert source == client.local_address[:2]
    assert "{}:{}".format(*destination) == at
    ours = "{}:{}".format(*source)
    while logged(running, "session opened")["client"] != ours:
        pass


def test_a_stranger_is_closed_without_an_answer(relay, backend):
    running = relay("--to", backend.address, "--accept-proxy", "--trust-proxy", "10.0.0.0/8")
    with socket.create_connection(host_and_port(running.address)) as connection:
        connection.settimeout(DEADLINE)
        try:
            assert connection.recv(1) == b""
        except ConnectionResetError:
            pass
    running.wait_log("no PROXY header that counts.*none of --trust-proxy")
