"""The page of --dev-console in a real browser: what somebody can do there who talks to a backend by hand."""
import re
from datetime import datetime

import pytest
from selenium.webdriver.common.keys import Keys

from console_page import Console


def test_a_line_each_way(console):
    page = console()
    assert page.state == "Not connected"
    assert page.find("url").text == f"ws://{page.relay.address}/chat?room=1"
    assert page.driver.title == "/chat – wsrelay console"
    peer = page.connect()
    page.send("hello")
    assert peer.line() == b"hello\n"
    page.shows("hello", kind="up")
    peer.send("Žluťoučký\n\nkůň\tx\n".encode())
    page.shows("Žluťoučký", "", "kůň\tx")
    page.counts("3 received, 1 sent")
    signs = page.script("return [...document.querySelectorAll('#log b')].map((b) => [b.textContent, b.ariaLabel])")
    assert signs == [["•", "note"], ["↑", "sent"]] + [["↓", "received"]] * 3
    first = page.script("const t = document.querySelector('#log time'); return [t.textContent, t.dateTime]")
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", first[0]) and datetime.fromisoformat(first[1])
    assert page.complaints() == []


def test_it_connects_only_when_told_to(console):
    page = console()
    page.script("document.getElementById('filter').focus()")
    page.send("too early")
    assert page.find("send-note").text == "Not sent: there is no connection. Your text stays here."
    assert page.field == "too early"
    assert page.state == "Not connected", "a link to a console opens no session"
    peer = page.connect()
    assert page.find("send-note").text == ""
    page.press(Keys.ENTER)
    assert peer.line() == b"too early\n"


def test_subprotocols(console):
    page = console("--subprotocol", "ex4,ex3")
    for wrong in ["a b", "ex3, ex3", "ä"]:
        page.find("protocols").send_keys(wrong, Keys.ENTER)
        assert page.find("protocols-note").text == "Each name once, of letters, digits and !#$%&'*+-.^_`|~"
        assert page.find("protocols").get_attribute("aria-invalid") == "true"
        assert page.focused == "protocols" and page.state == "Not connected"
        page.find("protocols").clear()
    page.connect("ex3", "ex4")
    page.wait_state("Connected, subprotocol ex3$")
    assert page.find("protocols").get_attribute("aria-invalid") == "false"


def test_what_was_sent_comes_back(console):
    page = console()
    peer = page.connect()
    for line in ["one", "two", "two", "", "three"]:
        page.send(line)
        assert peer.line() == line.encode() + b"\n"
    field = page.find("line")
    field.send_keys("draft")
    seen = []
    for key in [Keys.UP] * 4 + [Keys.DOWN] * 4:
        field.send_keys(key)
        seen.append(page.field)
    assert seen == ["three", "two", "one", "one", "two", "three", "draft", "draft"]


def test_a_message_of_several_lines(console):
    page = console()
    peer = page.connect()
    newline = Keys.SHIFT + Keys.ENTER + Keys.NULL
    page.find("line").send_keys("first", newline, "second")
    assert page.find("line").get_attribute("rows") == "2"
    page.press(Keys.UP, "x")
    assert "x" in page.field.split("\n")[0], "the keys move in the text first"
    page.find("line").clear()
    page.send("a" + newline + "b")
    assert (peer.line(), peer.line()) == (b"a\n", b"b\n")
    page.shows("a\nb", kind="up")
    assert page.find("line").get_attribute("rows") == "1"


def test_pause_and_go_on(console):
    page = console()
    peer = page.connect()
    peer.send(b"before\n")
    page.shows("before")
    page.find("pause").click()
    assert page.find("pause").get_attribute("aria-pressed") == "true"
    peer.send(b"while paused 1\nwhile paused 2\n")
    page.wait(lambda: page.find("newer").text == "↓ 2 newer lines", "the number of newer lines")
    page.counts("3 received, 0 sent, paused")
    assert page.rows("down") == ["before"]
    page.find("pause").click()
    page.shows("before", "while paused 1", "while paused 2")
    assert not page.find("newer").is_displayed()
    page.find("pause").click()
    peer.send(b"again\n")
    page.wait(lambda: page.find("newer").text == "↓ 1 newer line", "the newer line")
    page.find("newer").click()
    page.shows("again")
    assert page.find("pause").get_attribute("aria-pressed") == "false"
    assert page.focused == "log"


def test_filter(console):
    page = console()
    peer = page.connect()
    peer.send(b"".join(b"%s %d\n" % (b"Even" if n % 2 == 0 else b"odd", n) for n in range(10)))
    page.shows("odd 9")
    page.filter("eVEN")
    page.shows(*[f"Even {n}" for n in range(0, 10, 2)])
    assert page.rows() == page.rows("down")
    page.counts("10 received, 0 sent, 5 shown")
    peer.send(b"Even 10\nodd 11\n")
    page.shows("Even 8", "Even 10")
    page.filter("")
    page.shows("odd 9", "Even 10", "odd 11")


