"""The PROXY protocol's own implementation, HAProxy, behind the relay: it passes on what it was told."""
import pytest

from conftest import address, as_fd_3, command, hears

CONFIG = """
global
  log stderr format raw daemon
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  log global
  log-format "told %ci %cp %fi %[fc_pp_authority] %[fc_pp_unique_id]"
frontend told
  bind fd@3 accept-proxy
  default_backend lines
backend lines
  server one {backend} send-proxy
"""


@pytest.fixture
def receiver(start, listener, backend, tmp_path):
    """HAProxy in front of the backend."""
    config = tmp_path / "haproxy.cfg"
    config.write_text(CONFIG.format(backend=backend.address))
    argv, popen = as_fd_3(listener, [command("haproxy"), "-db", "-f", config])
    return start(argv, **popen)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_it_learns_the_clients_address(version, receiver, relay, listener, backend):
    running = relay("--to", address(listener), "--proxy-protocol", version)
    client = running.connect()
    ours = client.local_address
    peer = backend.accept()
    assert peer.line().decode().split()[:3] == ["PROXY", "TCP4", "127.0.0.1"]
    client.send("hello")
    assert peer.line() == b"hello\n"
    peer.send(b"welcome\n")
    hears(client, "welcome")
    client.close()
    peer.close()
    named = "127\\.0\\.0\\.1 \\d+" if version == "v2" else "- -"
    receiver.wait_for_line(rf"^told 127\.0\.0\.1 {ours[1]} 127\.0\.0\.1 {named}$", stream="stderr")


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("client", ["192.0.2.7", "2001:db8::7"])
def test_it_learns_a_forwarded_clients_address(version, client, receiver, relay, listener, backend):
    running = relay("--to", address(listener), "--proxy-protocol", version, "--trust-proxy", "127.0.0.1")
    running.connect(additional_headers={"X-Forwarded-For": client})
    family = "TCP6" if ":" in client else "TCP4"
    assert backend.accept().line().decode().startswith(f"PROXY {family} {client} ")
