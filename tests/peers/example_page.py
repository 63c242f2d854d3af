"""An example as its `run` starts it, and its page in a browser."""
import os
import shutil

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from conftest import DEADLINE, ROOT, UNPACKED


class Example:
    """A running example: `program`, and the `url` of its page."""

    def __init__(self, start, wsrelay, folder, name, *arguments):
        # A copy, so that the packages it fetches are not left in the repository.
        examples = folder / "examples"
        if not examples.exists():
            shutil.copytree(ROOT / "examples", examples, ignore=shutil.ignore_patterns("packages", "__pycache__"))
        path = f"{UNPACKED}/inetutils-telnetd/usr/sbin:{os.environ['PATH']}"
        environment = {**os.environ, "WSRELAY": wsrelay, "PORT": "0", "PATH": path}
        self.program = start([examples / name / "run", *arguments], env=environment, cwd=folder)
        address = self.program.wait_for_line(r"^listening on ws://(127\.0\.0\.1:\d+)$")[1]
        self.url, self.websocket = f"http://{address}/", f"ws://{address}/"


class Page:
    """A window with an example's page, which another relay may serve at `url`."""

    def __init__(self, driver, example, url=None):
        self.driver, self.program = driver, example.program
        driver.switch_to.new_window("window")
        self.handle = driver.current_window_handle
        driver.get(url or example.url)

    def find(self, name):
        self.driver.switch_to.window(self.handle)
        return self.driver.find_element(By.ID, name)

    def texts(self, selector):
        self.driver.switch_to.window(self.handle)
        return self.driver.execute_script(
            "return Array.from(document.querySelectorAll(arguments[0]), (each) => each.textContent)", selector)

    def script(self, source, *arguments):
        self.driver.switch_to.window(self.handle)
        return self.driver.execute_script(source, *arguments)

    def wait(self, condition, what):
        self.driver.switch_to.window(self.handle)
        try:
            WebDriverWait(self.driver, DEADLINE, 0.05).until(lambda _: condition())
        except TimeoutException:
            pytest.fail(f"{what} never came; the page shows {self.texts('body')}")

    def say(self, text):
        self.find("line").send_keys(text, Keys.ENTER)

    def close(self):
        self.find("status")
        self.driver.close()

    def has_status(self, text):
        self.wait(lambda: text in self.find("status").text, f"status {text!r}")

    def shows(self, text, selector="#log p"):
        self.wait(lambda: any(text in each for each in self.texts(selector)), repr(text))

    def complaints(self):
        """What the browser's console has, but for what the test itself brings about."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
