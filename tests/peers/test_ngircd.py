"""ngIRCd behind the relay: two people meet in a channel."""
from conftest import DEADLINE, closed

WEBIRC = "WEBIRC secret wsrelay {host} {ip} :{secure}"


class Person:
    """A client that answers PING, as all must."""

    def __init__(self, connection, nick):
        self.connection, self.nick, self.pings = connection, nick, 0
        self.say(f"NICK {nick}")
        self.say(f"USER {nick} 0 * :{nick} behind a browser")
        self.hears(" 376 ")

    def say(self, line):
        self.connection.send(line)

    def hears(self, *words):
        """The next line that has all of these in it."""
        while True:
            line = self.connection.recv(timeout=DEADLINE)
            assert "\r" not in line and "\n" not in line
            if line.startswith("PING "):
                self.pings += 1
                self.say(line.replace("PING", "PONG", 1))
            if all(word in line for word in words):
                return line


def test_two_people_talk_in_a_channel_and_one_quits(relay, ngircd):
    running = relay("--to", ngircd, "--eol", "crlf")
    ann = Person(running.connect(subprotocols=["text.ircv3.net"]), "ann")
    bob = Person(running.connect(), "bob")
    assert ann.connection.subprotocol == "text.ircv3.net"
    ann.say("JOIN #tea")
    ann.hears(" 366 ", "#tea")
    bob.say("JOIN #tea")
    bob.hears(" 366 ", "#tea")
    assert ann.hears(" JOIN ").startswith(":bob!")
    ann.say("PRIVMSG #tea :žluťoučký 🐈")
    assert bob.hears(" PRIVMSG ").endswith(" PRIVMSG #tea :žluťoučký 🐈")
    bob.say("PRIVMSG ann :only you\r\nPRIVMSG #tea :all of you\r\n")  # two lines in one message
    assert ann.hears(" PRIVMSG ").endswith(" PRIVMSG ann :only you")
    assert ann.hears(" PRIVMSG ").endswith(" PRIVMSG #tea :all of you")
    bob.say("QUIT :good night")
    assert "good night" in ann.hears(":bob!", " QUIT ")
    bob.hears("ERROR ")
    assert closed(bob.connection) == (1000, "backend closed", "relay")


class Halloy(Person):
    """Speaks bytes, as Halloy does: it prefers binary.ircv3.net."""
    OFFERS = ["binary.ircv3.net", "text.ircv3.net"]

    def __init__(self, running, nick):
        super().__init__(running.connect(subprotocols=self.OFFERS), nick)

    def say(self, line):
        self.connection.send(line.encode())

    def hears(self, *words):
        """As bytes that need not be UTF-8."""
        while True:
            line = self.connection.recv(timeout=DEADLINE)
            assert isinstance(line, bytes) and b"\r" not in line and b"\n" not in line
            if line.startswith(b"PING "):
                self.connection.send(line.replace(b"PING", b"PONG", 1))
            if all(word.encode() in line for word in words):
                return line


def test_clients_of_bytes_and_of_text_meet_in_a_channel(relay, ngircd):
    running = relay("--to", ngircd, "--eol", "crlf", "--charset-fallback", "windows-1252")
    hal = Halloy(running, "hal")
    assert hal.connection.subprotocol == "binary.ircv3.net"
    ann = Person(running.connect(subprotocols=["text.ircv3.net", "binary.ircv3.net"]), "ann")
    assert ann.connection.subprotocol == "text.ircv3.net"
    for person in (hal, ann):
        person.say("JOIN #tea")
        person.hears(" 366 ", "#tea")
    hal.hears(":ann!", " JOIN ")
    ann.say("PRIVMSG #tea :čaj")
    assert hal.hears(" PRIVMSG ").endswith(" PRIVMSG #tea :čaj".encode())
    hal.connection.send("PRIVMSG #tea :thé".encode("windows-1252"))
    assert ann.hears(" PRIVMSG ").endswith(" PRIVMSG #tea :thé")


def test_who_closes_the_page_is_seen_leaving(relay, ngircd):
    running = relay("--to", ngircd, "--eol", "crlf")
    ann, bob = (Person(running.connect(), nick) for nick in ("ann", "bob"))
    for person in (ann, bob):
        person.say("JOIN #tea")
        person.hears(" 366 ", "#tea")
    ann.hears(":bob!", " JOIN ")
    bob.connection.close()
    ann.hears(":bob!", " QUIT ")


def test_who_is_silent_is_pinged_and_stays(relay, ngircd):
    running = relay("--to", ngircd, "--eol", "crlf")
    ann = Person(running.connect(), "ann")
    ann.hears("PING ")  # from the server, after a second
    assert ann.pings == 1
    ann.say("VERSION")
    ann.hears(" 351 ")


def client_from(running, ip, **options):
    """A client that a proxy has forwarded from this address."""
    return running.connect(additional_headers={"X-Forwarded-For": ip}, **options)


def test_who_is_asked_about_has_an_address_of_his_own(relay, ngircd):
    options = "--eol", "crlf", "--trust-proxy", "127.0.0.1", "--hello", WEBIRC, "--goodbye", "QUIT :{reason*}"
    running = relay("--to", ngircd, *options)
    people = {"ann": "192.0.2.7", "bob": "2001:db8::7", "eve": "::1"}
    shown = people | {"eve": "0::1"}
    there = {nick: Person(client_from(running, ip), nick) for nick, ip in people.items()}
    for nick, ip in shown.items():
        there["ann"].say(f"WHOIS {nick}")
        # RPL_WHOISUSER: the nick, and the user and host that WEBIRC named
        assert there["ann"].hears(" 311 ", f" {nick} ").split()[3:6] == [nick, "wsrelay", ip]
    there["ann"].say("JOIN #tea")
    there["ann"].hears(" 366 ", "#tea")
    there["bob"].say("JOIN #tea")
    there["ann"].hears(":bob!", "@2001:db8::7 JOIN ")
    there["bob"].connection.socket.close()  # no Close: the tab is gone
    assert "connection" in there["ann"].hears(":bob!", " QUIT ")


def test_no_client_puts_words_into_webirc(relay, ngircd):
    hello = "WEBIRC secret wsrelay {query:host} {ip} :{secure}"
    running = relay("--to", ngircd, "--eol", "crlf", "--hello", hello)
    for host in "a.example%20192.0.2.9%20:", "a.example%0D%0AQUIT", "%E2%80%A8%C2%85%00%09":
        ann = Person(running.connect(f"{running.url}?host={host}"), "ann")
        ann.say("WHOIS ann")
        assert ann.hears(" 311 ").split()[4:6] == ["wsrelay", "127.0.0.1"]
        ann.say("QUIT")
        closed(ann.connection)


def test_a_server_that_is_not_there_is_told_in_its_own_words(relay):
    options = "--refuse", "close", "--refusal", "ERROR :{reason*}", "--eol", "crlf"
    running = relay("--to", "127.0.0.1:1", *options)
    ann = running.connect(subprotocols=["text.ircv3.net"])
    why = "backend 127.0.0.1:1: connection refused"
    assert ann.recv(timeout=DEADLINE) == f"ERROR :{why}"
    assert closed(ann) == (1013, why, "relay")
