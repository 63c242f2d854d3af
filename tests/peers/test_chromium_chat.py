"""Chromium, on the page of the chat example: what people at two windows see."""
import os
import signal

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from conftest import DEADLINE, ROOT

CHAT = ROOT / "examples/chat"

# Opens a WebSocket at the place the page came from; `ended` will tell all that happened to it.
OPEN = """
const socket = new WebSocket(location.href.replace("http", "ws"), arguments[0]);
const seen = { opened: false, messages: [] };
socket.onopen = () => { seen.opened = true; seen.protocol = socket.protocol; seen.extensions = socket.extensions; };
socket.onmessage = ({ data }) => seen.messages.push(data);
window.ended = new Promise((done) => {
  socket.onclose = ({ code, reason, wasClean }) => done({ ...seen, code, reason, wasClean });
});
"""


class Window:
    """One window with the chat's page."""

    def __init__(self, driver, url):
        self.driver = driver
        driver.switch_to.new_window("window")
        self.handle = driver.current_window_handle
        driver.get(url)

    def __enter__(self):
        self.driver.switch_to.window(self.handle)

    def __exit__(self, *_):
        pass

    @property
    def status(self):
        return self.driver.find_element(By.ID, "status").text

    @property
    def lines(self):
        return [line.text for line in self.driver.find_elements(By.CSS_SELECTOR, "#log p")]

    def wait(self, condition, what):
        with self:
            try:
                WebDriverWait(self.driver, DEADLINE, 0.05).until(lambda _: condition())
            except TimeoutException:
                pytest.fail(f"{what} never came; status {self.status!r}, lines {self.lines}")

    def shows(self, line):
        self.wait(lambda: line in self.lines, repr(line))

    def has_status(self, text):
        self.wait(lambda: text in self.status, f"status {text!r}")

    def say(self, text):
        with self:
            self.driver.find_element(By.ID, "line").send_keys(text, Keys.ENTER)

    def close(self):
        with self:
            self.driver.close()


def page_of(relay):
    return relay.url.replace("ws:", "http:")


@pytest.fixture
def example(start, wsrelay, tmp_path):
    """The chat example as a newcomer starts it: (its program, its address)."""
    program = start([CHAT / "run"], env={**os.environ, "WSRELAY": wsrelay, "PORT": "0"}, cwd=tmp_path)
    port = program.wait_for_line(r"^listening on ws://\S+:(\d+)$")[1]
    return program, f"http://localhost:{port}/"


def test_two_windows_talk_and_one_is_closed(browser, example):
    _, url = example
    one = Window(browser, url)
    one.has_status("Connected (ex3)")
    one.shows("* guest-1 joined")
    other = Window(browser, url)
    other.has_status("Connected (ex3)")
    for window in (one, other):
        window.shows("* guest-2 joined")
    one.say("/name Zoe")
    other.shows("* guest-1 is now Zoe")
    one.say("Hello <b>you</b> & all")
    other.say("Žluťoučký kůň")
    for window in (one, other):
        window.shows("Zoe: Hello <b>you</b> & all")
        window.shows("guest-2: Žluťoučký kůň")
    other.close()
    one.shows("* guest-2 left")
    one.say("alone")
    one.shows("Zoe: alone")


def test_a_reload_is_a_new_session(browser, example):
    _, url = example
    window = Window(browser, url)
    window.shows("* guest-1 joined")
    with window:
        browser.refresh()
    window.has_status("Connected (ex3)")
    window.say("back")
    window.wait(lambda: any(line.endswith(": back") for line in window.lines), "what was said after the reload")


def test_a_stop_shows_1001(browser, example):
    program, url = example
    window = Window(browser, url)
    window.has_status("Connected")
    program.send(signal.SIGTERM)
    window.has_status("Closed: 1001 server shutting down")
    assert program.wait() == 0


@pytest.mark.parametrize("offered, chosen", [("ex3", "ex3"), (["ex3", "ex4"], "ex3"), ([], "")])
def test_the_subprotocol_asked_for_is_the_one_in_use(browser, relay, backend, offered, chosen):
    running = relay("--to", backend.address, "--static-dir", str(CHAT.parent / "echo"))
    browser.get(page_of(running) + "client.js")  # a text, that opens no WebSocket of its own
    browser.execute_script(OPEN, offered)
    peer = backend.accept()
    peer.send("hello\r\n\r\nž tail".encode())
    peer.close()
    seen = browser.execute_async_script("window.ended.then(arguments[0])")
    assert seen == {
        "opened": True, "protocol": chosen, "extensions": "", "messages": ["hello", "", "ž tail"],
        "code": 1000, "reason": "backend closed", "wasClean": True,
    }


def test_a_refused_backend_shows_1013_and_why(browser, relay, refusing):
    window = Window(browser, page_of(relay("--to", refusing, "--refuse", "close", "--static-dir", str(CHAT))))
    window.has_status(f"Closed: 1013 backend {refusing}: connection refused")


def test_without_that_a_page_learns_nothing(browser, relay, refusing):
    window = Window(browser, page_of(relay("--to", refusing, "--static-dir", str(CHAT))))
    window.has_status("Closed: 1006")
