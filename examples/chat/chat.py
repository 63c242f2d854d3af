#!/usr/bin/env python3
"""Chat: each line goes to everybody as `NAME: text`. A client is guest-N until it sends `/name NAME`.

chat.tcl beside it does the same in Tcl.

Try it:   python3 chat.py --port 7777    and in two other terminals    nc 127.0.0.1 7777
"""
import argparse
import asyncio
import itertools
import re
import sys

MAX_LINE = 1 << 16  # bytes of one line
MAX_QUEUE = 1 << 20  # bytes that may wait for a slow client before it is dropped
names = {}  # writer -> name, of everybody here
guests = (f"guest-{n}" for n in itertools.count(1))


def tell(writer, text):
    if not writer.is_closing():
        writer.write(f"{text}\n".encode("utf-8"))  # never waits: what can't leave yet is queued
        if writer.transport.get_write_buffer_size() > MAX_QUEUE:
            writer.transport.abort()  # its own chat() sees the end and announces it


def tell_all(text):
    for writer in list(names):
        tell(writer, text)


def rename(writer, new):
    if not re.fullmatch(r"\S{1,32}", new):
        tell(writer, "* a name is one word of at most 32 characters")
    elif new in names.values():
        tell(writer, f"* {new} is taken")
    else:
        old, names[writer] = names[writer], new
        tell_all(f"* {old} is now {new}")


async def chat(reader, writer):
    names[writer] = next(name for name in guests if name not in names.values())
    tell_all(f"* {names[writer]} joined")
    try:
        while line := await reader.readline():
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            if command := re.fullmatch(r"/name( .*)?", text, re.DOTALL):
                rename(writer, (command[1] or "").strip())
            else:
                tell_all(f"{names[writer]}: {text}")
            await writer.drain()  # who talks without reading waits for itself
            await asyncio.sleep(0)  # one line, then the others have their turn
    except (OSError, ValueError):  # the connection broke, or a line was too long
        pass
    finally:
        tell_all(f"* {names.pop(writer)} left")
        writer.close()


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    args = parser.parse_args()
    server = await asyncio.start_server(chat, "127.0.0.1", args.port, limit=MAX_LINE)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
    except OSError as error:  # the port is taken
        sys.exit(f"chat.py: {error}")
