"""The page of --dev-console, as somebody at a browser finds it."""
import re

from selenium.common.exceptions import TimeoutException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 20

# What is shown.
ROWS = """
const rows = [...document.querySelectorAll("#log > .line" + arguments[0])];
return rows.map((row) => row.querySelector(".text").textContent);
"""


class Console:
    """A console in a browser, and the backend behind it."""

    def __init__(self, driver, relay, backend, path="/chat?room=1"):
        self.driver, self.relay, self.backend = driver, relay, backend
        driver.get(f"http://{relay.address}{path}")

    def find(self, name):
        return self.driver.find_element(By.ID, name)

    def rows(self, kind=""):
        return self.driver.execute_script(ROWS, kind and "." + kind)

    def script(self, source, *arguments):
        return self.driver.execute_script(source, *arguments)

    @property
    def state(self):
        return self.find("state").text

    @property
    def count(self):
        return self.find("count").text

    @property
    def focused(self):
        return self.driver.switch_to.active_element.get_attribute("id")

    def wait(self, condition, what):
        try:
            return WebDriverWait(self.driver, PATIENCE, 0.05).until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(f"{what} never came; {self.state!r}, {self.count!r}, {self.rows()[-9:]}") from None

    def wait_state(self, pattern):
        self.wait(lambda: re.search(pattern, self.state), f"state {pattern!r}")

    def shows(self, *texts, kind="down"):
        self.wait(lambda: self.rows(kind)[-len(texts):] == list(texts), repr(texts))

    def counts(self, text):
        self.wait(lambda: text in self.count, f"count {text!r}")

    def connect(self, *protocols):
        """Opens a session; gives back the backend's end of it."""
        if protocols:
            self.find("protocols").send_keys(", ".join(protocols))
        self.find("connect").click()
        peer = self.backend.accept()
        self.wait_state("^Connected")
        return peer

    def filter(self, words):
        self.find("filter").send_keys(Keys.CONTROL + "a" + Keys.NULL, Keys.DELETE, words)

    def send(self, text):
        self.find("line").send_keys(text, Keys.ENTER)

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def field(self):
        return self.find("line").get_attribute("value")

    def complaints(self):
        """What the browser's own console says; a broken Content-Security-Policy, too."""
        return [line["message"] for line in self.driver.get_log("browser")]
