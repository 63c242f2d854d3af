"""Redis behind the relay, with the commands one types by hand: lines up, replies of several lines down."""
import pytest

from conftest import DEADLINE, closed, command, hears
from in_front_of import recipe


@pytest.fixture
def redis(start, tmp_path):
    """The address of a Redis server, on a Unix socket."""
    folder = tmp_path / "redis"
    folder.mkdir()
    socket = folder / "socket"
    options = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
    start([command("redis-server"), *options]).wait_for_line("eady to accept connections")
    return f"unix:{socket}"


@pytest.mark.parametrize("eol", ["lf", "crlf"])
def test_commands_and_replies(relay, redis, eol):
    client = relay("--to", redis, "--eol", eol).connect()
    for line, *reply in [
        ("PING", "+PONG"),
        ("SET name ž\U0001f408", "+OK"),
        ("GET name", "$6", "ž\U0001f408"),
        ("GET nothing", "$-1"),
        ("RPUSH list a b", ":2"),
        ("LRANGE list 0 -1", "*2", "$1", "a", "$1", "b"),
        ('SET empty ""', "+OK"),
        ("GET empty", "$0", ""),
    ]:
        client.send(line)
        hears(client, *reply)
    client.send("NONSENSE")
    assert client.recv(timeout=DEADLINE).startswith("-ERR unknown command")
    client.send("PING\nPING\nPING")
    hears(client, "+PONG", "+PONG", "+PONG")
    client.send("QUIT")
    hears(client, "+OK")
    assert closed(client) == (1000, "backend closed", "relay")


def test_many_commands_without_waiting(relay, redis):
    client = relay("--to", redis).connect()
    for _ in range(10_000):
        client.send("INCR counter")
    hears(client, *(f":{n}" for n in range(1, 10_001)))


def test_publish_and_subscribe(relay, redis):
    running = relay(*recipe("Redis", redis))
    subscriber, publisher = running.connect(), running.connect()
    subscriber.send("SUBSCRIBE news")
    hears(subscriber, "*3", "$9", "subscribe", "$4", "news", ":1")
    for text in ("one", "two"):
        publisher.send(f"PUBLISH news {text}")
        hears(publisher, ":1")
        hears(subscriber, "*3", "$7", "message", "$4", "news", "$3", text)
    subscriber.close()
    running.wait_log("session closed")  # Redis has closed its end then
    publisher.send("PUBLISH news nobody")
    hears(publisher, ":0")
