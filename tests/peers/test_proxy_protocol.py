"""Receivers of the PROXY protocol behind the relay, its own implementation first: they say what they were told."""
import os

import pytest

from conftest import address, as_fd_3, command, hears
from side_by_side import accepts, on_a_free_port, wait_until

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


NGINX = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr info;
events {{ }}
stream {{
  log_format told "told $proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr";
  access_log /dev/stderr told;
  server {{
    listen unix:{folder}/socket proxy_protocol;
    proxy_pass {backend};
  }}
}}
"""


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("client", ["192.0.2.7", "2001:db8::7"])
def test_nginx_learns_a_clients_address(version, client, start, relay, backend, tmp_path):
    config = tmp_path / "nginx.conf"
    config.write_text(NGINX.format(folder=tmp_path, backend=backend.address))
    nginx = start([command("nginx"), "-p", tmp_path, "-c", config, "-e", "stderr"])
    wait_until(lambda: accepts(tmp_path / "socket"), "nginx")
    running = relay("--to", f"unix:{tmp_path}/socket", "--proxy-protocol", version, "--trust-proxy", "127.0.0.1")
    session = running.connect(additional_headers={"X-Forwarded-For": client})
    peer = backend.accept()
    session.send("hello")
    assert peer.line() == b"hello\n"
    peer.close()
    local = "::ffff:127.0.0.1" if ":" in client else "127.0.0.1"
    # It shows the port 0, of a client that is forwarded, as nothing.
    nginx.wait_for_line(f"^told {client} 0? {local}$", stream="stderr")


DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
ssl = no
protocols = pop3
haproxy_trusted_networks = 127.0.0.1
passdb {{
  driver = static
  args = nopassword=y
}}
service pop3-login {{
  {unprivileged}
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {port}
    haproxy = yes
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""


# In version 1, Dovecot refuses the port 0, which a forwarded client has.
@pytest.mark.parametrize("version, client", [("v1", None), ("v2", None), ("v2", "192.0.2.7"), ("v2", "2001:db8::7")])
def test_dovecot_learns_a_clients_address(version, client, start, relay, tmp_path):
    config = tmp_path / "dovecot.conf"
    if os.getuid() == 0:
        own = unprivileged = ""
    else:
        own = "".join(f"default_{kind}_user = {os.getlogin()}\n" for kind in ("login", "internal"))
        unprivileged = "chroot ="

    def argv(port):
        config.write_text(own + DOVECOT.format(folder=tmp_path, port=port, unprivileged=unprivileged))
        return [command("dovecot"), "-F", "-c", config]

    dovecot, at = on_a_free_port(start, argv, lambda program, port: program.wait_for_line("starting up", "stderr"))
    running = relay("--to", at, "--eol", "crlf", "--proxy-protocol", version, "--trust-proxy", "127.0.0.1")
    session = running.connect(additional_headers={"X-Forwarded-For": client} if client else {})
    hears(session, "+OK Dovecot (Debian) ready.")
    session.send("QUIT")
    hears(session, "+OK Logging out")
    dovecot.wait_for_line(rf"\brip={client or '127.0.0.1'}, ", stream="stderr")
