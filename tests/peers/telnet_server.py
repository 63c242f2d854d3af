"""A server of telnetlib3's: it asks for all that it knows, says what it was told, and ends its prompts with GA."""
import asyncio
import logging
import sys

import telnetlib3
from telnetlib3.telopt import GA, IAC


class Server(telnetlib3.TelnetServer):
    def on_request_environ(self):
        return ["IPADDRESS", "CLIENT_NAME", "USER"]


async def shell(reader, writer):
    def ask(prompt):
        writer.write(prompt)
        writer.send_iac(IAC + GA)

    for name in ("TERM", "charset", "IPADDRESS", "CLIENT_NAME", "USER"):
        writer.write(f"{name}={writer.get_extra_info(name)}\r\n")
    ask("Wie heißt du? ")
    name = (await reader.readline()).strip()
    writer.write(f"Hallo {name}\r\n")
    ask("> ")
    await reader.readline()
    writer.close()


async def main():
    logging.basicConfig(level=logging.INFO)
    server = await telnetlib3.create_server(
        host="127.0.0.1", port=0, protocol_factory=Server, shell=shell, encoding="utf8", connect_maxwait=2.0)
    host, port = server.sockets[0].getsockname()
    print(f"listening on {host}:{port}", flush=True)
    await server.wait_closed()


if sys.argv[1:] == []:
    asyncio.run(main())
