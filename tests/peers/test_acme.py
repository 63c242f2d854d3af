"""Automatic certificates, from pebble: real orders, proofs and renewals."""
import signal
import socket
import ssl
import stat

import pytest

from authority import Door, certify
from conftest import DEADLINE, hears

NAME = "relay.example"


class Site:
    """A relay of the authority's, restarted at will; `public` leads to it."""

    def __init__(self, relay, authority, cache, to):
        self._relay, self._authority, self._cache, self._to = relay, authority, cache, to
        self.directory = authority.directory

    def start(self, *options, names=NAME, leads=True):
        self.running = self._relay(
            "--to", self._to, "--acme-domain", names, "--acme-cache", self._cache, "--acme-ca", self._authority.ca,
            "--acme-directory", self.directory, "--acme-email", "admin@relay.example", *options,
        )
        self._authority.public.leads_to = self.running.address if leads else None
        return self.running

    def certificate(self, name=NAME, **tls):
        """What a client is shown that checks it, as the ssl module shows it."""
        with self.tls(name, **tls) as client:
            return client.getpeercert()

    def tls(self, name=NAME, trust=None):
        plain = socket.create_connection(self.running.address.split(":"), DEADLINE)
        return (trust or self._authority.trust()).wrap_socket(plain, server_hostname=name)

    def connect(self, name=NAME, trust=None):
        plain = socket.create_connection(self.running.address.split(":"), DEADLINE)
        return self.running.connect(f"wss://{name}/", sock=plain, ssl=trust or self._authority.trust())

    def refuses(self):
        """Its handshake fails for want of a certificate."""
        with pytest.raises((ssl.SSLError, ConnectionError)):
            self.tls(trust=ssl._create_unverified_context()).close()


@pytest.fixture
def site(relay, tmp_path, echo):
    """site(authority) -> Site, with its own cache."""
    return lambda authority: Site(relay, authority, tmp_path / "cache", echo)


def test_a_certificate_comes_by_itself(authority, site, tmp_path):
    site = site(authority(stale_nonces=30))
    relay = site.start(names=f"{NAME}, www.{NAME}")
    log = relay.wait_log(r"certificate obtained names=.*").string
    assert f"{NAME},www.{NAME}" in log and "until=" in log
    assert set(site.certificate()["subjectAltName"]) == {("DNS", NAME), ("DNS", f"www.{NAME}")}
    client = site.connect(f"www.{NAME}")
    client.send("hello")
    hears(client, "hello")
    for file in (tmp_path / "cache").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    relay.program.send(signal.SIGTERM)
    assert relay.program.wait() == 0


def test_a_certificate_for_an_address(authority, site):
    """RFC 8738: proven by the name of its reverse look-up."""
    site = site(authority())
    site.start(names=f"127.0.0.1,{NAME}").wait_log(r"certificate obtained names=.*127.0.0.1,relay.example")
    assert set(site.certificate("127.0.0.1")["subjectAltName"]) == {("DNS", NAME), ("IP Address", "127.0.0.1")}


def test_proofs_are_no_clients(authority, site):
    """The authority connects several times: neither sessions nor failures."""
    site = site(authority())
    relay = site.start()
    assert "connection dropped" not in relay.log_before(r"certificate obtained")
    site.connect().close()
    assert "connection dropped" not in relay.log_before(r"session closed")


def test_a_restart_orders_nothing(authority, site, opened):
    authority = authority()
    site, way = site(authority), Door(opened)
    site.directory, way.leads_to = f"https://localhost:{way.port}/dir", authority.address
    site.start().wait_log(r"certificate obtained")
    first = site.certificate()
    site.running.program.send(signal.SIGTERM)
    assert site.running.program.wait() == 0
    knocks = way.knocks
    assert knocks > 5
    site.start().wait_log(r"certificate found")
    assert site.certificate()["serialNumber"] == first["serialNumber"]
    # Other names are another certificate.
    site.running.program.end()
    assert way.knocks == knocks
    site.start(names=f"other.{NAME}").wait_log(r"certificate obtained")
    assert site.certificate(f"other.{NAME}")["subjectAltName"] == (("DNS", f"other.{NAME}"),)


