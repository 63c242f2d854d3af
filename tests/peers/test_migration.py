"""docs/migration.md has every option of theirs, names only options of ours, and lists the differences that the tests see."""
import re
import subprocess

import pytest

import test_websocketd
import test_websocketd_dirs
import test_websocketd_environment
import test_websockify
from conftest import ROOT, command
from side_by_side import table

# Not in the help of Debian's websocketd: its main branch has them.
NEWER = {"--unixsocket", "--sslca", "--pingms", "--maxframesize", "--passstderr"}
OPTION = re.compile(r"(?<![\w-])(--?[A-Za-z0-9][\w-]*)")


def help_of(program, *more):
    done = subprocess.run([command(program), "--help", *more], capture_output=True, text=True)
    return done.stdout + done.stderr


def listed(program):
    """Every option that its help lists: at the beginning of a line, with one dash or two, perhaps after another."""
    found = re.findall(r"^ +(--?[A-Za-z0-9][\w-]*)(?:[=, ].*?(--[\w-]+))?", help_of(program), re.MULTILINE)
    # Go's own list, which comes before websocketd's, has them with one dash.
    names = {name for pair in found for name in pair if name}
    return {f"-{name}" if re.fullmatch(r"-\w[\w-]+", name) else name for name in names}


@pytest.mark.parametrize("program, newer", [("websocketd", NEWER), ("websockify", set())])
def test_every_option_of_theirs_is_there(program, newer):
    options = listed(program)
    assert len(options) > 20, options
    cells = [OPTION.findall(row[0]) for row in table(f"{program}'s options")]
    named = {name for cell in cells for name in cell}
    assert named - {"--"} == options | newer


@pytest.mark.parametrize("program", ["websocketd", "websockify"])
def test_every_row_says_what_to_do(program):
    for theirs, ours, remark in table(f"{program}'s options"):
        assert re.match("`|none$", ours), theirs
        assert remark or ours != "none", f"{theirs}: why not?"


def test_what_stands_there_for_an_option_of_ours_is_one(wsrelay):
    ours = set(OPTION.findall(help_of(wsrelay, "all"))) | {"--version"}
    cells = [cell for program in ("websocketd", "websockify") for row in table(f"{program}'s options") for cell in row[1:]]
    cells += [row[2] for program in ("websocketd", "websockify") for row in table(f"What differs from {program}")]
    named = {name for cell in cells for code in re.findall("`([^`]*)`", cell) for name in re.findall(r"--[\w-]+", code)}
    assert len(named) > 20
    assert named <= ours


@pytest.mark.parametrize("program", ["websocketd", "websockify"])
def test_who_types_theirs_is_told_ours(wsrelay, program):
    ours = set(OPTION.findall(help_of(wsrelay, "all"))) | {"-h", "--version"}
    asked = listed(program) - ours
    assert len(asked) > 15
    for option in asked:
        done = subprocess.run([wsrelay, option, "1"], capture_output=True, text=True)
        assert done.returncode == 2 and f"no option {option}: " in done.stderr, option
        assert "lists them" not in done.stderr, option
    assert "lists them" in subprocess.run([wsrelay, "--no-such", "1"], capture_output=True, text=True).stderr


def test_what_differs_is_what_the_tests_see():
    names = [case.name for case in test_websocketd.DIFFERENT] + test_websocketd.DIFFERENT_TOO
    assert [row[0] for row in table("What differs from websocketd")] == names
    names = [case.name for case in test_websocketd_dirs.DIFFERENT]
    assert [row[0] for row in table("With directories of programs")] == names
    names = [case.name for case in test_websockify.DIFFERENT] + test_websockify.DIFFERENT_TOO
    assert sorted(row[0] for row in table("What differs from websockify")) == sorted(names)


def test_what_differs_in_the_environment_is_what_the_tests_see():
    names = {row[0].strip("`") for row in table("In a program's environment")}
    assert names == set(test_websocketd_environment.VARIABLES)


def test_what_the_shell_shows_is_what_it_says(wsrelay):
    text = (ROOT / "docs/migration.md").read_text()
    shown = re.findall(r"^\$ wsrelay (.*)\n(.*)$", text, re.MULTILINE)
    assert len(shown) == 2
    for words, answer in shown:
        done = subprocess.run([wsrelay, *words.split()], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("", answer + "\n")
