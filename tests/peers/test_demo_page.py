"""The chat page of the demo in a real browser: what people at it see and can do."""

import contextlib
import re
import signal
import socket
import threading
import uuid

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from conftest import set_size

PATIENCE = 20


class Person:
    """Somebody at a browser."""

    def __init__(self, driver, base_url, room="", path=None, name=None):
        self.driver, self.base_url = driver, base_url
        driver.get(base_url + (path if path is not None else f"/room/{room}"))
        self.wait_state("Connected")
        self.wait(lambda: self.me)
        if name:
            self.call_oneself(name)

    def find(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css):
        """The texts of all elements, those that are scrolled or folded away, too."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent.trim())"
        return self.driver.execute_script(script, css)

    def wait(self, condition, message=""):
        try:
            return WebDriverWait(self.driver, PATIENCE, 0.05).until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(f"{message or 'never came'}; state: {self.state!r}; log: {self.log}") from None

    @property
    def state(self):
        return self.find("#state-text").text

    @property
    def log(self):
        return self.all("#log > *")

    @property
    def me(self):
        return "".join(self.all("#as b"))

    @property
    def focused(self):
        return self.driver.switch_to.active_element.get_attribute("id")

    def wait_state(self, pattern):
        self.wait(lambda: re.search(pattern, self.state), f"no state {pattern!r}")

    def call_oneself(self, name):
        if not self.find("#name").is_displayed():
            self.find("#name-open").click()
        self.find("#name").clear()
        self.find("#name").send_keys(name, Keys.ENTER)
        self.wait(lambda: self.me == name, f"was not called {name}")

    def say(self, text):
        self.find("#text").send_keys(text, Keys.ENTER)

    def sees(self, text, css="#log > *"):
        self.wait(lambda: any(text in line for line in self.all(css)), f"{text!r} not in {css}")

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def complaints(self):
        """What the browser's console says, but for lost connections."""
        lines = self.driver.get_log("browser")
        return [line["message"] for line in lines if "WebSocket connection to" not in line["message"]]


@pytest.fixture
def demo(start, wsrelay):
    """demo(address) -> (program, base URL) of a demo of its own."""
    def demo(address="127.0.0.1:0"):
        program = start([wsrelay, "demo", "--listen", address])
        return program, program.wait_for_line(r"^open (http://[^\s/]+)/")[1]
    return demo


@pytest.fixture
def base_url(demo):
    return demo()[1]


class Cable:
    """A TCP forwarder in front of the demo that can be cut and mended: what a page sees of a lost network."""

    def __init__(self, target):
        self.target, self.port = target, 0
        self.mend()

    def mend(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.ends = []
        threading.Thread(target=self._accept, args=(self.listener, self.ends), daemon=True).start()

    def cut(self):
        for end in [self.listener, *self.ends]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def _accept(self, listener, ends):
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self.target)
                ends += [near, far]
                for one, other in [(near, far), (far, near)]:
                    threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)


@pytest.fixture
def cable(base_url):
    host, port = base_url.removeprefix("http://").rsplit(":", 1)
    cable = Cable((host, int(port)))
    yield cable
    cable.cut()


@pytest.fixture
def room():
    """A room that nobody else is in."""
    return "r" + uuid.uuid4().hex[:12]


@pytest.fixture
def person(open_browser, base_url):
    def sit(room="", width=1000, height=700, dark=False, **options):
        return Person(open_browser(width, height, dark), options.pop("base_url", base_url), room, **options)
    return sit


def test_two_people_talk(person, room):
    ann = person(room, name="Ann")
    bob = person(room, name="Bob")
    ann.sees("Bob joined", ".news")
    assert not any("guest" in line for line in ann.log), "one arrival is one line"
    ann.say("Hello <b>Bob</b> & all: ☕")
    bob.sees("Hello <b>Bob</b> & all: ☕", ".said:not(.own) .text")
    ann.sees("Hello <b>Bob</b> & all: ☕", ".said.own .text")
    assert ann.all(".said.own .who") == ["Ann (you)"], "one's own lines are marked in words"
    assert bob.driver.execute_script("return document.querySelector('.said time').dateTime").endswith("Z")
    bob.say("/me waves")
    ann.sees("Bob waves", ".did")
    assert ann.all("#people li") == ["Ann (you)", "Bob"]
    bob.driver.close()
    ann.sees("Bob left", ".news")
    ann.wait(lambda: ann.all("#people li") == ["Ann (you)"])
    assert ann.complaints() == []


