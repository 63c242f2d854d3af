"""PyPI's websockets as the client: what it sends, hears and is told at the end."""
import asyncio
import logging
import queue
import signal

import pytest
import websockets.asyncio.client

from conftest import DEADLINE, closed, hears

TEXTS = ["hello", "", "Žluťoučký 🐈", "\ttabs and  spaces ", "\u2028 no line end", "x" * 65535, "ž" * 65536]


def test_every_message_comes_back_as_it_was(relay, echo):
    client = relay("--to", echo).connect()
    for text in TEXTS:
        client.send(text)
        hears(client, text)
    for text in TEXTS:  # and without waiting for each
        client.send(text)
    hears(client, *TEXTS)


def test_binary_messages_are_lines_too(relay, echo):
    client = relay("--to", echo).connect()
    client.send("ž as bytes".encode())
    hears(client, "ž as bytes")


def test_fragments_become_one_line(relay, echo):
    client = relay("--to", echo).connect()
    client.send(["frag", "", "ments ", "🐈"])
    hears(client, "fragments 🐈")
    client.send([bytes([byte]) for byte in "split 🐈 between its bytes".encode()], text=True)
    hears(client, "split 🐈 between its bytes")
    client.send(["x" * 70_000] * 10)
    hears(client, "x" * 700_000)


def test_control_frames_pass_between_fragments(relay, echo):
    client = relay("--to", echo).connect()
    pongs = []

    def fragments():
        yield "one "
        pongs.append(client.ping("between"))
        yield "line"

    client.send(fragments())
    hears(client, "one line")
    assert pongs[0].wait(DEADLINE)


def test_one_message_may_be_many_lines(relay, echo):
    client = relay("--to", echo).connect()
    client.send("one\ntwo\r\n\nfour\n")
    hears(client, "one", "two", "", "four")


@pytest.mark.parametrize("size", [1 << 20, 16 << 20], ids=["1 MiB", "16 MiB"])
def test_a_line_may_be_as_long_as_the_limit(relay, echo, size):
    limit = [] if size == 1 << 20 else ["--max-line", str(size)]
    client = relay("--to", echo, *limit).connect()
    client.send("x" * size)
    hears(client, "x" * size)
    client.send("x" * (size + 1))
    assert closed(client)[:2] == (1009, f"message longer than {size >> 20}MiB")


def test_a_longer_line_from_the_backend_closes_after_what_came_before(relay, backend):
    client = relay("--to", backend.address, "--max-line", "10").connect()
    backend.accept().send(b"0123456789\r\n0123456789a")
    hears(client, "0123456789")
    code, reason, _ = closed(client)
    assert code == 1009 and reason.startswith("line from backend longer than 10")


def test_pings_are_answered_while_the_backend_is_silent(relay, backend):
    client = relay("--to", backend.address).connect()
    backend.accept()
    for payload in ("", "payload", "x" * 125):
        assert client.ping(payload).wait(DEADLINE)
    assert 0 < client.latency < DEADLINE


def test_the_relay_pings_who_is_silent(relay, echo):
    seen = queue.Queue()
    logger = logging.Logger("frames")
    logger.addHandler(logging.Handler())
    logger.handlers[0].emit = lambda record: seen.put(record.getMessage())
    client = relay("--to", echo, "--ping-interval", "20ms").connect(logger=logger)
    pings = 0
    while pings < 3:
        pings += seen.get(timeout=DEADLINE).startswith("< PING")
    client.send("still here")
    hears(client, "still here")


# The end


def test_the_clients_close_is_echoed_and_its_lines_arrive_first(relay, backend):
    running = relay("--to", backend.address)
    client = running.connect()
    peer = backend.accept()
    client.send("last words")
    client.close(4001, "bye — žluť")
    assert closed(client) == (4001, "bye — žluť", "client")
    assert peer.rest() == b"last words\n"
    peer.send(b"too late\n")
    peer.close()
    running.wait_log(r'session closed.*by="client".*code=4001')


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1011, 1012, 3000, 4999])
def test_every_close_code_that_may_be_sent_is_echoed(relay, backend, code):
    client = relay("--to", backend.address).connect()
    backend.accept()
    client.close(code, "x" * 123)
    assert closed(client)[0] == code


