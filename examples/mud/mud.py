#!/usr/bin/env python3
"""A MUD of four rooms, as MUDs are: telnet, prompts without an end of line, colours, and GMCP for clients that want it.

Try it:   python3 mud.py --port 4000    and in another terminal    telnet 127.0.0.1 4000
"""
import argparse
import asyncio
import json
import sys

IAC, DONT, DO, WONT, WILL, SB, GA, SE = 255, 254, 253, 252, 251, 250, 249, 240
ECHO, EOR_OPTION, GMCP = 1, 25, 201
EOR = 239  # the command that ends a record, here a prompt
MAX_LINE = 4096  # bytes that a client may send without an end of line
GREEN, CYAN, YELLOW, PLAIN = "\x1b[1;32m", "\x1b[36m", "\x1b[33m", "\x1b[0m"

ROOMS = {
    "square": ("Market square", "Stalls and pigeons. A tea house stands to the north, a tower to the east.",
               {"north": "tea house", "east": "tower"}),
    "tea house": ("Tea house", "It smells of jasmine. Drink, if you feel weak.", {"south": "square"}),
    "tower": ("Tower", "Stairs lead up. A draught comes down.", {"west": "square", "up": "roof"}),
    "roof": ("Roof", "You see the whole town, and the wind tears at you.", {"down": "tower"}),
}
HELP = "look, north, east, south, west, up, down, say TEXT, who, drink, help, quit"


class Telnet:
    """What a client sends, without telnet's commands: lines, GMCP, and answers to what was offered."""

    def __init__(self):
        self.line, self.sub, self.state = bytearray(), bytearray(), "data"

    def feed(self, data):
        """Yields ("line", text), ("gmcp", text) and ("option", command, option)."""
        for byte in data:
            state = self.state
            if state == "data" and byte == IAC:
                self.state = "command"
            elif state == "data" and byte == 10:
                yield "line", self.line.decode(errors="replace").strip("\r\0")
                self.line.clear()
            elif state == "data":
                self.line.append(byte)
                if len(self.line) > MAX_LINE:
                    raise ValueError("too long a line")
            elif state == "command":
                self.state = "sub" if byte == SB else byte if byte in (WILL, WONT, DO, DONT) else "data"
                if byte == IAC:
                    self.line.append(byte)
            elif state == "sub" and byte == IAC:
                self.state = "sub command"
            elif state == "sub":
                self.sub.append(byte)
                if len(self.sub) > MAX_LINE:
                    raise ValueError("too long a subnegotiation")
            elif state == "sub command":
                self.state = "data" if byte == SE else "sub"
                if byte == IAC:
                    self.sub.append(byte)
                elif byte == SE:
                    if self.sub[:1] == bytes([GMCP]):
                        yield "gmcp", self.sub[1:].decode(errors="replace")
                    self.sub.clear()
            else:  # the option of a command
                self.state = "data"
                yield "option", state, byte