def test_a_name_is_remembered_and_can_be_changed(person, room):
    ann = person(room)
    assert ann.find("#name").is_displayed(), "one is asked for a name"
    assert ann.me.startswith("guest-"), "and can do without"
    ann.call_oneself("Ann")
    assert not ann.find("#name").is_displayed()
    ann.driver.refresh()
    ann.wait(lambda: ann.me == "Ann")
    ann.sees("You joined as Ann")
    ann.call_oneself("Anna")
    ann.sees("You are now Anna")
    ann.driver.switch_to.new_window("tab")
    second = Person(ann.driver, ann.base_url, room)
    second.sees("The name Anna is taken here", "#name-note")
    assert second.find("#name").get_attribute("aria-invalid") == "true"
    second.call_oneself("Bea")


def test_a_name_set_free_is_taken_again(person, room):
    ann = person(room, name="Ann")
    bob = person(room, name="Bob")
    ann.say("/join " + room + "-b")
    ann.sees("You joined as Ann")
    bob.call_oneself("Ann")
    ann.say("/join " + room)
    ann.wait(lambda: ann.me.startswith("guest-"))
    bob.driver.quit()
    ann.wait(lambda: ann.me == "Ann")


def test_names_that_cannot_be_are_explained(person, room):
    ann = person(room)
    ann.find("#name").send_keys("Ann:", Keys.ENTER)
    ann.sees("A name must be 1 to 24 visible characters", "#name-note")
    assert ann.focused == "name"
    ann.find("#name").clear()
    ann.find("#name").send_keys("Ann Smith", Keys.ENTER)
    ann.wait(lambda: ann.me == "Ann-Smith")
    assert ann.focused == "text"


def test_rooms_are_changed_without_reload(person, room):
    ann = person(room, name="Ann")
    ann.driver.execute_script("window.sameDocument = true")
    ann.say("only here")
    ann.sees("only here", ".text")
    ann.find("#other").send_keys("#" + room.upper() + "-Tea", Keys.ENTER)
    tea = room + "-tea"
    ann.wait(lambda: ann.all("#room") == [tea])
    assert ann.driver.current_url == f"{ann.base_url}/room/{tea}"
    assert ann.driver.title == f"#{tea} – wsrelay demo"
    assert ann.find("#link").get_attribute("value") == ann.driver.current_url
    assert ann.all("[aria-current=page]") == [tea]
    ann.sees("You joined as Ann")
    assert "only here" not in "".join(ann.log)
    bob = person(path=f"/?room={tea}", name="Bob")
    ann.sees("Bob joined")
    ann.driver.back()
    ann.wait(lambda: ann.all("#room") == [room])
    bob.sees("Ann left")
    ann.driver.forward()
    bob.sees("Ann joined")
    ann.find("#rooms li:first-child a").click()
    ann.wait(lambda: ann.driver.current_url == f"{ann.base_url}/room/lobby")
    ann.say("/join games")
    ann.wait(lambda: ann.driver.current_url == f"{ann.base_url}/room/games")
    ann.wait(lambda: ann.all("[aria-current=page]") == ["games"])
    assert ann.driver.execute_script("return window.sameDocument")


@pytest.mark.parametrize("path, room", [
    ("/", "lobby"), ("/#tea", "tea"), ("/?room=Tea", "tea"), ("/room/%E8%8C%B6", "茶"), ("/room/%", "lobby"),
    ("/room/tea/", "tea"),
])
def test_the_address_says_which_room(person, path, room):
    ann = person(path=path)
    ann.wait(lambda: ann.all("#room") == [room])
    ann.sees("You joined as")
    assert ann.driver.current_url.startswith(ann.base_url + path.split("%")[0]), "the address is left as it was"


def test_who_comes_later_reads_what_was_said(person, room):
    ann = person(room, name="Ann")
    ann.say("first")
    ann.say("/me sits down")
    ann.sees("Ann (you) sits down")
    bob = person(room)
    bob.sees("Said before you came")
    bob.sees("first", ".said .text")
    bob.sees("Ann sits down", ".did")
    assert bob.all(".said time") == [], "nobody knows when"


def test_a_lost_connection_comes_back_and_nothing_is_twice(person, room, cable):
    ann = person(room, base_url=cable.url, name="Ann")
    bob = person(room, name="Bob")
    ann.say("before")
    bob.sees("before")
    cable.cut()
    ann.wait_state(r"^(Connection lost: it broke off|No connection: the server does not answer) \(1006\)\. "
                   r"Trying again in \d+ s$")
    bob.sees("Ann left")
    ann.say("while away")
    ann.sees("Not sent", "#say-note")
    assert ann.find("#text").get_attribute("value") == "while away"
    bob.say("you missed this")
    bob.sees("you missed this")
    cable.mend()
    ann.wait_state("^Connected$")
    ann.sees("Said while you were away")
    ann.sees("you missed this", ".said .text")
    assert ann.all(".said .text").count("before") == 1
    ann.wait(lambda: ann.me == "Ann")
    ann.press(Keys.ENTER)
    bob.sees("while away", ".said .text")


