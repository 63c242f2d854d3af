"""The recipe that wsrelay replaces, `websocketd nc localhost 7777`, beside `wsrelay --to localhost:7777`."""
import pytest

from conftest import command, hears
from side_by_side import messages, websocketd, wsrelay_in_its_place

LONG = "x" * 60_000


@pytest.fixture
def recipe(start, opened, wsrelay, backend):
    """Both in front of the same line server, one after the other."""
    port = backend.address.rpartition(":")[2]

    def recipe():
        yield websocketd(start, opened, [], [command("nc.openbsd"), "localhost", port])
        yield wsrelay_in_its_place(start, opened, wsrelay, [f"--to=localhost:{port}"])
    return recipe


def test_the_recipe(recipe, backend):
    for side in recipe():
        clients, peers = [side.connect() for _ in range(3)], {}
        for number, client in enumerate(clients):
            client.send(str(number))
        for _ in clients:  # netcats come in any order
            peer = backend.accept()
            peers[int(peer.line())] = peer
        for number, client in enumerate(clients):
            for line in ("hello", "", "Žluťoučký 🐈", LONG):
                client.send(line)
                assert peers[number].line() == line.encode() + b"\n"
            peers[number].send("one\r\n\nŽluťoučký 🐈\n".encode() + LONG.encode() + b"\n")
            hears(client, "one", "", "Žluťoučký 🐈", LONG)
            client.close()
            assert peers[number].rest() == b"", side.name


def test_the_recipe_when_the_server_closes(recipe, backend):
    """netcat waits for its stdin to end, so a page behind websocketd never learns that the server has gone."""
    for side in recipe():
        client = side.connect()
        client.send("x")
        peer = backend.accept()
        assert peer.line() == b"x\n"
        peer.send(b"one\ntail")
        peer.close()
        hears(client, "one")
        if side.name == "wsrelay":
            assert messages(client) == (["tail"], 1000)
        else:
            with pytest.raises(TimeoutError):
                client.recv(timeout=0.5)


def test_the_recipe_without_a_server(start, opened, wsrelay, refusing):
    port = refusing.rpartition(":")[2]
    theirs = websocketd(start, opened, [], [command("nc.openbsd"), "localhost", port])
    assert messages(theirs.connect()) == ([], None)
    ours = wsrelay_in_its_place(start, opened, wsrelay, [f"--to=localhost:{port}"])
    assert ours.asks() == 502
