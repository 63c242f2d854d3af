"""The examples that put a page in front of a server of others: started by their `run`, and seen by a browser."""
import io
import os
import pathlib
import signal

import PIL.Image
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from conftest import set_size
from example_page import Example, Page
from side_by_side import websockify, wsrelay_in_its_place

PAGES = ["echo", "fizzbuzz", "chat", "vnc"]


@pytest.fixture
def example(start, wsrelay, tmp_path):
    """example(name, *arguments) -> a running Example."""
    return lambda name, *arguments: Example(start, wsrelay, tmp_path, name, *arguments)


@pytest.fixture
def open_page(example, browser):
    """open_page(name, *arguments) -> the Page of an example that runs."""
    return lambda name, *arguments: Page(browser, example(name, *arguments))


@pytest.fixture(scope="session")
def axe():
    """The source of axe-core, which scripts/test installs."""
    return pathlib.Path(os.environ["NODE_PATH"], "axe-core/axe.min.js").read_text()


OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_accessible_and_fits_a_phone(name, example, open_browser, axe):
    running = example(name)
    for dark in (False, True):
        driver = open_browser(dark=dark)
        page = Page(driver, running)
        page.has_status("Connected")
        for width, height in ((1000, 700), (320, 568)):
            set_size(driver, width, height)
            assert page.script(OVERFLOW) == 0, f"{name} is too wide for {width} pixels"
            page.script(axe)
            found = driver.execute_async_script(
                "const done = arguments[0]; axe.run().then((result) => done(result.violations))")
            assert [(v["id"], [n["html"] + " " + n["failureSummary"] for n in v["nodes"]]) for v in found] == []
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
    running = example("vnc")  # for its page and packages, and a desktop
    desktop = running.program.wait_for_line(r"^line server on (unix:\S+)$", "stderr")[1]
    pages = tmp_path / "examples/vnc"
    if side == "websockify":
        relay = websockify(start, opened, [f"--web={pages}", f"--unix-target={desktop.removeprefix('unix:')}"])
    else:
        relay = wsrelay_in_its_place(start, opened, wsrelay, ["--binary", f"--static-dir={pages}", f"--to={desktop}"])
    page = Page(browser, running, f"http://{relay.address}/")
    page.has_status("Connected")
    page.wait(lambda: share(picture(page), canvas(page), GREEN) > 0.99, "the desktop")
