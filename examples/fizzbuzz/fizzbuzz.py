#!/usr/bin/env python3
"""FizzBuzz: a server that talks by itself and listens meanwhile, with a count of its own for every client.

It counts 1, 2, Fizz, 4, Buzz ..., one line per interval. Send a number to go on from there, or an empty line for the
next one at once.

Try it:   python3 fizzbuzz.py --port 7777 --interval 0.5    and in another terminal    nc 127.0.0.1 7777
"""
import argparse
import asyncio
import functools
import sys

MAX_LINE = 64  # bytes: nobody needs to count from a longer number


def fizzbuzz(n):
    return "Fizz" * (n % 3 == 0) + "Buzz" * (n % 5 == 0) or str(n)


async def count(interval, reader, writer):
    n = 1
    try:
        while True:
            writer.write(f"{fizzbuzz(n)}\n".encode())
            await writer.drain()  # no counting ahead of a client that doesn't read
            try:
                line = await asyncio.wait_for(reader.readline(), interval)
                if not line:  # the client has gone
                    break
                n = int(line) if line.strip() else n + 1
            except asyncio.TimeoutError:
                n += 1
            except ValueError:
                writer.write(b"? send a number, or an empty line\n")
                n += 1
    except OSError:  # the connection broke
        pass
    finally:
        writer.close()


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--interval", type=float, default=1.0, metavar="SECONDS", help="between two lines (1)")
    args = parser.parse_args()
    if not args.interval > 0:
        parser.error("--interval must be more than 0")
    serve = functools.partial(count, args.interval)
    server = await asyncio.start_server(serve, "127.0.0.1", args.port, limit=MAX_LINE)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
    except OSError as error:  # the port is taken
        sys.exit(f"fizzbuzz.py: {error}")
