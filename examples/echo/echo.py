#!/usr/bin/env python3
"""Echo: every line comes back. The smallest server that can stand behind a relay.

Try it:   python3 echo.py --port 7777    and in another terminal    nc 127.0.0.1 7777
"""
import argparse
import asyncio
import sys

MAX_LINE = 1 << 20  # bytes, as much as the relay lets through


async def echo(reader, writer):
    try:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()  # a client that doesn't read is not read from either
    except (OSError, ValueError):  # the connection broke, or a line was too long
        pass
    finally:
        writer.close()


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    args = parser.parse_args()
    server = await asyncio.start_server(echo, "127.0.0.1", args.port, limit=MAX_LINE)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
    except OSError as error:  # the port is taken
        sys.exit(f"echo.py: {error}")