def test_try_now_and_events_cut_the_waiting_short(person, room, cable):
    ann = person(room, base_url=cable.url, name="Ann")
    script = "Math.random = () => 1; fails = 12;"
    ann.driver.execute_script(script)
    for hurry in ["document.getElementById('retry').click()", "window.dispatchEvent(new Event('online'))",
                  "document.dispatchEvent(new Event('visibilitychange'))"]:
        cable.cut()
        ann.wait_state(r"Trying again in 1\d s")
        cable.mend()
        ann.driver.execute_script(hurry)
        WebDriverWait(ann.driver, 5, 0.05).until(lambda _: ann.state == "Connected")
        ann.wait(lambda: ann.me == "Ann")


def test_the_wait_grows_to_fifteen_seconds(person, room, cable):
    ann = person(room, base_url=cable.url)
    cable.cut()
    ann.wait_state("Trying again")
    waits = ann.driver.execute_script("""
        Math.random = () => 1;
        const waits = [];
        openedAt = Date.now() - 60_000;
        for (let i = 0; i < 8; i += 1) {
          closed({ code: 1006, reason: '' });
          waits.push(Math.round((retryAt - Date.now()) / 100) / 10);
          openedAt = 0;
        }
        return waits;""")
    assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]


def test_why_the_server_closed_is_shown(open_browser, demo, room):
    program, url = demo()
    ann = Person(open_browser(), url, room, name="Ann")
    # Until then it would be taken for a server that closes at once.
    ann.driver.execute_script("openedAt -= 10_000; window.states = [];"
                              "new MutationObserver(() => states.push(document.getElementById('state-text').textContent))"
                              ".observe(document.getElementById('state-text'), { childList: true })")
    program.send(signal.SIGTERM)
    assert program.wait() == 0
    ann.sees("Connection lost: server shutting down (1001)", ".news")
    states = ann.driver.execute_script("return window.states")
    assert re.fullmatch(r"Connection lost: server shutting down \(1001\)\. Trying again in \d+ s", states[0])
    assert ann.find("#retry").is_displayed()
    demo(url.removeprefix("http://"))
    ann.wait_state("^Connected$")
    ann.wait(lambda: ann.me == "Ann")


def test_what_may_not_have_arrived_goes_back_into_the_field(person, room, cable):
    ann = person(room, base_url=cable.url, name="Ann")
    ann.driver.execute_script("ws.send = () => {}")
    ann.say("into the void")
    cable.cut()
    ann.sees("may not have been sent", "#say-note")
    assert ann.find("#text").get_attribute("value") == "into the void"


def test_quit_stays_away_until_asked(person, room):
    ann = person(room, name="Ann")
    ann.say("/quit")
    ann.wait_state(r"^You have left: .*\(1000\)$")
    ann.driver.execute_script("window.dispatchEvent(new Event('online'))")
    assert ann.state.startswith("You have left")
    ann.find("#retry").click()
    ann.wait_state("^Connected$")


def test_the_keyboard_is_enough(person, room):
    ann = person(room)
    assert ann.focused == "name", "a newcomer is asked for a name first"
    ann.press("Kay", Keys.ENTER)
    ann.wait(lambda: ann.me == "Kay")
    assert ann.focused == "text"
    ann.press("typed only", Keys.ENTER)
    ann.sees("typed only", ".own .text")
    assert ann.focused == "text"
    order = []
    ann.press(Keys.TAB)
    for _ in range(12):
        script = """const e = document.activeElement, s = getComputedStyle(e);
                    return [e.id || e.textContent.trim() || e.type, e.tagName, s.outlineStyle, parseFloat(s.outlineWidth)]"""
        label, tag, style, width = ann.driver.execute_script(script)
        if tag == "BODY":
            break
        assert style != "none" and width >= 2, f"{label} does not show that it has the focus"
        order.append(label)
        ann.press(Keys.TAB)
    wanted = ["submit", "lobby", "tea", "games", room, "other", "Open", "link", "copy", "How this works"]
    assert [label if label != "Send" else "submit" for label in order][:10] == wanted
    ann.find("#text").send_keys("")
    ann.driver.execute_script("document.querySelector('#rooms a').focus()")
    ann.press(Keys.TAB, Keys.ENTER)
    ann.wait(lambda: ann.all("#room") == ["tea"])


