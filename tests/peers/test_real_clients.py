"""Client libraries that people use, in Node and in Chromium, with the servers they are made for behind the relay."""
import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile

import pytest

from conftest import command
from in_front_of import recipe

SCENARIOS = pathlib.Path(__file__).with_name("real_clients")
# Of each package: the file for browsers, and how a script gets at it.
BUNDLES = {
    "irc-framework": ("dist/browser/static/browser.js", 'window["irc-framework"]'),
    "mqtt": ("dist/mqtt.min.js", "window.mqtt"),
    "@stomp/stompjs": ("bundles/stomp.umd.js", "window.StompJs"),
    "@neondatabase/serverless": ("index.mjs", 'await import("./library.mjs")'),
}
PAGE = """<!doctype html>
<title>A real client</title>
<link rel="icon" href="data:,">
<script>process = {{ env: {{}}, nextTick: queueMicrotask.bind(window) }}; // of Node; irc-framework expects it</script>
<script src="scenario.js"></script>
{script}
<script type="module">
  window.told = (async () => scenario({library}, new URL("/", location.href.replace("http", "ws")), {facts}))();
</script>
"""


def in_node(start, browser, folder, relay, name, package, options, facts):
    running = relay(*options)
    program = start([command("node"), SCENARIOS / "node.js", name, package, running.url, json.dumps(facts)])
    return json.loads(program.wait_for_line(r"^\[.*\]$")[0])


def in_chromium(start, browser, folder, relay, name, package, options, facts):
    file, library = BUNDLES[package]
    script = f"library{pathlib.Path(file).suffix}"
    shutil.copy(pathlib.Path(os.environ["NODE_PATH"], package, file), folder / script)
    shutil.copy(SCENARIOS / f"{name}.js", folder / "scenario.js")
    tag = f'<script src="{script}"></script>' if script.endswith(".js") else ""
    (folder / "index.html").write_text(PAGE.format(script=tag, library=library, facts=json.dumps(facts)))
    running = relay(*options, "--static-dir", folder)
    browser.switch_to.new_window("window")
    browser.get(running.url.replace("ws:", "http:"))
    return browser.execute_async_script(
        "const done = arguments[0]; window.told.then(done, (error) => done(String(error)))")


@pytest.fixture(params=["node", "chromium"])
def play(request, start, relay, tmp_path):
    """play(scenario, package, *options, **facts) -> what the scenario tells, of a client at a relay with these options."""
    browser = request.getfixturevalue("browser") if request.param == "chromium" else None
    where = in_chromium if browser else in_node
    folder = tmp_path / "site"
    folder.mkdir()
    return lambda name, package, *options, **facts: where(start, browser, folder, relay, name, package, options, facts)


def test_irc_framework_with_ngircd(play, ngircd):
    assert play("irc", "irc-framework", *recipe("IRC", ngircd)) == [
        ["join", "bob", "#tea"],
        ["privmsg", "bob", "#tea", "žluťoučký 🐈"],
        ["action", "ann", "bob", "nods"],
        ["whois", "bob", "wsrelay", "127.0.0.1", "bob in a test"],
        ["quit", "bob"],
    ]


@pytest.fixture
def mosquitto(start, tmp_path):
    at, config = tmp_path / "mosquitto", tmp_path / "mosquitto.conf"
    config.write_text(f"listener 0 {at}\nallow_anonymous true\nuser root\n")
    start([command("mosquitto"), "-v", "-c", config]).wait_for_line("mosquitto version .* running", "stderr")
    return f"unix:{at}"


def test_mqtt_js_with_mosquitto(play, mosquitto):
    assert play("mqtt", "mqtt", *recipe("MQTT", mosquitto)) == [
        message for version in (4, 5) for message in (
            [version, "news/one", "žluťoučký 🐈\n\0"],
            [version, "news/two", "large"],
            ["pingresp"],
        )
    ]


@pytest.fixture
def coilmq(start):
    started = start([command("coilmq"), "--host", "127.0.0.1", "--port", "0"])
    return started.wait_for_line(r"server listening on (127\.0\.0\.1:\d+)", "stderr")[1]


def test_stompjs_with_coilmq(play, coilmq):
    # It takes no other name for itself than this.
    assert play("stomp", "@stomp/stompjs", *recipe("STOMP", coilmq), host=socket.getfqdn()) == [
        ["v12.stomp"], ["/topic/news", "žluťoučký 🐈\nof two lines"], ["/topic/news", 100_000],
    ]


@pytest.fixture
def postgres(start):
    """A PostgreSQL server on a Unix socket, which refuses to be root's."""
    as_user = {}
    with tempfile.TemporaryDirectory(prefix="wsrelay-") as folder:
        if os.getuid() == 0:
            owner = pwd.getpwnam("postgres")
            as_user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        init = [programs / "initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]
        subprocess.run([*init, f"{folder}/data"], check=True, cwd=folder, stdout=subprocess.PIPE, **as_user)
        options = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off", "max_connections": "10"}
        argv = [programs / "postgres", "-D", f"{folder}/data", *(f"--{key}={value}" for key, value in options.items())]
        server = start(argv, cwd=folder, **as_user)
        server.wait_for_line("database system is ready to accept connections", "stderr", timeout=30)
        yield f"unix:{folder}/.s.PGSQL.5432"
        server.end()


def test_neon_with_postgresql(play, postgres):
    assert play("postgres", "@neondatabase/serverless", *recipe("PostgreSQL", postgres)) == [
        [[42, "žluťoučký 🐈\n"]],
        [[300_000, 300_000]],
        [[20_000, len("line 20000")]],
        20_000,
        "42703",
    ]
