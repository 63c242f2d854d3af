"""First steps, typed as they stand in slides and tutorials: a page of a few lines, `cat` or a small program behind it."""
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from websockets.sync.client import connect

from conftest import DEADLINE, ROOT, closed, hears

FIZZBUZZ = "1 2 Fizz 4 Buzz Fizz 7 8 Fizz Buzz 11 Fizz 13 14 FizzBuzz 16".split()
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>WebSocket</title>
<pre id="log"></pre>
<script>
  const log = (line) => document.getElementById("log").append(line + "\\n");
  const url = "ws://" + location.host;
  const ws = new WebSocket(url, "SUBPROTOCOL");
  ws.onopen = () => { log("open " + ws.protocol); ws.send("hello"); ws.send("Žluťoučký 🐈"); };
  ws.onmessage = (event) => log(event.data);
  ws.onclose = (event) => log("close " + event.code + " " + event.reason);
</script>
"""
# Programs as their authors leave them: in a directory, executable, with a first line that says by what.
PROGRAMS = {
    "fizzbuzzer.py": """#!/usr/bin/env python3
import time
n = 0
while True:
    n += 1
    print("Fizz" * (n % 3 == 0) + "Buzz" * (n % 5 == 0) or n, flush=True)
    time.sleep(0.02)
""",
    "unflushed.py": """#!/usr/bin/env python3
import sys
for n in range(1, 17):
    print("Fizz" * (n % 3 == 0) + "Buzz" * (n % 5 == 0) or n)
sys.stdin.readline()
""",
    "count.sh": """#!/bin/bash
for ((COUNT = 1; COUNT <= 10; COUNT++)); do
  echo $COUNT
  sleep 0.01
done
""",
    "greeter.sh": """#!/bin/bash
while read NAME; do
  echo "Hello $NAME!"
done
""",
    "greeter.pl": """#!/usr/bin/perl
use strict;
$| = 1;
while (my $name = <STDIN>) {
  chomp $name;
  print "Hello $name!\\n";
}
""",
    # It never looks whether its stdin has ended.
    "greeter.py": """#!/usr/bin/env python3
from sys import stdin, stdout
while True:
    name = stdin.readline().strip()
    print("Hello %s!" % name)
    stdout.flush()
""",
    "sum.sh": """#!/bin/sh
awk '{ sum += $1 } END { print "sum", sum }' | tee /dev/stderr
""",
    "chat.sh": """#!/bin/bash
