#!/usr/bin/env python3
"""FizzBuzz as a program that knows nothing but stdin and stdout: the relay starts one for every client.

It does what fizzbuzz.py does, for the same page, with no socket and no other client to think of.

Try it:   ./fizzbuzzer.py    or behind a relay:    wsrelay --port 8082 --static-dir . -- ./fizzbuzzer.py
"""
import argparse
import select


def fizzbuzz(n):
    return "Fizz" * (n % 3 == 0) + "Buzz" * (n % 5 == 0) or str(n)


def count(interval, stdin):
    n = 1
    while True:
        # Flushed, as Python would keep lines for a pipe until it has 8 KiB of them; python3 -u does the same.
        print(fizzbuzz(n), flush=True)
        ready, _, _ = select.select([stdin], [], [], interval)
        if not ready:
            n += 1
            continue
        line = stdin.readline()
        if not line:  # the client has gone
            break
        try:
            n = int(line) if line.strip() else n + 1
        except ValueError:
            print("? send a number, or an empty line", flush=True)
            n += 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interval", type=float, default=1.0, metavar="SECONDS", help="between two lines (1)")
    args = parser.parse_args()
    try:
        # Not buffered, as select() knows nothing of lines that Python has read ahead.
        count(args.interval, open(0, "rb", buffering=0))
    except (KeyboardInterrupt, BrokenPipeError):
        pass