def test_one_is_not_scrolled_away_from_what_one_reads(person, room):
    ann = person(room, name="Ann", height=480)
    for n in range(30):
        ann.say(f"line {n}")
    ann.sees("line 29")
    bottom = "const l = document.getElementById('log'); return l.scrollHeight - l.clientHeight - l.scrollTop"
    assert ann.driver.execute_script(bottom) < 2, "at the end one stays at the end"
    ann.driver.execute_script("document.getElementById('log').scrollTop = 0")
    bob = person(room, name="Bob")
    bob.say("news from below")
    ann.sees("1 new message", "#newer")
    assert ann.driver.execute_script("return document.getElementById('log').scrollTop") == 0
    ann.find("#newer").click()
    assert ann.driver.execute_script(bottom) < 2
    assert not ann.find("#newer").is_displayed()
    set_size(ann.driver, 1000, 380)
    ann.wait(lambda: ann.driver.execute_script(bottom) < 2, "not at the end after the window got smaller")


def test_the_title_counts_what_was_missed(person, room):
    ann = person(room, name="Ann")
    bob = person(room, name="Bob")
    ann.sees("Bob joined")
    hide = "Object.defineProperty(document, 'hidden', { configurable: true, get: () => %s });" \
           "document.dispatchEvent(new Event('visibilitychange'))"
    ann.driver.execute_script(hide % "true")
    bob.say("one")
    bob.say("two")
    ann.wait(lambda: ann.driver.title == f"(2) #{room} – wsrelay demo")
    ann.driver.execute_script(hide % "false")
    ann.wait(lambda: ann.driver.title == f"#{room} – wsrelay demo")


def test_storage_may_be_blocked(open_browser, base_url, room):
    driver = open_browser()
    blocked = """for (const kind of ['localStorage', 'sessionStorage'])
        Object.defineProperty(window, kind, { get() { throw new DOMException('blocked', 'SecurityError'); } });"""
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": blocked})
    ann = Person(driver, base_url, room, name="Ann")
    ann.say("still works")
    ann.sees("still works", ".own .text")
    assert ann.complaints() == []


def test_the_commands_answer_in_the_page(person, room):
    ann = person(room, name="Ann")
    ann.say("/who")
    ann.sees("here: Ann", ".answer")
    ann.say("/nick x")
    ann.sees("unknown command /nick; try /help", ".answer")
    ann.say("/help")
    ann.sees("/me waves tells what you do", ".answer")
    ann.find("#other").send_keys("a/b", Keys.ENTER)
    ann.sees("one word of up to 24 letters", "#room-note")
    assert ann.all("#room") == [room]


@pytest.mark.parametrize("width, height", [(320, 568), (360, 740), (740, 360), (320, 256)])
def test_a_phone_is_enough(person, room, width, height):
    ann = person(room, width=width, height=height, name="A-name-of-24-characters-")
    ann.say("https://example.org/" + "very-long-" * 30)
    ann.sees("very-long-", ".text")
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert ann.driver.execute_script(wide) == 0
    ann.say("/quit")
    ann.wait_state("You have left")
    assert ann.driver.execute_script(wide) == 0
    ann.find("#retry").click()
    ann.wait_state("Connected")
    if width <= 736:
        assert not ann.find("#other").is_displayed()
        ann.find("#menu").click()
        assert ann.find("#menu").get_attribute("aria-expanded") == "true"
        assert ann.driver.execute_script(wide) == 0
        assert ann.find("#panel").size["height"] > 0.5 * height, "the menu has the place of the messages"
        ann.press(Keys.ESCAPE)
        assert ann.focused == "menu" and not ann.find("#other").is_displayed()
        ann.find("#menu").click()
    ann.find("#rooms li:nth-child(2) a").click()
    ann.wait(lambda: ann.all("#room") == ["tea"])
    ann.wait(lambda: ann.find("#text").is_displayed())


@pytest.mark.parametrize("width, dark", [(1000, False), (1000, True), (360, False), (360, True)])
def test_axe_finds_nothing(person, room, width, dark, axe):
    ann = person(room, width=width, dark=dark, name="Ann")
    bob = person(room, name="Bob")
    bob.say("Hi")
    bob.say("/me waves")
    ann.say("Hello")
    ann.say("/who")
    ann.sees("here: Ann, Bob")
    ann.find("#name-open").click()
    ann.driver.execute_script("document.querySelector('details').open = true;"
                              "document.getElementById('newer').hidden = false")
    for then in ["", "#menu", "/quit"]:
        if then == "#menu" and width < 700:
            ann.find(then).click()
        elif then == "/quit":
            ann.driver.execute_script("document.body.classList.remove('menu-open'); ws.close()")
            ann.wait_state("Trying again|Connected")
        assert axe(ann.driver) == []