echo "Please enter your name:"; read USER
echo "$USER joined" >> chat.log
echo "Welcome, $USER!"
tail -n 0 -f chat.log --pid=$$ | grep --line-buffered -v "^$USER>" &
while read MSG; do echo "$USER> $MSG" >> chat.log; done
""",
}


@pytest.fixture
def folder(tmp_path):
    """The directory that somebody works in."""
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.fixture
def typed(start, wsrelay, folder):
    """typed(words...) -> (port, program) of wsrelay --port=0 words..., started in the folder."""
    def typed(*words):
        program = start([wsrelay, "--port=0", *words], cwd=folder)
        return int(program.wait_for_line(r"^listening on ws://127\.0\.0\.1:(\d+)$")[1]), program
    return typed


@pytest.fixture
def client(opened, typed):
    """client(words...) -> a session of a relay of its own, with the subprotocol that pages ask for."""
    def client(*words):
        port, program = typed(*words)
        url = f"ws://localhost:{port}/"
        session = opened.enter_context(connect(url, subprotocols=["ex2"], proxy=None, max_queue=None))
        session.program = program
        return session
    return client


@pytest.mark.parametrize("subprotocol", ["ex1", "ex3"])
def test_a_page_and_cat(typed, folder, browser, subprotocol):
    (folder / "index.html").write_text(PAGE.replace("SUBPROTOCOL", subprotocol))
    port, program = typed("--static-dir=.", "--", "cat")
    browser.get(f"http://localhost:{port}/")
    shows(browser, [f"open {subprotocol}", "hello", "Žluťoučký 🐈"])
    program.send(15)
    shows(browser, [f"open {subprotocol}", "hello", "Žluťoučký 🐈", "close 1001 server shutting down"])


@pytest.mark.parametrize("command", [["./fizzbuzzer.py"], ["python3", "-u", "fizzbuzzer.py"]], ids=" ".join)
def test_a_page_and_fizzbuzz(typed, folder, browser, command):
    (folder / "index.html").write_text(PAGE.replace("SUBPROTOCOL", "ex2"))
    port, _ = typed("--static-dir=.", "--", *command)
    browser.get(f"http://localhost:{port}/")
    shows(browser, ["open ex2", *FIZZBUZZ], beginning=True)


def shows(browser, lines, beginning=False):
    def read():
        seen = browser.find_element(By.ID, "log").text.split("\n")
        return seen[:len(lines)] if beginning else seen
    try:
        WebDriverWait(browser, DEADLINE, 0.05).until(lambda _: read() == lines)
    except Exception:
        assert read() == lines


def test_fizzbuzz(client):
    hears(client("--", "./fizzbuzzer.py"), *FIZZBUZZ)


def test_what_is_not_flushed_comes_at_the_end(client):
    """As behind websocketd, or a pipe in a shell: Python keeps lines back that do not go to a terminal."""
    session = client("--", "./unflushed.py")
    with pytest.raises(TimeoutError):
        session.recv(timeout=0.3)
    session.send("")
    hears(session, *FIZZBUZZ)
    assert closed(session) == (1000, "program exited", "relay")


@pytest.mark.parametrize("command", [["python3", "-u", "unflushed.py"], ["stdbuf", "-oL", "seq", "16"]], ids=" ".join)
def test_unless_it_is_told_to_flush(client, command):
    hears(client("--", *command), "1", "2")


def test_python_told_so_by_its_environment(start, wsrelay, folder, opened):
    program = start([wsrelay, "--port=0", "--pass-env=PATH,PYTHONUNBUFFERED", "--", "./unflushed.py"], cwd=folder,
                    env={"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"})
    url = program.wait_for_line(r"^listening on (ws://127\S+)$")[1]
    hears(opened.enter_context(connect(url, proxy=None)), *FIZZBUZZ)


def test_count(client):
    session = client("--", "./count.sh")
    hears(session, *map(str, range(1, 11)))
    assert closed(session) == (1000, "program exited", "relay")


@pytest.mark.parametrize("program", ["greeter.sh", "greeter.pl", "greeter.py"])
def test_greeter(client, program):
    session = client("--kill-grace=100ms", "--", f"./{program}")
    for name in ("Anna", "Žluťoučký", ""):
        session.send(name)
        hears(session, f"Hello {name}!")
    session.close()
    session.program.wait_for_line('session closed .*by="client"', "stderr")


def test_a_program_that_reads_all_its_stdin(client):
    """Its answer comes when the client has gone, so only the log has it."""
    session = client("--", "./sum.sh")
    for number in ("1", "20", "300"):
        session.send(number)
    session.close()
    session.program.wait_for_line('says .*stderr="sum 321"', "stderr")


def test_a_chat_of_a_shell_script(opened, typed):
    port, program = typed("--kill-grace=100ms", "--", "./chat.sh")
    people = {}
    for name in ("Anna", "Bob"):
        person = people[name] = opened.enter_context(connect(f"ws://localhost:{port}/", proxy=None, max_queue=None))
        hears(person, "Please enter your name:")
        person.send(name)
        hears(person, f"Welcome, {name}!")
    # Bob's tail starts when it likes, so he says hello until Anna's has come to him.
    while True:
        people["Anna"].send("hello")
        try:
            assert people["Bob"].recv(timeout=0.1) == "Anna> hello"
            break
        except TimeoutError:
            pass
    people["Bob"].send("hi")
    while (line := people["Anna"].recv(timeout=DEADLINE)) != "Bob> hi":
        assert line == "Bob joined"
    for person in people.values():
        person.close()
        program.wait_for_line('session closed .*by="client"', "stderr")
    program.send(15)
    assert program.wait() == 0
    program.wait_for_end_of("stderr")  # which a tail or grep left behind would hold


# The example


@pytest.fixture
def fizzbuzzer(opened, typed):
    def fizzbuzzer(*options):
        program = ROOT / "examples/fizzbuzz/fizzbuzzer.py"
        port, relay = typed(f"--static-dir={program.parent}", "--", str(program), *options)
        url = f"ws://localhost:{port}/"
        session = opened.enter_context(connect(url, subprotocols=["ex2"], proxy=None, max_queue=None))
        session.port, session.relay = port, relay
        return session
    return fizzbuzzer


def test_the_example_counts_by_itself(fizzbuzzer):
    hears(fizzbuzzer("--interval", "0.01"), *FIZZBUZZ)


def test_the_example_does_as_it_is_told(fizzbuzzer):
    session = fizzbuzzer("--interval", "3600")
    hears(session, "1")
    for message, *answer in [
        ("", "2"), ("14", "14"), ("\n\n", "FizzBuzz", "16"), ("1000000", "Buzz"),
        ("abc", "? send a number, or an empty line", "1000001"), ("9" * 5000, "? send a number, or an empty line"),
    ]:
        session.send(message)
        hears(session, *answer)
    session.close()
    session.relay.wait_for_line('session closed .*by="client"', "stderr")


def test_the_example_has_the_page_of_the_server(fizzbuzzer, browser):
    session = fizzbuzzer("--interval", "0.02")
    browser.get(f"http://localhost:{session.port}/")
    WebDriverWait(browser, DEADLINE, 0.02).until(lambda _: browser.find_element(By.ID, "count").text == "FizzBuzz")
