"""The examples that put a page in front of a server of others: started by their `run`, and seen by a browser."""
import io
import signal

import PIL.Image
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from websockets.sync.client import connect

from conftest import DEADLINE, command, set_size
from example_page import Example, Page
from in_front_of import recipe
from side_by_side import websockify, wsrelay_in_its_place
from test_ngircd import Person

PAGES = ["echo", "fizzbuzz", "chat", "vnc", "redis", "irc", "terminal", "mud"]


@pytest.fixture
def example(start, wsrelay, tmp_path):
    """example(name, *arguments) -> a running Example."""
    return lambda name, *arguments: Example(start, wsrelay, tmp_path, name, *arguments)


@pytest.fixture
def open_page(example, browser):
    """open_page(name, *arguments) -> the Page of an example that runs."""
    return lambda name, *arguments: Page(browser, example(name, *arguments))


OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_accessible_and_fits_a_phone(name, example, open_browser, axe):
    driver = open_browser()
    page = Page(driver, example(name))
    page.has_status("Connected")
    for scheme, width, height in [("light", 1000, 700), ("dark", 1000, 700), ("light", 320, 568), ("dark", 320, 568)]:
        features = [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        set_size(driver, width, height)
        assert page.script(OVERFLOW) == 0, f"{name} is too wide for {width} pixels"
        assert axe(driver) == []
    assert page.complaints() == []


def picture(page):
    """What the window shows."""
    page.find("status")
    return PIL.Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")


def share(image, box, colour):
    """The share of a box's pixels that have this colour."""
    inside = image.crop(box)
    return sum(n for n, each in inside.getcolors(1 << 24) if each == colour) / (inside.width * inside.height)


# VNC


GREEN = (0x2D, 0x6A, 0x4F)  # of the desktop


def canvas(page):
    """The box of the desktop, without its edges."""
    left, top, right, bottom = page.script(
        "const b = document.querySelector('#screen canvas').getBoundingClientRect();"
        "return [b.left + 5, b.top + 5, b.right - 5, b.bottom - 5].map(Math.round)")
    assert right - left > 200 and bottom - top > 150
    return left, top, right, bottom


def test_vnc_shows_the_desktop_and_takes_keys_and_clicks(open_page):
    page = open_page("vnc", "xev", "-root")
    page.has_status("Connected")
    page.wait(lambda: share(picture(page), canvas(page), GREEN) > 0.99, "the desktop")
    ActionChains(page.driver).click(page.find("enter")).send_keys("q").perform()
    page.program.wait_for_line(r"keysym 0x71, q\)", "stderr")
    ActionChains(page.driver).send_keys(Keys.F8).perform()  # the keyboard can leave
    assert page.driver.switch_to.active_element.get_attribute("id") == "enter"
    page.program.send(signal.SIGTERM)
    page.has_status("Closed: 1001 server shutting down")
    page.program.wait_for_end_of("stderr")  # the desktop has ended too


@pytest.mark.parametrize("side", ["websockify", "wsrelay"])
def test_novnc_shows_the_desktop_through_either(side, start, opened, wsrelay, browser, example, tmp_path):
    running = example("vnc")  # for its page and packages, and a desktop, which may be in the middle of a line of its own
    desktop = running.program.wait_for_line(r"line server on (unix:\S+)", "stderr")[1]
    pages = tmp_path / "examples/vnc"
    if side == "websockify":
        relay = websockify(start, opened, [f"--web={pages}", f"--unix-target={desktop.removeprefix('unix:')}"])
    else:
        options = [*recipe("VNC", desktop), f"--static-dir={pages}"]
        relay = wsrelay_in_its_place(start, opened, wsrelay, options)
    page = Page(browser, running, f"http://{relay.address}/")
    page.has_status("Connected")
    page.wait(lambda: share(picture(page), canvas(page), GREEN) > 0.99, "the desktop")


@pytest.mark.parametrize("side", ["websockify", "wsrelay"])
def test_novnc_chooses_a_desktop_by_its_token_through_either(side, start, opened, wsrelay, browser, example, tmp_path):
    running = example("vnc")
    # The X server may be in the middle of a line of its own.
    desktop = running.program.wait_for_line(r"line server on unix:(\S+)", "stderr")[1]
    socat = start([command("socat"), "-d", "-d", "TCP-LISTEN:0,bind=127.0.0.1,fork", f"UNIX-CONNECT:{desktop}"])
    at = socat.wait_for_line(r"listening on AF=2 (127\.0\.0\.1:\d+)", "stderr")[1]
    tokens, pages = tmp_path / "tokens", tmp_path / "examples/vnc"
    tokens.write_text(f"# The desktops.\ngreen: {at}\n")
    if side == "websockify":
        options = [f"--web={pages}", "--token-plugin=TokenFile", f"--token-source={tokens}"]
        relay = websockify(start, opened, options)
    else:
        options = ["--binary", f"--static-dir={pages}", f"--target-file={tokens}"]
        relay = wsrelay_in_its_place(start, opened, wsrelay, options)
    page = Page(browser, running, f"http://{relay.address}/?token=green")
    page.has_status("Connected")
    page.wait(lambda: share(picture(page), canvas(page), GREEN) > 0.99, "the desktop")
    refused = Page(browser, running, f"http://{relay.address}/?token=red")
    refused.has_status("Closed: 1006 connection failed")
    # The browser's console is one for all tests: these are not the next one's.
    assert refused.complaints()


# Redis


def test_redis_publishes_to_who_has_subscribed(example, browser):
    running = example("redis")
    one, other = Page(browser, running), Page(browser, running, running.url + "?news")
    elsewhere = Page(browser, running, running.url + "?else")
    for page in (one, other, elsewhere):
        page.has_status("Connected, subscribed to chat:")
    one.say('žluťoučký "kůň" \\ <b>here</b>')
    for page in (one, other):
        page.shows('žluťoučký "kůň" \\ <b>here</b>')
    one.shows("2 heard it")
    assert elsewhere.texts("#log p") == []
    assert [page.complaints() for page in (one, other)] == [[], []]


def test_redis_of_the_example_does_nothing_else(example, opened):
    client = opened.enter_context(connect(example("redis").websocket, proxy=None))
    for refused in ("SET a 1", "CONFIG GET *", "PUBLISH other text", "SHUTDOWN", "FLUSHALL"):
        client.send(refused)
        assert client.recv(timeout=DEADLINE).startswith("-NOPERM ")


# IRC


def test_irc_two_people_talk_and_one_leaves(example, browser):
    running = example("irc")
    ann, bob = Page(browser, running), Page(browser, running)
    for page in (ann, bob):
        page.has_status("Connected as guest")
    ann.say("/NICK ann")
    ann.has_status("Connected as ann, in #tea")
    bob.shows("is now ann")
    bob.say("/NICK ann")
    bob.shows("Nickname already in use")
    ann.say("žluťoučký <b>kůň</b> :)")
    for page in (ann, bob):
        page.shows("ann: žluťoučký <b>kůň</b> :)")
    bob.close()
    ann.shows(" left: ")
    ann.say("/QUIT")
    ann.has_status("Closed: 1000 backend closed")
    assert ann.complaints() == []


def test_irc_has_room_for_many_browsers_of_one_address(example, opened):
    running = example("irc")
    people = [Person(opened.enter_context(connect(running.websocket, proxy=None)), f"guest{n}") for n in range(8)]
    people[0].say("WHOIS guest7")
    assert people[0].hears(" 311 ", "guest7").split()[4:6] == ["wsrelay", "127.0.0.1"]  # as WEBIRC says


# MUD


def test_mud_shows_colours_prompts_and_gmcp(example, browser):
    running = example("mud")
    page = Page(browser, running)
    page.has_status("Connected")
    page.shows("Your name: ")
    page.say("zoe")
    page.wait(lambda: page.find("line").get_attribute("type") == "password", "the field for the password")
    page.say("secret")
    page.wait(lambda: page.find("line").get_attribute("type") == "text", "the field for commands")
    page.shows("Market square", "#log .c2.bold")
    assert not any("secret" in text for text in page.texts("#log"))
    page.wait(lambda: page.texts("#exits button") == ["north", "east"], "the exits")
    page.shows("20 of 20", "#points")
    page.driver.find_element(By.CSS_SELECTOR, "#exits button").click()
    page.shows("Tea house", "#room")
    page.shows("19 of 20", "#points")
    page.say("say žluťoučký <b>kůň</b>")
    page.shows("Zoe says: žluťoučký <b>kůň</b>", "#log .c6")
    page.shows("19/20> say žluťoučký <b>kůň</b>")  # a prompt and what was typed are one line
    other = Page(browser, running)
    for line in ("ann", "hush"):
        other.say(line)
    page.shows("Ann arrives.", "#log .c3")
    page.say("quit")
    page.has_status("Closed: 1000 backend closed")
    other.shows("Zoe leaves.")
    assert page.complaints() == []


# Terminal


LOGIN = """#!/bin/sh
printf 'login: '; read -r name
stty -echo; printf 'Password: '; read -r password; stty echo
echo; echo "Welcome, $name: $password"; exec /bin/sh
"""


def test_terminal_takes_a_login_and_commands(open_page, tmp_path):
    login = tmp_path / "login"
    login.write_text(LOGIN)
    login.chmod(0o755)
    page = open_page("terminal", login)
    page.has_status("Connected")
    row = lambda text: page.wait(lambda: text in [each.replace("\xa0", " ").strip() for each in page.texts(".xterm-rows > div")], text)
    type_ = lambda text: ActionChains(page.driver).send_keys(text, Keys.ENTER).perform()
    row("login:")
    type_("zoe")
    row("login: zoe")  # telnetd echoes it
    row("Password:")
    type_("secret")  # and this it does not
    row("Welcome, zoe: secret")
    row("Password:")
    type_("PS1=; clear; printf '\\033[31m%s\\033[0m\\n' $((6 * 7)) žluťoučký; echo $TERM")
    row("42")
    row("xterm-256color")
    row("žluťoučký")
    ActionChains(page.driver).send_keys(Keys.F8).perform()  # the keyboard can leave
    assert page.driver.switch_to.active_element.get_attribute("id") == "enter"
    page.find("enter").click()
    type_("exit")
    page.has_status("Closed: 1000 backend closed")
