"""pebble, an ACME authority for tests, and what it needs around it: names, and doors that lead where a test wants."""
import contextlib
import json
import os
import pathlib
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request

from conftest import DEADLINE, command

LOCALHOST = "127.0.0.1"


class Names(socketserver.ThreadingUDPServer):
    """A DNS server to which every name is this machine."""

    def __init__(self, opened):
        super().__init__((LOCALHOST, 0), Answer)
        opened.callback(self.server_close)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        opened.callback(self.shutdown)
        self.address = f"{LOCALHOST}:{self.server_address[1]}"


class Answer(socketserver.BaseRequestHandler):
    """RFC 1035, section 4.1: an A record for whoever asks for one, and none of any other type."""

    def handle(self):
        query, server = self.request
        end = query.index(0, 12) + 5  # of the question: name, type, class
        is_a = query[end - 4:end - 2] == b"\0\1"
        head = query[:2] + struct.pack(">5H", 0x8180, 1, is_a, 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(LOCALHOST)
        server.sendto(head + query[12:end] + (record if is_a else b""), self.client_address)


class Door(socketserver.ThreadingTCPServer):
    """A port that leads to the address `leads_to`, or slams."""

    daemon_threads = True

    def __init__(self, opened):
        super().__init__((LOCALHOST, 0), Passage)
        self.leads_to, self.knocks = None, 0
        self.port = self.server_address[1]
        opened.callback(self.server_close)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        opened.callback(self.shutdown)


class Passage(socketserver.BaseRequestHandler):
    def handle(self):
        self.server.knocks += 1
        if not self.server.leads_to:
            return
        host, port = self.server.leads_to.split(":")
        with contextlib.suppress(OSError), socket.create_connection((host, port), DEADLINE) as other:
            back = threading.Thread(target=carry, args=(other, self.request), daemon=True)
            back.start()
            carry(self.request, other)
            back.join(DEADLINE)


def carry(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def openssl(*words):
    subprocess.run([command("openssl"), *map(str, words)], check=True, capture_output=True, timeout=DEADLINE)


def certify(folder, *names):
    """(CA, certificate, key) for a server of these names, as PEM files."""
    ca, ca_key, cert, key, request = (folder / f"authority-{what}.pem" for what in ("ca", "ca-key", "cert", "key", "csr"))
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", ca, "-days", 2, "-subj", "/CN=CA of the test")
    openssl("req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=server of the test")
    extensions = folder / "authority-extensions"
    extensions.write_text(f"subjectAltName={','.join(names)}\nbasicConstraints=CA:FALSE\n")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-days", 2, "-extfile", extensions, "-out", cert)
    return ca, cert, key


def listening_ports(pid):
    """The TCP ports on which a process listens."""
    sockets = set()
    for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            sockets.add(os.readlink(descriptor))
    ports = []
    for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
            ports.append(int(words[1].split(":")[1], 16))
    return ports


class Authority:
    """A running pebble. It proves names at `public`, the door that stands for their port 443."""

    def __init__(self, start, folder, opened, *, validity=3600, blocked=(), stale_nonces=5):
        self.ca, cert, key = certify(folder, "DNS:localhost", f"IP:{LOCALHOST}")
        self.public = Door(opened)
        config = {
            "listenAddress": f"{LOCALHOST}:0", "managementListenAddress": f"{LOCALHOST}:0",
            "certificate": str(cert), "privateKey": str(key), "httpPort": 1, "tlsPort": self.public.port,
            "domainBlocklist": list(blocked), "certificateValidityPeriod": validity,
        }
        file = folder / "pebble.json"
        file.write_text(json.dumps({"pebble": config}))
        environment = os.environ | {
            "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": str(stale_nonces), "PEBBLE_AUTHZREUSE": "0",
        }
        argv = [command("pebble"), "-config", file, "-strict=false", "-dnsserver", Names(opened).address]
        self.program = start(argv, env=environment)
        self._find_out()

    def _find_out(self):
        """It does not tell which ports it was given."""
        until = time.monotonic() + DEADLINE
        while len(ports := listening_ports(self.program.pid)) < 2:
            assert time.monotonic() < until, "pebble does not listen"
            time.sleep(0.01)
        for port in ports:
            try:
                self._get(port, "/dir")
                self.port = port
            except urllib.error.HTTPError:
                self._management = port
        self.address = f"{LOCALHOST}:{self.port}"
        self.directory = f"https://localhost:{self.port}/dir"

    def _get(self, port, path):
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.ca)),
        )
        with opener.open(f"https://localhost:{port}{path}", timeout=DEADLINE) as response:
            return response.read().decode()

    def trust(self):
        """A client's SSL context that believes in nobody else's certificates."""
        return ssl.create_default_context(cadata=self._get(self._management, "/roots/0"))