def test_clear(console):
    page = console()
    peer = page.connect()
    peer.send(b"old\n")
    page.shows("old")
    page.find("clear").click()
    page.wait(lambda: page.rows() == [], "an empty page")
    page.counts("0 received, 0 sent")
    peer.send(b"new\n")
    page.shows("new")
    assert page.rows() == ["new"]


def test_save(console, tmp_path):
    page = console("--binary")
    folder = tmp_path / "saved"
    folder.mkdir()
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    peer = page.connect()
    page.send("up ☕")
    peer.send(b"\x00\xffdown, seventeen")
    page.wait(lambda: page.rows("down"), "the bytes")
    page.filter("nothing has this")
    page.find("save").click()
    saved = page.wait(lambda: list(folder.glob("*.txt")), "the file")[0]
    host, port = page.relay.address.split(":")
    assert re.fullmatch(rf"wsrelay-{host}-{port}-chat-[\dT-]+\.txt", saved.name), saved.name
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(
        rf"# {page.relay.url}chat\?room=1, saved {time}: 1 received, 1 sent\n"
        rf"{time} # Connected\n"
        rf"{time} > up ☕\n"
        rf"{time} < 17 bytes\n"
        r"    00 ff 64 6f 77 6e 2c 20 73 65 76 65 6e 74 65 65  \.\.down, seventee\n"
        r"    6e {47}n\n",
        saved.read_text(encoding="utf-8"),
    ), saved.read_text(encoding="utf-8")


def test_bytes_are_shown_as_both(console):
    page = console("--binary")
    peer = page.connect()
    peer.send(bytes(range(16)) + b"<b>text</b>")
    page.shows(
        "27 bytes\n"
        "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  ................\n"
        "3c 62 3e 74 65 78 74 3c 2f 62 3e                 <b>text</b>"
    )
    for words, shown in [("0e 0f", 1), ("TEXT", 1), ("0f 0e", 0)]:
        page.filter(words)
        page.counts(f"{shown} shown")
    page.filter("")
    peer.send(b"x" * 5000)
    page.wait(lambda: page.rows()[-1:] and "x" * 16 in page.rows()[-1], "the long one")
    assert page.rows()[-1].endswith("\n… and 4,488 more bytes, which Save writes too")


@pytest.mark.parametrize("end, code", [
    (lambda peer: peer.close(), r"1000 Normal Closure( \(the session is complete\))?: backend closed"),
    (lambda peer: peer.reset(), r"1011 Internal Error( \(the server, or what is behind it, failed\))?: .*reset"),
    (lambda peer: peer.send(b"x" * 3000), r"1009 Message Too Big( \(.*\))?: line from backend longer than"),
])
def test_why_it_was_closed(console, end, code):
    page = console("--max-line", "2KiB")
    end(page.connect())
    page.wait_state("^Closed: " + code)
    assert re.match("^Closed: " + code, page.rows()[-1])
    assert page.find("connect").text == "Reconnect"
    assert not page.find("close").is_enabled()


def test_a_stop_is_told(console):
    page = console()
    page.connect()
    page.relay.program.process.terminate()
    page.wait_state("^Closed: 1001 Going Away: server shutting down$")


def test_a_refusal_is_told(open_browser, relay, refusing):
    for options, expected in [
        (["--refuse", "close"], "Closed: 1013 Try Again Later: backend"),
        ([], "No connection: 1006 Abnormal Closure"),
    ]:
        page = Console(open_browser(), relay("--to", refusing, "--dev-console", *options), None)
        page.find("connect").click()
        page.wait_state("^" + expected)
        assert any("--refuse close" in row for row in page.rows()) == (not options)


def test_close_and_reconnect(console):
    page = console()
    peer = page.connect()
    page.find("close").click()
    page.wait_state("^Closed by you: 1000 Normal Closure$")
    assert peer.rest() == b""
    peer.close()
    assert page.focused == "connect", "the focus is not lost with the button"
    peer = page.connect()
    assert page.focused == "line"
    page.send("once more")
    assert peer.line() == b"once more\n"
    page.find("connect").click()
    assert peer.rest() == b"", "the session before it ends"
    peer.close()
    second = page.backend.accept()
    second.send(b"fresh\n")
    page.shows("fresh")
    notes = [row.split(":")[0] for row in page.rows("note")]
    assert notes == ["Connected", "Closed by you", "Connected", "Closed by you", "Connected"]
