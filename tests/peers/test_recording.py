"""Recordings of bytes are asciicasts: asciinema plays them."""
import os
import subprocess
import sys

from conftest import DEADLINE
from side_by_side import wait_until


def recorded(folder):
    """The one recording in a directory, once it has its end."""
    wait_until(lambda: any("ended by the" in file.read_text() for file in folder.iterdir()), "the end of a recording")
    (file,) = folder.iterdir()
    return file


def test_asciinema_plays_a_recording(relay, tmp_path):
    said = b"\x1b[1mh\xc3\xa9llo\x1b[0m\r\n\xff\r\n"
    folder = tmp_path / "recordings"
    folder.mkdir()
    octal = "".join(f"\\{byte:03o}" for byte in said)
    shell = ["sh", "-c", f"read line; printf '{octal}'; sleep 0.1; printf \"$line\\r\\n\""]
    client = relay("--binary", "--record", folder, "--", *shell).connect()
    client.send(b"typed\n")
    got = b""
    while not got.endswith(b"typed\r\n"):
        got += client.recv(timeout=DEADLINE)
    assert got == said + b"typed\r\n"
    client.close()
    file = recorded(folder)
    assert file.suffix == ".cast"
    environment = os.environ | {"LC_ALL": "C.UTF-8", "ASCIINEMA_CONFIG_HOME": str(tmp_path)}
    shown = subprocess.run([sys.executable, "-m", "asciinema", "cat", file], env=environment,
                           capture_output=True, timeout=DEADLINE)
    assert (shown.returncode, shown.stderr) == (0, b"")
    # What is not UTF-8 is shown as U+FFFD.
    assert shown.stdout == got.replace(b"\xff", b"\xef\xbf\xbd")
