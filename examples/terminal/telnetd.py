#!/usr/bin/env python3
"""telnetd.py COMMAND: gives each connection a telnet daemon with this command on a terminal of its own, as inetd would.

Try it:   python3 telnetd.py --port 2323 /bin/sh    and in another terminal    telnet 127.0.0.1 2323
"""
import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("command", help="the program, in place of a login")
    args = parser.parse_args()
    telnetd = shutil.which("telnetd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/usr/libexec:/sbin")
    if not telnetd:
        sys.exit("telnetd.py: there is no telnetd: install inetutils-telnetd")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    listener = socket.create_server(("127.0.0.1", args.port))
    print("listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    daemons = []
    try:
        while True:
            connection, _ = listener.accept()
            with connection:
                # telnetd leaves the program little of its environment, and a TERM of few systems.
                command = "/usr/bin/env HOME=%s TERM=xterm-256color %s" % (os.path.expanduser("~"), args.command)
                argv = [telnetd, "--no-hostinfo", "--exec-login=" + command]
                ends = dict.fromkeys(["stdin", "stdout", "stderr"], connection)
                daemons = [each for each in daemons if each.poll() is None]  # the others are reaped by this
                daemons.append(subprocess.Popen(argv, **ends))
    finally:
        for daemon in daemons:
            daemon.terminate()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except OSError as error:  # the port is taken
        sys.exit(f"telnetd.py: {error}")