def test_a_broken_cache_is_told_and_mended(authority, site, tmp_path):
    site = site(authority())
    site.start().wait_log(r"certificate obtained")
    site.running.program.end()
    for kept in (tmp_path / "cache").iterdir():
        kept.write_bytes(kept.read_bytes()[:100])
    site.start().wait_log(r"WARN the account's key that was kept is unusable")
    site.running.wait_log(r"WARN the certificate that was kept is unusable")
    site.running.wait_log(r"certificate obtained")
    site.connect().send("hello")


def test_it_is_renewed_in_time_and_sessions_live_on(authority, site):
    authority = authority(validity=4)
    site = site(authority)
    relay = site.start()
    relay.wait_log(r"certificate obtained")
    trust = authority.trust()
    first, client = site.certificate(trust=trust), site.connect(trust=trust)
    relay.wait_log(r"certificate renewed")
    assert site.certificate(trust=trust)["serialNumber"] != first["serialNumber"]
    client.send("still here")
    hears(client, "still here")
    # Without an authority the old one is served as long as it holds, and then the log is louder.
    authority.program.end()
    relay.wait_log(r"WARN can't renew the certificate, the old one still holds .*connection refused")
    relay.wait_log(r"ERROR can't renew the certificate, and the old one has expired")
    client.send("still here")
    hears(client, "still here")


def test_without_the_authority_clients_wait_and_the_log_says_why(authority, site, opened):
    authority = authority()
    site, way = site(authority), Door(opened)
    site.directory = f"https://localhost:{way.port}/dir"
    relay = site.start()
    found = relay.wait_log(r"ERROR can't get a certificate .*").string
    assert f"this machine must reach {site.directory}" in found
    site.refuses()
    relay.wait_log(r"WARN clients are turned away: there is no certificate yet")
    site.refuses()
    way.leads_to = authority.address
    assert "no certificate yet" not in relay.log_before(r"certificate obtained")
    site.connect().send("hello")


def test_unproven_names_are_told_and_tried_again_at_sighup(authority, site):
    site = site(authority())
    relay = site.start(leads=False)
    found = relay.wait_log(r"can't get a certificate .*").string
    assert f"port 443 of {NAME} must reach this process" in found and "again_in_s=60" in found
    site._authority.public.leads_to = relay.address
    relay.program.send(signal.SIGHUP)
    relay.wait_log(r"certificate obtained")
    assert site.certificate()["subjectAltName"] == (("DNS", NAME),)


def test_other_names_take_over_once_they_have_a_certificate(authority, relay, tmp_path, echo):
    authority = authority()
    file = tmp_path / "wsrelay.toml"

    def write(names):
        file.write_text(f"""
to = "{echo}"
acme-domain = {names}
acme-cache = "{tmp_path / "cache"}"
acme-ca = "{authority.ca}"
acme-directory = "{authority.directory}"
""")

    write([NAME])
    site = Site(relay, authority, None, None)
    site.running = relay("--config", file)
    authority.public.leads_to = site.running.address
    site.running.wait_log(r"certificate obtained")
    first = site.certificate()["serialNumber"]
    authority.public.leads_to = None
    write([NAME, f"www.{NAME}"])
    site.running.program.send(signal.SIGHUP)
    site.running.wait_log(r"reloaded")
    site.running.wait_log(r"can't get a certificate")
    assert site.certificate()["serialNumber"] == first
    authority.public.leads_to = site.running.address
    site.running.program.send(signal.SIGHUP)
    site.running.wait_log(r"certificate obtained")
    assert site.certificate(f"www.{NAME}")["serialNumber"] != first


def test_refused_orders_are_told_in_the_authority_s_words(authority, site):
    site = site(authority(blocked=["blocked.example"]))
    relay = site.start(names=f"{NAME},www.blocked.example")
    found = relay.wait_log(r"can't get a certificate .*").string
    assert "forbidden by policy" in found and "again_in_s=60" in found
    # It goes on, and its other doors work.
    site.refuses()
    relay.program.send(signal.SIGTERM)
    assert relay.program.wait() == 0


def test_the_authority_needs_no_certificate_where_clients_do(authority, site, tmp_path):
    folder = tmp_path / "clients"
    folder.mkdir()
    ca, cert, key = certify(folder, "DNS:client.example")
    authority = authority()
    site = site(authority)
    site.start("--tls-client-ca", ca).wait_log(r"certificate obtained")
    trust = authority.trust()
    trust.load_cert_chain(cert, key)
    client = site.connect(trust=trust)
    client.send("let in")
    hears(client, "let in")
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError, OSError)):
        with site.tls() as stranger:
            stranger.recv(1)