def test_the_backends_end_is_1000_after_every_line_and_the_tail(relay, backend):
    client = relay("--to", backend.address).connect()
    peer = backend.accept()
    lines = [f"line {n}" for n in range(10_000)]
    peer.send("".join(line + "\r\n" for line in lines).encode() + b"tail")
    peer.close()
    hears(client, *lines, "tail")
    assert closed(client) == (1000, "backend closed", "relay")


def test_a_reset_of_the_backend_is_1011_after_what_came_before(relay, backend):
    client = relay("--to", backend.address).connect()
    peer = backend.accept()
    peer.send(b"before\n")
    hears(client, "before")
    peer.reset()
    assert closed(client) == (1011, "backend failed: connection reset by peer", "relay")


def test_text_that_is_not_utf8_is_1007(relay, echo):
    client = relay("--to", echo).connect()
    client.send(b"\xff", text=True)
    assert closed(client) == (1007, "text is not valid UTF-8", "relay")


def test_newlines_can_be_refused_with_1008(relay, echo):
    client = relay("--to", echo, "--newlines", "reject").connect()
    client.send("one\ntwo")
    assert closed(client)[0] == 1008


def test_idle_sessions_end_with_1000(relay, echo):
    client = relay("--to", echo, "--idle-timeout", "100ms").connect()
    assert closed(client) == (1000, "idle", "relay")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_1001_and_exit_status_0(relay, backend, signum):
    running = relay("--to", backend.address)
    clients = [running.connect() for _ in range(3)]
    peers = [backend.accept() for _ in clients]
    running.program.send(signum)
    for client in clients:
        assert closed(client) == (1001, "server shutting down", "relay")
    for peer in peers:
        assert peer.rest() == b""
        peer.close()
    assert running.program.wait() == 0


@pytest.mark.parametrize("options, status", [((), 502), (("--refuse", "close"), 1013)])
def test_a_refused_backend_is_told_either_way(relay, refusing, options, status):
    running = relay("--to", refusing, *options)
    if status == 1013:
        code, reason, _ = closed(running.connect())
        assert code == 1013 and "connection refused" in reason
    else:
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            running.connect()
        response = refused.value.response
        assert response.status_code == 502
        assert b"connection refused" in response.body and response.body.count(b"\n") == 1


# Subprotocols


@pytest.mark.parametrize("ours, offered, chosen", [
    (None, None, None),
    (None, ["ex3"], "ex3"),
    (None, ["chat.v2", "chat"], "chat.v2"),
    ("a,b", ["b"], "b"),
    ("a,b", ["b", "a"], "b"),
    ("binary=raw,a", ["b", "a"], "a"),
    ("a,b", ["other"], None),
    ("a,b", None, None),
    ("a,b", ["A"], None),
])
def test_a_subprotocol_is_agreed_on(relay, echo, ours, offered, chosen):
    options = ["--subprotocol", ours] if ours else []
    client = relay("--to", echo, *options).connect(subprotocols=offered)
    assert client.subprotocol == chosen
    client.send("hello")
    hears(client, "hello")


def test_compression_is_offered_and_not_answered(relay, echo):
    client = relay("--to", echo).connect(compression="deflate")
    assert "permessage-deflate" in client.request.headers["Sec-WebSocket-Extensions"]
    assert "Sec-WebSocket-Extensions" not in client.response.headers
    client.send("hello")
    hears(client, "hello")


# Many


def test_a_hundred_people_in_one_chat(relay, chat):
    running = relay("--to", chat)
    everybody = 100

    async def talk():
        options = {"proxy": None, "max_queue": None}
        clients = [await websockets.asyncio.client.connect(running.url, **options) for _ in range(everybody)]
        await all_arrived(clients[-1])
        await asyncio.gather(*(client.send(f"I am {n}") for n, client in enumerate(clients)))
        heard = await asyncio.gather(*(hear(client) for client in clients))
        await asyncio.gather(*(client.close() for client in clients))
        return heard

    async def all_arrived(last):
        while not (await last.recv()).endswith(f"guest-{everybody} joined"):
            pass

    async def hear(client):
        said = []
        while len(said) < everybody:
            if (line := await client.recv()).startswith("guest-"):
                said.append(line.split(": ", 1)[1])
        return said

    heard = asyncio.run(asyncio.wait_for(talk(), 60))
    assert sorted(heard[0]) == sorted(f"I am {n}" for n in range(everybody))
    assert all(order == heard[0] for order in heard), "everybody hears all of it, in one order"
