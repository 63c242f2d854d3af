"""The commands of docs/in-front-of.md, for the tests that run them."""
import re
import shlex

from conftest import ROOT


def recipe(heading, to):
    """The options of the first command below a heading, with another backend; ports and directories are left out."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page(), re.MULTILINE | re.DOTALL)[1]
    command = re.search(r"^```sh\n(wsrelay .*?)^```", section, re.MULTILINE | re.DOTALL)[1]
    words = iter(shlex.split(command.replace("\\\n", " "), comments=True)[1:])
    options = []
    for word in words:
        if word in ("--port", "--listen", "--static-dir"):
            next(words)
        elif word == "--to":
            next(words)
            options += ["--to", to]
        else:
            options.append(word)
    return options


def page():
    return (ROOT / "docs/in-front-of.md").read_text()
