"""What a program finds in its environment behind websocketd and behind wsrelay, variable by variable."""
import os

import pytest

from conftest import DEADLINE
from side_by_side import messages, websocketd, wsrelay_in_its_place

# Variables of a program that are not the same on both sides: theirs, ours. All others are.
VARIABLES = {
    "LD_LIBRARY_PATH": ("/opt/lib", None),
    "GATEWAY_INTERFACE": ("websocketd-CGI/0.1", "CGI/1.1"),
    "SERVER_SOFTWARE": ("websocketd", "wsrelay"),
    "SCRIPT_NAME": ("/", ""),
    "PATH_TRANSLATED": ("/a b/c", None),
    "WEBSOCKET_PROTOCOL": (None, "ex1"),
    "HTTP_HOST": (None, "ADDRESS"),
    "HTTP_PROXY": ("http://proxy.example", None),
    "HTTP_X_FORWARDED_FOR": ("203.0.113.9", None),
    "AUTH_TYPE": ("", None),
    "CONTENT_LENGTH": ("", None),
    "CONTENT_TYPE": ("", None),
    "REMOTE_IDENT": ("", None),
    "REMOTE_USER": ("", None),
}


@pytest.fixture
def sides(start, opened, wsrelay):
    """sides(program, (their options, ours), **environment) -> both, one after the other."""
    def sides(program, options=((), ()), **environment):
        environment = {**os.environ, **environment}
        yield websocketd(start, opened, options[0], program, env=environment)
        yield wsrelay_in_its_place(start, opened, wsrelay, options[1], program, env=environment)
    return sides


def test_the_environment_variable_by_variable(sides):
    headers = {"Cookie": "a=1", "X-Some-Thing": "a b", "Proxy": "http://proxy.example",
               "X-Forwarded-For": "203.0.113.9"}
    seen = {}
    for side in sides(["sh", "-c", "env; echo END; cat"], LD_LIBRARY_PATH="/opt/lib", SECRET="1"):
        client = side.connect("/a%20b/c?d=%20", origin="http://a.example", subprotocols=["ex1", "ex2"],
                              additional_headers=headers)
        lines = iter(lambda: client.recv(timeout=DEADLINE), "END")
        variables = dict(line.split("=", 1) for line in lines)
        own = {variables["HTTP_SEC_WEBSOCKET_KEY"]: "KEY", variables["UNIQUE_ID"]: "ID",
               str(client.local_address[1]): "PORT OF CLIENT", side.address.split(":")[1]: "PORT",
               side.address: "ADDRESS", variables["SERVER_SOFTWARE"]: variables["SERVER_SOFTWARE"].split("/")[0]}
        seen[side.name] = {name: own.get(value, value) for name, value in variables.items()}
    theirs, ours = seen["websocketd"], seen["wsrelay"]
    assert "SECRET" not in theirs and "SECRET" not in ours
    differing = {name for name in theirs.keys() | ours if theirs.get(name) != ours.get(name)}
    assert {name: (theirs.get(name), ours.get(name)) for name in differing} == VARIABLES
    names = "PATH REMOTE_ADDR REMOTE_HOST REMOTE_PORT REQUEST_METHOD REQUEST_URI QUERY_STRING " \
            "SERVER_PROTOCOL UNIQUE_ID HTTP_COOKIE HTTP_ORIGIN HTTP_X_SOME_THING HTTP_SEC_WEBSOCKET_PROTOCOL"
    assert set(names.split()) <= theirs.keys() - differing


def test_the_environment_of_the_operator(sides):
    options = ["--passenv=ONE,EMPTY,NONE"], ["--pass-env=ONE,EMPTY,NONE"]
    for side in sides(["env"], options, ONE="1", TWO="2", EMPTY=""):
        names = {line.split("=")[0] for line in messages(side.connect())[0]}
        assert names & {"ONE", "TWO", "NONE", "PATH"} == {"ONE"}, side.name