class Player:
    """Somebody who plays."""

    def __init__(self, world, reader, writer):
        self.world, self.reader, self.writer, self.telnet = world, reader, writer, Telnet()
        self.name, self.room, self.hp, self.agreed, self.lines = None, "square", 20, set(), []

    def send(self, data):
        # Who does not read is left behind, and not waited for.
        if self.writer.transport.get_write_buffer_size() > 1 << 18:
            self.writer.transport.abort()
        elif not self.writer.is_closing():
            self.writer.write(data)

    def say(self, text):
        self.send((text + "\r\n").encode())

    def prompt(self, text):
        """Text without an end of line, and the command that says that it is complete."""
        self.send(text.encode() + bytes([IAC, EOR if EOR_OPTION in self.agreed else GA]))

    def gmcp(self, package, value):
        if GMCP in self.agreed:
            self.send(bytes([IAC, SB, GMCP]) + f"{package} {json.dumps(value)}".encode() + bytes([IAC, SE]))

    async def next_line(self):
        """The next line; None at the end. Handles all else on the way."""
        while not self.lines:
            data = await self.reader.read(4096)
            if not data:
                return None
            for kind, *what in self.telnet.feed(data):
                if kind == "line":
                    self.lines.append(what[0])
                elif kind == "option":
                    self.answer(*what)
        return self.lines.pop(0).strip()

    def answer(self, command, option):
        if command == DO and option in (GMCP, EOR_OPTION):
            self.agreed.add(option)
        elif command == DONT:
            self.agreed.discard(option)
        elif command == WILL:  # nothing was asked for
            self.send(bytes([IAC, DONT, option]))
        elif command == DO and option != ECHO:
            self.send(bytes([IAC, WONT, option]))

    async def play(self):
        self.send(bytes([IAC, WILL, EOR_OPTION, IAC, WILL, GMCP]))
        self.say(f"{GREEN}A small town{PLAIN}")
        if not await self.log_in():
            return
        self.world.tell(f"{YELLOW}{self.name} arrives.{PLAIN}")
        self.world.players[self.name] = self
        try:
            self.look()
            self.feel()
            while (line := await self.next_line()) is not None:
                verb, _, rest = line.partition(" ")
                if verb == "quit":
                    self.say("Good night.")
                    break
                self.act(verb, rest.strip())
        finally:
            del self.world.players[self.name]
            self.world.tell(f"{YELLOW}{self.name} leaves.{PLAIN}")

    async def log_in(self):
        """Asks for a name and a password; whether both came."""
        while True:
            self.prompt("Your name: ")
            name = await self.next_line()
            if name is None:
                return False
            if not (name.isalpha() and len(name) <= 20):
                self.say("A name is one word of at most 20 letters.")
                continue
            # WILL ECHO: the server would echo, which it does not; so clients do not show what is typed.
            self.send(bytes([IAC, WILL, ECHO]))
            self.prompt("Password (the first one that comes with a name is its own): ")
            password = await self.next_line()
            self.send(bytes([IAC, WONT, ECHO]))
            self.say("")
            if password is None:
                return False
            name = name.capitalize()
            if name in self.world.players or self.world.passwords.setdefault(name, password) != password:
                self.say("That is somebody else.")
                continue
            self.name = name
            return True

    def act(self, verb, rest):
        exits = ROOMS[self.room][2]
        if verb in exits:
            self.world.tell(f"{self.name} goes {verb}.", self.room, but=self)
            self.room = exits[verb]
            self.hp = max(1, self.hp - 1)
            self.world.tell(f"{self.name} comes.", self.room, but=self)
            self.look()
        elif verb == "look":
            self.look()
        elif verb == "say" and rest:
            self.world.tell(f"{CYAN}{self.name} says: {rest}{PLAIN}", self.room)
        elif verb == "who":
            self.say(", ".join(sorted(self.world.players)))
        elif verb == "drink" and self.room == "tea house":
            self.hp = 20
            self.say("You feel better.")
        elif verb == "help":
            self.say(HELP)
        elif verb:
            self.say("You can't do that here: help says what you can.")
        self.feel()

    def look(self):
        name, text, exits = ROOMS[self.room]
        others = [player.name for player in self.world.players.values() if player.room == self.room and player is not self]
        self.say(f"{GREEN}{name}{PLAIN}")
        self.say(text)
        self.say(f"Exits: {', '.join(exits)}." + (f" Here: {', '.join(others)}." if others else ""))
        self.gmcp("Room.Info", {"name": name, "exits": list(exits)})

    def feel(self):
        self.gmcp("Char.Vitals", {"hp": self.hp, "maxhp": 20})
        self.prompt(f"{YELLOW}{self.hp}/20>{PLAIN} ")


class World:
    """Who plays, and their passwords."""

    def __init__(self):
        self.players, self.passwords = {}, {}

    def tell(self, text, room=None, but=None):
        for player in list(self.players.values()):
            if player is not but and room in (None, player.room):
                player.say(text)

    async def welcome(self, reader, writer):
        try:
            await Player(self, reader, writer).play()
            await writer.drain()
        except (OSError, ValueError):  # the connection broke, or something was too long
            pass
        finally:
            writer.close()


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    args = parser.parse_args()
    server = await asyncio.start_server(World().welcome, "127.0.0.1", args.port)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
    except OSError as error:  # the port is taken
        sys.exit(f"mud.py: {error}")
